//! R3: the job engine against a simple model. Each seed is a course of random commands: uploads, claims, work, breaks, dead
//! workers, whatever people ask of jobs and documents, deletions with their undo, actions over many, clocks that step and a
//! writer that fails. After each step what is read has to be what the model says, and in the end all of it has to be
//! through. Mistakes are planted to show that a course finds such.

mod audit;
mod course;
mod engine;
mod model;

use crate::{
    desk::JobSubject,
    subject::{Memory, Sqlite, Subject},
    support::World,
};
use course::Course;
use domain::rag::RagConfig;
use engine::{Bug, Engine};
use sqlx::AnyConnection;
use std::ops::Range;

/// Steps of a course.
const STEPS: u64 = 45;
/// Courses within which a planted mistake has to be found.
const FOUND_WITHIN: u64 = 60;

struct Hall<'a, S> {
    subject: &'a S,
    engine: Engine,
    outside: Option<AnyConnection>,
}

impl<S: Subject> Hall<'_, S> {
    /// Each course has people of its own; what earlier ones left behind is through.
    async fn go(&mut self, seed: u64) -> Result<(), String> {
        let mut people = vec![];
        for _ in 0..2 {
            let user = self.subject.user().await;
            people.push((user, self.subject.workspace(user, RagConfig::default()).await));
        }
        let world: &World = self.subject.world();
        let mut course = Course::new(&mut self.engine, world, people, self.outside.as_mut(), seed);
        let verdict = course.go(STEPS).await;
        verdict.map_err(|why| {
            let from = course.told.len().saturating_sub(60);
            format!("seed {seed}: {why}\nafter\n  {}", course.told[from..].join("\n  "))
        })
    }
}

async fn in_memory(subject: &Memory) -> Hall<'_, Memory> {
    let engine = Engine::new(subject.jobs(), subject.documents(), subject.log(), None);
    Hall { subject, engine, outside: None }
}

async fn on_sqlite(subject: &Sqlite) -> Hall<'_, Sqlite> {
    let store = Some(subject.store.clone());
    let engine = Engine::new(subject.jobs(), subject.documents(), subject.log(), store);
    Hall { subject, engine, outside: Some(subject.place.connect().await) }
}

async fn all_hold<S: Subject>(mut hall: Hall<'_, S>, seeds: Range<u64>) {
    for seed in seeds {
        if let Err(why) = hall.go(seed).await {
            panic!("{why}");
        }
    }
}

/// Some seeds each, so that they go side by side. A course on a database takes five times as long.
macro_rules! courses {
    ($($name:ident: $on:ident($subject:ident), $seeds:expr;)+) => {
        $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() {
            let subject = $subject::fresh().await;
            all_hold($on(&subject).await, $seeds).await;
        })+
    };
}

courses! {
    the_first_courses_hold_in_memory: in_memory(Memory), 0..260;
    more_courses_hold_in_memory: in_memory(Memory), 260..520;
    the_last_courses_in_memory_hold: in_memory(Memory), 520..780;
    the_first_courses_hold_on_sqlite: on_sqlite(Sqlite), 780..890;
    the_last_courses_hold_on_sqlite: on_sqlite(Sqlite), 890..1_000;
}

/// The seed of the first course that finds the mistake.
async fn found<S: Subject>(mut hall: Hall<'_, S>, bug: Bug) -> Option<u64> {
    hall.engine.bug = Some(bug);
    for seed in 0..FOUND_WITHIN {
        if hall.go(seed).await.is_err() {
            return Some(seed);
        }
    }
    None
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_mistake_that_is_planted_is_found() {
    let mut missed = vec![];
    for &bug in Bug::ALL {
        // A store of its own: whatever the mistake left behind is not to be held against the next one.
        let at = if bug.wants_a_database() {
            let subject = Sqlite::fresh().await;
            found(on_sqlite(&subject).await, bug).await
        } else {
            let subject = Memory::fresh().await;
            found(in_memory(&subject).await, bug).await
        };
        match at {
            Some(seed) => println!("{bug:?}: found by seed {seed}"),
            None => missed.push(bug),
        }
    }
    assert!(missed.is_empty(), "not found within {FOUND_WITHIN} courses: {missed:?}");
}
