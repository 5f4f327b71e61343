-- The graph of workspaces that are searched by it: what each passage speaks of. The rows belong to their passage, come with
-- it and go with it; a thing is there as long as some passage names it.

-- 1: there is a graph of the passages that searches find.
ALTER TABLE documents ADD COLUMN graphed BIGINT NOT NULL DEFAULT 0;

CREATE TABLE chunk_entities (
    chunk_id TEXT NOT NULL REFERENCES chunks (id) ON DELETE CASCADE,
    workspace_id TEXT NOT NULL,      -- whose graph it is part of; no foreign key, it goes with the passage
    entity TEXT NOT NULL,            -- the thing, in the form by which names are compared
    surface TEXT NOT NULL,           -- a name that it goes by, in the same form: how questions find it
    name TEXT NOT NULL,              -- as it is written there
    kind TEXT NOT NULL,              -- name, acronym, date, term
    times BIGINT NOT NULL,           -- how often; 0: the passage does not use that name itself
    PRIMARY KEY (chunk_id, entity, surface)
);

CREATE INDEX chunk_entities_by_surface ON chunk_entities (workspace_id, surface);
CREATE INDEX chunk_entities_by_entity ON chunk_entities (workspace_id, entity);

CREATE TABLE chunk_relations (
    chunk_id TEXT NOT NULL REFERENCES chunks (id) ON DELETE CASCADE,
    workspace_id TEXT NOT NULL,
    source TEXT NOT NULL,            -- two things, by entity
    target TEXT NOT NULL,
    kind TEXT NOT NULL,              -- what is said of them: is_a, part_of, …; occurs_with where no rule tells more
    PRIMARY KEY (chunk_id, source, target, kind)
);

CREATE INDEX chunk_relations_by_source ON chunk_relations (workspace_id, source);
CREATE INDEX chunk_relations_by_target ON chunk_relations (workspace_id, target);
