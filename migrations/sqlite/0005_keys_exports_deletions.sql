-- API keys; exports of accounts; deletions under way.
-- Ids are UUIDs as text, moments are microseconds since 1970 UTC, JSON is text.

ALTER TABLE users ADD COLUMN deleting_at BIGINT;  -- since when the account is being deleted; NULL: it is not

CREATE TABLE api_keys (
    id TEXT NOT NULL PRIMARY KEY,
    user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    name TEXT NOT NULL,              -- as the person wrote it
    name_key TEXT NOT NULL,          -- in lower case: names that differ in case only are the same name
    prefix TEXT NOT NULL,            -- the first characters of the key, for recognising it
    secret_hash TEXT NOT NULL,       -- SHA-256 of the key, hexadecimal; the key itself is kept nowhere
    scopes TEXT NOT NULL,            -- JSON: ["read", …]
    command_id TEXT,                 -- Idempotency-Key of its creation
    created_at BIGINT NOT NULL,
    last_used_at BIGINT,             -- to about a minute; NULL: never used
    expires_at BIGINT,               -- from then on it is refused; NULL: never
    CONSTRAINT api_keys_secret_key UNIQUE (secret_hash),
    CONSTRAINT api_keys_name_key UNIQUE (user_id, name_key),
    CONSTRAINT api_keys_command_key UNIQUE (user_id, command_id)
);

CREATE INDEX api_keys_by_user ON api_keys (user_id, created_at, id);

CREATE TABLE exports (
    id TEXT NOT NULL PRIMARY KEY,
    user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    status TEXT NOT NULL,            -- pending, running, ready, failed
    bytes BIGINT NOT NULL,           -- size of the file; 0 until it is ready
    blob_key TEXT,                   -- where the file lies, once it is ready
    error TEXT,                      -- one sentence for people
    command_id TEXT,                 -- Idempotency-Key of its creation
    lease_until BIGINT NOT NULL,     -- by the clock of the database; from then on another server may make it
    fence BIGINT NOT NULL,           -- rises with each claim; a write with an older one changes nothing
    created_at BIGINT NOT NULL,
    completed_at BIGINT,
    expires_at BIGINT,               -- when the file and the row go; NULL while it is being made
    CONSTRAINT exports_command_key UNIQUE (user_id, command_id)
);

CREATE INDEX exports_by_user ON exports (user_id, created_at, id);
CREATE INDEX exports_unfinished ON exports (created_at, id) WHERE status IN ('pending', 'running');
CREATE INDEX exports_old ON exports (expires_at) WHERE expires_at IS NOT NULL;

-- What is being deleted. No foreign keys: a deletion outlives what it deletes, by a day. It holds ids only.
CREATE TABLE deletions (
    job_id TEXT NOT NULL PRIMARY KEY,  -- the id under which it is tracked
    kind TEXT NOT NULL,              -- account: what the id beside it names
    doomed_id TEXT NOT NULL,
    user_id TEXT NOT NULL,           -- whose it is, or was
    created_at BIGINT NOT NULL,
    completed_at BIGINT,             -- NULL: it is under way
    CONSTRAINT deletions_doomed_key UNIQUE (kind, doomed_id)
);

CREATE INDEX deletions_unfinished ON deletions (created_at, job_id) WHERE completed_at IS NULL;

-- Removing what belongs to a user or a job goes along these.
CREATE INDEX documents_by_user ON documents (user_id);
