//! How each type comes out of JSON: field by field, by hand. What serde derives does the same in ten times the code,
//! since it makes a state machine of every type; it reads on the server, and in the tests here, which hold the two
//! against each other. A field that is forgotten here does not compile.

use super::FromJson;
use crate::{
    forms::FormState,
    server_fns::{
        chat::{Asked, ChatPage, ShownSource, ShownStep, ShownTurn, TalkLine},
        documents::{Around, PassagePage, PreviewText, VersionLine},
        errors::{ErrorChoice, ErrorChoices, ErrorLine, ErrorsPage, LeftLine},
        history::{Chart, Figures, HistoryLine, HistoryPage},
        rag::{PreviewChunk, RagPage},
        retrieval::{RetrievalPage, TriedCase, TriedHit},
        shell::AwayNote,
        workspaces::SearchAnswer,
    },
    upload::{Accepted, Answer, HeldDocument, HeldFile, HeldFiles, Rejected},
};
use domain::{
    ApiKeyId, BulkId, ChunkId, Document, DocumentId, DocumentStatus, Epoch, ExportId, FieldErrors, Job,
    JobId, JobKind, JobStatus, PhaseDetail, PhaseName, Problem, SessionId, Step, Timestamp, TurnId, User,
    UserId, Workspace, WorkspaceId, WorkspaceStatus,
    api_key::{ApiKey, Scope},
    bulk::{Bulk, BulkAction, BulkStatus},
    chat::{ConversationChange, ConversationId},
    crawl::{Change, Crawl, CrawlPage, PageState},
    event::{
        ConversationChanged, DocumentDeleted, FileProgress, SessionsChanged, SettingsChanged, StepStatus,
        WorkspaceDeleted,
    },
    export::{Export, ExportStatus},
    pages::{DocumentPage, JobPage, JobsPage, Shell, Since, WorkspacePage},
    provision::{ProvisionDetail, ProvisionStatus, ProvisionStep, Provisioning},
    rag::{
        ChunkingStrategy, DefaultRagConfig, EmbeddingModel, Estimate, IndexedWith, ModelState, Provider,
        RagChoice, RagConfig, RagOptions, RerankModel, RetrieverType,
    },
    resource::{
        Attempt, Chunk, Counts, Density, DocumentError, DocumentRef, Language, Metrics, Notifications, Page,
        Scored, Scores, SearchHit, Session, Theme, VersionState, Warning, no_metadata,
    },
    status::{Halt, JobRequest, PhaseStatus, Priority, Processor},
};
use litemap::LiteMap;
use serde_json::Value;

static NOTHING: Value = Value::Null;

/// A field of an object; what is not there reads as null.
#[inline(never)]
fn part<'a>(value: &'a Value, name: &str) -> &'a Value {
    value.as_object().and_then(|fields| fields.get(name)).unwrap_or(&NOTHING)
}

fn at<T: FromJson>(value: &Value, name: &str) -> Option<T> {
    T::from_json(part(value, name))
}

fn at_or<T: FromJson>(value: &Value, name: &str, otherwise: T) -> Option<T> {
    let value = part(value, name);
    if value.is_null() { Some(otherwise) } else { T::from_json(value) }
}

macro_rules! field {
    ($value:ident $field:ident) => {
        at($value, stringify!($field))?
    };
    ($value:ident $field:ident = $name:literal) => {
        at($value, $name)?
    };
    // Was not always there.
    ($value:ident $field:ident or $otherwise:expr) => {
        at_or($value, stringify!($field), $otherwise)?
    };
}

macro_rules! objects {
    ($($type:ty { $($field:ident $(= $name:literal)? $(or $otherwise:expr)?),+ $(,)? })+) => {$(
        impl FromJson for $type {
            fn from_json(value: &Value) -> Option<Self> {
                Some(Self { $($field: field!(value $field $(= $name)? $(or $otherwise)?)),+ })
            }
        }
    )+};
}

/// Types with a text that names each of their values.
macro_rules! named {
    ($($type:ty)+) => {$(
        impl FromJson for $type {
            fn from_json(value: &Value) -> Option<Self> {
                value.as_str()?.parse().ok()
            }
        }
    )+};
}

macro_rules! numbers {
    ($($type:ty)+) => {$(
        impl FromJson for $type {
            fn from_json(value: &Value) -> Option<Self> {
                value.as_u64()?.try_into().ok()
            }
        }
    )+};
}

named! {
    ApiKeyId BulkId ChunkId ConversationId DocumentId ExportId JobId SessionId TurnId UserId WorkspaceId
    DocumentStatus Halt JobKind JobRequest JobStatus PhaseName PhaseStatus Priority Processor StepStatus WorkspaceStatus
    BulkAction BulkStatus ConversationChange ExportStatus ProvisionStatus ProvisionStep Scope
    Change PageState VersionState
    Density Language Theme
    ChunkingStrategy ModelState Provider RerankModel RetrieverType
}

numbers! { u16 u32 u64 }

objects! {
    Since { epoch, seq }
    Shell { since, user, workspaces, jobs, max_file_bytes }
    AwayNote { text, failed, to }
    WorkspacePage { since, workspace, documents, jobs }
    DocumentPage { since, workspace, document, job, steps, chunks }
    JobPage { since, workspace, job, steps }
    JobsPage { workspace, jobs }

    User {
        id,
        username,
        email,
        full_name,
        theme,
        density or Density::default(),
        language or Language::default(),
        notifications or Notifications::default(),
        created_at,
    }
    Notifications { done, failed, stalled, sign_ins, desktop }
    Session { id, device, user_agent, ip, created_at, last_seen_at, expires_at, current }
    ApiKey { id, name, prefix, scopes, created_at, last_used_at, expires_at }
    Export { id, status, bytes, created_at, completed_at, expires_at, error }

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

    Document {
        id,
        workspace_id,
        user_id,
        job_id,
        filename,
        mime_type,
        size_bytes,
        content_hash,
        status,
        error,
        error_code,
        error_hint,
        warnings,
        chunk_count,
        progress,
        step,
        message,
        metadata,
        attempt,
        stale,
        indexed_with,
        version,
        next_version,
        enabled or true,
        tags or vec![],
        rev,
        created_at,
        updated_at,
    }
    DocumentRef { id, filename, mime_type }
    Warning { code, message }
    IndexedWith { embedding_model, chunking_strategy, chunk_size, chunk_overlap }
    Chunk {
        id,
        document_id,
        ordinal,
        text,
        page,
        heading,
        char_start,
        char_end,
        token_count,
        enabled,
        edited,
        version,
    }
    Scored { score, rank }
    Scores { vector, keyword, graph, fused, rerank }
    SearchHit { chunk, document, score, scores }
    SearchAnswer { hits, warnings }
    VersionLine { version, state, filename, size_bytes, created_at, by }
    PreviewText { version, is_html, body, whole }

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
    Crawl { url, prefix, max_pages, max_depth, current_url, rests or false }
    CrawlPage {
        url,
        state,
        depth,
        http_status,
        code,
        message,
        change,
        document_id,
        found_on,
        updated_at,
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

    Attempt { attempt, status, message, error, metrics, phase_details, started_at, completed_at, errors }
    DocumentError { document_id, filename, error, error_code, error_hint, tries }

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
    DocumentDeleted { id, workspace_id, filename or String::new(), undo_until or Timestamp::default(), rev }
    WorkspaceDeleted { id, rev }
    SettingsChanged { user, theme, rag_config, rev, export, sessions }
    SessionsChanged { signed_in }
    ConversationChanged { conversation_id, workspace_id, turn_id, status, rev }

    RagConfig {
        embedding_model,
        embedding_dim,
        retriever_type,
        chunking_strategy,
        chunk_size,
        chunk_overlap,
        top_k,
        rerank_enabled,
        rerank_model,
    }
    RagOptions { models, retriever_types, chunking_strategies, rerank_models }
    EmbeddingModel { name, dim, max_tokens, provider, state, detail }
    RagChoice { name, available, detail }
    RagPage { workspace, config, base, is_default, options }
    RetrievalPage {
        name,
        question,
        retriever,
        rerank,
        top_k,
        retrievers,
        reranks,
        saved,
        trouble,
        hits,
        cases,
        verdict,
    }
    ChatPage { name, conversation, title, talks, search, older, turns, earlier, is_past, has_model }
    TalkLine { conversation, title }
    ShownTurn {
        id,
        query,
        status,
        html,
        steps,
        sources,
        note,
        error,
        hint,
        found_nothing,
        unsearched,
        searched,
        may_repeat,
        is_replaced,
        again_as,
        last_event,
    }
    ShownStep { title, took }
    ShownSource { number, href, filename, place, text, cited }
    Asked { conversation, title, turn }
    TriedHit { document, chunk, filename, place, text, columns }
    TriedCase { id, question, wanted, passed, outcome }
    PassagePage { document, filename, chunk, is_gone, is_old, around, previous, next, embeds }
    Around { before, passage, behind }
    PreviewChunk { text, chars, tokens }
    HistoryPage { name, lines }
    HistoryLine { seq, at, about, page, told, from, to, who }
    Figures { name, days, facts, charts, is_part }
    ErrorsPage { narrow, lines, left, note }
    LeftLine { text, place, newest_at, page, link }
    ErrorLine { code, phase, mime_type, count, about, message, hint, newest_at, page }
    ErrorChoices { name, choices }
    ErrorChoice { words, href, is_chosen }
    Chart { title, about, svg, legend, columns, rows }
    Estimate { documents, characters, chunks, tokens, error_percent, embeds }

    Problem {
        kind = "type",
        title,
        status,
        detail,
        code,
        errors or FieldErrors::default(),
        allowed,
        retry_after,
        correlation_id,
    }
    FormState { values, errors, message, said }
    Answer { documents, rejected }
    Accepted { file_id, document_id }
    HeldFiles { items }
    HeldFile { same, namesake, same_size }
    HeldDocument { filename }
    Rejected { filename, detail }
}

impl<T: FromJson> FromJson for Page<T> {
    fn from_json(value: &Value) -> Option<Self> {
        Some(Self { items: at(value, "items")?, next: at(value, "next")? })
    }
}

impl FromJson for DefaultRagConfig {
    fn from_json(value: &Value) -> Option<Self> {
        Some(Self { config: RagConfig::from_json(value)?, is_default: at(value, "is_default")? })
    }
}

impl FromJson for Epoch {
    fn from_json(value: &Value) -> Option<Self> {
        String::from_json(value).map(Self)
    }
}

impl FromJson for Timestamp {
    fn from_json(value: &Value) -> Option<Self> {
        Self::parse(value.as_str()?)
    }
}

impl FromJson for Step {
    fn from_json(value: &Value) -> Option<Self> {
        value.as_str().map(Self::from)
    }
}

impl FromJson for FieldErrors {
    fn from_json(value: &Value) -> Option<Self> {
        let mut errors = Self::default();
        for (field, messages) in value.as_object()? {
            Vec::<String>::from_json(messages)?.into_iter().for_each(|message| errors.add(field, message));
        }
        Some(errors)
    }
}

impl FromJson for LiteMap<String, String> {
    fn from_json(value: &Value) -> Option<Self> {
        value.as_object()?.iter().map(|(key, value)| Some((key.clone(), String::from_json(value)?))).collect()
    }
}

impl FromJson for Value {
    fn from_json(value: &Value) -> Option<Self> {
        Some(value.clone())
    }
}

impl FromJson for () {
    fn from_json(_: &Value) -> Option<Self> {
        Some(())
    }
}

impl FromJson for bool {
    fn from_json(value: &Value) -> Option<Self> {
        value.as_bool()
    }
}

impl FromJson for f64 {
    fn from_json(value: &Value) -> Option<Self> {
        value.as_f64()
    }
}

impl FromJson for String {
    fn from_json(value: &Value) -> Option<Self> {
        value.as_str().map(str::to_owned)
    }
}

impl<T: FromJson> FromJson for Option<T> {
    fn from_json(value: &Value) -> Option<Self> {
        if value.is_null() { Some(None) } else { T::from_json(value).map(Some) }
    }
}

impl<T: FromJson> FromJson for Vec<T> {
    fn from_json(value: &Value) -> Option<Self> {
        value.as_array()?.iter().map(T::from_json).collect()
    }
}

impl<A: FromJson, B: FromJson> FromJson for (A, B) {
    fn from_json(value: &Value) -> Option<Self> {
        Some((A::from_json(value.get(0)?)?, B::from_json(value.get(1)?)?))
    }
}

impl<A: FromJson, B: FromJson, C: FromJson> FromJson for (A, B, C) {
    fn from_json(value: &Value) -> Option<Self> {
        Some((A::from_json(value.get(0)?)?, B::from_json(value.get(1)?)?, C::from_json(value.get(2)?)?))
    }
}

/// As serde writes it.
impl<T: FromJson, E: FromJson> FromJson for Result<T, E> {
    fn from_json(value: &Value) -> Option<Self> {
        match part(value, "Ok") {
            Value::Null if !part(value, "Err").is_null() => at(value, "Err").map(Err),
            _ => at(value, "Ok").map(Ok),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::{at as moment, document, id, job, person, step, workspace};
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
        reads_back(Shell {
            since: since(),
            user: person(),
            workspaces,
            jobs: jobs.clone(),
            max_file_bytes: 100,
        });
        reads_back(WorkspacePage {
            since: since(),
            workspace: told_workspace(),
            documents: Page { items: vec![told_document()], next: Some("there".into()) },
            jobs,
        });
        reads_back(Some(AwayNote {
            text: "While you were away.".into(),
            failed: true,
            to: "/errors".into(),
        }));
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
}
