-- Of what a person wants to be told while they are at something else: 1 yes, 0 no.
ALTER TABLE users ADD COLUMN notify_done BIGINT NOT NULL DEFAULT 1;      -- work that ended as it should
ALTER TABLE users ADD COLUMN notify_failed BIGINT NOT NULL DEFAULT 1;    -- work that failed, also in part
ALTER TABLE users ADD COLUMN notify_stalled BIGINT NOT NULL DEFAULT 1;   -- a document that gets nowhere
ALTER TABLE users ADD COLUMN notify_sign_ins BIGINT NOT NULL DEFAULT 1;  -- another browser that signed in
ALTER TABLE users ADD COLUMN notify_desktop BIGINT NOT NULL DEFAULT 0;   -- by the system, while nobody looks at a page
