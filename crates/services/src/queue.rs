//! Telling those who wait how their place in the queue falls. A place changes when somebody else's job ends, so it is
//! told from here, a little later and a few at a time, instead of in the transaction of that end, which would have to
//! write to everybody who waits.

use crate::{
    Services,
    ports::{LoggedEvent, Signal, heard},
};
use std::time::Duration;

/// Jobs that are told at once, the nearest to their turn first.
const AT_ONCE: u32 = 100;
/// Between two rounds: a queue that moves quickly is told of in steps.
const PAUSE: Duration = Duration::from_millis(500);
/// The fallback for an end that went unheard, such as one on another server.
const FALLBACK: Duration = Duration::from_secs(5);

impl Services {
    /// Tells for as long as the future is polled.
    pub async fn run_queue_herald(self) {
        let mut bus = self.bus.subscribe();
        loop {
            match self.jobs.tell_queue(AT_ONCE, self.clock.now()).await {
                Ok(0) => {}
                Ok(told) => tracing::debug!(told, "places in the queue were told"),
                Err(e) => tracing::warn!(error = %e, "places in the queue will be told later"),
            }
            tokio::time::sleep(PAUSE).await;
            let wake = heard(&mut bus, |signal| matches!(signal, Signal::Event(e) if may_move_the_queue(e)));
            let _ = tokio::time::timeout(FALLBACK, wake).await;
        }
    }
}

/// A job that ended, however it did, or whose status turned otherwise.
fn may_move_the_queue(event: &LoggedEvent) -> bool {
    matches!(event.name, "job_update" | "job_complete" | "job_error") && !event.progress
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::{
        DocumentId, Event, Job, JobId, JobKind, JobStatus, Timestamp, UserId, WorkspaceId,
        ingest::{self, Upload},
        rag::RagConfig,
    };
    use uuid::Uuid;

    #[test]
    fn the_end_of_a_job_is_heard_whatever_it_is_and_its_progress_is_not() {
        let user = UserId::new(Uuid::from_u128(1));
        let upload = Upload {
            id: DocumentId::new(Uuid::from_u128(2)),
            filename: "a.txt".into(),
            mime_type: "text/plain".into(),
            size_bytes: 9,
            content_hash: "00".into(),
        };
        let (job, workspace) = (JobId::new(Uuid::from_u128(3)), WorkspaceId::new(Uuid::from_u128(4)));
        let now = Timestamp::default();
        let (state, ..) =
            ingest::create(job, JobKind::Upload, user, workspace, &[upload], &RagConfig::default(), now);
        let wakes = |event: fn(Job) -> Event, status: JobStatus| {
            let event = event(Job { status, ..state.job.clone() });
            may_move_the_queue(&LoggedEvent::new(user, 1, now, event))
        };
        assert!(wakes(Event::JobUpdate, JobStatus::Cancelled));
        assert!(wakes(Event::JobComplete, JobStatus::Completed));
        assert!(wakes(Event::JobError, JobStatus::Failed));
        assert!(!wakes(Event::JobUpdate, JobStatus::Running));
    }
}
