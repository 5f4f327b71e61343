-- Density and language of the screen, and what the list of sessions and the change of a password need.

ALTER TABLE users ADD COLUMN density TEXT NOT NULL DEFAULT 'comfortable';  -- comfortable, compact
ALTER TABLE users ADD COLUMN language TEXT NOT NULL DEFAULT 'en';  -- a tag of the languages that are translated
ALTER TABLE sessions ADD COLUMN renewed_at BIGINT;  -- when it got its present token; NULL: it has its first one

CREATE INDEX sessions_by_expiry ON sessions (expires_at);
