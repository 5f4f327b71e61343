-- Idempotency-Keys with what they were sent for, so that a key under which something else comes is told from a repetition.
CREATE TABLE commands (
    user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    command_id TEXT NOT NULL,        -- method, path and key
    print TEXT NOT NULL,             -- SHA-256 of what was sent, hexadecimal
    PRIMARY KEY (user_id, command_id)
);
