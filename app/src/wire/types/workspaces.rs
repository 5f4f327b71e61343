//! The page of a workspace: what it is, searching it, adding files.

use super::{FromJson, at, at_or};
use crate::{
    server_fns::workspaces::SearchAnswer,
    upload::{Accepted, Answer, HeldDocument, HeldFile, HeldFiles, Rejected},
};
use domain::{
    Timestamp, Workspace,
    bulk::Bulk,
    event::WorkspaceDeleted,
    pages::WorkspacePage,
    provision::{ProvisionDetail, Provisioning},
    resource::{Counts, Scored, Scores, SearchHit, no_metadata},
};
use serde_json::Value;

objects! {
    WorkspacePage { since, workspace, documents, jobs }
    Workspace {
        id,
        user_id,
        name,
        description,
        status,
        status_message,
        provisioning,
        processor,
        metadata or no_metadata(),
        counts,
        paused or false,
        bulk,
        rev,
        created_at,
        updated_at,
        last_activity_at or Timestamp::default(),
    }
    Bulk { id, workspace_id, action, status, total, done, failed, refused, created_at, completed_at }
    Counts { documents, ready, processing, failed, chunks, bytes, stale or 0, conversations or 0, messages or 0 }
    Provisioning { attempt, steps, error_code, error_hint }
    ProvisionDetail { name, status, started_at, completed_at }
    WorkspaceDeleted { id, rev }

    SearchAnswer { hits, warnings }
    SearchHit { chunk, document, score, scores }
    Scores { vector, keyword, graph, fused, rerank }
    Scored { score, rank }

    Answer { documents, rejected }
    Accepted { file_id, document_id }
    Rejected { filename, detail }
    HeldFiles { items }
    HeldFile { same, namesake, same_size }
    HeldDocument { filename }
}
