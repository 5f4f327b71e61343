-- How long the vectors of each embedding model are, so that those of another length under the same name are known as such.

CREATE TABLE model_dims (
    model TEXT NOT NULL PRIMARY KEY,
    dim BIGINT NOT NULL,      -- numbers in a vector that it answers now
    unmarked BIGINT NOT NULL  -- 1: not all documents of other lengths are marked yet, or those of this one are
);
