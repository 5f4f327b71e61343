-- What is counted of the documents of a workspace. Each change of a document tells it, and counting all of them each time
-- took longer the more there were. Triggers keep it, so that it is right whatever changes a document, a server of the version
-- before included. They go by whole statements: one that changes ten thousand documents changes one row here.
CREATE TABLE workspace_counts (
    workspace_id TEXT PRIMARY KEY REFERENCES workspaces (id) ON DELETE CASCADE,
    documents BIGINT NOT NULL DEFAULT 0,     -- those that are not deleted, also in what follows
    ready BIGINT NOT NULL DEFAULT 0,
    processing BIGINT NOT NULL DEFAULT 0,    -- pending ones as well
    failed BIGINT NOT NULL DEFAULT 0,
    chunks BIGINT NOT NULL DEFAULT 0,
    bytes BIGINT NOT NULL DEFAULT 0,
    stale BIGINT NOT NULL DEFAULT 0          -- of the ready ones
) WITH (fillfactor = 50);

-- Nobody changes a document between the count and the first trigger.
LOCK TABLE documents, workspaces IN SHARE ROW EXCLUSIVE MODE;

INSERT INTO workspace_counts (workspace_id, documents, ready, processing, failed, chunks, bytes, stale)
SELECT w.id, COUNT(d.id),
    COUNT(*) FILTER (WHERE d.status = 'ready'),
    COUNT(*) FILTER (WHERE d.status IN ('pending', 'processing')),
    COUNT(*) FILTER (WHERE d.status = 'failed'),
    COALESCE(SUM(d.chunk_count), 0), COALESCE(SUM(d.size_bytes), 0),
    COUNT(*) FILTER (WHERE d.status = 'ready' AND d.stale = 1)
FROM workspaces w LEFT JOIN documents d ON d.workspace_id = w.id AND d.deleted_at IS NULL GROUP BY w.id;

-- Puts so many more of each into the counts; only while somebody changes documents of that very user, whose counter is locked.
CREATE FUNCTION change_workspace_counts(
    workspace TEXT, more BIGINT, more_ready BIGINT, more_processing BIGINT, more_failed BIGINT, more_chunks BIGINT,
    more_bytes BIGINT, more_stale BIGINT
) RETURNS VOID LANGUAGE sql AS $$
    UPDATE workspace_counts SET
        documents = documents + more,
        ready = ready + more_ready,
        processing = processing + more_processing,
        failed = failed + more_failed,
        chunks = chunks + more_chunks,
        bytes = bytes + more_bytes,
        stale = stale + more_stale
    WHERE workspace_id = workspace
$$;

CREATE FUNCTION count_workspace() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO workspace_counts (workspace_id) VALUES (NEW.id);
    RETURN NULL;
END
$$;

CREATE FUNCTION count_documents_that_came() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
    PERFORM change_workspace_counts(
        workspace_id, COUNT(*),
        COUNT(*) FILTER (WHERE status = 'ready'),
        COUNT(*) FILTER (WHERE status IN ('pending', 'processing')),
        COUNT(*) FILTER (WHERE status = 'failed'),
        SUM(chunk_count)::BIGINT, SUM(size_bytes)::BIGINT,
        COUNT(*) FILTER (WHERE status = 'ready' AND stale = 1)
    ) FROM came WHERE deleted_at IS NULL GROUP BY workspace_id;
    RETURN NULL;
END
$$;

CREATE FUNCTION count_documents_that_went() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
    PERFORM change_workspace_counts(
        workspace_id, -COUNT(*),
        -COUNT(*) FILTER (WHERE status = 'ready'),
        -COUNT(*) FILTER (WHERE status IN ('pending', 'processing')),
        -COUNT(*) FILTER (WHERE status = 'failed'),
        -SUM(chunk_count)::BIGINT, -SUM(size_bytes)::BIGINT,
        -COUNT(*) FILTER (WHERE status = 'ready' AND stale = 1)
    ) FROM went WHERE deleted_at IS NULL GROUP BY workspace_id;
    RETURN NULL;
END
$$;

CREATE FUNCTION count_documents_that_changed() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
    -- Most changes are of something else.
    PERFORM 1 FROM went JOIN came ON came.id = went.id
        WHERE (came.status, came.stale, came.chunk_count, came.size_bytes, came.deleted_at IS NULL)
            <> (went.status, went.stale, went.chunk_count, went.size_bytes, went.deleted_at IS NULL) LIMIT 1;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    PERFORM change_workspace_counts(
        workspace_id, SUM(sign)::BIGINT,
        SUM(CASE WHEN status = 'ready' THEN sign ELSE 0 END)::BIGINT,
        SUM(CASE WHEN status IN ('pending', 'processing') THEN sign ELSE 0 END)::BIGINT,
        SUM(CASE WHEN status = 'failed' THEN sign ELSE 0 END)::BIGINT,
        SUM(sign * chunk_count)::BIGINT, SUM(sign * size_bytes)::BIGINT,
        SUM(CASE WHEN status = 'ready' AND stale = 1 THEN sign ELSE 0 END)::BIGINT
    ) FROM (
        SELECT 1 AS sign, workspace_id, status, stale, chunk_count, size_bytes FROM came WHERE deleted_at IS NULL
        UNION ALL
        SELECT -1, workspace_id, status, stale, chunk_count, size_bytes FROM went WHERE deleted_at IS NULL
    ) AS both_of_them GROUP BY workspace_id;
    RETURN NULL;
END
$$;

CREATE TRIGGER workspace_is_counted AFTER INSERT ON workspaces
    FOR EACH ROW EXECUTE FUNCTION count_workspace();
CREATE TRIGGER documents_came AFTER INSERT ON documents
    REFERENCING NEW TABLE AS came FOR EACH STATEMENT EXECUTE FUNCTION count_documents_that_came();
CREATE TRIGGER documents_went AFTER DELETE ON documents
    REFERENCING OLD TABLE AS went FOR EACH STATEMENT EXECUTE FUNCTION count_documents_that_went();
CREATE TRIGGER documents_changed AFTER UPDATE ON documents
    REFERENCING OLD TABLE AS went NEW TABLE AS came FOR EACH STATEMENT EXECUTE FUNCTION count_documents_that_changed();

-- Each upload looks for documents of which a next version is on its way.
CREATE INDEX documents_on_their_way ON documents (workspace_id, next_version, id) WHERE next_version IS NOT NULL;
