//! Things for tests and for the gallery of components, as small as they can be; nothing else may use them.

use domain::{
    Document, DocumentStatus, Job, JobKind, JobStatus, PhaseDetail, PhaseName, Step, Timestamp, User, UserId,
    Workspace, WorkspaceStatus,
    crawl::Crawl,
    event::{DocumentDeleted, FileProgress, StepStatus},
    resource::{Counts, Metrics, Theme},
    status::{Priority, Processor},
};

pub fn id<T: std::str::FromStr<Err = domain::ids::NotAnId>>(n: u64) -> T {
    format!("00000000-0000-0000-0000-{n:012}").parse().expect("an id")
}

pub fn at(n: u64) -> Timestamp {
    Timestamp::from_micros(n as i64)
}

pub fn user() -> UserId {
    id(900)
}

pub fn workspace(n: u64, rev: u64) -> Workspace {
    Workspace {
        id: id(n),
        user_id: user(),
        name: format!("Workspace {n}"),
        description: String::new(),
        status: WorkspaceStatus::Ready,
        status_message: None,
        provisioning: None,
        processor: Processor::Builtin,
        metadata: domain::resource::no_metadata(),
        counts: Counts::default(),
        paused: false,
        bulk: None,
        rev,
        created_at: at(n),
        updated_at: at(rev),
        last_activity_at: at(rev),
    }
}

pub fn document(n: u64, rev: u64, status: DocumentStatus) -> Document {
    Document {
        id: id(n),
        workspace_id: id(1),
        user_id: user(),
        job_id: Some(id(50)),
        filename: format!("{n}.txt"),
        mime_type: "text/plain".into(),
        size_bytes: 10,
        content_hash: String::new(),
        status,
        error: None,
        error_code: None,
        error_hint: None,
        warnings: vec![],
        chunk_count: 0,
        progress: 0.0,
        step: None,
        message: None,
        metadata: serde_json::Value::Null,
        attempt: 1,
        stale: false,
        indexed_with: None,
        version: 1,
        next_version: None,
        enabled: true,
        tags: vec![],
        rev,
        created_at: at(n),
        updated_at: at(rev),
    }
}

pub fn deleted(document: u64, rev: u64) -> DocumentDeleted {
    DocumentDeleted {
        id: id(document),
        workspace_id: id(1),
        filename: format!("{document}.txt"),
        undo_until: at(rev),
        rev,
    }
}

pub fn job(n: u64, rev: u64, status: JobStatus) -> Job {
    Job {
        job_id: id(n),
        kind: JobKind::Upload,
        kb_id: id(1),
        user_id: user(),
        attempt: 1,
        status,
        requested: None,
        phase: PhaseName::Loading,
        progress: 0.0,
        message: String::new(),
        error: None,
        metrics: Metrics::default(),
        queue_position: None,
        priority: Priority::Normal,
        rate: None,
        eta_seconds: None,
        halted: None,
        rev,
        created_at: at(n),
        started_at: None,
        completed_at: None,
        phase_details: PhaseDetail::all_pending(),
        crawl: None,
    }
}

pub fn site() -> Crawl {
    Crawl {
        url: "https://example.org/".into(),
        prefix: "https://example.org/".into(),
        max_pages: 100,
        max_depth: 3,
        current_url: None,
        waits_until: None,
        rests: false,
    }
}

pub fn step(document: u64, rev: u64, progress: f64) -> FileProgress {
    FileProgress {
        document_id: id(document),
        workspace_id: id(1),
        job_id: Some(id(50)),
        attempt: 1,
        filename: format!("{document}.txt"),
        step: Step::ExtractingText,
        message: format!("Reading {progress}"),
        status: StepStatus::InProgress,
        progress,
        timestamp: at(rev),
        started_at: at(1),
        extra: serde_json::Value::Null,
        rev,
        file_id: id(document),
    }
}

pub fn person() -> User {
    User {
        id: user(),
        username: "ada".into(),
        email: "ada@example.org".into(),
        full_name: None,
        theme: Theme::System,
        density: Default::default(),
        notifications: Default::default(),
        language: Default::default(),
        created_at: at(1),
    }
}
