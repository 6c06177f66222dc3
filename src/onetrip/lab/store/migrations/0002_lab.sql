-- From a tuner's notebook to a laboratory: problems of any source, candidates with source code,
-- campaigns, leases, hypotheses, learnings, a knowledge graph, a ledger and a log of events.

-- Bytes by content: candidates' sources, logs, evidence.
CREATE TABLE blob (
    sha256 TEXT PRIMARY KEY,
    mime TEXT NOT NULL,
    size_bytes INTEGER NOT NULL,
    data BLOB NOT NULL
) STRICT;

CREATE TABLE problem_new (
    id INTEGER PRIMARY KEY,
    fingerprint TEXT NOT NULL UNIQUE, -- sha256 of all that changes the work
    kind TEXT NOT NULL CHECK (kind IN ('operator', 'folder', 'kernelbench', 'run')),
    name TEXT NOT NULL, -- "linear_cross_entropy/ragged", "vectoradd"
    spec TEXT NOT NULL CHECK (json_valid(spec)), -- "location" and "options" load it; more may stand
    brief TEXT NOT NULL DEFAULT '', -- Markdown: definition, inputs, outputs, floor, tolerance
    weight REAL NOT NULL DEFAULT 1 CHECK (weight >= 0), -- share of the whole that it stands for
    refused TEXT NOT NULL DEFAULT '', -- why it may not be judged: it accepts zeros, say
    created_at REAL NOT NULL
) STRICT;
INSERT INTO problem_new (id, fingerprint, kind, name, spec, created_at)
SELECT id, fingerprint, 'operator', operator || '/' || workload,
    json_object('location', operator, 'options', json_object('workload', workload),
        'source', source, 'axes', json(axes), 'dtype', dtype, 'arguments', json(options),
        'backward', json(iif(backward, 'true', 'false'))),
    created_at
FROM problem;
DROP TABLE problem;
ALTER TABLE problem_new RENAME TO problem;

-- What decides right or wrong, as it was: never changed, never deleted, only followed by another.
CREATE TABLE tolerance (
    id INTEGER PRIMARY KEY,
    problem_id INTEGER NOT NULL REFERENCES problem (id),
    sha256 TEXT NOT NULL,
    policy TEXT NOT NULL CHECK (json_valid(policy)),
    created_at REAL NOT NULL,
    UNIQUE (problem_id, sha256)
) STRICT;
CREATE TRIGGER tolerance_is_final BEFORE UPDATE ON tolerance
BEGIN SELECT raise(ABORT, 'a tolerance is never changed'); END;
CREATE TRIGGER tolerance_is_kept BEFORE DELETE ON tolerance
BEGIN SELECT raise(ABORT, 'a tolerance is never deleted'); END;

-- A search over candidates of one problem, with its budget; `onetrip tune` is one.
CREATE TABLE campaign (
    id INTEGER PRIMARY KEY,
    title TEXT NOT NULL,
    problem_id INTEGER NOT NULL REFERENCES problem (id),
    study_id INTEGER REFERENCES study (id), -- a tune's: it looks at one study only
    proposer TEXT NOT NULL,
    objective TEXT NOT NULL,
    seed INTEGER NOT NULL,
    budget TEXT NOT NULL CHECK (json_valid(budget)), -- {"wall_s": …, "gpu_s": …, "usd": …, …}
    environment TEXT NOT NULL CHECK (json_valid(environment)),
    pid INTEGER,
    started_at REAL NOT NULL,
    ended_at REAL,
    ended_why TEXT
) STRICT;
INSERT INTO campaign
SELECT session.id, 'tune ' || problem.name, study.problem_id, session.study_id, 'TPE', objective,
    seed, json_object('wall_s', budget_s), environment, pid, started_at, ended_at, ended_why
FROM session JOIN study ON study.id = study_id JOIN problem ON problem.id = study.problem_id;

CREATE TABLE candidate_new (
    id INTEGER PRIMARY KEY,
    fingerprint TEXT NOT NULL UNIQUE, -- sha256 of problem, kind, impl, config and source
    problem_id INTEGER NOT NULL REFERENCES problem (id),
    kind TEXT NOT NULL CHECK (kind IN ('config', 'source')),
    impl TEXT NOT NULL DEFAULT '', -- of a configuration: the implementation
    config TEXT NOT NULL CHECK (json_valid(config)), -- keys sorted, no spaces
    source_sha256 TEXT REFERENCES blob (sha256), -- of a source: one Python file
    title TEXT NOT NULL DEFAULT '',
    parent_id INTEGER REFERENCES candidate (id), -- what it was made from
    proposer TEXT NOT NULL DEFAULT '',
    created_at REAL NOT NULL,
    CHECK ((kind = 'source') = (source_sha256 IS NOT NULL))
) STRICT;
-- A candidate was an operator's; now it is a problem's: one for each problem it was tried on.
INSERT INTO candidate_new (fingerprint, problem_id, kind, impl, config, proposer, created_at)
SELECT 'v1:' || candidate.id || '/' || study.problem_id, study.problem_id, kind, impl, config,
    proposer, min(experiment.created_at)
FROM experiment JOIN candidate ON candidate.id = candidate_id JOIN study ON study.id = study_id
GROUP BY candidate.id, study.problem_id ORDER BY min(experiment.id);

-- Declared before it is tested and frozen from then on; its status is computed, never typed.
CREATE TABLE hypothesis (
    id INTEGER PRIMARY KEY,
    title TEXT NOT NULL,
    rationale TEXT NOT NULL, -- Markdown
    problem_id INTEGER NOT NULL REFERENCES problem (id),
    metric TEXT NOT NULL, -- "latency_ms", "peak_bytes", "max_error", or a run's own metric
    direction TEXT NOT NULL CHECK (direction IN ('decrease', 'increase')),
    least_effect REAL NOT NULL CHECK (least_effect >= 0), -- relative: 0.05 is five per cent
    workloads TEXT NOT NULL CHECK (json_valid(workloads)), -- names; [] for all
    prior REAL NOT NULL DEFAULT 0.5 CHECK (prior > 0 AND prior < 1),
    parent_id INTEGER REFERENCES hypothesis (id),
    status TEXT NOT NULL DEFAULT 'open' CHECK (status IN (
        'open', 'testing', 'supported', 'refuted', 'inconclusive', 'superseded', 'withdrawn'
    )),
    status_why TEXT NOT NULL DEFAULT '',
    declared_by TEXT NOT NULL,
    declared_at REAL NOT NULL,
    frozen_sha256 TEXT NOT NULL -- of title to workloads, at the declaration
) STRICT;

-- Who runs attempts: a process of this machine, or a remote worker with a token of its own.
CREATE TABLE worker (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    kind TEXT NOT NULL CHECK (kind IN ('local', 'http', 'ray')),
    token_sha256 TEXT,
    capabilities TEXT NOT NULL CHECK (json_valid(capabilities)), -- devices, versions, sandbox
    host TEXT NOT NULL,
    pid INTEGER,
    process_started TEXT,
    seen_at REAL NOT NULL,
    ended_at REAL
) STRICT;

CREATE TABLE experiment_new (
    id INTEGER PRIMARY KEY,
    candidate_id INTEGER NOT NULL REFERENCES candidate (id),
    purpose TEXT NOT NULL CHECK (purpose IN ('search', 'confirm', 'baseline')),
    study_id INTEGER REFERENCES study (id), -- a tune's: to be measured in that study only
    campaign_id INTEGER REFERENCES campaign (id),
    hypothesis_id INTEGER REFERENCES hypothesis (id),
    baseline_id INTEGER REFERENCES candidate (id), -- what it is compared with; NULL: the champion
    parent_id INTEGER REFERENCES experiment (id),
    proposer TEXT NOT NULL,
    why TEXT NOT NULL,
    idempotency_key TEXT UNIQUE,
    limits TEXT NOT NULL DEFAULT '{}' CHECK (json_valid(limits)), -- {"seconds": …, "device": …}
    state TEXT NOT NULL CHECK (state IN (
        'queued', 'paused', 'running', 'cancelled', 'pruned', 'dead',
        'done', 'incorrect', 'compile_error', 'crashed', 'timeout', 'out_of_memory', 'hacked',
        'infra_lost'
    )),
    reason TEXT NOT NULL DEFAULT '',
    priority REAL NOT NULL DEFAULT 0,
    pinned INTEGER NOT NULL DEFAULT 0, -- the larger first, before any priority; below 0: last
    expected_s REAL, -- what one attempt is expected to take
    not_before REAL NOT NULL DEFAULT 0,
    max_attempts INTEGER NOT NULL DEFAULT 5,
    created_at REAL NOT NULL,
    updated_at REAL NOT NULL
) STRICT;
INSERT INTO experiment_new (id, candidate_id, purpose, study_id, parent_id, proposer, why, state,
    reason, priority, created_at, updated_at)
SELECT experiment.id, candidate_new.id, purpose, study_id, experiment.parent_id,
    experiment.proposer, why, iif(state = 'interrupted', 'dead', state), reason, priority,
    experiment.created_at, updated_at
FROM experiment JOIN study ON study.id = study_id
JOIN candidate_new ON candidate_new.fingerprint = 'v1:' || candidate_id || '/' || study.problem_id;
DROP TABLE candidate;
ALTER TABLE candidate_new RENAME TO candidate;
CREATE INDEX candidate_parent ON candidate (parent_id);
DROP TABLE experiment;
ALTER TABLE experiment_new RENAME TO experiment;
CREATE UNIQUE INDEX experiment_of_study ON experiment (study_id, candidate_id, purpose)
    WHERE study_id IS NOT NULL;
CREATE INDEX experiment_queue ON experiment (state, pinned, priority);
CREATE INDEX experiment_candidate ON experiment (candidate_id);
CREATE INDEX experiment_hypothesis ON experiment (hypothesis_id);

-- One process that tried to answer. Its lease is renewed by heartbeats; a lapsed one is lost.
CREATE TABLE attempt_new (
    id INTEGER PRIMARY KEY,
    experiment_id INTEGER NOT NULL REFERENCES experiment (id),
    n INTEGER NOT NULL, -- the fencing token: a late answer of an earlier n is not taken
    campaign_id INTEGER REFERENCES campaign (id),
    study_id INTEGER REFERENCES study (id), -- where it was measured: results compare within one
    worker_id INTEGER REFERENCES worker (id),
    device TEXT NOT NULL DEFAULT '', -- "cpu", "cuda:0": where it runs
    tolerance_id INTEGER REFERENCES tolerance (id),
    seed TEXT NOT NULL, -- of the inputs, drawn when the attempt starts; 64 bits do not fit INTEGER
    pid INTEGER,
    process_started TEXT, -- boot and start tick: tells the process from a later one of the same pid
    stage TEXT NOT NULL DEFAULT 'starting',
    heartbeat_at REAL,
    lease_until REAL,
    started_at REAL NOT NULL,
    ended_at REAL,
    outcome TEXT CHECK (outcome IN (
        'done', 'incorrect', 'compile_error', 'crashed', 'timeout', 'out_of_memory', 'hacked',
        'infra_lost'
    )),
    reason TEXT NOT NULL DEFAULT '',
    scope TEXT NOT NULL DEFAULT '', -- what was verified: all rows, or which
    evidence TEXT NOT NULL DEFAULT '{}' CHECK (json_valid(evidence)),
    log_sha256 TEXT REFERENCES blob (sha256),
    quarantined TEXT NOT NULL DEFAULT '', -- why its times count for nothing: below the floor, say
    invalid TEXT NOT NULL DEFAULT '', -- why it counts for nothing: a bug of the judge, say
    UNIQUE (experiment_id, n)
) STRICT;
INSERT INTO attempt_new (id, experiment_id, n, campaign_id, study_id, seed, pid, process_started,
    started_at, ended_at, outcome, reason, scope, evidence)
SELECT attempt.id, experiment_id, n, session_id, experiment.study_id, seed, pid, process_started,
    started_at, ended_at, iif(outcome = 'interrupted', 'infra_lost', outcome), attempt.reason,
    scope, evidence
FROM attempt JOIN experiment ON experiment.id = experiment_id;
DROP TABLE attempt;
ALTER TABLE attempt_new RENAME TO attempt;
DROP TABLE session;
CREATE UNIQUE INDEX one_open_attempt ON attempt (experiment_id) WHERE outcome IS NULL;

CREATE TABLE check_result_new (
    attempt_id INTEGER NOT NULL REFERENCES attempt (id),
    workload TEXT NOT NULL DEFAULT '',
    tensor TEXT NOT NULL,
    passed INTEGER NOT NULL CHECK (passed IN (0, 1)),
    max_error REAL, -- NULL when it is not a number
    allowance REAL,
    message TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (attempt_id, workload, tensor)
) STRICT;
INSERT INTO check_result_new
SELECT attempt_id, '', tensor, passed, max_error, allowance, message FROM check_result;
DROP TABLE check_result;
ALTER TABLE check_result_new RENAME TO check_result;

CREATE TABLE measurement_new (
    attempt_id INTEGER NOT NULL REFERENCES attempt (id),
    workload TEXT NOT NULL DEFAULT '',
    subject TEXT NOT NULL, -- "candidate", "baseline", "default", "current", "eager", a peer's name
    regime TEXT NOT NULL DEFAULT 'cold' CHECK (regime IN ('cold', 'warm')),
    impl TEXT NOT NULL DEFAULT '',
    config TEXT NOT NULL DEFAULT '{}' CHECK (json_valid(config)),
    samples_ms TEXT NOT NULL CHECK (json_valid(samples_ms)),
    median_ms REAL NOT NULL,
    low_ms REAL NOT NULL,
    high_ms REAL NOT NULL,
    peak_bytes INTEGER,
    floor_ms REAL, -- the least time that the device's ceilings allow
    blocks TEXT NOT NULL DEFAULT '[]' CHECK (json_valid(blocks)), -- order, clocks, throttling, …
    PRIMARY KEY (attempt_id, workload, subject, regime)
) STRICT;
INSERT INTO measurement_new (attempt_id, subject, impl, config, samples_ms, median_ms, low_ms,
    high_ms, peak_bytes)
SELECT attempt_id, subject, impl, config, samples_ms, median_ms, low_ms, high_ms, peak_bytes
FROM measurement;
DROP TABLE measurement;
ALTER TABLE measurement_new RENAME TO measurement;

-- Paired within one attempt: time of the baseline over time of the candidate; above 1 is faster.
CREATE TABLE comparison_new (
    attempt_id INTEGER NOT NULL REFERENCES attempt (id),
    workload TEXT NOT NULL DEFAULT '',
    regime TEXT NOT NULL DEFAULT 'cold' CHECK (regime IN ('cold', 'warm')),
    baseline TEXT NOT NULL,
    speedup REAL NOT NULL,
    low REAL NOT NULL,
    high REAL NOT NULL,
    PRIMARY KEY (attempt_id, workload, regime, baseline)
) STRICT;
INSERT INTO comparison_new (attempt_id, baseline, speedup, low, high)
SELECT attempt_id, baseline, speedup, low, high FROM comparison;
DROP TABLE comparison;
ALTER TABLE comparison_new RENAME TO comparison;

-- What a run printed or returned: tokens per second, loss.
CREATE TABLE metric (
    attempt_id INTEGER NOT NULL REFERENCES attempt (id),
    name TEXT NOT NULL,
    value REAL NOT NULL,
    unit TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (attempt_id, name)
) STRICT;

-- A suspicion. A static rule only labels; what rejects is an attempt's outcome.
CREATE TABLE flag (
    id INTEGER PRIMARY KEY,
    attempt_id INTEGER NOT NULL REFERENCES attempt (id),
    rule TEXT NOT NULL,
    source TEXT NOT NULL CHECK (source IN ('static', 'runtime', 'human')),
    evidence TEXT NOT NULL,
    resolution TEXT NOT NULL DEFAULT '',
    created_at REAL NOT NULL
) STRICT;

-- The best of a problem in a study, from when to when.
CREATE TABLE champion (
    id INTEGER PRIMARY KEY,
    problem_id INTEGER NOT NULL REFERENCES problem (id),
    study_id INTEGER NOT NULL REFERENCES study (id),
    candidate_id INTEGER NOT NULL REFERENCES candidate (id),
    experiment_id INTEGER NOT NULL REFERENCES experiment (id), -- the confirmation
    why TEXT NOT NULL,
    since REAL NOT NULL,
    until REAL
) STRICT;
CREATE UNIQUE INDEX one_champion ON champion (problem_id, study_id) WHERE until IS NULL;

CREATE TABLE learning (
    id INTEGER PRIMARY KEY,
    text TEXT NOT NULL, -- Markdown
    scope TEXT NOT NULL CHECK (json_valid(scope)), -- {"problem": …, "device": …, "dtype": …}
    confidence REAL NOT NULL CHECK (confidence BETWEEN 0 AND 1),
    status TEXT NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'superseded', 'retracted')),
    created_by TEXT NOT NULL,
    created_at REAL NOT NULL
) STRICT;

-- The knowledge graph. Nodes are rows of five tables; what follows from columns is not repeated.
CREATE TABLE edge (
    source_type TEXT NOT NULL CHECK (source_type IN (
        'experiment', 'hypothesis', 'learning', 'candidate', 'problem')),
    source_id INTEGER NOT NULL,
    relation TEXT NOT NULL CHECK (relation IN (
        'tests', 'supports', 'refutes', 'derived_from', 'supersedes', 'contradicts', 'about')),
    target_type TEXT NOT NULL CHECK (target_type IN (
        'experiment', 'hypothesis', 'learning', 'candidate', 'problem')),
    target_id INTEGER NOT NULL,
    weight REAL NOT NULL DEFAULT 1,
    created_by TEXT NOT NULL,
    created_at REAL NOT NULL,
    PRIMARY KEY (source_type, source_id, relation, target_type, target_id)
) STRICT;
CREATE INDEX edge_target ON edge (target_type, target_id);

-- What experiments cost, line by line.
CREATE TABLE ledger (
    id INTEGER PRIMARY KEY,
    experiment_id INTEGER REFERENCES experiment (id),
    hypothesis_id INTEGER REFERENCES hypothesis (id),
    campaign_id INTEGER REFERENCES campaign (id),
    kind TEXT NOT NULL CHECK (kind IN ('gpu_s', 'wall_s', 'energy_j', 'tokens', 'usd')),
    amount REAL NOT NULL CHECK (amount >= 0),
    note TEXT NOT NULL DEFAULT '',
    at REAL NOT NULL
) STRICT;
CREATE INDEX ledger_experiment ON ledger (experiment_id);

CREATE TABLE priority_change (
    id INTEGER PRIMARY KEY,
    experiment_id INTEGER NOT NULL REFERENCES experiment (id),
    before REAL NOT NULL,
    after REAL NOT NULL,
    terms TEXT NOT NULL CHECK (json_valid(terms)),
    why TEXT NOT NULL, -- a sentence
    at REAL NOT NULL
) STRICT;
CREATE INDEX priority_change_experiment ON priority_change (experiment_id);

-- Everything that happened, in order: the running log, and what browsers catch up from.
CREATE TABLE event (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    at REAL NOT NULL,
    type TEXT NOT NULL, -- "experiment.queued", "attempt.stage", "hypothesis.supported", …
    subject_type TEXT NOT NULL,
    subject_id INTEGER,
    text TEXT NOT NULL, -- one sentence for a reader
    document TEXT NOT NULL DEFAULT '{}' CHECK (json_valid(document))
) STRICT;

-- One look at the machine: a document a second for a day, then a minute's mean.
CREATE TABLE device_sample (
    at REAL NOT NULL,
    host TEXT NOT NULL,
    device TEXT NOT NULL, -- "cuda:0", "cpu"
    sample TEXT NOT NULL CHECK (json_valid(sample)),
    PRIMARY KEY (device, host, at)
) STRICT, WITHOUT ROWID;

-- Full-text search over all that has words.
CREATE VIRTUAL TABLE words USING fts5 (
    type UNINDEXED, id UNINDEXED, title, body, tokenize = 'porter unicode61'
);
