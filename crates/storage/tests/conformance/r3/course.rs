//! A course: what its dice say is done to the engine and to the model alike, and after each step the two are held
//! against each other.

use super::{
    engine::Engine,
    model::{Answer, Expected, Model, Task},
};
use crate::{
    desk::{loaded, new_chunk, new_document, vector_of, worker},
    support::World,
};
use domain::{
    Actor, BulkId, ChunkId, DocumentId, JobId, JobKind, PhaseName, PhaseStatus, Timestamp, UserId,
    WorkspaceId,
    bulk::{BulkAction, Outcome},
    ingest::{
        Checkpoint, Failure, Stage,
        control::{Control, DocumentControl, Retry, RetryScope},
        deletion::{LATE_SECONDS, UNDO_SECONDS},
    },
    rag::Outage,
};
use measure::dice::Dice;
use services::ports::{Chosen, Claim, NewBulk, NewJob, StoreError};
use sqlx::{AnyConnection, AssertSqlSafe, Executor, raw_sql};
use std::collections::BTreeMap;

/// Workers of a course.
const WORKERS: u64 = 3;
/// Claims that a step may be about: the newest ones, since the others are all lost.
const REMEMBERED: u64 = 7;
/// No pause before another try is longer.
const LONGEST_PAUSE_SECONDS: i64 = 11;

/// What went wrong, in words.
pub type Verdict = Result<(), String>;

pub struct Course<'a> {
    pub engine: &'a mut Engine,
    pub model: Model,
    pub people: Vec<(UserId, WorkspaceId)>,
    pub world: &'a World,
    /// Past the store: to have its writer fail.
    pub outside: Option<&'a mut AnyConnection>,
    pub now: Timestamp,
    /// What was done, for whoever has to find out why it went wrong.
    pub told: Vec<String>,
    /// How far each job had come, by its attempt.
    pub bars: BTreeMap<JobId, (u32, f64)>,
    dice: Dice,
    claims: Vec<Claim>,
    /// The clock does not go back behind this.
    awake_at: Timestamp,
    /// The writer cannot write just now.
    is_broken: bool,
}

/// `None` where the writer could not write, which was planted.
type Said = Result<Option<Answer>, String>;

impl<'a> Course<'a> {
    pub fn new(
        engine: &'a mut Engine,
        world: &'a World,
        people: Vec<(UserId, WorkspaceId)>,
        outside: Option<&'a mut AnyConnection>,
        seed: u64,
    ) -> Self {
        let now = world.now();
        Self {
            engine,
            model: Model::default(),
            people,
            world,
            outside,
            now,
            told: vec![],
            bars: BTreeMap::new(),
            dice: Dice::new(seed),
            claims: vec![],
            awake_at: now,
            is_broken: false,
        }
    }

    /// So many steps; then everything has to come to its end.
    pub async fn go(&mut self, steps: u64) -> Verdict {
        for _ in 0..steps {
            self.step().await?;
            self.compare().await?;
        }
        self.drain().await?;
        self.compare().await?;
        self.audit().await
    }

    fn said<T: std::fmt::Debug>(&mut self, what: String, answer: &Result<T, StoreError>) -> Said {
        let said = match answer {
            Ok(_) => Some(Answer::Done),
            Err(StoreError::Fenced) => Some(Answer::Fenced),
            Err(StoreError::Illegal(_)) => Some(Answer::Illegal),
            Err(StoreError::Refused(_)) => Some(Answer::Refused),
            Err(StoreError::NotFound) => Some(Answer::NotFound),
            Err(_) if self.is_broken => None,
            Err(other) => return Err(format!("{what}: {other:?}")),
        };
        self.told.push(format!("{what} → {said:?}"));
        Ok(said)
    }

    /// Holds the answer against the model's.
    fn agree(&self, said: Answer, expected: Answer) -> Verdict {
        let last = self.told.last().cloned().unwrap_or_default();
        if said == expected { Ok(()) } else { Err(format!("{last}, and not {expected:?}")) }
    }

    fn document(&mut self) -> Option<(UserId, DocumentId)> {
        let all: Vec<_> = self.model.docs.iter().map(|(id, doc)| (doc.user, *id)).collect();
        (!all.is_empty()).then(|| *self.dice.one_of(&all))
    }

    fn job(&mut self) -> Option<(UserId, JobId)> {
        let all: Vec<_> = self.model.jobs.iter().map(|(id, job)| (job.user, *id)).collect();
        (!all.is_empty()).then(|| *self.dice.one_of(&all))
    }

    fn claimed(&mut self) -> Option<Claim> {
        let back = self.dice.below(REMEMBERED.min(self.claims.len() as u64)) as usize;
        let last = self.claims.len().checked_sub(1)?;
        self.claims.get(last - back).cloned()
    }

    fn holds(&self, claim: &Claim) -> bool {
        self.model.holds(claim.document_id, claim.job_id, claim.attempt, claim.fence)
    }

    async fn step(&mut self) -> Verdict {
        let breaks = self.outside.is_some() && self.dice.below(12) == 0;
        if breaks {
            self.break_the_writer().await?;
        }
        let done = self.one_step(breaks).await;
        if breaks {
            self.mend_the_writer().await?;
        }
        done
    }

    async fn one_step(&mut self, is_broken: bool) -> Verdict {
        self.let_time_pass();
        let has_database = self.engine.store.is_some();
        match self.dice.below(100) {
            0..10 => self.upload().await,
            10..24 => self.claim().await,
            24..42 => self.work().await,
            42..48 => self.finish().await,
            48..52 => self.breaks().await,
            52..55 => self.release().await,
            55..58 => self.heartbeat().await,
            58..60 => self.look_for_requests().await,
            60..62 => self.honour().await,
            62..63 => self.crash().await,
            63..77 => {
                self.control().await?;
                self.look_for_requests().await
            }
            77..89 => {
                self.control_document().await?;
                self.look_for_requests().await
            }
            89..93 if has_database => self.delete().await,
            93..97 if has_database => self.undo().await,
            97..100 if has_database && !is_broken => self.bulk().await,
            _ => self.finish().await,
        }
    }

    /// Mostly forward; a clock that is set right steps back.
    fn let_time_pass(&mut self) {
        let millis = self.dice.below(2_500) as i64;
        self.now = self.now.plus_micros(millis * 1_000);
        if self.dice.below(20) == 0 {
            let back = self.now.plus_seconds(-(self.dice.below(20) as i64));
            self.now = back.max(self.awake_at);
        }
    }

    async fn plant(&mut self, sql: String) -> Verdict {
        let Some(outside) = &mut self.outside else { return Ok(()) };
        outside.execute(raw_sql(AssertSqlSafe(sql))).await.map(drop).map_err(|e| e.to_string())
    }

    async fn break_the_writer(&mut self) -> Verdict {
        // In the middle of an item, or at the very end of its transaction.
        let at = *self.dice.one_of(&["INSERT ON events", "UPDATE ON jobs", "UPDATE ON documents"]);
        self.plant(format!("CREATE TRIGGER planted BEFORE {at} BEGIN SELECT RAISE(ABORT, 'planted'); END"))
            .await?;
        self.is_broken = true;
        self.told.push(format!("(the writer breaks before {at})"));
        Ok(())
    }

    async fn mend_the_writer(&mut self) -> Verdict {
        self.is_broken = false;
        self.plant("DROP TRIGGER planted".to_owned()).await
    }

    async fn upload(&mut self) -> Verdict {
        let (user_id, workspace_id) = *self.dice.one_of(&self.people);
        let count = 1 + self.dice.below(3);
        let ids: Vec<DocumentId> = (0..count).map(|_| DocumentId::new(self.world.uuid())).collect();
        let id = JobId::new(self.world.uuid());
        let documents = ids.iter().map(|id| new_document(*id, &format!("{id}.txt"))).collect();
        let new = NewJob {
            id,
            kind: JobKind::Upload,
            user_id,
            workspace_id,
            documents,
            command_id: None,
            command_print: None,
            created_at: self.now,
        };
        let done = self.engine.create(new).await;
        if let Some(said) = self.said(format!("upload {id} of {count}"), &done)? {
            self.agree(said, Answer::Done)?;
            self.model.create(user_id, id, &ids, self.now);
        }
        Ok(())
    }

    async fn claim(&mut self) -> Verdict {
        let (who, dies) = (self.dice.below(WORKERS) as u8, self.dice.below(4) == 0);
        let limit = 1 + self.dice.below(3) as u32;
        self.claim_as(who, dies, limit).await.map(drop)
    }

    /// How many there were.
    async fn claim_as(&mut self, who: u8, dies: bool, limit: u32) -> Result<usize, String> {
        let claims = self.engine.claim(&worker(&who.to_string()), dies, limit, self.now).await;
        let what = format!("claim {limit} by {who}{}", if dies { ", who dies" } else { "" });
        if self.said(what, &claims)?.is_none() {
            return Ok(0);
        }
        let claims = claims.map_err(|e| e.to_string())?;
        let expected = self.model.claim(who, dies, limit as usize);
        let found: Vec<Expected> = claims
            .iter()
            .map(|claim| Expected {
                document: claim.document_id,
                job: claim.job_id,
                fence: claim.fence,
                attempt: claim.attempt,
                stage: claim.stage,
                embeds: claim.embeds,
            })
            .collect();
        if found != expected {
            return Err(format!("claimed {found:?}, and not {expected:?}"));
        }
        self.claims.extend(claims);
        Ok(found.len())
    }

    async fn work(&mut self) -> Verdict {
        match self.claimed() {
            Some(claim) => self.work_on(&claim).await,
            None => Ok(()),
        }
    }

    async fn finish(&mut self) -> Verdict {
        let Some(claim) = self.claimed() else { return Ok(()) };
        // As far as it goes; a writer that cannot write would have it go on for ever.
        for _ in 0..20 {
            self.work_on(&claim).await?;
            if !self.holds(&claim) {
                break;
            }
        }
        Ok(())
    }

    /// The next piece of work of whoever has that claim. One that lost it does anything, which nobody may take.
    async fn work_on(&mut self, claim: &Claim) -> Verdict {
        let id = claim.document_id;
        let holds = self.holds(claim);
        let stage = if holds { self.model.docs[&id].stage } else { *self.dice.one_of(Stage::ALL) };
        let mut batch = vec![];
        let checkpoint = match stage {
            Stage::Loading => loaded(),
            Stage::Chunking => {
                let count = 1 + self.dice.below(5) as u32;
                batch = (0..count).map(|_| ChunkId::new(self.world.uuid())).collect();
                let text = |ordinal: u32| format!("passage {ordinal} of {id}");
                let chunk = |(ordinal, id): (u32, &ChunkId)| new_chunk(*id, ordinal, &text(ordinal));
                Checkpoint::Chunked { chunks: (0..count).zip(&batch).map(chunk).collect() }
            }
            Stage::Embedding => {
                batch = self.left_to_embed(id, holds).await?;
                Checkpoint::Embedded { vectors: batch.iter().map(|id| (*id, vector_of(*id))).collect() }
            }
            Stage::Indexing | Stage::Done => Checkpoint::Indexed,
        };
        let done = self.engine.checkpoint(claim, checkpoint, self.now).await;
        let what = format!("{stage} of {id}, fence {}", claim.fence);
        let Some(said) = self.said(what, &done)? else { return Ok(()) };
        self.agree(said, if holds { Answer::Done } else { Answer::Fenced })?;
        if holds {
            match stage {
                Stage::Loading => self.model.loaded(id),
                Stage::Chunking => self.model.chunked(id, batch),
                Stage::Embedding => self.model.embedded(id, &batch),
                Stage::Indexing | Stage::Done => self.model.indexed(id),
            }
        }
        Ok(())
    }

    /// At most three passages at a time.
    async fn left_to_embed(&mut self, id: DocumentId, holds: bool) -> Result<Vec<ChunkId>, String> {
        let left = self.engine.jobs.unembedded(id, 100).await.map_err(|e| e.to_string())?;
        let mut left: Vec<ChunkId> = left.iter().map(|chunk| chunk.id).collect();
        let expected = self.model.unembedded(id);
        if holds && left != expected {
            return Err(format!("{id}: {left:?} are left to embed, and not {expected:?}"));
        }
        left.truncate(3);
        Ok(left)
    }

    /// Something breaks: for good, so that it may heal, or because somebody else is away.
    async fn breaks(&mut self) -> Verdict {
        let Some(claim) = self.claimed() else { return Ok(()) };
        let (retryable, waits) = (self.dice.below(3) > 0, self.dice.below(3) == 0);
        let checkpoint = if waits {
            let next_try = self.now.plus_seconds(LONGEST_PAUSE_SECONDS / 2);
            Checkpoint::Waits(Outage { since: self.now, next_try, busy: false })
        } else {
            let message = "It broke.".to_owned();
            Checkpoint::Failed(Failure { code: "broken".into(), message, hint: None, retryable })
        };
        let holds = self.holds(&claim);
        let done = self.engine.checkpoint(&claim, checkpoint, self.now).await;
        let id = claim.document_id;
        let what = match (waits, retryable) {
            (true, _) => format!("{id} waits for its model"),
            (false, true) => format!("{id} breaks, and may heal"),
            (false, false) => format!("{id} breaks"),
        };
        let Some(said) = self.said(what, &done)? else { return Ok(()) };
        self.agree(said, if holds { Answer::Done } else { Answer::Fenced })?;
        let again = holds && (waits || self.model.broke(id, retryable));
        if holds && waits {
            self.model.waits(id);
        }
        if again {
            // Its next try is put off, which is told by its rule's own tests; here that time passes.
            self.now = self.now.plus_seconds(LONGEST_PAUSE_SECONDS);
            self.awake_at = self.awake_at.max(self.now);
        }
        Ok(())
    }

    async fn release(&mut self) -> Verdict {
        let Some(claim) = self.claimed() else { return Ok(()) };
        let holds = self.holds(&claim);
        let done = self.engine.release(&claim, self.now).await;
        let Some(said) = self.said(format!("{} is given back", claim.document_id), &done)? else {
            return Ok(());
        };
        self.agree(said, if holds { Answer::Done } else { Answer::Fenced })?;
        if holds {
            self.model.release(claim.document_id);
        }
        Ok(())
    }

    async fn heartbeat(&mut self) -> Verdict {
        let (who, dies) = (self.dice.below(WORKERS) as u8, self.dice.below(3) == 0);
        // Of some that it holds it never heard, since the answer to its claim was lost.
        let mut in_hand = self.model.held_by(who);
        in_hand.retain(|_| self.dice.below(8) > 0);
        let held = self.engine.heartbeat(&worker(&who.to_string()), &in_hand, dies).await;
        if self.said(format!("{who} lives{}", if dies { " for the last time" } else { "" }), &held)?.is_none()
        {
            return Ok(());
        }
        let held = held.map_err(|e| e.to_string())?;
        if held != in_hand {
            return Err(format!("{who} holds {held:?}, and not {in_hand:?}"));
        }
        self.model.heartbeat(who, &in_hand, dies);
        Ok(())
    }

    /// What each worker is to give back.
    async fn look_for_requests(&mut self) -> Verdict {
        for who in 0..WORKERS as u8 {
            let asked = self.engine.asked(&worker(&who.to_string())).await.map_err(|e| e.to_string())?;
            let expected = self.model.asked(who);
            if asked != expected {
                return Err(format!("{who} is asked for {asked:?}, and not for {expected:?}"));
            }
        }
        Ok(())
    }

    async fn honour(&mut self) -> Verdict {
        let done = self.engine.honour_requests(self.now).await;
        // What can be written before the writer breaks is written: each job is a transaction of its own.
        if self.said("requests are looked for".to_owned(), &done)?.is_some() {
            self.model.honour_requests();
        }
        Ok(())
    }

    async fn crash(&mut self) -> Verdict {
        let done = self.engine.crash().await;
        if self.said("all workers die".to_owned(), &done)?.is_some() {
            self.model.crash();
        }
        Ok(())
    }

    async fn control(&mut self) -> Verdict {
        let Some((user, id)) = self.job() else { return Ok(()) };
        let control = match self.dice.below(15) {
            14 => Control::First,
            0..3 => Control::Pause,
            3..6 => Control::Resume,
            6 => Control::Cancel { keep_results: true },
            7 => Control::Cancel { keep_results: false },
            8 => Control::CancelPhase(PhaseName::Embedding),
            9 => Control::Retry(Retry { scope: RetryScope::All, ..Retry::failed() }),
            10 => {
                let phase = Some(*self.dice.one_of(PhaseName::ALL));
                Control::Retry(Retry { scope: RetryScope::Phase, phase, ..Retry::failed() })
            }
            11 => match self.document() {
                Some((_, document)) => Control::Retry(Retry::document(document)),
                None => Control::Resume,
            },
            _ => Control::Retry(Retry::failed()),
        };
        self.control_as(user, id, control).await
    }

    async fn control_as(&mut self, user: UserId, id: JobId, control: Control) -> Verdict {
        let job = self.engine.jobs.job(user, id).await.map_err(|e| e.to_string())?;
        let embedding = job.map_or(PhaseStatus::Pending, |job| job.phase_details[2].status);
        let done = self.engine.control(user, id, control.clone(), self.now).await;
        if let Some(said) = self.said(format!("{control:?} of {id}"), &done)? {
            let expected = self.model.control(id, &control, embedding);
            self.agree(said, expected)?;
        }
        Ok(())
    }

    async fn control_document(&mut self) -> Verdict {
        let Some((user, id)) = self.document() else { return Ok(()) };
        let control = match self.dice.below(9) {
            0..3 => DocumentControl::Pause,
            3..6 => DocumentControl::Resume,
            6 => DocumentControl::Cancel { keep_results: true },
            7 => DocumentControl::Cancel { keep_results: false },
            _ => DocumentControl::SkipEmbedding,
        };
        self.control_document_as(user, id, control).await
    }

    async fn control_document_as(
        &mut self,
        user: UserId,
        id: DocumentId,
        control: DocumentControl,
    ) -> Verdict {
        let done = self.engine.control_document(user, id, control, self.now).await;
        if let Some(said) = self.said(format!("{control:?} of {id}"), &done)? {
            let expected = self.model.control_document(id, control);
            self.agree(said, expected)?;
        }
        Ok(())
    }

    async fn delete(&mut self) -> Verdict {
        let Some((user, id)) = self.document() else { return Ok(()) };
        let done = self.engine.delete(user, id, self.now).await;
        if let Some(said) = self.said(format!("{id} is deleted"), &done)? {
            let expected = self.model.delete(id, self.now);
            self.agree(said, expected)?;
        }
        Ok(())
    }

    async fn undo(&mut self) -> Verdict {
        let deleted: Vec<_> = self.model.docs.iter().filter(|(_, doc)| doc.deleted.is_some()).collect();
        if deleted.is_empty() {
            return Ok(());
        }
        let deleted: Vec<_> = deleted.into_iter().map(|(id, doc)| (doc.user, *id)).collect();
        let (user, id) = *self.dice.one_of(&deleted);
        let since = self.now.plus_seconds(-UNDO_SECONDS - LATE_SECONDS);
        let job = JobId::new(self.world.uuid());
        let done = self.engine.undo(user, id, job, since, self.now).await;
        if let Some(said) = self.said(format!("{id} is brought back"), &done)? {
            let expected = self.model.undo(id, job, since, self.now);
            self.agree(said, expected)?;
        }
        Ok(())
    }

    /// An action over some documents has to do what it would have done to each, and to count that.
    async fn bulk(&mut self) -> Verdict {
        let (user, workspace) = *self.dice.one_of(&self.people);
        let mut chosen: Vec<DocumentId> =
            self.model.docs.iter().filter(|(_, doc)| doc.user == user).map(|(id, _)| *id).collect();
        chosen.retain(|_| self.dice.below(2) == 0);
        let action = *self.dice.one_of(&[
            BulkAction::Pause,
            BulkAction::Resume,
            BulkAction::Cancel,
            BulkAction::Delete,
            BulkAction::Retry,
        ]);
        let new = NewBulk {
            id: BulkId::new(self.world.uuid()),
            user_id: user,
            workspace_id: workspace,
            action,
            tag: None,
            chosen: Chosen::These(chosen.clone()),
            actor: Actor::user(user, "ada"),
            command_id: None,
            command_print: None,
            created_at: self.now,
        };
        let at_once = 1 + self.dice.below(3) as usize;
        let handle = self.engine.bulk(new, at_once, self.world).await;
        self.said(format!("{action} of {chosen:?}"), &handle)?;
        let handle = handle.map_err(|e| e.to_string())?;
        let outcomes = self.bulk_of_model(action, &chosen);
        let count = |wanted: Outcome| outcomes.iter().filter(|outcome| **outcome == wanted).count() as u64;
        let expected =
            (outcomes.len() as u64, count(Outcome::Done), count(Outcome::Failed), count(Outcome::Refused));
        let found = (handle.total, handle.done, handle.failed, handle.refused);
        if found != expected {
            return Err(format!("{action} of {chosen:?} counted {found:?}, and not {expected:?}"));
        }
        Ok(())
    }

    fn bulk_of_model(&mut self, action: BulkAction, chosen: &[DocumentId]) -> Vec<Outcome> {
        let outcome = |answer: Answer| match answer {
            Answer::Done => Outcome::Done,
            Answer::NotFound => Outcome::Failed,
            Answer::Fenced | Answer::Illegal | Answer::Refused => Outcome::Refused,
        };
        if action == BulkAction::Retry {
            return self.bulk_retry_of_model(chosen);
        }
        let one = |id: &DocumentId| match action {
            BulkAction::Delete => outcome(self.model.delete(*id, self.now)),
            BulkAction::Pause => outcome(self.model.control_document(*id, DocumentControl::Pause)),
            BulkAction::Resume => outcome(self.model.control_document(*id, DocumentControl::Resume)),
            _ => outcome(self.model.control_document(*id, DocumentControl::Cancel { keep_results: true })),
        };
        chosen.iter().map(one).collect()
    }

    /// Those of one job run together.
    fn bulk_retry_of_model(&mut self, chosen: &[DocumentId]) -> Vec<Outcome> {
        let mut outcomes = vec![];
        let mut jobs: Vec<JobId> = vec![];
        for id in chosen {
            let doc = &self.model.docs[id];
            if doc.deleted.is_some() {
                outcomes.push(Outcome::Failed);
            } else if !jobs.contains(&doc.job) {
                jobs.push(doc.job);
            }
        }
        for job in jobs {
            let of_job = |id: &&DocumentId| {
                let doc = &self.model.docs[*id];
                doc.job == job && doc.deleted.is_none()
            };
            let document_ids: Vec<DocumentId> = chosen.iter().filter(of_job).copied().collect();
            let before: Vec<_> = document_ids.iter().map(|id| self.model.docs[id].state).collect();
            let retry = Retry { scope: RetryScope::Documents, document_ids, ..Retry::failed() };
            let answer = self.model.control(job, &Control::Retry(retry.clone()), PhaseStatus::Pending);
            for (id, before) in retry.document_ids.iter().zip(before) {
                let runs = answer == Answer::Done && self.model.docs[id].state != before;
                outcomes.push(if runs { Outcome::Done } else { Outcome::Refused });
            }
        }
        outcomes
    }

    /// All that stands goes on, and what can be done is done: nothing may be left.
    async fn drain(&mut self) -> Verdict {
        self.told.push("— the end —".to_owned());
        self.crash().await?;
        self.honour().await?;
        let jobs: Vec<_> = self.model.jobs.iter().map(|(id, job)| (job.user, *id)).collect();
        for (user, id) in jobs {
            self.control_as(user, id, Control::Resume).await?;
        }
        // Each claim brings at least one document to its end.
        for _ in 0..=self.model.docs.len() {
            if self.claim_as(0, false, 3).await? == 0 {
                break;
            }
            let held: Vec<Claim> = self.claims.iter().filter(|claim| self.holds(claim)).cloned().collect();
            for claim in held {
                for _ in 0..20 {
                    if self.holds(&claim) {
                        self.work_on(&claim).await?;
                    }
                }
            }
        }
        match self.model.docs.iter().find(|(_, doc)| doc.task != Task::Ended) {
            None => Ok(()),
            Some((id, doc)) => Err(format!("{id} never comes to its end: {doc:?}")),
        }
    }
}
