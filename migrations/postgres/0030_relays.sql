-- How far each user's events were sent to the broker, and who is sending just now. A row of its own, and not a column of
-- user_seq: whoever commits locks that one. Without a broker the table stays empty.
CREATE TABLE relays (
    user_id TEXT NOT NULL PRIMARY KEY,  -- no foreign key: who deletes the user removes it
    sent BIGINT NOT NULL,            -- seq up to which the broker has confirmed
    owner TEXT NOT NULL,             -- the relay that sends; empty: nobody
    until BIGINT NOT NULL            -- the end of its lease, by the clock of the database; 0: nobody's
);
