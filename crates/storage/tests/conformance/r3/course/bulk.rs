//! Actions over many documents, which have to do what they would have done to each.

use super::{Course, Verdict};
use crate::r3::model::Answer;
use domain::{
    Actor, BulkId, DocumentId, JobId, PhaseStatus,
    bulk::{BulkAction, Outcome},
    ingest::control::{Control, DocumentControl, Retry, RetryScope},
};
use services::ports::{Chosen, NewBulk};

impl Course<'_> {
    /// An action over some documents has to do what it would have done to each, and to count that.
    pub(super) async fn bulk(&mut self) -> Verdict {
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
}
