-- Default RAG configurations, and what documents were indexed with: a run makes passages of its own generation, and the
-- earlier ones serve until it is through.

-- What new workspaces of a user take a snapshot of. No row: what the product comes with.
CREATE TABLE rag_defaults (
    user_id TEXT NOT NULL PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
    config TEXT NOT NULL,            -- JSON
    updated_at BIGINT NOT NULL
);

-- 1: the configuration changed, and not all documents were told whether they are stale by it.
ALTER TABLE workspaces ADD COLUMN config_untold BIGINT NOT NULL DEFAULT 0;
CREATE INDEX workspaces_untold ON workspaces (id) WHERE config_untold = 1;

-- JSON: what all documents of the job are indexed with. NULL: made before this was kept, as the workspace says.
ALTER TABLE jobs ADD COLUMN rag_config TEXT;

-- A chunk belongs to a run, not to a version of the content.
ALTER TABLE chunks RENAME COLUMN version TO generation;

ALTER TABLE documents ADD COLUMN generation BIGINT NOT NULL DEFAULT 1;   -- of the newest run's chunks
ALTER TABLE documents ADD COLUMN live BIGINT NOT NULL DEFAULT 0;         -- the generation that searches find; 0: none
ALTER TABLE documents ADD COLUMN live_chunks BIGINT NOT NULL DEFAULT 0;  -- chunks of that generation
ALTER TABLE documents ADD COLUMN cut_with TEXT NOT NULL DEFAULT '';      -- strategy/size/overlap of that generation
ALTER TABLE documents ADD COLUMN embedded_with TEXT NOT NULL DEFAULT ''; -- model of its vectors; '': it has none

UPDATE documents SET generation = version;
UPDATE documents SET live = version, live_chunks = chunk_count,
    cut_with = (SELECT (w.rag_config::json ->> 'chunking_strategy') || '/' || (w.rag_config::json ->> 'chunk_size')
            || '/' || (w.rag_config::json ->> 'chunk_overlap')
            || CASE WHEN (w.rag_config::json ->> 'chunking_strategy') = 'semantic'
                THEN '/' || (w.rag_config::json ->> 'embedding_model') ELSE '' END
        FROM workspaces w WHERE w.id = documents.workspace_id),
    embedded_with = CASE WHEN embeds = 0 THEN '' ELSE
        (SELECT (w.rag_config::json ->> 'embedding_model') FROM workspaces w WHERE w.id = documents.workspace_id) END
    WHERE status = 'ready';

-- Counting a workspace's documents reads this alone.
DROP INDEX documents_counts;
CREATE INDEX documents_counts ON documents (workspace_id, status, stale, chunk_count, size_bytes);
