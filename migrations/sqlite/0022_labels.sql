-- What a person does with a document beside its content: keeping it from being found, and tags.

ALTER TABLE documents ADD COLUMN enabled BIGINT NOT NULL DEFAULT 1;      -- 0: kept, but never found
ALTER TABLE documents ADD COLUMN tags TEXT NOT NULL DEFAULT '[]';        -- JSON: a list of words in lower case, in their order

-- The tag that it adds or removes.
ALTER TABLE bulk_actions ADD COLUMN tag TEXT;
