-- When something was uploaded, came to its end or was asked last, in microseconds. A change of the workspace itself is in
-- updated_at.
ALTER TABLE workspaces ADD COLUMN last_activity_at BIGINT NOT NULL DEFAULT 0;

UPDATE workspaces SET last_activity_at = COALESCE(
    (SELECT MAX(d.updated_at) FROM documents d WHERE d.workspace_id = workspaces.id AND d.deleted_at IS NULL),
    created_at
);
