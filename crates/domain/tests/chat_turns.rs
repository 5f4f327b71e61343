//! Whatever happens to a turn, in whatever order: its steps come in their order and each once, its events are numbered
//! without a gap, the pieces of text are the answer, and after the end nothing changes any more.

use domain::{
    chat::{
        Opening, Said, Source, Turn, TurnChange, TurnError, TurnEvent, TurnStatus, TurnStep,
        message::TurnMessage,
    },
    ids::{ChunkId, DocumentId, TurnId, UserId, WorkspaceId},
    timestamp::Timestamp,
};
use proptest::prelude::*;
use uuid::Uuid;

fn at(n: i64) -> Timestamp {
    Timestamp::from_micros(1_760_000_000_000_000).plus_micros(n * 1_000)
}

fn begun() -> (Turn, Vec<TurnEvent>) {
    let opening = Opening {
        turn_id: TurnId::new(Uuid::from_u128(1)),
        conversation_id: "c".parse().expect("a name"),
        workspace_id: WorkspaceId::new(Uuid::from_u128(2)),
        user_id: UserId::new(Uuid::from_u128(3)),
        query: "Where is the lantern?".to_owned(),
        again_of: None,
    };
    Turn::begin(opening, at(0))
}

/// The way without anything that goes wrong.
fn straight() -> Vec<TurnChange> {
    vec![
        TurnChange::Step(None),
        TurnChange::Found(vec![]),
        TurnChange::Step(None),
        TurnChange::Step(Some("A model of somebody's answers…".to_owned())),
        TurnChange::Text("On ".to_owned()),
        TurnChange::Text("the quay.".to_owned()),
        TurnChange::Step(None),
        TurnChange::Complete,
    ]
}

fn change() -> impl Strategy<Value = TurnChange> {
    prop_oneof![
        6 => Just(TurnChange::Step(None)),
        1 => Just(TurnChange::Found(vec![])),
        4 => "[a-zäß \\[\\]0-9]{0,4}".prop_map(TurnChange::Text),
        1 => Just(TurnChange::Complete),
        1 => Just(TurnChange::Stop),
        1 => Just(TurnChange::Fail(TurnError::interrupted())),
    ]
}

/// What must hold of a turn and of all that it told.
fn audit(turn: &Turn, told: &[TurnEvent]) {
    let ids: Vec<u64> = told.iter().map(|e| e.id).collect();
    assert_eq!(ids, (1..=turn.last_event).collect::<Vec<_>>());
    let steps: Vec<TurnStep> = told
        .iter()
        .filter_map(|e| match &e.said {
            Said::Status { step, .. } => Some(*step),
            _ => None,
        })
        .collect();
    assert_eq!(steps, TurnStep::ALL[..steps.len()], "in their order, each once");
    assert_eq!(steps.last(), Some(&turn.step));
    let text: String = told
        .iter()
        .filter_map(|e| match &e.said {
            Said::Chunk { content } => Some(content.as_str()),
            _ => None,
        })
        .collect();
    assert_eq!(text, turn.answer);
    let last = told.iter().position(|e| e.said.is_last());
    assert_eq!(last.is_some(), turn.status.is_final());
    assert!(last.is_none_or(|at| at + 1 == told.len()), "nothing follows the last word");
    assert_eq!(turn.completed_at.is_some(), turn.status.is_final());
    assert_eq!(turn.error.is_some(), turn.status == TurnStatus::Failed);
    assert_eq!(turn.step == TurnStep::Finished, turn.status == TurnStatus::Completed);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn every_course_of_a_turn_tells_the_truth(changes in prop::collection::vec(change(), 0..24)) {
        let (mut turn, mut told) = begun();
        audit(&turn, &told);
        for (n, change) in (1..).zip(changes) {
            let before = turn.clone();
            match turn.advance(change, at(n)) {
                Ok(events) => {
                    prop_assert!(!before.status.is_final(), "it had ended");
                    told.extend(events);
                }
                Err(_) => prop_assert_eq!(&turn, &before, "what is refused changes nothing"),
            }
            audit(&turn, &told);
        }
    }

    #[test]
    fn a_turn_may_end_anywhere_on_its_way(place in 0_usize..8, fails in any::<bool>()) {
        let (mut turn, mut told) = begun();
        for (n, change) in (1..).zip(straight().into_iter().take(place)) {
            told.extend(turn.advance(change, at(n)).unwrap());
        }
        let end = if fails { TurnChange::Fail(TurnError::interrupted()) } else { TurnChange::Stop };
        told.extend(turn.advance(end, at(99)).unwrap());
        audit(&turn, &told);
        prop_assert_eq!(turn.metadata.latency_ms, 99);
        prop_assert_eq!(turn.metadata.response_length, turn.answer.chars().count() as u64);
        prop_assert!(turn.may_be_asked_again());
    }
}

#[test]
fn whoever_ends_a_turn_the_sources_that_its_answer_names_are_marked() {
    let source = |n: u128| Source {
        document_id: DocumentId::new(Uuid::from_u128(n)),
        chunk_id: ChunkId::new(Uuid::from_u128(n)),
        filename: "a.txt".to_owned(),
        page: None,
        text: "The lantern.".to_owned(),
        score: 0.5,
        document_version: 1,
        char_start: None,
        char_end: None,
        cited: false,
    };
    for end in [TurnChange::Stop, TurnChange::Fail(TurnError::interrupted())] {
        let (mut turn, _) = begun();
        for change in [
            TurnChange::Step(None),
            TurnChange::Found(vec![source(1), source(2), source(3)]),
            TurnChange::Step(None),
            TurnChange::Step(None),
            TurnChange::Text("On the quay [2], not [7".to_owned()),
            TurnChange::Text("], and [3".to_owned()),
            end,
        ] {
            turn.advance(change, at(1)).unwrap();
        }
        assert_eq!(turn.sources.iter().map(|s| s.cited).collect::<Vec<_>>(), [false, true, false]);
    }
}

#[test]
fn a_turn_goes_through_six_steps_and_ends_with_its_answer() {
    let (mut turn, mut told) = begun();
    for (n, change) in (1..).zip(straight()) {
        told.extend(turn.advance(change, at(n)).unwrap());
    }
    audit(&turn, &told);
    assert_eq!((turn.status, turn.answer.as_str()), (TurnStatus::Completed, "On the quay."));
    let messages: Vec<TurnMessage> = told.iter().map(|e| TurnMessage::new(&turn, e)).collect();
    let TurnMessage::Complete { answer, metadata, .. } = messages.last().unwrap() else {
        panic!("{messages:?}")
    };
    assert_eq!(
        (answer.as_str(), metadata.status, metadata.metadata.latency_ms),
        ("On the quay.", TurnStatus::Completed, 8)
    );
    let first = serde_json::to_value(&messages[0]).unwrap();
    assert_eq!(
        (&first["type"], &first["step"], &first["status"]),
        (&"status".into(), &"initializing".into(), &"processing".into())
    );
}

#[test]
fn an_error_tells_what_there_is_of_an_answer() {
    let (mut turn, _) = begun();
    for change in straight().into_iter().take(5) {
        turn.advance(change, at(1)).unwrap();
    }
    let told = turn.advance(TurnChange::Fail(TurnError::interrupted()), at(2)).unwrap();
    let message = serde_json::to_value(TurnMessage::new(&turn, &told[0])).unwrap();
    assert_eq!(message["type"], "error");
    assert_eq!(message["code"], "interrupted");
    assert_eq!(message["answer"], "On ");
    assert_eq!(message["metadata"]["status"], "failed");
}
