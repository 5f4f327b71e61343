//! When a job has its turn.

use super::new;
use crate::common;
use domain::{
    event::Event,
    ids::{JobId, UserId, WorkspaceId},
    ingest::{self, Stage},
    rag::RagConfig,
    status::Priority,
    timestamp::Timestamp,
};
use uuid::Uuid;

#[test]
fn many_documents_go_a_little_later_and_an_index_made_anew_goes_last() {
    let of = |documents| common::new_job(documents, &RagConfig::default(), Timestamp::default()).0;
    let (user, place) = (UserId::new(Uuid::from_u128(2)), WorkspaceId::new(Uuid::from_u128(3)));
    let id = JobId::new(Uuid::from_u128(4));
    let config = RagConfig::default();
    let (anew, _) = ingest::reindex(id, user, place, (1, 10), &config, Timestamp::default());
    let turns = [of(20), of(21), anew].map(|job| (job.job.priority, job.turn_at.micros() / 1_000_000));
    assert_eq!(turns, [(Priority::Normal, 0), (Priority::Normal, 120), (Priority::Background, 600)]);
}

#[test]
fn what_goes_first_goes_before_all_others_of_its_person_that_are_not_through() {
    let at = |seconds| Some(Timestamp::default().plus_seconds(seconds));
    // Its own turn is that of the moment 0.
    for (earliest, goes) in [(None, false), (at(1), false), (at(0), true), (at(-5), true)] {
        let mut heard = new(1);
        let now = heard.now().plus_seconds(1);
        let told = ingest::put_first(&mut heard.job, earliest, now).unwrap();
        assert_eq!(told.is_some(), goes, "{earliest:?}");
        assert_eq!(heard.job.job.priority == Priority::First, goes);
        if let Some(told) = told {
            assert!(Some(heard.job.turn_at) < earliest);
            assert!(matches!(&told.events[..], [Event::JobUpdate(job)] if *job == heard.job.job));
            assert!(!told.counts_changed);
        }
    }
    let mut heard = new(1);
    heard.reach(0, Stage::Done);
    let now = heard.now();
    assert!(ingest::put_first(&mut heard.job, at(0), now).is_err(), "it has ended");
}
