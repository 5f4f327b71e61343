//! What may be asked of a store, at random.

use proptest::prelude::*;

pub const USERS: usize = 3;

#[derive(Clone, Debug)]
pub enum Command {
    /// A job in a user's first (vector) or second (keyword) workspace, or in another user's.
    Create {
        user: usize,
        keyword: bool,
        stranger: bool,
        documents: u32,
        command: Option<u8>,
    },
    Claim {
        worker: u8,
        dies: bool,
        limit: u32,
    },
    /// The next piece of work of a claim, however old that is.
    Work {
        claim: usize,
        chunks: u32,
    },
    /// All of it, to the end.
    Finish {
        claim: usize,
        chunks: u32,
    },
    Fail {
        claim: usize,
    },
    /// A piece of work that may not be the next one.
    Any {
        claim: usize,
        which: u8,
    },
    Release {
        claim: usize,
    },
    Heartbeat {
        worker: u8,
        dies: bool,
    },
    VoidLeases,
    /// A user's first or second workspace is configured in another way.
    Configure {
        user: usize,
        keyword: bool,
        which: u8,
    },
    /// Some of its documents are told of it.
    Tell {
        user: usize,
        keyword: bool,
        limit: u32,
    },
    /// A job of what is stale there, or in another user's.
    Reindex {
        user: usize,
        keyword: bool,
        stranger: bool,
        command: Option<u8>,
    },
    /// Some documents of a job are told that they wait.
    Requeue {
        job: usize,
        limit: u32,
    },
    /// A user's first or second workspace is given to an outside worker, or back.
    Give {
        user: usize,
        keyword: bool,
        outside: bool,
    },
    /// What an outside worker says of a document, however that is.
    Report {
        document: usize,
        status: usize,
        step: usize,
        progress: u8,
        chunks: Option<u64>,
    },
    /// Some of those who wait are told their place.
    TellQueue {
        limit: u32,
    },
    /// Some of what was begun and is in nobody's hands is told as such.
    TellInterrupted {
        seconds: u32,
        limit: u32,
    },
    /// Some of what nothing is reported of any more is told as such.
    TellUnheard {
        seconds: u32,
        limit: u32,
    },
    /// Some of what came too soon after other words is told.
    TellRest {
        limit: u32,
    },
    /// Somebody pauses, resumes, cancels, skips or retries a job.
    Control {
        job: usize,
        which: u8,
    },
    /// The same for a document.
    ControlDocument {
        document: usize,
        which: u8,
    },
    /// Requests are honoured that no worker is left for.
    Honour {
        limit: u32,
    },
    /// A claim's work fails by something that may heal.
    Break {
        claim: usize,
    },
    /// Time passes, in milliseconds: too little for the next progress event, or enough.
    Wait {
        millis: i64,
    },
}

pub fn command() -> impl Strategy<Value = Command> {
    let claim = || any::<prop::sample::Index>().prop_map(|i| i.index(1_000));
    prop_oneof![
        2 => (0..USERS, any::<bool>(), prop::bool::weighted(0.1), 1..4u32, prop::option::weighted(0.3, 0..3u8))
            .prop_map(|(user, keyword, stranger, documents, command)| Command::Create {
                user, keyword, stranger, documents, command
            }),
        4 => (0..3u8, prop::bool::weighted(0.3), 1..4u32)
            .prop_map(|(worker, dies, limit)| Command::Claim { worker, dies, limit }),
        8 => (claim(), 0..9u32).prop_map(|(claim, chunks)| Command::Work { claim, chunks }),
        3 => (claim(), 0..5u32).prop_map(|(claim, chunks)| Command::Finish { claim, chunks }),
        1 => claim().prop_map(|claim| Command::Fail { claim }),
        2 => (claim(), 0..6u8).prop_map(|(claim, which)| Command::Any { claim, which }),
        1 => claim().prop_map(|claim| Command::Release { claim }),
        1 => (0..3u8, any::<bool>()).prop_map(|(worker, dies)| Command::Heartbeat { worker, dies }),
        1 => Just(Command::VoidLeases),
        2 => (0..USERS, any::<bool>(), 0..4u8)
            .prop_map(|(user, keyword, which)| Command::Configure { user, keyword, which }),
        2 => (0..USERS, any::<bool>(), 1..3u32)
            .prop_map(|(user, keyword, limit)| Command::Tell { user, keyword, limit }),
        2 => (0..USERS, any::<bool>(), prop::bool::weighted(0.1), prop::option::weighted(0.3, 0..3u8))
            .prop_map(|(user, keyword, stranger, command)| Command::Reindex { user, keyword, stranger, command }),
        2 => (claim(), 1..3u32).prop_map(|(job, limit)| Command::Requeue { job, limit }),
        2 => (0..USERS, any::<bool>(), prop::bool::weighted(0.6))
            .prop_map(|(user, keyword, outside)| Command::Give { user, keyword, outside }),
        6 => (claim(), 0..6usize, 0..5usize, 0..100u8, prop::option::of(0..9u64)).prop_map(
            |(document, status, step, progress, chunks)| Command::Report { document, status, step, progress, chunks }
        ),
        1 => (1..4u32).prop_map(|limit| Command::TellQueue { limit }),
        2 => (0..3u32, 1..4u32)
            .prop_map(|(seconds, limit)| Command::TellInterrupted { seconds, limit }),
        2 => (0..3u32, 1..4u32).prop_map(|(seconds, limit)| Command::TellUnheard { seconds, limit }),
        8 => (claim(), 0..10u8).prop_map(|(job, which)| Command::Control { job, which }),
        6 => (claim(), 0..6u8)
            .prop_map(|(document, which)| Command::ControlDocument { document, which }),
        2 => (1..4u32).prop_map(|limit| Command::Honour { limit }),
        2 => claim().prop_map(|claim| Command::Break { claim }),
        3 => (1..4u32).prop_map(|limit| Command::TellRest { limit }),
        3 => (1..4_000i64).prop_map(|millis| Command::Wait { millis }),
    ]
}
