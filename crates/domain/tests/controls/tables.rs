//! Every state with every command.

use crate::bench::Bench;
use domain::{
    ingest::{
        DocumentState, ReportError,
        control::{Control, DocumentControl, Retry},
    },
    resource::CANCELLED,
    status::PhaseName,
};

/// The states in which a job can be asked for something.
fn states() -> Vec<(&'static str, Bench)> {
    let at_work = || {
        let mut b = Bench::new(2);
        (0..4).for_each(|_| b.work(0, None));
        b
    };
    let with = |mut b: Bench, f: &dyn Fn(&mut Bench)| {
        f(&mut b);
        b
    };
    vec![
        ("pending", Bench::new(2)),
        ("held", at_work()),
        ("unheld", with(at_work(), &|b| b.release(0))),
        ("pausing", with(at_work(), &|b| b.control(&Control::Pause).unwrap())),
        ("cancelling", with(at_work(), &|b| b.control(&Control::Cancel { keep_results: true }).unwrap())),
        (
            "paused",
            with(at_work(), &|b| {
                b.release(0);
                b.control(&Control::Pause).unwrap();
            }),
        ),
        ("completed", with(at_work(), &Bench::finish)),
        (
            "partly",
            with(at_work(), &|b| {
                b.work(1, Some(false));
                b.finish();
            }),
        ),
        (
            "failed",
            with(at_work(), &|b| {
                b.work(0, Some(false));
                b.work(1, Some(false));
            }),
        ),
        (
            "cancelled",
            with(at_work(), &|b| {
                b.release(0);
                b.control(&Control::Cancel { keep_results: true }).unwrap();
            }),
        ),
    ]
}

fn word(b: &Bench) -> String {
    let asked = b.job.job.requested.map(|r| format!("+{r}")).unwrap_or_default();
    let attempt = if b.job.job.attempt > 1 { "#2" } else { "" };
    format!("{}{asked}{attempt}", b.job.job.status)
}

#[test]
fn every_state_of_a_job_answers_every_command_as_its_table_says() {
    let commands: [(&str, Control); 7] = [
        ("pause", Control::Pause),
        ("resume", Control::Resume),
        ("keep", Control::Cancel { keep_results: true }),
        ("remove", Control::Cancel { keep_results: false }),
        ("skip", Control::CancelPhase(PhaseName::Embedding)),
        ("retry", Control::Retry(Retry::failed())),
        ("first", Control::First),
    ];
    // What becomes of it; "=" nothing; "!" with what would have been possible.
    let table = [
        (
            "pending",
            ["paused", "=", "cancelled", "cancelled", "pending", "!running,paused,cancelled", "pending"],
        ),
        (
            "held",
            [
                "running+pause",
                "=",
                "running+cancel",
                "running+cancel",
                "running",
                "!paused,completed,failed,cancelled",
                "running",
            ],
        ),
        (
            "unheld",
            [
                "paused",
                "=",
                "cancelled",
                "cancelled",
                "running",
                "!paused,completed,failed,cancelled",
                "running",
            ],
        ),
        (
            "pausing",
            [
                "=",
                "running",
                "running+cancel",
                "running+cancel",
                "paused",
                "!paused,completed,failed,cancelled",
                "running+pause",
            ],
        ),
        // That nothing is to be kept may still be said.
        (
            "cancelling",
            ["!cancelled", "!cancelled", "=", "running+cancel", "!cancelled", "!cancelled", "running+cancel"],
        ),
        ("paused", ["=", "running", "cancelled", "cancelled", "paused", "!running,cancelled", "paused"]),
        ("completed", ["!", "!", "!", "!", "!", "!", "!"]),
        // What failed or was cancelled may be retried.
        ("partly", ["!pending", "!pending", "!pending", "!pending", "!pending", "pending#2", "!pending"]),
        ("failed", ["!pending", "!pending", "!pending", "!pending", "!pending", "pending#2", "!pending"]),
        ("cancelled", ["!pending", "!pending", "=", "!pending", "!pending", "pending#2", "!pending"]),
    ];
    let states = states();
    assert_eq!(states.len(), table.len());
    for ((name, state), (row, wanted)) in states.iter().zip(table) {
        assert_eq!(*name, row);
        for ((command, control), wanted) in commands.iter().zip(wanted) {
            let mut b = state.clone();
            let answered = b.control(control);
            let found = match &answered {
                Err(ReportError::Illegal(e)) => format!("!{}", e.allowed.join(",")),
                Err(other) => panic!("{name} {command}: {other}"),
                Ok(()) if (&b.job, &b.docs) == (&state.job, &state.docs) => "=".to_owned(),
                Ok(()) => word(&b),
            };
            assert_eq!(found, wanted, "{command} of one that is {name}");
            if answered.is_err() {
                assert_eq!((&b.job, &b.docs), (&state.job, &state.docs), "a refusal changes nothing");
            } else {
                // The same once more is the same: two clicks are one.
                let once = b.clone();
                b.control(control).unwrap();
                assert_eq!((&b.job, &b.docs), (&once.job, &once.docs), "{command} of {name}, twice");
            }
        }
    }
}

#[test]
fn every_state_of_a_document_answers_every_command_as_its_table_says() {
    let commands = [
        DocumentControl::Pause,
        DocumentControl::Resume,
        DocumentControl::Cancel { keep_results: true },
        DocumentControl::SkipEmbedding,
    ];
    let at_work = || {
        let mut b = Bench::new(2);
        (0..4).for_each(|_| b.work(0, None));
        b.take(1);
        b
    };
    let with = |mut b: Bench, f: &dyn Fn(&mut Bench)| {
        f(&mut b);
        b
    };
    let asked = |c: DocumentControl| with(at_work(), &move |b| b.control_document(0, c).unwrap());
    let table = [
        ("waits", Bench::new(2), ["paused", "=", "cancelled", "pending"]),
        ("held", at_work(), ["processing+pause", "=", "processing+cancel", "processing"]),
        ("pausing", asked(DocumentControl::Pause), ["=", "processing", "!paused,cancelled", "paused"]),
        (
            "cancelling",
            asked(DocumentControl::Cancel { keep_results: true }),
            ["!cancelled", "!cancelled", "=", "cancelled"],
        ),
        (
            "paused",
            with(asked(DocumentControl::Pause), &|b| b.release(0)),
            ["=", "processing", "cancelled", "paused"],
        ),
        (
            "cancelled",
            with(asked(DocumentControl::Cancel { keep_results: true }), &|b| b.release(0)),
            ["!pending", "!pending", "=", "!pending"],
        ),
        (
            "failed",
            with(at_work(), &|b| b.work(0, Some(false))),
            ["!pending", "!pending", "!pending", "!pending"],
        ),
        ("ready", with(at_work(), &|b| (0..9).for_each(|_| b.work(0, None))), ["!", "!", "!", "!"]),
    ];
    let word = |d: &DocumentState| {
        if d.document.error_code.as_deref() == Some(CANCELLED) {
            return "cancelled".to_owned();
        }
        if d.paused {
            return "paused".to_owned();
        }
        let asked = d.requested.map(|r| format!("+{r}")).unwrap_or_default();
        format!("{}{asked}", d.document.status)
    };
    for (name, state, wanted) in table {
        for (command, wanted) in commands.iter().zip(wanted) {
            // A cancel goes above a pause that is only asked for.
            let wanted =
                if (name, *command) == ("pausing", commands[2]) { "processing+cancel" } else { wanted };
            let mut b = state.clone();
            let found = match b.control_document(0, *command) {
                Err(ReportError::Illegal(e)) => format!("!{}", e.allowed.join(",")),
                Err(other) => panic!("{name} {command:?}: {other}"),
                Ok(()) if (&b.job, &b.docs) == (&state.job, &state.docs) => "=".to_owned(),
                Ok(()) => word(&b.docs[0]),
            };
            assert_eq!(found, wanted, "{command:?} of one that is {name}");
            let other = (&b.docs[1], &state.docs[1]);
            assert_eq!(other.0, other.1, "the others go on");
        }
    }
}
