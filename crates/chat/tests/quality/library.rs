//! The documents of the measurement, indexed as a worker would do it, and the questions.

use crate::support::{Place, World};
use async_trait::async_trait;
use domain::{
    ChunkId, JobId, JobKind, Step, UserId, WorkspaceId, WorkspaceStatus,
    ingest::{Checkpoint, NewChunk},
    message::Facts,
    rag::{BUILTIN_MODEL, EmbeddingModel, Outage, RagConfig, RetrieverType},
    status::Processor,
    validate::{Description, Email, Username, WorkspaceName},
};
use embedding::MiniLm;
use ingest::{
    chunk::{ChunkSettings, TokenCounter, chunk},
    extract::{ExtractedText, Span},
    graph::{Passage, extract},
};
use services::ports::{
    Accounts, CrossEncoder, EmbedError, Embedder, JobStore, NewDocument, NewJob, NewUser, NewWorkspace,
    RerankError, WorkerId, Workspaces,
};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::OnceLock,
};
use storage::{OpenOptions, Store};

/// Of a claim's vectors in one go.
const BATCH: usize = 32;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/quality")
}

fn model() -> &'static MiniLm {
    static MODEL: OnceLock<MiniLm> = OnceLock::new();
    MODEL.get_or_init(|| {
        let models = std::env::var_os("INSIGHTHUB_MODELS_DIR").map(PathBuf::from);
        let models = models.unwrap_or_else(|| measure::peer::cache().join("models"));
        MiniLm::load(&models.join(MiniLm::NAME)).unwrap_or_else(|error| panic!("{error}"))
    })
}

/// The built-in model.
pub struct Model;

#[async_trait]
impl Embedder for Model {
    async fn models(&self) -> Vec<EmbeddingModel> {
        vec![EmbeddingModel::builtin()]
    }

    async fn embed(&self, name: &str, texts: Vec<String>) -> Result<Vec<Vec<f32>>, EmbedError> {
        assert_eq!(name, BUILTIN_MODEL);
        let embedding = tokio::task::spawn_blocking(move || {
            model().embed(&texts.iter().map(String::as_str).collect::<Vec<_>>())
        });
        embedding.await.unwrap().map_err(|e| EmbedError::Failed(e.to_string()))
    }

    fn outage(&self, _: &str) -> Option<Outage> {
        None
    }
}

struct Tokens;

impl TokenCounter for Tokens {
    fn count(&self, text: &str) -> usize {
        model().count_tokens(text)
    }

    fn offsets(&self, text: &str) -> Vec<(usize, usize)> {
        model().token_offsets(text)
    }

    fn parts_at_white_space(&self) -> bool {
        true
    }
}

/// In place of a cross-encoder, of which there is none without a network: the share of the question's words that a passage
/// has. What it measures is that such an order is applied, not how good a model is.
pub struct Overlap;

#[async_trait]
impl CrossEncoder for Overlap {
    async fn state(&self) -> (bool, String) {
        (true, "Counts words.".to_owned())
    }

    async fn rerank(&self, question: &str, texts: &[String]) -> Result<Vec<f64>, RerankError> {
        let words = |text: &str| -> Vec<String> {
            text.split(|c: char| !c.is_alphanumeric())
                .filter(|w| w.len() > 2)
                .map(str::to_lowercase)
                .collect()
        };
        let asked = words(question);
        let share = |text: &String| {
            let has = words(text);
            asked.iter().filter(|w| has.contains(w)).count() as f64 / asked.len().max(1) as f64
        };
        Ok(texts.iter().map(share).collect())
    }
}

pub struct Asked {
    pub question: String,
    document: String,
    /// Words of the passage that answers it.
    words: String,
}

pub fn questions() -> Vec<Asked> {
    let file = std::fs::read_to_string(folder().join("questions.tsv")).unwrap();
    let lines = file.lines().filter(|line| !line.starts_with('#'));
    let asked = lines.map(|line| match line.split('\t').collect::<Vec<_>>()[..] {
        [question, document, words] => {
            Asked { question: question.into(), document: document.into(), words: words.into() }
        }
        _ => panic!("{line:?} is no question"),
    });
    asked.collect()
}

pub struct Library {
    pub store: Store,
    pub user: UserId,
    pub workspace: WorkspaceId,
    pub config: RagConfig,
    pub documents: Vec<String>,
    /// Document and text of each.
    pub passages: BTreeMap<ChunkId, (String, String)>,
    // Behind the store, so that the store is gone before its database is.
    _place: Place,
}

impl Library {
    pub async fn open() -> Self {
        let (place, world) = (Place::sqlite().await, World::new());
        let options = OpenOptions {
            url: place.url(),
            bus: world.bus.clone(),
            clock: world.clock.clone(),
            secrets: world.secrets.clone(),
            high_water: Some(place.high_water()),
            readers: 4,
            pgvector: true,
        };
        let store = Store::open(options).await.unwrap();
        // Short documents, short passages: about three of each.
        let config = RagConfig {
            retriever_type: RetrieverType::Graph,
            chunk_size: 350,
            chunk_overlap: 60,
            ..RagConfig::default()
        };
        let user = UserId::new(world.uuid());
        let new_workspace = |name: &str, rag_config| NewWorkspace {
            id: WorkspaceId::new(world.uuid()),
            user_id: user,
            name: WorkspaceName::parse(name).unwrap(),
            description: Description::parse("").unwrap(),
            status: WorkspaceStatus::Ready,
            processor: Processor::Builtin,
            rag_config,
            command_id: None,
            command_print: None,
            created_at: world.now(),
        };
        let new_user = NewUser {
            id: user,
            username: Username::parse("reader").unwrap(),
            email: Email::parse("reader@example.org").unwrap(),
            full_name: None,
            password_hash: "hash".into(),
            created_at: world.now(),
        };
        store.create_user(new_user, new_workspace("My documents", RagConfig::default())).await.unwrap();
        let workspace = store.create_workspace(new_workspace("Library", config.clone())).await.unwrap().id;
        let mut library = Self {
            store,
            user,
            workspace,
            config,
            documents: vec![],
            passages: BTreeMap::new(),
            _place: place,
        };
        let mut files: Vec<PathBuf> = std::fs::read_dir(folder().join("documents"))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        files.sort();
        for file in files {
            library.index(&world, &file).await;
        }
        library
    }

    async fn index(&mut self, world: &World, file: &Path) {
        let filename = file.file_name().unwrap().to_string_lossy().into_owned();
        let text = read(&std::fs::read_to_string(file).unwrap());
        let id = domain::DocumentId::new(world.uuid());
        let document = NewDocument {
            id,
            filename: filename.clone(),
            mime_type: "text/markdown".into(),
            size_bytes: text.text.len() as u64,
            content_hash: filename.clone(),
            blob_key: filename.clone(),
            sent_ahead: false,
        };
        let job = NewJob {
            id: JobId::new(world.uuid()),
            kind: JobKind::Upload,
            user_id: self.user,
            workspace_id: self.workspace,
            documents: vec![document],
            command_id: None,
            command_print: None,
            created_at: world.now(),
        };
        self.store.create_job(job).await.unwrap();
        let claim = self.store.claim(&WorkerId("w".into()), 3_600, 1, world.now()).await.unwrap().remove(0);
        let drafts = chunk(&text, &ChunkSettings::from(&self.config), &Tokens).unwrap();
        let passages: Vec<Passage<'_>> =
            drafts.iter().map(|d| Passage { heading: d.heading.as_deref(), text: &d.text }).collect();
        let graphs = extract(&passages);
        let chunks: Vec<NewChunk> = drafts
            .iter()
            .zip(graphs)
            .map(|(d, graph)| NewChunk {
                id: ChunkId::new(world.uuid()),
                ordinal: d.ordinal,
                text: d.text.clone(),
                content_hash: d.content_hash.clone(),
                page: d.page,
                heading: d.heading.clone(),
                char_start: d.char_start,
                char_end: d.char_end,
                token_count: d.token_count,
                enabled: true,
                cut_hash: None,
                graph,
            })
            .collect();
        let texts: Vec<String> = chunks.iter().map(|c| c.text.clone()).collect();
        let ids: Vec<ChunkId> = chunks.iter().map(|c| c.id).collect();
        for (id, text) in ids.iter().zip(&texts) {
            self.passages.insert(*id, (filename.clone(), text.clone()));
        }
        let step = |step| Checkpoint::Step { step, facts: Facts::default() };
        let loaded = Checkpoint::Loaded {
            pages: None,
            characters: text.text.chars().count() as u64,
            title: None,
            warnings: vec![],
        };
        let mut done = vec![
            step(Step::ExtractingText),
            loaded,
            step(Step::ChunkingText),
            Checkpoint::Chunked { chunks },
        ];
        done.push(step(Step::CreatingEmbeddings));
        for (ids, texts) in ids.chunks(BATCH).zip(texts.chunks(BATCH)) {
            let vectors = Model.embed(BUILTIN_MODEL, texts.to_vec()).await.unwrap();
            done.push(Checkpoint::Embedded { vectors: ids.iter().copied().zip(vectors).collect() });
        }
        done.extend([step(Step::StoringMetadata), Checkpoint::Indexed]);
        for checkpoint in done {
            world.clock.advance_seconds(1);
            self.store.checkpoint(&claim, checkpoint, world.now()).await.unwrap();
        }
        self.documents.push(filename);
    }

    /// Whether the passage is the one that answers the question.
    pub fn answers(&self, asked: &Asked, id: ChunkId) -> bool {
        let (document, text) = &self.passages[&id];
        let flat = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        *document == asked.document && flat(text).contains(&flat(&asked.words))
    }
}

/// A Markdown text with the headings that its parts stand under.
fn read(text: &str) -> ExtractedText {
    let mut spans: Vec<Span> = vec![];
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        if let Some(heading) = line.strip_prefix("## ").or_else(|| line.strip_prefix("# ")) {
            spans.push(Span {
                start: at,
                end: text.len(),
                page: None,
                heading: Some(heading.trim().to_owned()),
            });
        }
        at += line.len();
    }
    for n in 1..spans.len() {
        spans[n - 1].end = spans[n].start;
    }
    ExtractedText { text: text.to_owned(), spans, ..ExtractedText::default() }
}
