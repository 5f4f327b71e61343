-- Indexes for what is asked all the time, so that none of it goes over all that an installation ever had. A condition on a
-- status is one that the statement has word for word, as SQLite wants it.

-- A person's jobs that are under way, or were not completed: nearly all were.
CREATE INDEX jobs_not_completed ON jobs (user_id, status, created_at, id) WHERE status <> 'completed';
-- The jobs of a workspace that go on, and those that stand with it.
CREATE INDEX jobs_unfinished_by_workspace ON jobs (workspace_id, id) WHERE status IN ('pending', 'running', 'paused');
CREATE INDEX jobs_standing ON jobs (workspace_id, id) WHERE stands = 1;
-- Those that are paused, of which no task is to be claimed.
CREATE INDEX jobs_paused ON jobs (user_id, status, id) WHERE status = 'paused';
-- Once a second somebody looks for workspaces that are paused.
CREATE INDEX workspaces_paused ON workspaces (id) WHERE paused = 1;

-- At the end of each document its job is asked for what is left of it.
CREATE INDEX tasks_by_status ON tasks (job_id, attempt, status, place);
-- Tasks that were begun and are not through: those that may be in nobody's hands.
CREATE INDEX tasks_begun ON tasks (job_id, attempt) WHERE status IN ('pending', 'running') AND fence > 0;

-- Documents that are ready and have something to say, which is looked for among a person's errors.
CREATE INDEX documents_warned ON documents (user_id, updated_at) WHERE status = 'ready' AND warnings <> '[]';

-- The crawls that a person has in hand, and when they, and anybody, were given one last.
CREATE INDEX crawls_held ON crawls (user_id, lease_until) WHERE owner IS NOT NULL;
CREATE INDEX crawls_by_user ON crawls (user_id, claimed_at);
CREATE INDEX crawls_by_claim ON crawls (claimed_at);
-- Whether a page could not be had by the same fault, which is asked before all others are put off by it.
CREATE INDEX crawl_pages_failed ON crawl_pages (job_id, code) WHERE state = 'failed';

-- A person's questions that are being answered, counted before another one.
CREATE INDEX turns_answering ON turns (user_id, status) WHERE status = 'processing';
-- What is counted of the conversations of a workspace, which each change of a document tells.
CREATE INDEX conversations_counted ON conversations (workspace_id, deleted_at, turns);
