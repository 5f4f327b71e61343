-- The end of a job is told to its person once, by the first browser that somebody looks at.
-- The attempt whose end was told; 0: none.
ALTER TABLE jobs ADD COLUMN told_attempt BIGINT NOT NULL DEFAULT 0;
