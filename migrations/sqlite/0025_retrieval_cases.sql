-- Questions that a workspace is tried with, each with the passage or the document that has to be found.
CREATE TABLE retrieval_cases (
    id TEXT NOT NULL PRIMARY KEY,
    user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    workspace_id TEXT NOT NULL REFERENCES workspaces (id) ON DELETE CASCADE,
    question TEXT NOT NULL,
    document_id TEXT NOT NULL,       -- no foreign key: where the document goes, the case fails and says so
    filename TEXT NOT NULL,          -- of that document, as it was
    char_start BIGINT,               -- the passage, by its place in the text: it outlives a re-index; NULL: any of them
    char_end BIGINT,
    excerpt TEXT,                    -- how the passage begins, for people
    command_id TEXT,                 -- Idempotency-Key of its making
    created_at BIGINT NOT NULL,
    CONSTRAINT retrieval_cases_command_key UNIQUE (user_id, command_id)
);

CREATE INDEX retrieval_cases_by_workspace ON retrieval_cases (workspace_id, created_at, id);
