-- Whoever puts bytes behind a file begins a turn first, which ends the one before at whatever server: what came in that is
-- noted no more, so nobody cuts off what somebody was told to be durable.
ALTER TABLE partial_files ADD COLUMN turn BIGINT NOT NULL DEFAULT 0;  -- raised by each who begins
