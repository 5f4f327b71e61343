//! What serde writes on the server is held against what is read here.

use super::*;
use crate::{
    forms::FormState,
    samples::{at as moment, document, id, job, person, step, workspace},
    server_fns::{
        history::{Chart, Figures, HistoryLine, HistoryPage},
        rag::{PreviewChunk, RagPage},
        shell::AwayNote,
        workspaces::SearchAnswer,
    },
    upload::Answer,
};
use domain::{
    Document, Job, PhaseDetail, Problem, User, Workspace,
    api_key::ApiKey,
    bulk::Bulk,
    crawl::{Crawl, CrawlPage},
    event::{SessionsChanged, SettingsChanged},
    export::Export,
    pages::{DocumentPage, JobPage, JobsPage, Shell, Since, WorkspacePage},
    provision::{ProvisionDetail, Provisioning},
    rag::{DefaultRagConfig, EmbeddingModel, Estimate, IndexedWith, RagConfig, RagOptions},
    resource::{
        Chunk, Counts, DocumentRef, Metrics, Notifications, Scored, Scores, SearchHit, Session, Warning,
    },
};
use serde::Serialize;
use serde_json::json;
use std::fmt::Debug;

/// What serde writes of a value is that value again.
fn reads_back<T: Serialize + FromJson + PartialEq + Debug>(value: T) {
    let json = serde_json::to_value(&value).expect("JSON");
    assert_eq!(T::from_json(&json), Some(value), "{json}");
}

fn since() -> Since {
    Since { epoch: Epoch("e".into()), seq: 7 }
}

fn told_document() -> Document {
    Document {
        error: Some("It is broken.".into()),
        error_code: Some("broken".into()),
        error_hint: Some("Mend it.".into()),
        warnings: vec![Warning { code: "pages".into(), message: "Two pages are empty.".into() }],
        chunk_count: 3,
        progress: 62.5,
        step: Some(Step::Other("their own".into())),
        message: Some("Reading".into()),
        metadata: json!({ "pages": 3, "share": -0.5, "tags": ["a", null, true] }),
        stale: true,
        next_version: Some(2),
        enabled: false,
        tags: vec!["a".into(), "b c".into()],
        indexed_with: Some(IndexedWith {
            embedding_model: Some("m".into()),
            chunking_strategy: ChunkingStrategy::Markdown,
            chunk_size: 500,
            chunk_overlap: 20,
            other_length: true,
        }),
        ..document(1, 9, DocumentStatus::Failed)
    }
}

fn told_workspace() -> Workspace {
    let detail = ProvisionDetail {
        name: ProvisionStep::Model,
        status: ProvisionStatus::Failed,
        started_at: Some(moment(1)),
        completed_at: Some(moment(2)),
    };
    Workspace {
        status: WorkspaceStatus::Error,
        status_message: Some("The model is missing.".into()),
        provisioning: Some(Provisioning {
            attempt: 2,
            steps: vec![detail],
            error_code: Some("model".into()),
            error_hint: None,
        }),
        processor: Processor::External,
        metadata: json!({ "worker": 1 }),
        counts: Counts {
            documents: 1,
            ready: 2,
            processing: 3,
            failed: 4,
            chunks: 5,
            bytes: 6,
            stale: 7,
            conversations: 8,
            messages: 9,
        },
        paused: true,
        bulk: Some(Bulk {
            id: id(8),
            workspace_id: id(1),
            action: BulkAction::Retry,
            status: BulkStatus::Running,
            total: 37,
            done: 12,
            failed: 1,
            refused: 2,
            created_at: moment(3),
            completed_at: Some(moment(4)),
        }),
        ..workspace(1, 9)
    }
}

fn told_job() -> Job {
    let phase = PhaseDetail {
        progress: 12.5,
        items_processed: 1,
        items_total: 8,
        items_reused: 0,
        started_at: Some(moment(1)),
        error: Some("It broke.".into()),
        rate: Some(0.25),
        eta_seconds: Some(28),
        ..PhaseDetail::pending(PhaseName::Chunking)
    };
    Job {
        requested: Some(JobRequest::Pause),
        metrics: Metrics { documents_total: 1, tokens: 2, bytes: 3, ..Metrics::default() },
        queue_position: Some(4),
        priority: Priority::First,
        rate: Some(1.5),
        eta_seconds: Some(9),
        halted: Some(Halt::Stalled),
        started_at: Some(moment(5)),
        phase_details: vec![phase],
        crawl: Some(Crawl {
            url: "https://example.org/docs/".into(),
            prefix: "https://example.org/docs/".into(),
            max_pages: 100,
            max_depth: 3,
            current_url: Some("https://example.org/docs/a".into()),
            waits_until: Some(moment(8)),
            rests: true,
        }),
        ..job(1, 9, JobStatus::Running)
    }
}

fn chunk() -> Chunk {
    Chunk {
        id: id(1),
        document_id: id(2),
        ordinal: 3,
        text: "A passage.".into(),
        page: Some(4),
        heading: Some("Head".into()),
        char_start: 5,
        char_end: 15,
        token_count: 2,
        enabled: true,
        edited: true,
        version: 3,
    }
}

fn export() -> Export {
    Export {
        id: id(1),
        status: ExportStatus::Ready,
        bytes: 5,
        created_at: moment(1),
        completed_at: Some(moment(2)),
        expires_at: None,
        error: Some("It broke.".into()),
    }
}

#[test]
fn the_data_of_pages_read_back() {
    let (workspaces, jobs) = (vec![told_workspace(), workspace(2, 1)], vec![told_job()]);
    reads_back(Shell { since: since(), user: person(), workspaces, jobs: jobs.clone(), max_file_bytes: 100 });
    reads_back(WorkspacePage {
        since: since(),
        workspace: told_workspace(),
        documents: Page { items: vec![told_document()], next: Some("there".into()) },
        jobs,
    });
    reads_back(Some(AwayNote { text: "While you were away.".into(), failed: true, to: "/errors".into() }));
    reads_back(DocumentPage {
        since: since(),
        workspace: workspace(1, 1),
        document: told_document(),
        job: Some(told_job()),
        steps: vec![step(1, 2, 25.0)],
        chunks: Page { items: vec![chunk()], next: None },
    });
    reads_back(JobPage {
        since: since(),
        workspace: workspace(1, 1),
        job: told_job(),
        steps: vec![step(1, 2, 25.0)],
    });
    let jobs = Page { items: vec![told_job()], next: Some("7".into()) };
    reads_back(JobsPage { workspace: workspace(1, 1), jobs });
}

#[test]
fn answers_of_server_functions_read_back() {
    let named = DocumentRef { id: id(2), filename: "a.md".into(), mime_type: "text/markdown".into() };
    let scores = Scores {
        vector: Some(Scored { score: 0.73, rank: 2 }),
        rerank: Some(Scored { score: -1.5, rank: 1 }),
        ..Scores::default()
    };
    let hits = vec![SearchHit { chunk: chunk(), document: named, score: -1.5, scores }];
    let warning = Warning { code: "without_vectors".into(), message: "1 passage".into() };
    reads_back(SearchAnswer { hits, warnings: vec![warning] });
    reads_back(Session {
        id: id(1),
        device: "Firefox on Linux".into(),
        user_agent: "Mozilla".into(),
        ip: "127.0.0.1".into(),
        created_at: moment(1),
        last_seen_at: moment(2),
        expires_at: moment(3),
        current: true,
    });
    reads_back(ApiKey {
        id: id(1),
        name: "Key".into(),
        prefix: "ihk_".into(),
        scopes: Scope::ALL.to_vec(),
        created_at: moment(1),
        last_used_at: Some(moment(2)),
        expires_at: Some(moment(3)),
    });
    reads_back(export());
    let page = CrawlPage {
        url: "https://example.org/docs/a".into(),
        state: PageState::Failed,
        depth: 2,
        http_status: Some(404),
        code: Some("http_404".into()),
        message: Some("The site answered 404 (not found).".into()),
        waits_until: Some(moment(5)),
        change: Some(Change::New),
        document_id: Some(id(3)),
        found_on: None,
        updated_at: moment(4),
    };
    reads_back(Page { items: vec![page], next: None });
    let line = HistoryLine {
        seq: 4,
        at: moment(1),
        about: "a.md".into(),
        page: Some("/w/1/jobs/2".into()),
        told: "Reading".into(),
        from: Some("pending".into()),
        to: None,
        who: "ada".into(),
    };
    reads_back(HistoryPage { name: "a".into(), lines: Page { items: vec![line], next: None } });
    let text = |text: &str| text.to_owned();
    let chart = Chart {
        title: text("T"),
        about: text("A"),
        svg: text("<svg/>"),
        legend: vec![(text("ready"), text("Ready"))],
        columns: vec![text("Day")],
        rows: vec![vec![text("1")], vec![]],
    };
    let facts = vec![(text("Added"), text("3"))];
    reads_back(Figures { name: text("W"), days: 7, facts, charts: vec![chart], is_part: true });
    reads_back((1_u64, text("two"), Some(true)));
    reads_back(PreviewChunk { text: "A".into(), chars: 1, tokens: 2 });
    reads_back(Estimate {
        documents: 1,
        characters: 2,
        chunks: 3,
        tokens: 4,
        error_percent: 5,
        embeds: true,
    });
    let config = RagConfig {
        embedding_dim: Some(384),
        retriever_type: RetrieverType::Hybrid,
        rerank_enabled: true,
        rerank_model: Some(RerankModel::Rrf),
        ..RagConfig::default()
    };
    reads_back(RagPage {
        workspace: Some(told_workspace()),
        config: config.clone(),
        base: RagConfig::default(),
        is_default: true,
        options: RagOptions::new(vec![EmbeddingModel::builtin()]),
    });
    let changed = SettingsChanged {
        rag_config: Some(DefaultRagConfig { config, is_default: false }),
        export: Some(export()),
        sessions: Some(SessionsChanged { signed_in: Some("Firefox on Linux".into()) }),
        ..SettingsChanged::of(person())
    };
    reads_back(changed);
    reads_back(SettingsChanged {
        sessions: Some(SessionsChanged::default()),
        ..SettingsChanged::of(User {
            notifications: Notifications { failed: false, desktop: true, ..Notifications::default() },
            ..person()
        })
    });
}

#[test]
fn refusals_read_back() {
    let mut errors = FieldErrors::one("name", "Too short.");
    errors.add("name", "Not allowed.");
    reads_back(Problem::invalid(errors.clone()));
    reads_back(Problem {
        allowed: Some(vec!["paused".into()]),
        retry_after: Some(3),
        correlation_id: Some("c".into()),
        ..Problem::not_found("job")
    });
    let values = [("name".to_owned(), "x".to_owned())].into_iter().collect();
    reads_back(FormState { values, errors, message: Some("No.".into()), said: Some("Saved.".into()) });
    let answer = json!({
        "documents": [{ "file_id": id::<DocumentId>(2), "document_id": id::<DocumentId>(1), "filename": "a.txt", "status": "pending" }],
        "rejected": [{ "filename": "b.png", "detail": "A picture.", "code": "unsupported" }],
    });
    let Answer { documents, rejected } = Answer::from_json(&answer).expect("an answer");
    assert_eq!((documents[0].document_id, rejected[0].detail.as_str()), (id(1), "A picture."));
}

#[test]
fn what_was_logged_before_a_field_was_there_reads_as_it_was_then() {
    fn without(value: impl Serialize, names: &[&str]) -> Value {
        let mut json = serde_json::to_value(value).expect("JSON");
        let fields = json.as_object_mut().expect("an object");
        names.iter().for_each(|name| assert!(fields.remove(*name).is_some(), "{name}"));
        json
    }
    let user = without(person(), &["density", "language", "notifications"]);
    assert_eq!(User::from_json(&user), Some(person()));
    let old = without(workspace(1, 2), &["metadata", "paused", "bulk"]);
    assert_eq!(Workspace::from_json(&old), Some(workspace(1, 2)));
    let before = Workspace { last_activity_at: Timestamp::default(), ..workspace(1, 2) };
    assert_eq!(Workspace::from_json(&without(workspace(1, 2), &["last_activity_at"])), Some(before));
    let counts = without(Counts::default(), &["stale", "conversations", "messages"]);
    assert_eq!(Counts::from_json(&counts), Some(Counts::default()));
    assert_eq!(Metrics::from_json(&json!({})), Some(Metrics::default()));
    assert_eq!(User::from_json(&without(person(), &["username"])), None);
}
