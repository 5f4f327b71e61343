-- Whose turn it is: a moment for each job, which need not be that of its making. Background work has a later one, and what
-- somebody wants first an earlier one.
ALTER TABLE jobs ADD COLUMN turn_at BIGINT NOT NULL DEFAULT 0;
UPDATE jobs SET turn_at = created_at;
-- first, normal, background: why its turn is when it is.
ALTER TABLE jobs ADD COLUMN priority TEXT NOT NULL DEFAULT 'normal';
DROP INDEX jobs_unfinished;
CREATE INDEX jobs_unfinished ON jobs (turn_at, id) WHERE status IN ('pending', 'running', 'paused');

-- The turn of the job, for the index of the queue.
ALTER TABLE tasks RENAME COLUMN job_created_at TO turn_at;
