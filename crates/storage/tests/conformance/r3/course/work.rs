//! Uploads, and what workers do with their claims, also with those that they lost.

use super::{Course, Verdict, WORKERS};
use crate::{
    desk::{loaded, new_chunk, new_document, vector_of, worker},
    r3::model::{Answer, Expected},
};
use domain::{
    ChunkId, DocumentId, JobId, JobKind,
    ingest::{Checkpoint, Failure, Stage},
    rag::Outage,
};
use services::ports::{Claim, NewJob};

/// No pause before another try is longer.
const LONGEST_PAUSE_SECONDS: i64 = 11;

impl Course<'_> {
    pub(super) async fn upload(&mut self) -> Verdict {
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

    pub(super) async fn claim(&mut self) -> Verdict {
        let (who, dies) = (self.dice.below(WORKERS) as u8, self.dice.below(4) == 0);
        let limit = 1 + self.dice.below(3) as u32;
        self.claim_as(who, dies, limit).await.map(drop)
    }

    /// How many there were.
    pub(super) async fn claim_as(&mut self, who: u8, dies: bool, limit: u32) -> Result<usize, String> {
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

    pub(super) async fn work(&mut self) -> Verdict {
        match self.claimed() {
            Some(claim) => self.work_on(&claim).await,
            None => Ok(()),
        }
    }

    pub(super) async fn finish(&mut self) -> Verdict {
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
    pub(super) async fn work_on(&mut self, claim: &Claim) -> Verdict {
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
    pub(super) async fn breaks(&mut self) -> Verdict {
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

    pub(super) async fn release(&mut self) -> Verdict {
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
}
