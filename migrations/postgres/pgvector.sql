-- Only where PostgreSQL has the extension pgvector, so it is no numbered change: whoever opens the database makes it there
-- (storage::pgvector). Nothing but the search of large workspaces reads it, and it can be dropped at any time while no
-- server runs: what is missing is written anew.
CREATE TABLE searchable_vectors (
    -- The vector that this is a copy of, and with which it goes.
    chunk_id TEXT NOT NULL PRIMARY KEY REFERENCES chunk_vectors (chunk_id) ON DELETE CASCADE,
    dims BIGINT NOT NULL,            -- how many numbers it has
    embedding vector                 -- the same numbers; NULL: pgvector does not take such a vector
);
