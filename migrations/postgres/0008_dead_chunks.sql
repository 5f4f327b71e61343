-- Chunks that no search finds any more, and that are removed in parts: those of a run that a newer one replaced, or that
-- failed. Together they may be far more than one transaction should remove.
CREATE TABLE dead_chunks (
    document_id TEXT NOT NULL REFERENCES documents (id) ON DELETE CASCADE,
    generation BIGINT NOT NULL,      -- of the run; no chunk of it is left when the row goes
    PRIMARY KEY (document_id, generation)
);
