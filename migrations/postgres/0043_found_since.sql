-- The version with which a document came to be found, when nothing of it was: a cancel that takes back what its job made
-- takes this one whole, and leaves a later one, since what was found before that is gone. NULL: nothing is found, or nobody
-- noted it.
ALTER TABLE documents ADD COLUMN found_since BIGINT;
