//! The pages of jobs, and of what a crawl found.

use super::{FromJson, at, at_or};
use domain::{
    Job, PhaseDetail,
    crawl::{Crawl, CrawlPage},
    event::FileProgress,
    pages::{JobPage, JobsPage},
    resource::{Attempt, DocumentError, Metrics},
    status::Priority,
};
use serde_json::Value;

objects! {
    JobPage { since, workspace, job, steps }
    JobsPage { workspace, jobs }
    Job {
        job_id,
        kind,
        kb_id,
        user_id,
        attempt,
        status,
        requested,
        phase,
        progress,
        message,
        error,
        metrics,
        queue_position,
        priority or Priority::Normal,
        rate,
        eta_seconds,
        halted,
        rev,
        created_at,
        started_at,
        completed_at,
        phase_details,
        crawl,
    }
    Metrics {
        documents_total or 0,
        documents_done or 0,
        documents_failed or 0,
        documents_cancelled or 0,
        pages_found or 0,
        pages_fetched or 0,
        pages_failed or 0,
        pages_skipped or 0,
        pages_blocked or 0,
        pages_new or 0,
        pages_changed or 0,
        pages_unchanged or 0,
        pages_removed or 0,
        chunks_created or 0,
        chunks_embedded or 0,
        chunks_skipped or 0,
        tokens or 0,
        bytes or 0,
    }
    PhaseDetail {
        name,
        status,
        progress,
        items_processed,
        items_total,
        items_reused or 0,
        started_at,
        completed_at,
        error,
        rate,
        eta_seconds,
    }
    FileProgress {
        document_id,
        workspace_id,
        job_id,
        attempt,
        filename,
        step,
        message,
        status,
        progress,
        timestamp,
        started_at,
        extra,
        rev,
        file_id = "fileId",
    }

    Attempt { attempt, status, message, error, metrics, phase_details, started_at, completed_at, errors }
    DocumentError { document_id, filename, error, error_code, error_hint, tries }

    Crawl { url, prefix, max_pages, max_depth, current_url, waits_until, rests or false }
    CrawlPage {
        url,
        state,
        depth,
        http_status,
        code,
        message,
        waits_until,
        change,
        document_id,
        found_on,
        updated_at,
    }
}
