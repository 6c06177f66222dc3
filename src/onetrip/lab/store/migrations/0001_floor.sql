-- What an experiment is about: a problem, on a device, in an environment, under one harness.

CREATE TABLE problem (
    id INTEGER PRIMARY KEY,
    fingerprint TEXT NOT NULL UNIQUE, -- sha256 of all that changes the work
    operator TEXT NOT NULL,
    workload TEXT NOT NULL,
    source TEXT NOT NULL, -- "workload", "stdlib-lm" or the name of a recorded file
    axes TEXT NOT NULL CHECK (json_valid(axes)),
    dtype TEXT NOT NULL,
    options TEXT NOT NULL CHECK (json_valid(options)),
    backward INTEGER NOT NULL CHECK (backward IN (0, 1)),
    created_at REAL NOT NULL
) STRICT;

CREATE TABLE device (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    kind TEXT NOT NULL,
    arch INTEGER NOT NULL
) STRICT;

-- What of the environment decides a time; the whole block stands beside each session.
CREATE TABLE environment (
    sha256 TEXT PRIMARY KEY,
    block TEXT NOT NULL CHECK (json_valid(block)),
    created_at REAL NOT NULL
) STRICT;

-- A row for every time the ceilings of a device came out different. A busy machine measures them
-- too low, never too high: the highest of an environment stands.
CREATE TABLE ceiling (
    id INTEGER PRIMARY KEY,
    device_id INTEGER NOT NULL REFERENCES device (id),
    environment_sha256 TEXT NOT NULL REFERENCES environment (sha256),
    ceilings TEXT NOT NULL CHECK (json_valid(ceilings)),
    measured_at REAL NOT NULL,
    UNIQUE (device_id, environment_sha256, ceilings)
) STRICT;

-- The sources of judge, timing and reference ("harness") and of the operator ("subject").
CREATE TABLE source (
    sha256 TEXT PRIMARY KEY,
    role TEXT NOT NULL CHECK (role IN ('harness', 'subject')),
    files TEXT NOT NULL CHECK (json_valid(files)),
    version TEXT NOT NULL,
    created_at REAL NOT NULL
) STRICT;

-- Results compare only within one study.
CREATE TABLE study (
    id INTEGER PRIMARY KEY,
    problem_id INTEGER NOT NULL REFERENCES problem (id),
    device_id INTEGER NOT NULL REFERENCES device (id),
    environment_sha256 TEXT NOT NULL REFERENCES environment (sha256),
    harness_sha256 TEXT NOT NULL REFERENCES source (sha256),
    subject_sha256 TEXT NOT NULL REFERENCES source (sha256),
    created_at REAL NOT NULL,
    UNIQUE (problem_id, device_id, environment_sha256, harness_sha256, subject_sha256)
) STRICT;

-- One run of `onetrip tune`.
CREATE TABLE session (
    id INTEGER PRIMARY KEY,
    study_id INTEGER NOT NULL REFERENCES study (id),
    objective TEXT NOT NULL CHECK (objective IN ('latency', 'memory', 'pareto')),
    seed INTEGER NOT NULL,
    budget_s REAL NOT NULL,
    environment TEXT NOT NULL CHECK (json_valid(environment)),
    pid INTEGER NOT NULL,
    started_at REAL NOT NULL,
    ended_at REAL,
    ended_why TEXT
) STRICT;

CREATE TABLE candidate (
    id INTEGER PRIMARY KEY,
    operator TEXT NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('config')),
    impl TEXT NOT NULL,
    config TEXT NOT NULL CHECK (json_valid(config)), -- keys sorted, no spaces
    created_at REAL NOT NULL,
    UNIQUE (operator, kind, impl, config)
) STRICT;

-- A question put to a candidate. A candidate's fault is final, a lost process is not.
CREATE TABLE experiment (
    id INTEGER PRIMARY KEY,
    study_id INTEGER NOT NULL REFERENCES study (id),
    candidate_id INTEGER NOT NULL REFERENCES candidate (id),
    purpose TEXT NOT NULL CHECK (purpose IN ('search', 'confirm')),
    proposer TEXT NOT NULL,
    why TEXT NOT NULL,
    parent_id INTEGER REFERENCES experiment (id),
    priority REAL NOT NULL DEFAULT 0,
    state TEXT NOT NULL CHECK (state IN (
        'queued', 'running', 'done', 'incorrect', 'crashed', 'timeout', 'out_of_memory',
        'compile_error', 'pruned', 'interrupted'
    )),
    reason TEXT NOT NULL DEFAULT '',
    created_at REAL NOT NULL,
    updated_at REAL NOT NULL,
    UNIQUE (study_id, candidate_id, purpose)
) STRICT;

CREATE INDEX experiment_queue ON experiment (study_id, state, priority);

-- One process that tried to answer.
CREATE TABLE attempt (
    id INTEGER PRIMARY KEY,
    experiment_id INTEGER NOT NULL REFERENCES experiment (id),
    n INTEGER NOT NULL,
    session_id INTEGER NOT NULL REFERENCES session (id),
    seed TEXT NOT NULL, -- of the inputs, drawn when the attempt starts; 64 bits do not fit INTEGER
    pid INTEGER,
    process_started TEXT, -- boot and start tick: tells the process from a later one of the same pid
    started_at REAL NOT NULL,
    ended_at REAL,
    outcome TEXT CHECK (outcome IN (
        'done', 'incorrect', 'crashed', 'timeout', 'out_of_memory', 'compile_error', 'interrupted'
    )),
    reason TEXT NOT NULL DEFAULT '',
    scope TEXT NOT NULL DEFAULT '', -- what was verified: all rows, or which
    evidence TEXT NOT NULL DEFAULT '{}' CHECK (json_valid(evidence)),
    UNIQUE (experiment_id, n)
) STRICT;

CREATE UNIQUE INDEX one_open_attempt ON attempt (experiment_id) WHERE outcome IS NULL;

CREATE TABLE check_result (
    attempt_id INTEGER NOT NULL REFERENCES attempt (id),
    tensor TEXT NOT NULL,
    passed INTEGER NOT NULL CHECK (passed IN (0, 1)),
    max_error REAL, -- NULL when it is not a number
    allowance REAL,
    message TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (attempt_id, tensor)
) STRICT;

CREATE TABLE measurement (
    attempt_id INTEGER NOT NULL REFERENCES attempt (id),
    subject TEXT NOT NULL CHECK (subject IN ('candidate', 'default', 'current', 'eager')),
    impl TEXT NOT NULL,
    config TEXT NOT NULL CHECK (json_valid(config)),
    samples_ms TEXT NOT NULL CHECK (json_valid(samples_ms)),
    median_ms REAL NOT NULL,
    low_ms REAL NOT NULL,
    high_ms REAL NOT NULL,
    peak_bytes INTEGER,
    PRIMARY KEY (attempt_id, subject)
) STRICT;

-- Paired within one attempt: time of the baseline over time of the candidate; above 1 is faster.
CREATE TABLE comparison (
    attempt_id INTEGER NOT NULL REFERENCES attempt (id),
    baseline TEXT NOT NULL,
    speedup REAL NOT NULL,
    low REAL NOT NULL,
    high REAL NOT NULL,
    PRIMARY KEY (attempt_id, baseline)
) STRICT;
