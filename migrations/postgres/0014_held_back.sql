-- Words that came too soon after others and are told when their time comes, if nothing newer was told by then.
-- 1: the row changed since its last event, and nobody was told.
ALTER TABLE jobs ADD COLUMN held_back BIGINT NOT NULL DEFAULT 0;
ALTER TABLE documents ADD COLUMN held_back BIGINT NOT NULL DEFAULT 0;
-- Those few are looked for again and again.
CREATE INDEX jobs_held_back ON jobs (event_at) WHERE held_back = 1;
CREATE INDEX documents_held_back ON documents (event_at) WHERE held_back = 1;
