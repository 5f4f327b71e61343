-- Documents with their chunks, vectors and full text; jobs with the work that they lead to.
-- Ids are UUIDs as text, moments are microseconds since 1970 UTC, yes/no is 1/0, JSON is text.
-- No number that may be missing has a fraction: a missing one is bound with another type on PostgreSQL.

CREATE TABLE jobs (
    id TEXT NOT NULL PRIMARY KEY,
    user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    workspace_id TEXT NOT NULL,      -- no foreign key: the job that deletes a workspace outlives it
    kind TEXT NOT NULL,              -- upload, crawl, reindex, delete
    attempt BIGINT NOT NULL,         -- from 1; a retry makes the next
    status TEXT NOT NULL,            -- pending, running, paused, completed, failed, cancelled
    requested TEXT,                  -- pause, cancel: what a worker has to honour at its next gate
    phase TEXT NOT NULL,             -- the one that it is said to be in
    progress DOUBLE PRECISION NOT NULL,  -- 0-100, never falling within an attempt
    message TEXT NOT NULL,           -- one sentence for people
    error TEXT,
    metrics TEXT NOT NULL,           -- JSON: the counters
    phase_details TEXT NOT NULL,     -- JSON: the four phases
    estimate TEXT NOT NULL,          -- JSON: chunks a second, seconds left
    command_id TEXT,                 -- Idempotency-Key of its creation
    event_at BIGINT NOT NULL,        -- when the last event about it was emitted
    rev BIGINT NOT NULL,             -- seq of the last event about it
    created_at BIGINT NOT NULL,
    started_at BIGINT,
    completed_at BIGINT,
    CONSTRAINT jobs_command_key UNIQUE (user_id, command_id)
);

CREATE INDEX jobs_by_user ON jobs (user_id, created_at, id);
CREATE INDEX jobs_by_workspace ON jobs (workspace_id, created_at, id);
-- The queue: what goes first.
CREATE INDEX jobs_unfinished ON jobs (created_at, id) WHERE status IN ('pending', 'running', 'paused');

CREATE TABLE documents (
    id TEXT NOT NULL PRIMARY KEY,
    workspace_id TEXT NOT NULL REFERENCES workspaces (id) ON DELETE CASCADE,
    user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    job_id TEXT,                     -- the newest job about it; no foreign key, jobs are removed sooner
    filename TEXT NOT NULL,
    mime_type TEXT NOT NULL,         -- told by content
    size_bytes BIGINT NOT NULL,
    content_hash TEXT NOT NULL,      -- SHA-256 of the file, hexadecimal
    blob_key TEXT NOT NULL,          -- where the file lies
    status TEXT NOT NULL,            -- pending, processing, ready, failed
    error TEXT,                      -- one sentence for people; with its code and a hint
    error_code TEXT,
    error_hint TEXT,
    warnings TEXT NOT NULL,          -- JSON: [{code, message}]
    chunk_count BIGINT NOT NULL,
    progress DOUBLE PRECISION NOT NULL,  -- 0-100, never falling within an attempt
    step TEXT,                       -- the step it is in, or the last one
    message TEXT,                    -- the sentence of that step
    metadata TEXT NOT NULL,          -- JSON: characters, pages, title
    attempt BIGINT NOT NULL,
    stale BIGINT NOT NULL,           -- indexed with another configuration than the workspace has now
    version BIGINT NOT NULL,         -- of the content
    stage TEXT NOT NULL,             -- loading, chunking, embedding, indexing, done: how far the checkpoints reach
    embedded BIGINT NOT NULL,        -- chunks that have their vector
    embeds BIGINT NOT NULL,          -- 0: found by keyword only
    step_started_at BIGINT NOT NULL,
    event_at BIGINT NOT NULL,        -- when the last event about its steps was emitted
    rev BIGINT NOT NULL,             -- seq of the last event about it
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);

CREATE INDEX documents_by_workspace ON documents (workspace_id, created_at, id);
-- Counting a workspace's documents reads this alone.
CREATE INDEX documents_counts ON documents (workspace_id, status, chunk_count, size_bytes);

-- The work on one document in one attempt of its job: what a worker claims.
CREATE TABLE tasks (
    job_id TEXT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    attempt BIGINT NOT NULL,
    document_id TEXT NOT NULL REFERENCES documents (id) ON DELETE CASCADE,
    place BIGINT NOT NULL,           -- the document's place in the job, from 0
    user_id TEXT NOT NULL,           -- of the job, and when that was made: the order of the queue, for its index
    job_created_at BIGINT NOT NULL,
    status TEXT NOT NULL,            -- pending, running, done, failed
    owner TEXT,                      -- the worker that holds the lease
    lease_until BIGINT NOT NULL,     -- by the clock of the database; from then on it is free for the taking
    fence BIGINT NOT NULL,           -- rises with each claim; a write with an older one changes nothing
    PRIMARY KEY (job_id, attempt, document_id)
);

CREATE INDEX tasks_by_document ON tasks (document_id);
CREATE INDEX tasks_waiting ON tasks (user_id, job_created_at, job_id, place)
    WHERE status IN ('pending', 'running');
CREATE INDEX tasks_leased ON tasks (user_id, lease_until) WHERE status = 'running';
CREATE INDEX tasks_by_owner ON tasks (owner) WHERE status = 'running';

CREATE TABLE chunks (
    id TEXT NOT NULL PRIMARY KEY,
    document_id TEXT NOT NULL REFERENCES documents (id) ON DELETE CASCADE,
    version BIGINT NOT NULL,         -- of the document's content that it was cut from
    ordinal BIGINT NOT NULL,         -- place in the document, from 0
    text TEXT NOT NULL,
    content_hash TEXT NOT NULL,      -- SHA-256 of the text, hexadecimal
    page BIGINT,                     -- from 1, where the format has pages
    heading TEXT,                    -- of the section that it lies in
    char_start BIGINT NOT NULL,      -- place in the extracted text, in characters
    char_end BIGINT NOT NULL,
    token_count BIGINT NOT NULL,
    enabled BIGINT NOT NULL,         -- 0: kept, but never found
    CONSTRAINT chunks_ordinal_key UNIQUE (document_id, version, ordinal)
);

CREATE TABLE chunk_vectors (
    chunk_id TEXT NOT NULL PRIMARY KEY REFERENCES chunks (id) ON DELETE CASCADE,
    vector BYTEA NOT NULL            -- unit vector, f32 little-endian
);

-- Full text of the chunks of ready documents.
CREATE TABLE chunk_text (
    chunk_id TEXT NOT NULL PRIMARY KEY REFERENCES chunks (id) ON DELETE CASCADE,
    search TSVECTOR NOT NULL         -- heading and text, and one word that names the workspace, so that a search
                                     -- reads nothing of other workspaces
);

CREATE INDEX chunk_text_search ON chunk_text USING gin (search);

-- Rises with every change of what a search of the workspace may find: the number that a cache of vectors belongs to.
CREATE TABLE index_versions (
    workspace_id TEXT NOT NULL PRIMARY KEY REFERENCES workspaces (id) ON DELETE CASCADE,
    version BIGINT NOT NULL
);
