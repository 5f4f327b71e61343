//! The figures that the gallery shows: one life of each state. Nothing else may use them.

use domain::{
    DocumentId, PhaseDetail, PhaseName, PhaseStatus, Step, Timestamp, WorkspaceId,
    event::{FileProgress, StepStatus},
    message::{Facts, WRITTEN, friendly},
    shown::Shown,
};

pub fn all_shown() -> Vec<Shown> {
    vec![
        Shown::Pending { behind: None },
        Shown::Pending { behind: Some(12) },
        Shown::Provisioning,
        Shown::Processing { percent: 62.4 },
        Shown::Stalled,
        Shown::Interrupted,
        Shown::Retrying,
        Shown::Waiting,
        Shown::Stopping { cancels: false },
        Shown::Ready { warnings: 0 },
        Shown::Ready { warnings: 2 },
        Shown::Completed,
        Shown::Paused,
        Shown::Failed,
        Shown::Cancelled,
        Shown::Stale,
        Shown::Deleting,
    ]
}

/// 24 January 2025, 10:30:00 UTC, and `seconds` later.
pub fn at(seconds: i64) -> Timestamp {
    Timestamp::from_micros(1_737_714_600_000_000).plus_seconds(seconds)
}

fn phase(name: PhaseName, status: PhaseStatus, done: u64, total: u64, seconds: Option<i64>) -> PhaseDetail {
    PhaseDetail {
        status,
        progress: if total == 0 { 0.0 } else { done as f64 * 100.0 / total as f64 },
        items_processed: done,
        items_total: total,
        items_reused: 0,
        started_at: (status != PhaseStatus::Pending).then(|| at(0)),
        completed_at: seconds.map(at),
        ..PhaseDetail::pending(name)
    }
}

fn paced(phase: PhaseDetail, rate: f64, eta_seconds: u64) -> PhaseDetail {
    PhaseDetail { rate: Some(rate), eta_seconds: Some(eta_seconds), ..phase }
}

/// Phases that overlap, that stopped, and that are done or skipped.
pub fn phases() -> [Vec<PhaseDetail>; 3] {
    use PhaseName::{Chunking, Embedding, Indexing, Loading};
    let overlapping = vec![
        phase(Loading, PhaseStatus::Completed, 150, 150, Some(12)),
        paced(phase(Chunking, PhaseStatus::Running, 105, 150, None), 3.5, 13),
        paced(phase(Embedding, PhaseStatus::Running, 1_240, 3_870, None), 31.2, 85),
        phase(Indexing, PhaseStatus::Pending, 0, 0, None),
    ];
    let stopped = vec![
        phase(Loading, PhaseStatus::Completed, 40, 40, Some(4)),
        phase(Chunking, PhaseStatus::Paused, 31, 40, None),
        PhaseDetail {
            error: Some(
                "The embedding model could not be loaded: model.safetensors is not in the models folder."
                    .into(),
            ),
            ..phase(Embedding, PhaseStatus::Failed, 310, 1_004, Some(95))
        },
        phase(Indexing, PhaseStatus::Cancelled, 288, 1_004, Some(95)),
    ];
    let finished = vec![
        phase(Loading, PhaseStatus::Running, 1_204, 0, None),
        phase(Chunking, PhaseStatus::Pending, 0, 0, None),
        phase(Embedding, PhaseStatus::Skipped, 0, 1_004, None),
        phase(Indexing, PhaseStatus::Completed, 1_004, 1_004, Some(3_780)),
    ];
    [overlapping, stopped, finished]
}

/// Name, type, state, message and bytes of a document.
pub type Row = (&'static str, &'static str, Shown, &'static str, u64);

pub const ROWS: [Row; 8] = [
    (
        "annual-report-2024-with-a-rather-long-name-that-no-column-can-hold-v3-final.pdf",
        "application/pdf",
        Shown::Processing { percent: 62.0 },
        "Creating embeddings: 310 of 500 chunks…",
        4_830_211,
    ),
    (
        "meeting-notes.md",
        "text/markdown",
        Shown::Ready { warnings: 0 },
        "Done: 12 chunks ready to search",
        8_120,
    ),
    ("handbook.html", "text/html", Shown::Ready { warnings: 2 }, "Two tables could not be read", 183_000),
    ("readme.txt", "text/plain", Shown::Pending { behind: Some(12) }, "Waiting", 900),
    ("expenses.csv", "text/csv", Shown::Paused, "Paused at 31 of 40 rows", 77_000),
    (
        "contract.docx",
        "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
        Shown::Failed,
        "The file is protected by a password; save it without one and upload it again.",
        1_204_000,
    ),
    ("export.json", "application/json", Shown::Cancelled, "Cancelled", 2_000_000_000),
    (
        "budget.xlsx",
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        Shown::Stale,
        "Indexed with other settings than the workspace has now",
        54_000,
    ),
];

const SAMPLE_ID: &str = "01949c3e-5d40-7000-8000-000000000001";

pub fn steps() -> Vec<FileProgress> {
    let document: DocumentId = SAMPLE_ID.parse().expect("a UUID");
    let workspace_id: WorkspaceId = SAMPLE_ID.parse().expect("a UUID");
    let step = |step: Step, status, from: i64, micros: i64, progress, facts: Facts| FileProgress {
        document_id: document,
        workspace_id,
        job_id: None,
        attempt: 1,
        filename: "annual-report-2024.pdf".into(),
        message: friendly(WRITTEN, &step, &facts),
        step,
        status,
        progress,
        timestamp: at(from).plus_micros(micros),
        started_at: at(from),
        extra: serde_json::json!({ "pages": 84, "chunks": facts.chunks }),
        rev: 1_000 + from as u64,
        file_id: document,
    };
    let file = || Facts::file("annual-report-2024.pdf");
    use StepStatus::{Complete, Error, InProgress};
    vec![
        step(Step::DuplicateCheck, Complete, 0, 40_000, 5.0, file()),
        step(Step::Validating, Complete, 1, 210_000, 10.0, file()),
        step(Step::ExtractingText, Complete, 2, 3_400_000, 25.0, Facts { pages: Some(84), ..file() }),
        step(Step::ChunkingText, Complete, 6, 120_000, 50.0, Facts { chunks: Some(500), ..file() }),
        step(
            Step::CreatingEmbeddings,
            InProgress,
            7,
            0,
            62.0,
            Facts { done: Some(310), chunks: Some(500), ..file() },
        ),
        step(
            Step::Error,
            Error,
            65,
            1_500_000,
            62.0,
            Facts { reason: Some("The disk is full: 3 chunks could not be stored".into()), ..file() },
        ),
    ]
}
