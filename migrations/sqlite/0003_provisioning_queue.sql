-- The steps by which a workspace is made ready, and the places in the queue as they were told.

ALTER TABLE workspaces ADD COLUMN provisioning TEXT;  -- JSON: attempt, steps, failure; NULL once it is ready
ALTER TABLE jobs ADD COLUMN queue_told BIGINT NOT NULL DEFAULT -1;  -- jobs ahead, as it was told last; -1: never told
