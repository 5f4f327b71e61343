-- Accounts, sign-in sessions, the event log and workspaces.
-- Ids are UUIDs as text, moments are microseconds since 1970 UTC, yes/no is 1/0, JSON is text.

-- Facts about this database as a whole.
CREATE TABLE meta (
    name TEXT NOT NULL PRIMARY KEY,  -- 'epoch': one life of the event log; a log put back gets a new one
    value TEXT NOT NULL
);

-- Each process that writes: the number of its newest transaction, to settle a commit whose answer was lost.
CREATE TABLE writers (
    id TEXT NOT NULL PRIMARY KEY,    -- drawn when the process opens the store
    batch BIGINT NOT NULL,           -- its newest committed transaction
    started_at BIGINT NOT NULL
);

CREATE TABLE users (
    id TEXT NOT NULL PRIMARY KEY,
    username TEXT NOT NULL,          -- as the person wrote it
    username_key TEXT NOT NULL,      -- in lower case: names that differ in case only are the same name
    email TEXT NOT NULL,             -- in lower case
    full_name TEXT,
    theme TEXT NOT NULL,             -- light, dark, system
    password_hash TEXT NOT NULL,     -- argon2id, with its parameters and salt
    created_at BIGINT NOT NULL,
    CONSTRAINT users_username_key UNIQUE (username_key),
    CONSTRAINT users_email_key UNIQUE (email)
);

-- One signed-in browser each.
CREATE TABLE sessions (
    id TEXT NOT NULL PRIMARY KEY,
    user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    token_hash TEXT NOT NULL,        -- SHA-256 of the token, hexadecimal; the token itself is only in the cookie
    user_agent TEXT NOT NULL,        -- what the browser called itself at sign-in
    ip TEXT NOT NULL,                -- where the sign-in came from
    created_at BIGINT NOT NULL,
    last_seen_at BIGINT NOT NULL,    -- to about a minute
    expires_at BIGINT NOT NULL,      -- from then on it is as good as gone
    CONSTRAINT sessions_token_hash_key UNIQUE (token_hash)
);

CREATE INDEX sessions_by_user ON sessions (user_id);

-- The user's counter of events. A row, not a sequence: what is rolled back leaves no hole.
-- It outlives the user, so that the sum over all rows never falls.
CREATE TABLE user_seq (
    user_id TEXT NOT NULL PRIMARY KEY,
    seq BIGINT NOT NULL,             -- of the newest event; 0 before the first
    floor BIGINT NOT NULL DEFAULT 0  -- a client whose last seq is at or above it can be resumed
);

-- The event log: outbox, history, and source of every stream at once.
CREATE TABLE events (
    user_id TEXT NOT NULL,
    seq BIGINT NOT NULL,             -- the user's next number: gap-free, from 1
    at BIGINT NOT NULL,
    name TEXT NOT NULL,              -- on the wire, such as document_status
    entity TEXT NOT NULL,            -- what it is about, such as document:<id>
    document_id TEXT,                -- the three ids are for looking up histories; no foreign keys, for an event
    job_id TEXT,                     -- outlives what it is about
    workspace_id TEXT,
    progress BIGINT NOT NULL,        -- 1: superseded by the next one about the same entity
    data TEXT NOT NULL,              -- the whole frame, JSON, as it goes to clients
    PRIMARY KEY (user_id, seq)
);

CREATE INDEX events_by_document ON events (document_id, seq) WHERE document_id IS NOT NULL;
CREATE INDEX events_by_job ON events (job_id, seq) WHERE job_id IS NOT NULL;

CREATE TABLE workspaces (
    id TEXT NOT NULL PRIMARY KEY,
    user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    description TEXT NOT NULL,       -- may be empty
    status TEXT NOT NULL,            -- provisioning, ready, error, deleting
    status_message TEXT,             -- a sentence about the status
    processor TEXT NOT NULL,         -- builtin, external: who processes its documents
    rag_config TEXT NOT NULL,        -- JSON: the snapshot taken when it was made
    command_id TEXT,                 -- Idempotency-Key of its creation
    rev BIGINT NOT NULL,             -- seq of the last event about it
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    CONSTRAINT workspaces_command_key UNIQUE (user_id, command_id)
);

CREATE INDEX workspaces_by_user ON workspaces (user_id, created_at, id);
CREATE INDEX workspaces_provisioning ON workspaces (created_at, id) WHERE status = 'provisioning';
