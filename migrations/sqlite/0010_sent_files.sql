-- Files that were sent ahead: they are whole and durable, and wait for the upload that makes documents of them. One that
-- nobody asks for within a day is forgotten, and then its file goes.
CREATE TABLE sent_files (
    id TEXT NOT NULL PRIMARY KEY,    -- of the document that it becomes
    user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    workspace_id TEXT NOT NULL REFERENCES workspaces (id) ON DELETE CASCADE,
    filename TEXT NOT NULL,
    mime_type TEXT NOT NULL,         -- told by content
    size_bytes BIGINT NOT NULL,
    content_hash TEXT NOT NULL,      -- SHA-256 of the file, hexadecimal
    blob_key TEXT NOT NULL,          -- where the file lies
    command_id TEXT,                 -- Idempotency-Key of its sending
    created_at BIGINT NOT NULL,
    CONSTRAINT sent_files_command_key UNIQUE (user_id, command_id)
);

CREATE INDEX sent_files_by_workspace ON sent_files (workspace_id);
CREATE INDEX sent_files_by_age ON sent_files (created_at);
