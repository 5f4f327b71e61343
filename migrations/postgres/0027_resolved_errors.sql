-- The attempt whose failure somebody put aside; 0: none.
ALTER TABLE documents ADD COLUMN resolved_attempt BIGINT NOT NULL DEFAULT 0;
-- What failed is looked at as a whole.
CREATE INDEX documents_failed ON documents (user_id, error_code, reached, mime_type) WHERE status = 'failed';
