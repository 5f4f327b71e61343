-- Pausing, cancelling and retrying of jobs and of single documents. A task may also be 'paused': its document was paused
-- by itself, and nobody claims it.

-- 1: the cancel that is requested also takes back what the job made.
ALTER TABLE jobs ADD COLUMN cancel_removes BIGINT NOT NULL DEFAULT 0;
-- Those few are looked for again and again.
CREATE INDEX jobs_requested ON jobs (user_id, id) WHERE requested IS NOT NULL;

-- pause, cancel, cancel_remove: asked of this document alone, while a worker has it in hand.
ALTER TABLE documents ADD COLUMN requested TEXT;
-- 1: paused by itself.
ALTER TABLE documents ADD COLUMN paused BIGINT NOT NULL DEFAULT 0;
-- Of a failed one: the stage where a retry goes on.
ALTER TABLE documents ADD COLUMN reached TEXT NOT NULL DEFAULT 'loading';
-- JSON: what its work failed by since it last got on.
ALTER TABLE documents ADD COLUMN failures TEXT NOT NULL DEFAULT '[]';
CREATE INDEX documents_requested ON documents (user_id, id) WHERE requested IS NOT NULL;

-- Nobody claims it before that moment: it waits for its next try.
ALTER TABLE tasks ADD COLUMN not_before BIGINT NOT NULL DEFAULT 0;
CREATE INDEX tasks_paused ON tasks (job_id) WHERE status = 'paused';

-- What became of the attempts of a job before the present one.
CREATE TABLE job_attempts (
    job_id TEXT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    attempt BIGINT NOT NULL,
    data TEXT NOT NULL,              -- JSON: the attempt as it is shown, with the errors of its documents
    PRIMARY KEY (job_id, attempt)
);
