-- Conversations over a workspace, the questions in them with their answers, and what each answer told while it was made.
CREATE TABLE conversations (
    user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    id TEXT NOT NULL,                -- the client's own string, or a UUID
    workspace_id TEXT NOT NULL REFERENCES workspaces (id) ON DELETE CASCADE,
    title TEXT NOT NULL,
    turns BIGINT NOT NULL,           -- how many questions were asked in it
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,      -- when it was asked in, or named, last
    PRIMARY KEY (user_id, id)
);

CREATE INDEX conversations_by_user ON conversations (user_id, updated_at, created_at);
CREATE INDEX conversations_by_workspace ON conversations (workspace_id);

CREATE TABLE turns (
    id TEXT NOT NULL PRIMARY KEY,
    user_id TEXT NOT NULL,
    conversation_id TEXT NOT NULL,
    workspace_id TEXT NOT NULL,
    query TEXT NOT NULL,
    status TEXT NOT NULL,            -- processing, completed, failed, stopped
    step TEXT NOT NULL,
    answer TEXT NOT NULL,            -- empty while it is made: until then its pieces are in turn_events
    sources TEXT NOT NULL,           -- JSON
    metadata TEXT NOT NULL,          -- JSON
    error TEXT,                      -- JSON, of a failed one
    again_of TEXT,                   -- the turn whose question it asks again
    again_as TEXT,                   -- the turn that asks its question again
    last_event BIGINT NOT NULL,      -- id of its last event
    events_kept BIGINT NOT NULL,     -- 1 while its events are there
    owner TEXT NOT NULL,             -- the server that works on it
    lease_until BIGINT NOT NULL,     -- by the database's clock; then that server is dead
    command_id TEXT,                 -- Idempotency-Key of its making
    created_at BIGINT NOT NULL,
    completed_at BIGINT,
    CONSTRAINT turns_conversation_fkey FOREIGN KEY (user_id, conversation_id)
        REFERENCES conversations (user_id, id) ON DELETE CASCADE,
    CONSTRAINT turns_command_key UNIQUE (user_id, command_id)
);

CREATE INDEX turns_by_conversation ON turns (user_id, conversation_id, created_at, id);
CREATE INDEX turns_by_workspace ON turns (workspace_id);
CREATE INDEX turns_unfinished ON turns (lease_until) WHERE status = 'processing';
CREATE INDEX turns_with_events ON turns (completed_at) WHERE events_kept = 1;

CREATE TABLE turn_events (
    turn_id TEXT NOT NULL REFERENCES turns (id) ON DELETE CASCADE,
    id BIGINT NOT NULL,              -- from 1, without a gap
    at BIGINT NOT NULL,
    said TEXT NOT NULL,              -- JSON
    PRIMARY KEY (turn_id, id)
);
