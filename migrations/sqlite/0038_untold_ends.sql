-- Whoever comes back is told once of what ended meanwhile. What ended before there was such a word is old.
UPDATE jobs SET told_attempt = attempt WHERE status IN ('completed', 'failed', 'cancelled');
CREATE INDEX jobs_untold ON jobs (user_id, rev) WHERE told_attempt < attempt AND status IN ('completed', 'failed');
