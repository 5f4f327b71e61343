//! A job with its documents and their passages, for the tests of the rules.
#![allow(dead_code, reason = "each test program uses its own part of it")]

use domain::{
    graph::ChunkGraph,
    ids::{ChunkId, DocumentId, JobId, UserId, WorkspaceId},
    ingest::{self, DocumentState, JobState, NewChunk, Upload},
    rag::RagConfig,
    status::JobKind,
    timestamp::Timestamp,
};
use uuid::Uuid;

/// A job that was just made, with so many documents.
pub fn new_job(documents: u32, config: &RagConfig, now: Timestamp) -> (JobState, Vec<DocumentState>) {
    let uploads: Vec<Upload> = (0..documents)
        .map(|n| Upload {
            id: DocumentId::new(Uuid::from_u128(100 + u128::from(n))),
            filename: format!("{n}.txt"),
            mime_type: "text/plain".into(),
            size_bytes: 10,
            content_hash: String::new(),
        })
        .collect();
    let (user, workspace) = (UserId::new(Uuid::from_u128(2)), WorkspaceId::new(Uuid::from_u128(3)));
    let id = JobId::new(Uuid::from_u128(1));
    let (job, docs, told) = ingest::create(id, JobKind::Upload, user, workspace, &uploads, config, now);
    assert_eq!(told.events.len(), documents as usize + 1);
    (job, docs)
}

pub fn chunks(n: u32) -> Vec<NewChunk> {
    (0..n).map(chunk).collect()
}

pub fn chunk(ordinal: u32) -> NewChunk {
    NewChunk {
        id: ChunkId::new(Uuid::from_u128(1_000 + u128::from(ordinal))),
        ordinal,
        text: "text".into(),
        content_hash: String::new(),
        page: None,
        heading: None,
        char_start: 0,
        char_end: 4,
        token_count: 1,
        enabled: true,
        cut_hash: None,
        graph: ChunkGraph::default(),
    }
}
