-- What people did to single passages: other words in place of those of the document, or out of what searches find.

-- SHA-256 of the words that were cut, hexadecimal, where a person wrote others in their place; NULL: they are the document's.
ALTER TABLE chunks ADD COLUMN cut_hash TEXT;

-- It holds for every passage of the document that is cut word for word like that one: so it outlives a re-index with the
-- same settings, and ends where the text is cut otherwise.
CREATE TABLE chunk_marks (
    document_id TEXT NOT NULL REFERENCES documents (id) ON DELETE CASCADE,
    cut_hash TEXT NOT NULL,          -- SHA-256 of the words that were cut, hexadecimal
    enabled BIGINT NOT NULL,         -- 0: searches do not find it
    text TEXT,                       -- the words in their place, with their hash and their tokens; NULL: the document's own
    content_hash TEXT,
    token_count BIGINT,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (document_id, cut_hash)
);
