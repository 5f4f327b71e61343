-- When somebody was served last, in microseconds by the database's clock: of those with equally few documents (or crawls) in
-- hand, whoever was served longest ago goes first. 0: never.
ALTER TABLE user_seq ADD COLUMN served_at BIGINT NOT NULL DEFAULT 0;
ALTER TABLE crawls ADD COLUMN claimed_at BIGINT NOT NULL DEFAULT 0;

-- Who was served last of all.
CREATE INDEX user_seq_served ON user_seq (served_at);
