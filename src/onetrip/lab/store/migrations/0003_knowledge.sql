-- What reads need: indexes, the attempt that speaks for an experiment, relations as one table,
-- words that keep themselves, declarations that cannot be changed.

-- Covers the figures of a list, so that no row with its samples is read.
CREATE INDEX measurement_figures ON measurement (
    attempt_id, subject, regime, workload, median_ms, low_ms, high_ms, floor_ms, peak_bytes
);
CREATE INDEX event_subject ON event (subject_type, subject_id);
CREATE INDEX flag_attempt ON flag (attempt_id);
CREATE INDEX candidate_problem ON candidate (problem_id);
CREATE INDEX experiment_campaign ON experiment (campaign_id);
CREATE INDEX experiment_parent ON experiment (parent_id);
CREATE INDEX experiment_baseline ON experiment (baseline_id);
CREATE INDEX hypothesis_problem ON hypothesis (problem_id);
CREATE INDEX hypothesis_parent ON hypothesis (parent_id);
CREATE INDEX champion_candidate ON champion (candidate_id);
CREATE INDEX ledger_hypothesis ON ledger (hypothesis_id);
CREATE INDEX ledger_campaign ON ledger (campaign_id);

-- The attempt that speaks for an experiment: the last valid one that was answered.
CREATE VIEW answer AS
SELECT * FROM attempt
WHERE outcome IS NOT NULL AND outcome <> 'infra_lost' AND invalid = '' AND n = (
    SELECT max(n) FROM attempt AS other
    WHERE other.experiment_id = attempt.experiment_id AND other.outcome IS NOT NULL
        AND other.outcome <> 'infra_lost' AND other.invalid = ''
);

-- The knowledge graph whole: what was linked, and what follows from columns.
CREATE VIEW relation AS
SELECT source_type, source_id, relation, target_type, target_id, weight, created_by FROM edge
UNION ALL
SELECT 'experiment', id, 'tests', 'hypothesis', hypothesis_id, 1.0, proposer
FROM experiment WHERE hypothesis_id IS NOT NULL
UNION ALL
SELECT 'experiment', id, 'about', 'candidate', candidate_id, 1.0, proposer FROM experiment
UNION ALL
SELECT 'candidate', id, 'derived_from', 'candidate', parent_id, 1.0, proposer
FROM candidate WHERE parent_id IS NOT NULL
UNION ALL
SELECT 'candidate', id, 'about', 'problem', problem_id, 1.0, proposer FROM candidate
UNION ALL
SELECT 'hypothesis', id, 'derived_from', 'hypothesis', parent_id, 1.0, declared_by
FROM hypothesis WHERE parent_id IS NOT NULL
UNION ALL
SELECT 'hypothesis', id, 'about', 'problem', problem_id, 1.0, declared_by FROM hypothesis;

-- A prediction is made beforehand: what was declared stays as it was.
CREATE TRIGGER hypothesis_is_frozen BEFORE UPDATE OF title, rationale, problem_id, metric,
    direction, least_effect, workloads, prior, parent_id, declared_by, declared_at, frozen_sha256
    ON hypothesis
BEGIN SELECT raise(ABORT, 'a declared hypothesis is never changed'); END;

-- Words follow their rows, whoever writes them. The rowid tells type and id, so that a change
-- finds its entry at once.
CREATE VIEW wording AS
SELECT id * 8 + 1 AS number, 'experiment' AS type, id, why AS title, reason AS body FROM experiment
UNION ALL
SELECT id * 8 + 2, 'hypothesis', id, title, rationale FROM hypothesis
UNION ALL
SELECT id * 8 + 3, 'learning', id, '', text FROM learning
UNION ALL
SELECT candidate.id * 8 + 4, 'candidate', candidate.id, title,
    impl || ' ' || config || ' ' || coalesce(substr(CAST(data AS TEXT), 1, 20000), '')
FROM candidate LEFT JOIN blob ON sha256 = source_sha256
UNION ALL
SELECT id * 8 + 5, 'problem', id, name, brief FROM problem;

CREATE TRIGGER experiment_has_words AFTER INSERT ON experiment
BEGIN INSERT INTO words (rowid, type, id, title, body)
    SELECT * FROM wording WHERE type = 'experiment' AND id = new.id; END;
CREATE TRIGGER hypothesis_has_words AFTER INSERT ON hypothesis
BEGIN INSERT INTO words (rowid, type, id, title, body)
    SELECT * FROM wording WHERE type = 'hypothesis' AND id = new.id; END;
CREATE TRIGGER learning_has_words AFTER INSERT ON learning
BEGIN INSERT INTO words (rowid, type, id, title, body)
    SELECT * FROM wording WHERE type = 'learning' AND id = new.id; END;
CREATE TRIGGER candidate_has_words AFTER INSERT ON candidate
BEGIN INSERT INTO words (rowid, type, id, title, body)
    SELECT * FROM wording WHERE type = 'candidate' AND id = new.id; END;
CREATE TRIGGER problem_has_words AFTER INSERT ON problem
BEGIN INSERT INTO words (rowid, type, id, title, body)
    SELECT * FROM wording WHERE type = 'problem' AND id = new.id; END;

CREATE TRIGGER experiment_changes_words AFTER UPDATE OF why, reason ON experiment
WHEN old.why <> new.why OR old.reason <> new.reason
BEGIN UPDATE words SET title = new.why, body = new.reason WHERE rowid = new.id * 8 + 1; END;
CREATE TRIGGER candidate_changes_words AFTER UPDATE OF title ON candidate
WHEN old.title <> new.title
BEGIN UPDATE words SET title = new.title WHERE rowid = new.id * 8 + 4; END;
CREATE TRIGGER problem_changes_words AFTER UPDATE OF name, brief ON problem
WHEN old.name <> new.name OR old.brief <> new.brief
BEGIN UPDATE words SET title = new.name, body = new.brief WHERE rowid = new.id * 8 + 5; END;

-- What an older file held already.
INSERT INTO words (rowid, type, id, title, body) SELECT * FROM wording;
