-- A passage that a workspace has word for word already takes the vector that is there.
CREATE INDEX chunks_by_content ON chunks (content_hash);
