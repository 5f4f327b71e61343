-- What a tus client said in `Upload-Metadata` when it announced a file, as it said it: whoever asks for the upload is given it
-- back. It goes along with the file. NULL: it said nothing, or the file did not come in parts.
ALTER TABLE partial_files ADD COLUMN metadata TEXT;
ALTER TABLE sent_files ADD COLUMN metadata TEXT;
ALTER TABLE documents ADD COLUMN upload_metadata TEXT;
