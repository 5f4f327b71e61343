-- Crawls of web sites: what each goes by, who works on it, and its frontier, with what became of each page.

-- JSON, of a crawl only: url, prefix, max_pages, max_depth, and the page that is asked for just now.
ALTER TABLE jobs ADD COLUMN crawl TEXT;

-- The lease of a crawl, which is claimed as a whole; the documents that it makes are tasks like any others.
CREATE TABLE crawls (
    job_id TEXT NOT NULL PRIMARY KEY REFERENCES jobs (id) ON DELETE CASCADE,
    user_id TEXT NOT NULL,
    workspace_id TEXT NOT NULL,
    own_prefix BIGINT NOT NULL,      -- 1: somebody named the prefix; 0: it follows the first page
    robots TEXT,                     -- the robots.txt of the site, once it was read
    places BIGINT NOT NULL,          -- addresses that it knows: the place of the next one
    owner TEXT,                      -- the worker that holds the lease
    lease_until BIGINT NOT NULL,     -- by the clock of the database; from then on it is free for the taking
    fence BIGINT NOT NULL            -- rises with each claim; a write with an older one changes nothing
);

CREATE INDEX crawls_by_owner ON crawls (owner) WHERE owner IS NOT NULL;

CREATE TABLE crawl_pages (
    job_id TEXT NOT NULL REFERENCES crawls (job_id) ON DELETE CASCADE,
    url TEXT NOT NULL,               -- in the one form by which pages are told apart
    place BIGINT NOT NULL,           -- the order in which they were found, from 0
    kind TEXT NOT NULL,              -- page, sitemap: the latter is read and listed nowhere
    state TEXT NOT NULL,             -- waiting, fetched, failed, skipped, removed
    depth BIGINT NOT NULL,           -- links from the first page
    hops BIGINT NOT NULL,            -- redirects that led here
    workspace_id TEXT NOT NULL,      -- a later crawl of the workspace compares with it
    found_on TEXT,                   -- the page that named it first
    http_status BIGINT,              -- what the site answered
    code TEXT,                       -- why it failed or was skipped: a word, and a sentence for people
    message TEXT,
    change TEXT,                     -- of a fetched one: new, changed, unchanged
    content_hash TEXT,               -- SHA-256 of what was fetched, hexadecimal
    etag TEXT,                       -- what the site calls this version of it, and when that was made
    last_modified TEXT,
    document_id TEXT,                -- what it became; no foreign key, documents may go sooner
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (job_id, url)
);

CREATE UNIQUE INDEX crawl_pages_places ON crawl_pages (job_id, place);
-- What is to be asked for: site maps first.
CREATE INDEX crawl_pages_waiting ON crawl_pages (job_id, kind DESC, place) WHERE state = 'waiting';
CREATE INDEX crawl_pages_known ON crawl_pages (workspace_id, url) WHERE document_id IS NOT NULL;
