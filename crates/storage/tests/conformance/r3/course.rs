//! A course: what its dice say is done to the engine and to the model alike, and after each step the two are held
//! against each other.

mod bulk;
mod controls;
mod work;

use super::{
    engine::Engine,
    model::{Answer, Model, Task},
};
use crate::{desk::worker, support::World};
use domain::{DocumentId, JobId, Timestamp, UserId, WorkspaceId, ingest::control::Control};
use measure::dice::Dice;
use services::ports::{Claim, StoreError};
use sqlx::{AnyConnection, AssertSqlSafe, Executor, raw_sql};
use std::collections::BTreeMap;

/// Workers of a course.
const WORKERS: u64 = 3;
/// Claims that a step may be about: the newest ones, since the others are all lost.
const REMEMBERED: u64 = 7;

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
