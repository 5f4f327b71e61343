-- What is counted of the documents of a workspace. Each change of a document tells it, and counting all of them each time
-- took longer the more there were. Triggers keep it, so that it is right whatever changes a document.
CREATE TABLE workspace_counts (
    workspace_id TEXT PRIMARY KEY REFERENCES workspaces (id) ON DELETE CASCADE,
    documents BIGINT NOT NULL DEFAULT 0,     -- those that are not deleted, also in what follows
    ready BIGINT NOT NULL DEFAULT 0,
    processing BIGINT NOT NULL DEFAULT 0,    -- pending ones as well
    failed BIGINT NOT NULL DEFAULT 0,
    chunks BIGINT NOT NULL DEFAULT 0,
    bytes BIGINT NOT NULL DEFAULT 0,
    stale BIGINT NOT NULL DEFAULT 0          -- of the ready ones
);

INSERT INTO workspace_counts (workspace_id, documents, ready, processing, failed, chunks, bytes, stale)
SELECT w.id, COUNT(d.id),
    COUNT(CASE WHEN d.status = 'ready' THEN 1 END),
    COUNT(CASE WHEN d.status IN ('pending', 'processing') THEN 1 END),
    COUNT(CASE WHEN d.status = 'failed' THEN 1 END),
    COALESCE(SUM(d.chunk_count), 0), COALESCE(SUM(d.size_bytes), 0),
    COUNT(CASE WHEN d.status = 'ready' AND d.stale = 1 THEN 1 END)
FROM workspaces w LEFT JOIN documents d ON d.workspace_id = w.id AND d.deleted_at IS NULL GROUP BY w.id;

CREATE TRIGGER workspace_is_counted AFTER INSERT ON workspaces BEGIN
    INSERT INTO workspace_counts (workspace_id) VALUES (NEW.id);
END;

CREATE TRIGGER document_came AFTER INSERT ON documents WHEN NEW.deleted_at IS NULL BEGIN
    UPDATE workspace_counts SET
        documents = documents + 1,
        ready = ready + (NEW.status = 'ready'),
        processing = processing + (NEW.status IN ('pending', 'processing')),
        failed = failed + (NEW.status = 'failed'),
        chunks = chunks + NEW.chunk_count,
        bytes = bytes + NEW.size_bytes,
        stale = stale + (NEW.status = 'ready' AND NEW.stale = 1)
    WHERE workspace_id = NEW.workspace_id;
END;

CREATE TRIGGER document_went AFTER DELETE ON documents WHEN OLD.deleted_at IS NULL BEGIN
    UPDATE workspace_counts SET
        documents = documents - 1,
        ready = ready - (OLD.status = 'ready'),
        processing = processing - (OLD.status IN ('pending', 'processing')),
        failed = failed - (OLD.status = 'failed'),
        chunks = chunks - OLD.chunk_count,
        bytes = bytes - OLD.size_bytes,
        stale = stale - (OLD.status = 'ready' AND OLD.stale = 1)
    WHERE workspace_id = OLD.workspace_id;
END;

CREATE TRIGGER document_changed AFTER UPDATE OF status, stale, chunk_count, size_bytes, deleted_at ON documents
WHEN (OLD.status, OLD.stale, OLD.chunk_count, OLD.size_bytes, OLD.deleted_at IS NULL)
    <> (NEW.status, NEW.stale, NEW.chunk_count, NEW.size_bytes, NEW.deleted_at IS NULL)
BEGIN
    UPDATE workspace_counts SET
        documents = documents - (OLD.deleted_at IS NULL) + (NEW.deleted_at IS NULL),
        ready = ready - (OLD.deleted_at IS NULL AND OLD.status = 'ready')
            + (NEW.deleted_at IS NULL AND NEW.status = 'ready'),
        processing = processing - (OLD.deleted_at IS NULL AND OLD.status IN ('pending', 'processing'))
            + (NEW.deleted_at IS NULL AND NEW.status IN ('pending', 'processing')),
        failed = failed - (OLD.deleted_at IS NULL AND OLD.status = 'failed')
            + (NEW.deleted_at IS NULL AND NEW.status = 'failed'),
        chunks = chunks - CASE WHEN OLD.deleted_at IS NULL THEN OLD.chunk_count ELSE 0 END
            + CASE WHEN NEW.deleted_at IS NULL THEN NEW.chunk_count ELSE 0 END,
        bytes = bytes - CASE WHEN OLD.deleted_at IS NULL THEN OLD.size_bytes ELSE 0 END
            + CASE WHEN NEW.deleted_at IS NULL THEN NEW.size_bytes ELSE 0 END,
        stale = stale - (OLD.deleted_at IS NULL AND OLD.status = 'ready' AND OLD.stale = 1)
            + (NEW.deleted_at IS NULL AND NEW.status = 'ready' AND NEW.stale = 1)
    WHERE workspace_id = NEW.workspace_id;
END;

-- Each upload looks for documents of which a next version is on its way.
CREATE INDEX documents_on_their_way ON documents (workspace_id, deleted_at, next_version, id) WHERE next_version IS NOT NULL;
