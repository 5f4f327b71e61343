-- Deleting with a time to undo it, bulk actions, and workspaces whose work is paused.

-- Since when the document is deleted and not shown any more; NULL: it is not. 0: it goes for good, and nothing brings it
-- back.
ALTER TABLE documents ADD COLUMN deleted_at BIGINT;
-- The job that had it still to do when it was deleted; brought back, it goes on in one of its own.
ALTER TABLE documents ADD COLUMN withdrawn_from TEXT;
-- Those few are looked for again and again.
CREATE INDEX documents_deleted ON documents (deleted_at) WHERE deleted_at IS NOT NULL;

-- Counting a workspace's documents reads this alone.
DROP INDEX documents_counts;
CREATE INDEX documents_counts ON documents (workspace_id, deleted_at, status, stale, chunk_count, size_bytes);

-- Nothing of it goes before that moment: until then it can be undone.
ALTER TABLE deletions ADD COLUMN not_before BIGINT NOT NULL DEFAULT 0;
-- JSON: what a workspace was before, for undoing it. NULL: it cannot be undone.
ALTER TABLE deletions ADD COLUMN undo TEXT;

-- 1: nothing is begun there, also not what is uploaded meanwhile, until somebody resumes it.
ALTER TABLE workspaces ADD COLUMN paused BIGINT NOT NULL DEFAULT 0;
-- 1: the job stands because its workspace does, and goes on with it.
ALTER TABLE jobs ADD COLUMN stands BIGINT NOT NULL DEFAULT 0;
-- JSON: the newest action over many of its documents, as it is shown.
ALTER TABLE workspaces ADD COLUMN bulk TEXT;

-- Actions over many documents, carried out in the background, a few documents at a time.
CREATE TABLE bulk_actions (
    id TEXT NOT NULL PRIMARY KEY,
    user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    workspace_id TEXT NOT NULL REFERENCES workspaces (id) ON DELETE CASCADE,
    action TEXT NOT NULL,            -- retry, delete, cancel, pause, resume, reindex, restore
    status TEXT NOT NULL,            -- running, completed
    total BIGINT NOT NULL,           -- documents that it is about
    done BIGINT NOT NULL,
    failed BIGINT NOT NULL,          -- they were not there any more, or could not be changed
    refused BIGINT NOT NULL,         -- their state does not allow it
    actor TEXT NOT NULL,             -- JSON: who asked for it, for the history
    command_id TEXT,                 -- Idempotency-Key of its making
    undoes TEXT,                     -- the deletion that this restore takes back
    created_at BIGINT NOT NULL,
    completed_at BIGINT,
    CONSTRAINT bulk_actions_command_key UNIQUE (user_id, command_id),
    CONSTRAINT bulk_actions_undoes_key UNIQUE (undoes)
);

CREATE INDEX bulk_actions_running ON bulk_actions (created_at, id) WHERE status = 'running';
CREATE INDEX bulk_actions_by_workspace ON bulk_actions (workspace_id);
CREATE INDEX bulk_actions_over ON bulk_actions (completed_at) WHERE completed_at IS NOT NULL;

-- Each document of an action, once.
CREATE TABLE bulk_items (
    bulk_id TEXT NOT NULL REFERENCES bulk_actions (id) ON DELETE CASCADE,
    place BIGINT NOT NULL,           -- from 0, in the order of the list
    document_id TEXT NOT NULL,       -- no foreign key: it may be gone by its turn, or before it
    outcome TEXT,                    -- done, failed, refused; NULL: its turn is still to come
    PRIMARY KEY (bulk_id, place),
    CONSTRAINT bulk_items_document_key UNIQUE (bulk_id, document_id)
);

CREATE INDEX bulk_items_left ON bulk_items (bulk_id, place) WHERE outcome IS NULL;
