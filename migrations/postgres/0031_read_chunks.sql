-- Whether a language model was asked what a passage speaks of, where it is to be: 0: not yet; 1: its names and relations are
-- there; 2: it had nothing usable to say.
ALTER TABLE chunks ADD COLUMN asked BIGINT NOT NULL DEFAULT 0;
