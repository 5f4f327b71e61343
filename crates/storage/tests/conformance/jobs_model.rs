//! Random commands, given to the store in memory and to a database alike: each answers the same, and in the end every
//! job, document, chunk and event is the same. This is what keeps the engines from growing apart.

mod commands;

use crate::{
    desk::{LONG, failed, keyword_only, loaded, new_chunk, new_document, step, vector_of, worker},
    support::{Place, World},
};
use commands::{Command, USERS, command};
use domain::{
    ChunkId, DocumentId, DocumentStatus, Epoch, HistoryEntry, JobId, JobKind, PhaseName, Step, Timestamp,
    UserId, WorkspaceId, WorkspaceStatus,
    ingest::{
        Checkpoint, Failure, Stage,
        control::{Control, DocumentControl, Retry, RetryScope},
    },
    rag::RagConfig,
    report::DocumentReport,
    status::Processor,
    validate::{Description, Email, Username, WorkspaceName},
};
use proptest::prelude::*;
use services::ports::{
    Accounts, Claim, Documents, EventLog, History, HistoryOf, HistoryQuery, JobStore, NewJob, NewReindex,
    NewUser, NewWorkspace, PageQuery, RagConfigs, StoreError, WorkspaceEdit, Workspaces,
};
use std::fmt::Debug;
use storage::memory::MemoryStore;

/// The two stores, and what the workers believe.
struct Twins<D> {
    memory: MemoryStore,
    database: D,
    users: Vec<(UserId, WorkspaceId, WorkspaceId)>,
    claims: Vec<Claim>,
    jobs: Vec<(UserId, JobId)>,
    documents: Vec<(UserId, DocumentId)>,
    now: Timestamp,
    next_id: u128,
}

/// What both answered, when it is the same.
fn same<T: Debug>(a: Result<T, StoreError>, b: Result<T, StoreError>) -> Result<Option<T>, TestCaseError> {
    prop_assert_eq!(format!("{:#?}", a), format!("{:#?}", b));
    Ok(a.ok())
}

impl<D: JobStore + Documents + EventLog + History + Accounts + Workspaces + RagConfigs> Twins<D> {
    async fn new(world: &World, database: D) -> Self {
        let memory = MemoryStore::new(Epoch("memory".into()), world.bus.clone(), world.clock.clone());
        let mut users = vec![];
        for n in 0..USERS {
            let user = UserId::new(world.uuid());
            let workspaces = (WorkspaceId::new(world.uuid()), WorkspaceId::new(world.uuid()));
            let new = |id, rag_config| NewWorkspace {
                id,
                user_id: user,
                name: WorkspaceName::parse("Workspace").unwrap(),
                description: Description::parse("").unwrap(),
                status: WorkspaceStatus::Ready,
                processor: Processor::Builtin,
                rag_config,
                command_id: None,
                command_print: None,
                created_at: world.now(),
            };
            let account = NewUser {
                id: user,
                username: Username::parse(&format!("user-{n}")).unwrap(),
                email: Email::parse(&format!("user-{n}@example.org")).unwrap(),
                full_name: None,
                password_hash: "hash".into(),
                created_at: world.now(),
            };
            database.create_user(account, new(workspaces.0, RagConfig::default())).await.unwrap();
            database.create_workspace(new(workspaces.1, keyword_only())).await.unwrap();
            memory.add_user(user);
            memory.add_workspace(
                user,
                workspaces.0,
                WorkspaceStatus::Ready,
                RagConfig::default(),
                world.now(),
            );
            memory.add_workspace(user, workspaces.1, WorkspaceStatus::Ready, keyword_only(), world.now());
            // The database told of the new workspaces; so does the memory now, or the numbers would differ.
            let told = database.after(user, 0, u32::MAX).await.unwrap();
            let told = told.iter().map(|e| e.event().unwrap()).collect();
            memory.append(user, told, world.now()).await.unwrap();
            // Their names are all the same; the rest of a workspace is the same already.
            users.push((user, workspaces.0, workspaces.1));
        }
        Self {
            memory,
            database,
            users,
            claims: vec![],
            jobs: vec![],
            documents: vec![],
            now: world.now(),
            next_id: 1 << 100,
        }
    }

    fn id(&mut self) -> uuid::Uuid {
        self.next_id += 1;
        uuid::Uuid::from_u128(self.next_id)
    }

    fn claim_at(&self, n: usize) -> Option<Claim> {
        // The newest are asked for most often: the old ones are all lost.
        let last = self.claims.len().checked_sub(1)?;
        Some(self.claims[last - n % self.claims.len().min(6)].clone())
    }

    async fn check(&self, claim: &Claim, checkpoint: Checkpoint) -> Result<bool, TestCaseError> {
        let a = self.memory.checkpoint(claim, checkpoint.clone(), self.now).await;
        let b = self.database.checkpoint(claim, checkpoint, self.now).await;
        Ok(same(a, b)?.is_some())
    }

    fn chunks(&mut self, n: u32) -> Checkpoint {
        let chunks = (0..n)
            .map(|ordinal| new_chunk(ChunkId::new(self.id()), ordinal, &format!("passage {ordinal}")))
            .collect();
        Checkpoint::Chunked { chunks }
    }

    async fn next_vectors(&self, document: DocumentId) -> Result<Checkpoint, TestCaseError> {
        let a = self.memory.unembedded(document, 3).await;
        let left = same(a, self.database.unembedded(document, 3).await)?.unwrap_or_default();
        Ok(Checkpoint::Embedded { vectors: left.iter().map(|c| (c.id, vector_of(c.id))).collect() })
    }

    /// What a worker with that claim would do next; its knowledge of the stage is kept in the claim.
    async fn next_work(&mut self, claim: &Claim, chunks: u32) -> Result<(Checkpoint, Stage), TestCaseError> {
        Ok(match claim.stage {
            Stage::Loading => (loaded(), Stage::Chunking),
            Stage::Chunking if claim.embeds => (self.chunks(chunks), Stage::Embedding),
            Stage::Chunking => (self.chunks(chunks), Stage::Indexing),
            Stage::Embedding => {
                let vectors = self.next_vectors(claim.document_id).await?;
                let last = self.memory.unembedded(claim.document_id, 4).await.unwrap().len() < 4;
                (vectors, if last { Stage::Indexing } else { Stage::Embedding })
            }
            Stage::Indexing | Stage::Done => (Checkpoint::Indexed, Stage::Done),
        })
    }

    async fn work(&mut self, claim: &Claim, chunks: u32) -> Result<bool, TestCaseError> {
        let (checkpoint, next) = self.next_work(claim, chunks).await?;
        let done = self.check(claim, checkpoint).await?;
        if done {
            for c in &mut self.claims {
                if (c.document_id, c.fence) == (claim.document_id, claim.fence) {
                    c.stage = next;
                }
            }
        }
        Ok(done)
    }

    async fn run(&mut self, command: Command) -> Result<(), TestCaseError> {
        match command {
            Command::Create { user, keyword, stranger, documents, command } => {
                let (user_id, vector, by_keyword) = self.users[user];
                let workspace_id = match (stranger, keyword) {
                    (true, _) => self.users[(user + 1) % USERS].1,
                    (false, true) => by_keyword,
                    (false, false) => vector,
                };
                let documents = (0..documents)
                    .map(|n| new_document(DocumentId::new(self.id()), &format!("{n}.txt")))
                    .collect();
                let new = NewJob {
                    id: JobId::new(self.id()),
                    kind: JobKind::Upload,
                    user_id,
                    workspace_id,
                    documents,
                    command_id: command.map(|c| c.to_string()),
                    command_print: None,
                    created_at: self.now,
                };
                let a = self.memory.create_job(new.clone()).await;
                if let Some((job, documents)) = same(a, self.database.create_job(new).await)? {
                    self.jobs.push((user_id, job.job_id));
                    self.documents.extend(documents.iter().map(|d| (user_id, d.id)));
                }
            }
            Command::Claim { worker: w, dies, limit } => {
                let (me, lease) = (worker(&w.to_string()), if dies { 0 } else { LONG });
                let a = self.memory.claim(&me, lease, limit, self.now).await;
                let b = self.database.claim(&me, lease, limit, self.now).await;
                self.claims.extend(same(a, b)?.unwrap_or_default());
            }
            Command::Work { claim, chunks } => {
                if let Some(claim) = self.claim_at(claim) {
                    self.work(&claim, chunks).await?;
                }
            }
            Command::Finish { claim, chunks } => {
                while let Some(claim) = self.claim_at(claim) {
                    if claim.stage == Stage::Done || !self.work(&claim, chunks).await? {
                        break;
                    }
                }
            }
            Command::Fail { claim } => {
                if let Some(claim) = self.claim_at(claim) {
                    self.check(&claim, failed("It broke.")).await?;
                }
            }
            Command::Any { claim, which } => {
                if let Some(claim) = self.claim_at(claim) {
                    let checkpoint = match which {
                        0 => step(Step::ExtractingText),
                        1 => step(Step::CreatingEmbeddings),
                        2 => loaded(),
                        3 => self.chunks(2),
                        4 => Checkpoint::Embedded { vectors: vec![(ChunkId::new(self.id()), vec![1.0])] },
                        _ => Checkpoint::Indexed,
                    };
                    self.check(&claim, checkpoint).await?;
                }
            }
            Command::Release { claim } => {
                if let Some(claim) = self.claim_at(claim) {
                    let a = self.memory.release(&claim, self.now).await;
                    same(a, self.database.release(&claim, self.now).await)?;
                }
            }
            Command::Heartbeat { worker: w, dies } => {
                let (me, lease) = (worker(&w.to_string()), if dies { 0 } else { LONG });
                // All but the oldest, of which the worker never heard.
                let known: Vec<DocumentId> = self.documents.iter().skip(1).map(|(_, id)| *id).collect();
                let a = self.memory.heartbeat(&me, &known, lease).await;
                same(a, self.database.heartbeat(&me, &known, lease).await)?;
            }
            Command::VoidLeases => {
                same(self.memory.void_leases().await, self.database.void_leases().await)?;
            }
            Command::Configure { user, keyword, which } => {
                let (user, vector, by_keyword) = self.users[user];
                let id = if keyword { by_keyword } else { vector };
                let config = match which {
                    0 => RagConfig::default(),
                    1 => keyword_only(),
                    2 => RagConfig { chunk_size: 500, ..RagConfig::default() },
                    _ => RagConfig { embedding_model: "another".into(), ..RagConfig::default() },
                };
                let a = self.memory.set_rag_config(user, id, config.clone(), self.now);
                same(a, self.database.set_rag_config(user, id, config, self.now).await.map(drop))?;
            }
            Command::Tell { user, keyword, limit } => {
                let (_, vector, by_keyword) = self.users[user];
                let id = if keyword { by_keyword } else { vector };
                let a = self.memory.compare(id, limit, self.now).await;
                same(a, self.database.compare(id, limit, self.now).await)?;
            }
            Command::Reindex { user, keyword, stranger, command } => {
                let (user_id, vector, by_keyword) = self.users[user];
                let workspace_id = match (stranger, keyword) {
                    (true, _) => self.users[(user + 1) % USERS].1,
                    (false, true) => by_keyword,
                    (false, false) => vector,
                };
                let new = NewReindex {
                    id: JobId::new(self.id()),
                    user_id,
                    workspace_id,
                    command_id: command.map(|c| c.to_string()),
                    created_at: self.now,
                };
                let a = self.memory.reindex(new.clone()).await;
                if let Some(Some(job)) = same(a, self.database.reindex(new).await)? {
                    self.jobs.push((user_id, job.job_id));
                }
            }
            Command::Requeue { job, limit } => {
                if let Some(&(user, job)) = self.jobs.get(job % self.jobs.len().max(1)) {
                    let a = self.memory.requeue(user, job, limit, self.now).await;
                    same(a, self.database.requeue(user, job, limit, self.now).await)?;
                }
            }
            Command::Give { user, keyword, outside } => {
                let (user, vector, by_keyword) = self.users[user];
                let id = if keyword { by_keyword } else { vector };
                let processor = if outside { Processor::External } else { Processor::Builtin };
                let a = self.memory.set_processor(user, id, processor, self.now);
                let edit = WorkspaceEdit { processor: Some(processor), ..WorkspaceEdit::default() };
                same(a, self.database.edit_workspace(user, id, edit, self.now).await.map(drop))?;
            }
            Command::Report { document, status, step, progress, chunks } => {
                if let Some(&(user, id)) = self.documents.get(document % self.documents.len().max(1)) {
                    use DocumentStatus::{Failed, Pending, Processing, Ready};
                    let report = DocumentReport {
                        step: [
                            None,
                            Some("validating"),
                            Some("creating_embeddings"),
                            Some("own_step"),
                            Some("finished"),
                        ][step]
                            .map(str::to_owned),
                        progress: (progress % 3 == 0).then_some(f64::from(progress)),
                        chunk_count: chunks,
                        metadata: chunks.map(|n| serde_json::json!({ "said": n })),
                        ..DocumentReport::of(
                            [Processing, Processing, Processing, Ready, Failed, Pending][status],
                        )
                    };
                    let a = self.memory.report_document(user, id, report.clone(), self.now).await;
                    same(a, self.database.report_document(user, id, report, self.now).await)?;
                }
            }
            Command::TellQueue { limit } => {
                let a = self.memory.tell_queue(limit, self.now).await;
                same(a, self.database.tell_queue(limit, self.now).await)?;
            }
            Command::TellInterrupted { seconds, limit } => {
                let a = self.memory.tell_interrupted(seconds, limit, self.now).await;
                same(a, self.database.tell_interrupted(seconds, limit, self.now).await)?;
            }
            Command::TellUnheard { seconds, limit } => {
                let a = self.memory.tell_unheard(seconds, limit, self.now).await;
                same(a, self.database.tell_unheard(seconds, limit, self.now).await)?;
            }
            Command::TellRest { limit } => {
                let a = self.memory.tell_rest(limit, self.now).await;
                same(a, self.database.tell_rest(limit, self.now).await)?;
            }
            Command::Control { job, which } => {
                if let Some(&(user, job)) = self.jobs.get(job % self.jobs.len().max(1)) {
                    let control = job_control(which);
                    let a = self.memory.control(user, job, control.clone(), self.now).await;
                    same(a, self.database.control(user, job, control, self.now).await)?;
                }
            }
            Command::ControlDocument { document, which } => {
                if let Some(&(user, id)) = self.documents.get(document % self.documents.len().max(1)) {
                    if which == 5 {
                        let job = self.memory.document(user, id).await.unwrap().and_then(|d| d.job_id);
                        let control = Control::Retry(Retry::document(id));
                        if let Some(job) = job {
                            let a = self.memory.control(user, job, control.clone(), self.now).await;
                            same(a, self.database.control(user, job, control, self.now).await)?;
                        }
                        return Ok(());
                    }
                    let control = document_control(which);
                    let a = self.memory.control_document(user, id, control, self.now).await;
                    same(a, self.database.control_document(user, id, control, self.now).await)?;
                }
            }
            Command::Honour { limit } => {
                let a = self.memory.honour_requests(limit, self.now).await;
                same(a, self.database.honour_requests(limit, self.now).await)?;
            }
            Command::Break { claim } => {
                if let Some(claim) = self.claim_at(claim) {
                    let failure = Failure {
                        code: "unreachable".into(),
                        message: "It did not answer.".into(),
                        hint: None,
                        retryable: true,
                    };
                    self.check(&claim, Checkpoint::Failed(failure)).await?;
                }
            }
            Command::Wait { millis } => self.now = self.now.plus_micros(millis * 1_000),
        }
        Ok(())
    }

    /// Everything that can be read.
    async fn compare(&self) -> Result<(), TestCaseError> {
        let (a, b) = (&self.memory, &self.database);
        let all = || PageQuery::first(PageQuery::MAX);
        for &(user, vector, keyword) in &self.users {
            let (told_a, told_b) =
                (a.after(user, 0, u32::MAX).await.unwrap(), b.after(user, 0, u32::MAX).await.unwrap());
            // To the byte, the time of each included. The first two tell of the workspaces and are copies.
            for (a, b) in told_a.iter().zip(&told_b).skip(2) {
                let text = |e: &services::ports::LoggedEvent| String::from_utf8_lossy(&e.frame).into_owned();
                prop_assert_eq!(text(a), text(b));
            }
            prop_assert_eq!(told_a.len(), told_b.len());
            prop_assert_eq!(a.head(user).await.unwrap(), b.head(user).await.unwrap());
            same(a.jobs(user, None, all()).await, b.jobs(user, None, all()).await)?;
            for workspace in [vector, keyword] {
                let of = HistoryOf::Workspace(workspace);
                let (mut a, mut b) = (whole(a, user, of).await, whole(b, user, of).await);
                // The first of each tells that it was made, which the memory copied.
                a.remove(0);
                b.remove(0);
                prop_assert_eq!(a, b);
            }
            for workspace in [vector, keyword] {
                same(
                    a.documents(user, workspace, None, all()).await,
                    b.documents(user, workspace, None, all()).await,
                )?;
                same(a.newest_job(user, workspace).await, b.newest_job(user, workspace).await)?;
            }
        }
        for &(user, job) in &self.jobs {
            same(a.job(user, job).await, b.job(user, job).await)?;
            same(a.attempts(user, job).await, b.attempts(user, job).await)?;
        }
        for &(user, document) in &self.documents {
            same(a.document(user, document).await, b.document(user, document).await)?;
            same(a.chunks(user, document, None, all()).await, b.chunks(user, document, None, all()).await)?;
            same(a.steps(user, document).await, b.steps(user, document).await)?;
            same(a.unembedded(document, 100).await, b.unembedded(document, 100).await)?;
            same(a.blob_key(user, document).await, b.blob_key(user, document).await)?;
        }
        Ok(())
    }
}

fn job_control(which: u8) -> Control {
    match which {
        0 => Control::Pause,
        1 | 2 => Control::Resume,
        3 => Control::Cancel { keep_results: true },
        4 => Control::Cancel { keep_results: false },
        5 => Control::CancelPhase(PhaseName::Embedding),
        8 => Control::First,
        6 => Control::Retry(Retry { scope: RetryScope::All, ..Retry::failed() }),
        _ => Control::Retry(Retry::failed()),
    }
}

fn document_control(which: u8) -> DocumentControl {
    match which {
        0 => DocumentControl::Pause,
        1 => DocumentControl::Resume,
        2 => DocumentControl::Cancel { keep_results: true },
        3 => DocumentControl::Cancel { keep_results: false },
        _ => DocumentControl::SkipEmbedding,
    }
}

async fn whole(log: &impl History, user: UserId, of: HistoryOf) -> Vec<HistoryEntry> {
    let (mut all, mut after) = (vec![], None);
    loop {
        let query = HistoryQuery { limit: PageQuery::MAX, after, newest_first: false, transitions: false };
        let page = log.history(user, of, query).await.unwrap();
        all.extend(page.items);
        after = page.next;
        if after.is_none() {
            return all;
        }
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

fn holds_for(cases: u32, place: impl Fn(&tokio::runtime::Runtime) -> Place) {
    let runtime = runtime();
    let config = ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() };
    proptest!(config, |(commands in prop::collection::vec(command(), 1..60))| {
        let place = place(&runtime);
        runtime.block_on(async {
            let world = World::new();
            let store = crate::subject::open(&place, &world).await;
            let mut twins = Twins::new(&world, store.clone()).await;
            let mut outcome = Ok(());
            for command in commands {
                outcome = twins.run(command).await;
                if outcome.is_err() {
                    break;
                }
            }
            if outcome.is_ok() {
                outcome = twins.compare().await;
            }
            store.close().await;
            outcome
        })?;
    });
}

#[test]
fn sqlite_does_what_the_memory_does() {
    holds_for(48, |runtime| runtime.block_on(Place::sqlite()));
}

#[test]
fn postgres_does_what_the_memory_does() {
    holds_for(16, |runtime| runtime.block_on(Place::postgres()));
}
