-- Deleting a conversation with a time to undo it.

-- Since when the conversation is deleted and not shown any more; NULL: it is not. 0: it goes for good, and nothing brings it
-- back. A server of the version before does not know of it, and shows the conversation until it goes.
ALTER TABLE conversations ADD COLUMN deleted_at BIGINT;
-- Those few are looked for again and again.
CREATE INDEX conversations_deleted ON conversations (deleted_at) WHERE deleted_at IS NOT NULL;
