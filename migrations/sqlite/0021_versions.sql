-- Versions of documents, and files that a workspace has already.

-- Every version of a document of which there was more than one. One that was never replaced has no row here: its own says
-- it all.
CREATE TABLE document_versions (
    document_id TEXT NOT NULL REFERENCES documents (id) ON DELETE CASCADE,
    version BIGINT NOT NULL,         -- from 1; a number is never given twice
    filename TEXT NOT NULL,          -- of its file, whatever the document is called by now
    mime_type TEXT NOT NULL,         -- told by content
    size_bytes BIGINT NOT NULL,
    content_hash TEXT NOT NULL,      -- SHA-256 of the file, hexadecimal
    blob_key TEXT NOT NULL,          -- where the file lies
    chunk_count BIGINT NOT NULL,     -- passages of it, once it was replaced
    served BIGINT NOT NULL,          -- 1: it is, or was, the content of the document; 0: it is on its way there, or never came
    actor TEXT,                      -- JSON: who added it; NULL: nobody knows any more
    created_at BIGINT NOT NULL,      -- when it was added
    replaced_at BIGINT,              -- when the next one took its place
    PRIMARY KEY (document_id, version)
);

CREATE INDEX document_versions_by_file ON document_versions (blob_key);

-- The passages of versions that were replaced, so that an answer that names one of them still opens it. No search finds
-- them: they have neither vectors nor words.
CREATE TABLE old_chunks (
    document_id TEXT NOT NULL REFERENCES documents (id) ON DELETE CASCADE,
    version BIGINT NOT NULL,
    ordinal BIGINT NOT NULL,         -- place in the document, from 0
    id TEXT NOT NULL,                -- the one that it had when searches found it
    text TEXT NOT NULL,
    page BIGINT,                     -- from 1, where the format has pages
    heading TEXT,                    -- of the section that it lies in
    char_start BIGINT NOT NULL,      -- place in the extracted text of that version, in characters
    char_end BIGINT NOT NULL,
    token_count BIGINT NOT NULL,
    enabled BIGINT NOT NULL,         -- 0: it was never found
    cut_hash TEXT,                   -- SHA-256 of the words that were cut, where a person wrote others in their place
    PRIMARY KEY (document_id, version, ordinal)
);

-- The version of the content that the passage was cut from.
ALTER TABLE chunks ADD COLUMN version BIGINT NOT NULL DEFAULT 1;
UPDATE chunks SET version = documents.version FROM documents WHERE documents.id = chunks.document_id AND documents.version > 1;

-- The version whose passages these were: they go to old_chunks. 0: they are of no use any more.
ALTER TABLE dead_chunks ADD COLUMN version BIGINT NOT NULL DEFAULT 0;

-- The version that is being read and indexed while the document's own is found, or that could not be. NULL: there is none.
ALTER TABLE documents ADD COLUMN next_version BIGINT;
ALTER TABLE documents ADD COLUMN next_content TEXT;  -- JSON: what is known of it, and what was said of the document before

CREATE INDEX documents_by_content ON documents (workspace_id, content_hash);
CREATE INDEX documents_by_name ON documents (workspace_id, filename);

-- skip, replace, keep_both: what becomes of it where the workspace has the same already. Of one that becomes a document by
-- itself.
ALTER TABLE partial_files ADD COLUMN on_duplicate TEXT NOT NULL DEFAULT 'keep_both';
ALTER TABLE sent_files ADD COLUMN on_duplicate TEXT NOT NULL DEFAULT 'keep_both';
-- The document that has it, where that is not one of its own: it was skipped, or became a version of that. Whoever asks for it once
-- more is told so, for as long as the row is kept.
ALTER TABLE sent_files ADD COLUMN became TEXT;
