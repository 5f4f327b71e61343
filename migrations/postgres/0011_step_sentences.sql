-- Steps that workers of somebody's own reported and the catalogue does not know, with what a model said of them. They
-- belong to nobody: a name means the same to all, and each is asked about once.
CREATE TABLE step_sentences (
    step TEXT NOT NULL PRIMARY KEY,  -- as it was reported
    sentence TEXT,                   -- {file} stands where the name of the file belongs; NULL: nothing usable was said yet
    tries BIGINT NOT NULL,           -- how often it was asked for
    next_try BIGINT NOT NULL         -- microseconds since 1970: before this nobody asks again
);
