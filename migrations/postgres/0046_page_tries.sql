-- A page, or a site map, that could not be had by something that may heal waits for its next try.
-- What its tries failed by so far, as JSON: sentences.
ALTER TABLE crawl_pages ADD COLUMN failures TEXT NOT NULL DEFAULT '[]';
-- Until then nobody asks for it.
ALTER TABLE crawl_pages ADD COLUMN not_before BIGINT NOT NULL DEFAULT 0;
