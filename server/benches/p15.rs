//! P15: a question for the ten nearest of 50,000 passages of a workspace, in a database that has those of another one too:
//! the whole way of a search but for the model, on one core, against sqlite-vec with the workspace as its partition
//! (p15_peer.py). Both find exactly the right ones, in their order, or there is no figure.
//!
//!     cargo bench -p server --bench p15 [-- --rounds N | --smoke]

#[path = "../../crates/storage/benches/p5/people.rs"]
mod people;

use async_trait::async_trait;
use chat::Retrieval;
use domain::{
    ChunkId, DocumentId, JobId, JobKind, Step, UserId, WorkspaceId,
    ingest::{Checkpoint, NewChunk},
    message::Facts,
    rag::{EmbeddingModel, Outage, RagConfig, RetrieverType},
};
use measure::{
    Asked, Failure,
    dice::Dice,
    peer,
    report::{self, Goal},
    stats,
};
use messaging::InProcessBus;
use people::{new_user, new_workspace};
use serde_json::Value;
use server::adapters::{OsSecrets, SystemClock, TimeOrderedIds};
use services::ports::{
    Accounts, Clock, EmbedError, Embedder, Ids, JobStore, NewDocument, NewJob, Question, Retriever, WorkerId,
    Workspaces,
};
use std::{
    collections::HashMap,
    fs,
    path::Path,
    process::{Command, ExitCode},
    sync::Arc,
    time::Instant,
};
use storage::{OpenOptions, Store};

const DIMENSIONS: usize = 384;
const NEAREST: usize = 10;
/// Passages of a document.
const PASSAGES: usize = 100;

/// How much there is, and how often it is asked.
struct Size {
    here: usize,
    elsewhere: usize,
    questions: usize,
    rounds: usize,
}

const WHOLE: Size = Size { here: 50_000, elsewhere: 10_000, questions: 200, rounds: 7 };
const SMOKE: Size = Size { here: 1_000, elsewhere: 200, questions: 10, rounds: 1 };

fn main() -> ExitCode {
    server::install_cryptography();
    measure::answer(|asked| tokio::runtime::Runtime::new()?.block_on(run(asked)))
}

async fn run(asked: &Asked) -> Result<String, Failure> {
    let is_smoke = asked.has("--smoke");
    let size = if is_smoke { SMOKE } else { WHOLE };
    let rounds = asked.number("--rounds", size.rounds)?;
    let mut dice = Dice::new(15);
    let vectors: Vec<Vec<f32>> = (0..size.here + size.elsewhere).map(|_| unit(&mut dice)).collect();
    let questions: Vec<Vec<f32>> = (0..size.questions).map(|_| unit(&mut dice)).collect();
    let right: Vec<Vec<usize>> = questions.iter().map(|q| nearest(q, &vectors[..size.here])).collect();
    // On a disk: a folder for temporary files may lie in memory.
    let home = peer::cache().join("bench");
    fs::create_dir_all(&home)?;
    let folder = tempfile::tempdir_in(home)?;
    let peer = match Peer::prepare(folder.path(), &vectors, &questions, size.here) {
        // A machine without the peer's registry is no fault of ours; a real run needs it.
        Err(missing) if is_smoke => return Ok(format!("P15: skipped, since {missing}")),
        other => other?,
    };
    let library = Library::fill(folder.path(), &vectors, questions.clone(), size.here).await?;
    let (mut ours, mut theirs) = (vec![], vec![]);
    for round in 0..rounds {
        for turn in 0..2 {
            if (round + turn) % 2 == 0 {
                ours.push(library.round(&right).await?);
            } else {
                theirs.push(peer.round(&right)?);
            }
        }
        eprintln!("  ours {:.2} ms, sqlite-vec {:.2} ms", ours[round], theirs[round]);
    }
    let line = report::compared("P15", "ms", &ours, &theirs, Goal::AtMost(0.2));
    Ok(line + if is_smoke { report::SMOKE } else { "" })
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

fn check(found: &[usize], right: &[usize]) -> Result<(), Failure> {
    if found == right { Ok(()) } else { Err(format!("found {found:?}, and right is {right:?}").into()) }
}

/// Knows the vectors of the questions, which are their numbers.
struct Known(Vec<Vec<f32>>);

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

struct Library {
    retrieval: Retrieval,
    user: UserId,
    workspace: WorkspaceId,
    /// Which of the vectors each passage has.
    places: HashMap<ChunkId, usize>,
    questions: usize,
}

impl Library {
    async fn fill(
        folder: &Path,
        vectors: &[Vec<f32>],
        questions: Vec<Vec<f32>>,
        here: usize,
    ) -> Result<Self, Failure> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let store = Store::open(OpenOptions {
            url: format!("sqlite://{}", folder.join("ours.db").display()),
            bus: InProcessBus::new(),
            clock: clock.clone(),
            secrets: Arc::new(OsSecrets),
            high_water: None,
            readers: 2,
            pgvector: true,
        })
        .await?;
        let ids = TimeOrderedIds::new(clock.clone());
        let user = UserId::new(ids.uuid());
        let [workspace, other] = [(); 2].map(|()| WorkspaceId::new(ids.uuid()));
        store.create_user(new_user(user, 0)?, new_workspace(workspace, user)?).await?;
        store.create_workspace(new_workspace(other, user)?).await?;
        let mut places = HashMap::new();
        let worker = WorkerId("worker".to_owned());
        for first in (0..vectors.len()).step_by(PASSAGES) {
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
                workspace_id: if first < here { workspace } else { other },
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
                .zip(&vectors[first..])
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
        let count = questions.len();
        let retrieval = Retrieval::new(Arc::new(store), Arc::new(Known(questions)), None, 256 << 20);
        Ok(Self { retrieval, user, workspace, places, questions: count })
    }

    /// The median of the times that the questions take, one after the other.
    async fn round(&self, right: &[Vec<usize>]) -> Result<f64, Failure> {
        let config = RagConfig {
            retriever_type: RetrieverType::Vector,
            top_k: NEAREST as u32,
            ..RagConfig::default()
        };
        let mut took = vec![];
        for (n, right) in (0..self.questions).zip(right) {
            let question = Question {
                user: self.user,
                workspace: self.workspace,
                text: n.to_string(),
                config: config.clone(),
            };
            let begun = Instant::now();
            let found = self.retrieval.retrieve(&question).await?;
            took.push(begun.elapsed().as_secs_f64() * 1e3);
            let found: Vec<usize> = found.hits.iter().map(|hit| self.places[&hit.chunk.id]).collect();
            check(&found, right)?;
        }
        Ok(stats::median(&took))
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

/// sqlite-vec with the same vectors.
struct Peer {
    python: std::path::PathBuf,
    folder: std::path::PathBuf,
}

impl Peer {
    fn prepare(
        folder: &Path,
        vectors: &[Vec<f32>],
        questions: &[Vec<f32>],
        here: usize,
    ) -> Result<Self, Failure> {
        let python = peer::python(&peer::cache().join("bench/p15"), &["sqlite-vec", "apsw"])?;
        let bytes =
            |all: &[Vec<f32>]| all.iter().flatten().flat_map(|x| x.to_le_bytes()).collect::<Vec<u8>>();
        fs::write(folder.join("vectors"), bytes(vectors))?;
        fs::write(folder.join("questions"), bytes(questions))?;
        let peer = Self { python, folder: folder.to_owned() };
        peer::ask(peer.command().args(["fill", &here.to_string()]))?;
        Ok(peer)
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.python);
        command
            .arg(measure::package(env!("CARGO_MANIFEST_DIR")).join("benches/p15_peer.py"))
            .arg(&self.folder);
        command
    }

    fn round(&self, right: &[Vec<usize>]) -> Result<f64, Failure> {
        let answer: Value = serde_json::from_str(&peer::ask(self.command().arg("ask"))?)?;
        let found: Vec<Vec<usize>> = serde_json::from_value(answer["found"].clone())?;
        for (found, right) in found.iter().zip(right) {
            check(found, right)?;
        }
        answer["median"].as_f64().ok_or_else(|| "the peer told no time".into())
    }
}
