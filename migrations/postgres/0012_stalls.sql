-- What tells a document that a worker holds and that gets nowhere.
-- When it last got on, in microseconds since 1970; 0: nobody has held it since this column is there.
ALTER TABLE tasks ADD COLUMN progress_at BIGINT NOT NULL DEFAULT 0;
-- How often it was taken out of a worker's hands since it last got on.
ALTER TABLE tasks ADD COLUMN stalls BIGINT NOT NULL DEFAULT 0;
