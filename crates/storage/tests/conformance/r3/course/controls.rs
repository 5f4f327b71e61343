//! What people ask of one job or one document, also to delete it and to undo that.

use super::{Course, Verdict};
use domain::{
    DocumentId, JobId, PhaseName, PhaseStatus, UserId,
    ingest::{
        control::{Control, DocumentControl, Retry, RetryScope},
        deletion::{LATE_SECONDS, UNDO_SECONDS},
    },
};

impl Course<'_> {
    pub(super) async fn control(&mut self) -> Verdict {
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

    pub(super) async fn control_as(&mut self, user: UserId, id: JobId, control: Control) -> Verdict {
        let job = self.engine.jobs.job(user, id).await.map_err(|e| e.to_string())?;
        let embedding = job.map_or(PhaseStatus::Pending, |job| job.phase_details[2].status);
        let done = self.engine.control(user, id, control.clone(), self.now).await;
        if let Some(said) = self.said(format!("{control:?} of {id}"), &done)? {
            let expected = self.model.control(id, &control, embedding);
            self.agree(said, expected)?;
        }
        Ok(())
    }

    pub(super) async fn control_document(&mut self) -> Verdict {
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

    pub(super) async fn delete(&mut self) -> Verdict {
        let Some((user, id)) = self.document() else { return Ok(()) };
        let done = self.engine.delete(user, id, self.now).await;
        if let Some(said) = self.said(format!("{id} is deleted"), &done)? {
            let expected = self.model.delete(id, self.now);
            self.agree(said, expected)?;
        }
        Ok(())
    }

    pub(super) async fn undo(&mut self) -> Verdict {
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
}
