//! Workspaces full of passages whose vectors are drawn, and questions whose right answers are known: what the benches of the
//! search fill a database with, and how they ask it. The way of a search is the product's own but for the model.

#[path = "../../../crates/storage/benches/p5/people.rs"]
mod people;

use async_trait::async_trait;
use chat::Retrieval;
use domain::{
    ChunkId, DocumentId, JobId, JobKind, Step, UserId, WorkspaceId,
    ingest::{Checkpoint, NewChunk},
    message::Facts,
    rag::{EmbeddingModel, Outage, RagConfig, RetrieverType},
};
use measure::{Failure, dice::Dice};
use messaging::InProcessBus;
use people::{new_user, new_workspace};
use server::adapters::{OsSecrets, SystemClock, TimeOrderedIds};
use services::ports::{
    Accounts, Clock, EmbedError, Embedder, Ids, JobStore, NewDocument, NewJob, Question, Retriever, WorkerId,
    Workspaces,
};
use std::{collections::HashMap, sync::Arc, time::Instant};
use storage::{OpenOptions, Store};

const DIMENSIONS: usize = 384;
pub const NEAREST: usize = 10;
/// Passages of a document.
const PASSAGES: usize = 100;

/// What there is to be found.
pub struct Data {
    /// Those of the workspace that is asked, and behind them those of another one.
    pub vectors: Vec<Vec<f32>>,
    pub here: usize,
    pub questions: Vec<Vec<f32>>,
    /// The places of the nearest vectors for each question, in their order.
    pub right: Vec<Vec<usize>>,
}

impl Data {
    /// The same numbers give the same vectors, on every machine.
    pub fn new(here: usize, elsewhere: usize, questions: usize) -> Self {
        let mut dice = Dice::new(15);
        let vectors: Vec<Vec<f32>> = (0..here + elsewhere).map(|_| unit(&mut dice)).collect();
        let questions: Vec<Vec<f32>> = (0..questions).map(|_| unit(&mut dice)).collect();
        let right = questions.iter().map(|q| nearest(q, &vectors[..here])).collect();
        Self { vectors, here, questions, right }
    }
}

/// A direction, none more likely than another by much.
fn unit(dice: &mut Dice) -> Vec<f32> {
    let mut one = || (0..4).map(|_| dice.unit()).sum::<f64>() - 2.0;
    let vector: Vec<f64> = (0..DIMENSIONS).map(|_| one()).collect();
    let length = vector.iter().map(|x| x * x).sum::<f64>().sqrt();
    vector.iter().map(|x| (x / length) as f32).collect()
}

/// The right answer, by doubles.
fn nearest(question: &[f32], vectors: &[Vec<f32>]) -> Vec<usize> {
    let similar =
        |v: &Vec<f32>| question.iter().zip(v).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum::<f64>();
    let mut all: Vec<(f64, usize)> = vectors.iter().map(similar).zip(0..).collect();
    all.select_nth_unstable_by(NEAREST, |a, b| b.0.total_cmp(&a.0));
    all.truncate(NEAREST);
    all.sort_by(|a, b| b.0.total_cmp(&a.0));
    all.into_iter().map(|(_, n)| n).collect()
}

pub fn check(found: &[usize], right: &[usize]) -> Result<(), Failure> {
    if found == right { Ok(()) } else { Err(format!("found {found:?}, and right is {right:?}").into()) }
}

/// Knows the vectors of the questions, which are their numbers.
pub struct Known(pub Vec<Vec<f32>>);

#[async_trait]
impl Embedder for Known {
    async fn models(&self) -> Vec<EmbeddingModel> {
        vec![EmbeddingModel::builtin()]
    }

    async fn embed(&self, _: &str, texts: Vec<String>) -> Result<Vec<Vec<f32>>, EmbedError> {
        let known = |text: &String| text.parse().ok().and_then(|n: usize| self.0.get(n)).cloned();
        let found: Option<Vec<_>> = texts.iter().map(known).collect();
        found.ok_or_else(|| EmbedError::Failed("there is no such question".to_owned()))
    }

    fn outage(&self, _: &str) -> Option<Outage> {
        None
    }
}

/// A store of that database, as a server has it.
pub async fn open(url: String, pgvector: bool) -> Result<Store, Failure> {
    let opening = Store::open(OpenOptions {
        url,
        bus: InProcessBus::new(),
        clock: Arc::new(SystemClock),
        secrets: Arc::new(OsSecrets),
        high_water: None,
        readers: 2,
        pgvector,
    });
    Ok(opening.await?)
}

/// How much there is, and how often it is asked.
pub struct Size {
    pub here: usize,
    pub elsewhere: usize,
    pub questions: usize,
    pub rounds: usize,
}

pub const WHOLE: Size = Size { here: 50_000, elsewhere: 10_000, questions: 200, rounds: 7 };

/// The workspace that is asked.
pub struct Library {
    user: UserId,
    pub workspace: WorkspaceId,
    /// Which of the vectors each passage has.
    places: HashMap<ChunkId, usize>,
}

impl Library {
    /// Makes it, and the other one.
    pub async fn fill(store: &Store, data: &Data) -> Result<Self, Failure> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let ids = TimeOrderedIds::new(clock.clone());
        let user = UserId::new(ids.uuid());
        let [workspace, other] = [(); 2].map(|()| WorkspaceId::new(ids.uuid()));
        store.create_user(new_user(user, 0)?, new_workspace(workspace, user)?).await?;
        store.create_workspace(new_workspace(other, user)?).await?;
        let mut places = HashMap::new();
        let worker = WorkerId("worker".to_owned());
        for first in (0..data.vectors.len()).step_by(PASSAGES) {
            let id = DocumentId::new(ids.uuid());
            let document = NewDocument {
                id,
                filename: format!("{first}.txt"),
                mime_type: "text/plain".to_owned(),
                size_bytes: 1,
                content_hash: first.to_string(),
                blob_key: first.to_string(),
                sent_ahead: false,
            };
            let job = NewJob {
                id: JobId::new(ids.uuid()),
                kind: JobKind::Upload,
                user_id: user,
                workspace_id: if first < data.here { workspace } else { other },
                documents: vec![document],
                command_id: None,
                command_print: None,
                created_at: clock.now(),
            };
            store.create_job(job).await?;
            let claim = store.claim(&worker, 3_600, 1, clock.now()).await?.pop().ok_or("no work")?;
            let chunks: Vec<NewChunk> =
                (0..PASSAGES).map(|n| passage(ChunkId::new(ids.uuid()), n, first + n)).collect();
            let made: Vec<(ChunkId, Vec<f32>)> = chunks
                .iter()
                .zip(&data.vectors[first..])
                .map(|(chunk, vector)| (chunk.id, vector.clone()))
                .collect();
            places.extend(made.iter().map(|(id, _)| *id).zip(first..));
            let step = |step| Checkpoint::Step { step, facts: Facts::default() };
            let loaded = Checkpoint::Loaded { pages: None, characters: 1, title: None, warnings: vec![] };
            let course = [
                step(Step::ExtractingText),
                loaded,
                step(Step::ChunkingText),
                Checkpoint::Chunked { chunks },
                step(Step::CreatingEmbeddings),
                Checkpoint::Embedded { vectors: made },
                step(Step::StoringMetadata),
                Checkpoint::Indexed,
            ];
            for checkpoint in course {
                store.checkpoint(&claim, checkpoint, clock.now()).await?;
            }
        }
        Ok(Self { user, workspace, places })
    }

    /// The times in milliseconds that the questions take, one after the other. Each answer has to be the right one.
    pub async fn ask(&self, retrieval: &Retrieval, data: &Data) -> Result<Vec<f64>, Failure> {
        let config = RagConfig {
            retriever_type: RetrieverType::Vector,
            top_k: NEAREST as u32,
            ..RagConfig::default()
        };
        let mut took = vec![];
        for (n, right) in data.right.iter().enumerate() {
            let question = Question {
                user: self.user,
                workspace: self.workspace,
                text: n.to_string(),
                config: config.clone(),
            };
            let begun = Instant::now();
            let found = retrieval.retrieve(&question).await?;
            took.push(begun.elapsed().as_secs_f64() * 1e3);
            let found: Vec<usize> = found.hits.iter().map(|hit| self.places[&hit.chunk.id]).collect();
            check(&found, right)?;
        }
        Ok(took)
    }
}

fn passage(id: ChunkId, ordinal: usize, n: usize) -> NewChunk {
    NewChunk {
        id,
        ordinal: ordinal as u32,
        text: format!("Passage {n} of a long story."),
        content_hash: n.to_string(),
        page: None,
        heading: None,
        char_start: 0,
        char_end: 1,
        token_count: 8,
        enabled: true,
        cut_hash: None,
        graph: Default::default(),
    }
}
