-- The event log as a history: from which status, to which, and by whom. What outside workers say of a workspace.

ALTER TABLE events ADD COLUMN status_from TEXT;  -- of what it is about, before; NULL: it began with this
ALTER TABLE events ADD COLUMN status_to TEXT;    -- and after; NULL: it has none, or is no more
ALTER TABLE events ADD COLUMN actor TEXT;        -- JSON: who did it; NULL: it happened before this was kept

UPDATE events SET status_to = json_extract(data, '$.data.status') WHERE name <> 'settings_changed';
UPDATE events SET status_from = told.status FROM (
    SELECT user_id, seq, LAG(status_to) OVER (PARTITION BY user_id, entity ORDER BY seq) AS status FROM events
) AS told WHERE told.user_id = events.user_id AND told.seq = events.seq;

ALTER TABLE workspaces ADD COLUMN metadata TEXT NOT NULL DEFAULT '{}';  -- JSON: what an outside worker told beside its status

CREATE INDEX events_by_workspace ON events (workspace_id, seq) WHERE workspace_id IS NOT NULL;
-- What is removed once it is old: progress that turned no status, and all that is about what was deleted.
CREATE INDEX events_fleeting ON events (at) WHERE progress = 1 AND status_from = status_to;
CREATE INDEX events_last ON events (at) WHERE name IN ('document_deleted', 'workspace_deleted');
