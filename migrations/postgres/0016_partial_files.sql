-- Files of which a part has come: resumable uploads (the tus protocol). A whole one becomes a row of sent_files under the
-- same id; one that nobody goes on with within a day is forgotten, and then its file goes.
CREATE TABLE partial_files (
    id TEXT NOT NULL PRIMARY KEY,    -- of the document that it becomes
    user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    workspace_id TEXT NOT NULL REFERENCES workspaces (id) ON DELETE CASCADE,
    filename TEXT NOT NULL,
    size_bytes BIGINT NOT NULL,      -- of the whole file, as the client told it
    received_bytes BIGINT NOT NULL,  -- how much of it is durable: the client goes on from here
    content_hash TEXT,               -- SHA-256 of the whole file, hexadecimal, where the client told it
    alone BIGINT NOT NULL,           -- 1: once whole it becomes a document by itself, 0: when an upload names it
    blob_key TEXT NOT NULL,          -- where the part lies that came
    command_id TEXT,                 -- Idempotency-Key of its creation
    updated_at BIGINT NOT NULL,      -- when the last part of it came
    CONSTRAINT partial_files_command_key UNIQUE (user_id, command_id)
);

CREATE INDEX partial_files_by_workspace ON partial_files (workspace_id);
CREATE INDEX partial_files_by_age ON partial_files (updated_at);

-- 1: it came in parts, and becomes a document by itself, without an upload that names it.
ALTER TABLE sent_files ADD COLUMN alone BIGINT NOT NULL DEFAULT 0;
