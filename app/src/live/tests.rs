//! Courses of the live link, step by step.

use super::{
    machine::*,
    message::{LeaderLink, TabMessage},
};
use domain::{
    ClientFrame, Epoch, Event, EventFrame, ServerFrame, Timestamp,
    event::{WorkspaceDeleted, close},
    pages::Since,
};
use proptest::prelude::*;

fn since(epoch: &str, seq: u64) -> Since {
    Since { epoch: Epoch(epoch.into()), seq }
}

fn welcome(epoch: &str, seq: u64, resumed: bool) -> Input {
    Input::Frame(ServerFrame::Welcome { epoch: Epoch(epoch.into()), seq, resumed, at: None })
}

fn deleted(seq: u64) -> Event {
    Event::WorkspaceDeleted(WorkspaceDeleted {
        id: "00000000-0000-0000-0000-000000000001".parse().expect("an id"),
        rev: seq,
    })
}

fn event(seq: u64) -> Input {
    Input::Frame(ServerFrame::Event(EventFrame { seq, at: Timestamp::from_micros(0), event: deleted(seq) }))
}

fn hello(epoch: &str, seq: u64) -> Vec<Action> {
    let (epoch, last_seq) = (Some(Epoch(epoch.into())), Some(seq));
    vec![Action::Send(ClientFrame::Hello { epoch, last_seq, gather_ms: Some(16), user_id: None })]
}

fn connects(actions: &[Action]) -> bool {
    matches!(actions, [Action::Connect(..)])
}

/// A machine whose link opened at `now`.
fn open(now: Millis) -> Machine {
    let mut m = Machine::default();
    m.on(Input::Rendered(since("e", 10)), now, 0.0);
    assert!(connects(&m.on(Input::Start, now, 0.0)));
    assert_eq!(m.on(Input::Opened, now, 0.0), hello("e", 10));
    assert_eq!(m.on(welcome("e", 10, true), now, 0.0), []);
    assert_eq!(m.link(), Link::Open { since: now });
    m
}

#[test]
fn the_stream_starts_from_the_earliest_thing_on_screen() {
    let mut m = Machine::default();
    m.on(Input::Rendered(since("e", 12)), 0, 0.0);
    m.on(Input::Rendered(since("e", 10)), 0, 0.0);
    m.on(Input::Rendered(since("e", 11)), 0, 0.0);
    m.on(Input::Start, 0, 0.0);
    assert_eq!(m.on(Input::Opened, 0, 0.0), hello("e", 10));
}

#[test]
fn a_page_says_whose_it_is_and_stays_that_persons() {
    let [ada, eve] = ["1", "2"]
        .map(|n| format!("00000000-0000-0000-0000-00000000000{n}").parse::<domain::UserId>().expect("an id"));
    let mut m = Machine::default();
    for input in [Input::Belongs(ada), Input::Rendered(since("e", 10)), Input::Belongs(eve), Input::Start] {
        m.on(input, 0, 0.0);
    }
    assert_eq!(m.whose(), Some(ada));
    let said = m.on(Input::Opened, 0, 0.0);
    let [Action::Send(ClientFrame::Hello { user_id, .. })] = said.as_slice() else { panic!("{said:?}") };
    assert_eq!(user_id.as_deref(), Some(ada.to_string().as_str()));
}

#[test]
fn a_leader_passes_nothing_on_until_another_tab_follows() {
    let passes = |actions: Vec<Action>| actions.iter().any(|action| matches!(action, Action::Pass { .. }));
    let mut m = Machine::default();
    for input in [Input::Rendered(since("e", 10)), Input::Lead, Input::Opened, welcome("e", 10, true)] {
        m.on(input, 0, 0.0);
    }
    assert!(!passes(m.on(event(11), 0, 0.0)));
    m.on(Input::Heard(TabMessage::Hello), 0, 0.0);
    assert!(passes(m.on(event(12), 0, 0.0)));
}

#[test]
fn a_page_read_later_does_not_turn_the_stream_back() {
    let mut m = open(0);
    m.on(event(20), 1, 0.0);
    m.on(Input::Rendered(since("e", 15)), 2, 0.0);
    m.on(Input::Closed(1006), 3, 0.0);
    m.on(Input::Rendered(since("e", 16)), 4, 0.0);
    m.on(Input::Tick, 5, 0.0);
    assert_eq!(m.on(Input::Opened, 6, 0.0), hello("e", 20));
}

#[test]
fn after_a_cut_the_client_asks_for_what_came_after_the_last_event_it_has() {
    let mut m = open(0);
    assert_eq!(m.on(event(11), 1, 0.0), [Action::Apply(Box::new(deleted(11)))]);
    m.on(event(14), 2, 0.0);
    m.on(Input::Closed(1006), 3, 0.0);
    assert_eq!(m.lost(), Some(3));
    assert!(connects(&m.on(Input::Tick, 4, 0.0)));
    assert_eq!(m.on(Input::Opened, 5, 0.0), hello("e", 14));
    m.on(welcome("e", 20, true), 6, 0.0);
    assert_eq!(m.lost(), None);
}

#[test]
fn what_only_a_newer_page_can_read_is_passed_over_and_not_asked_for_again() {
    let mut m = open(0);
    let unknown = |seq| Input::Frame(ServerFrame::Unknown { seq });
    assert_eq!(m.on(unknown(11), 1, 0.0), []);
    assert_eq!(m.on(Input::Answered { late: false }, 2, 0.0), [Action::Poll(Some(since("e", 11)))]);
    m.on(event(12), 3, 0.0);
    // One that comes twice does not lead back.
    assert_eq!(m.on(unknown(11), 4, 0.0), []);
    m.on(Input::Closed(1006), 5, 0.0);
    m.on(Input::Tick, 6, 0.0);
    assert_eq!(m.on(Input::Opened, 7, 0.0), hello("e", 12));
}

#[test]
fn a_tab_that_follows_is_not_behind_for_what_it_cannot_read() {
    let mut m = Machine::default();
    m.on(Input::Rendered(since("e", 10)), 0, 0.0);
    m.on(Input::Follow, 0, 0.0);
    let greeting = ServerFrame::Welcome { epoch: Epoch("e".into()), seq: 11, resumed: true, at: None };
    m.on(Input::CaughtUp(Some(vec![greeting, ServerFrame::Unknown { seq: 11 }])), 1, 0.0);
    let beat = TabMessage::Beat {
        since: Some(since("e", 11)),
        link: LeaderLink::Open,
        transport: Default::default(),
        lost: None,
        late: false,
    };
    assert_eq!(m.on(Input::Heard(beat), 2, 0.0), []);
}

#[test]
fn the_servers_time_is_taken_from_the_first_word_of_a_link_and_from_what_a_follower_asks() {
    let told = |n: i64| Some(Timestamp::from_micros(n));
    let says = |at| ServerFrame::Welcome { epoch: Epoch("e".into()), seq: 10, resumed: true, at };
    let mut m = Machine::default();
    m.on(Input::Rendered(since("e", 10)), 0, 0.0);
    m.on(Input::Start, 0, 0.0);
    let first = Input::Frame(says(told(7)));
    assert_eq!(m.time_told(&first), told(7));
    m.on(first, 1, 0.0);
    // What comes later over the same line may have waited for a long time.
    assert_eq!(m.time_told(&Input::Frame(says(told(9)))), None);
    assert_eq!(m.time_told(&event(11)), None, "an event tells when it was, not how late it is");
    m.on(Input::Closed(1006), 2, 0.0);
    assert_eq!(m.time_told(&Input::Frame(says(told(11)))), told(11));
    assert_eq!(m.time_told(&Input::Frame(says(None))), None, "a server of the version before");
    // The last of the answers is the newest.
    let answers = vec![says(told(12)), ServerFrame::Unknown { seq: 11 }, says(told(13))];
    assert_eq!(m.time_told(&Input::CaughtUp(Some(answers))), told(13));
    assert_eq!(m.time_told(&Input::CaughtUp(None)), None);
}

#[test]
fn a_clock_that_differs_by_less_than_a_second_is_right() {
    for (by, ahead) in [(0, 0), (-999, 0), (999, 0), (-1_000, -1_000_000), (10_800_000, 10_800_000_000)] {
        let told = Timestamp::from_micros((1_764_403_200_000 + by) * 1_000);
        assert_eq!(super::ahead(told, 1_764_403_200_000), ahead, "{by}");
    }
}

#[test]
fn a_log_that_cannot_resume_makes_the_client_read_anew_and_go_on_from_there() {
    let mut m = open(0);
    m.on(Input::Closed(1006), 1, 0.0);
    m.on(Input::Tick, 2, 0.0);
    m.on(Input::Opened, 3, 0.0);
    assert_eq!(m.on(welcome("f", 3, false), 4, 0.0), [Action::Resync]);
    m.on(Input::Closed(1006), 5, 0.0);
    m.on(Input::Tick, 6, 0.0);
    assert_eq!(m.on(Input::Opened, 7, 0.0), hello("f", 3));
}

#[test]
fn until_what_is_on_screen_was_read_anew_the_link_is_as_good_as_none() {
    let mut m = open(0);
    m.on(Input::Closed(1006), 1_000, 0.0);
    m.on(Input::Hurry, 1_100, 0.0);
    assert_eq!(m.on(welcome("f", 3, false), 1_200, 0.0), [Action::Resync]);
    // What comes over it waits, and the reading may fail for as long as it likes.
    m.on(event(4), 60_000, 0.0);
    assert_eq!((m.link(), m.lost()), (Link::Connecting { began: 1_000 }, Some(1_000)));
    assert!(m.is_paused(60_000));
    // That it is lost once more makes it no younger.
    m.on(Input::Closed(1006), 61_000, 0.0);
    m.on(Input::Hurry, 61_100, 0.0);
    assert_eq!(m.on(welcome("f", 9, true), 61_200, 0.0), []);
    assert_eq!(m.lost(), Some(1_000));
    m.on(Input::Renewed, 62_000, 0.0);
    assert_eq!((m.link(), m.lost()), (Link::Open { since: 61_200 }, None));
    assert!(!m.is_paused(62_000));
}

#[test]
fn a_page_that_was_drawn_from_another_life_of_the_log_is_old_until_it_was_read_anew() {
    let mut m = Machine::default();
    m.on(Input::Rendered(since("e", 10)), 0, 0.0);
    m.on(Input::Start, 100, 0.0);
    assert_eq!(m.on(welcome("f", 3, false), 200, 0.0), [Action::Resync]);
    assert_eq!((m.lost(), m.is_paused(1_699), m.is_paused(1_700)), (Some(200), false, true));
    m.on(Input::Renewed, 2_000, 0.0);
    assert_eq!((m.link(), m.lost()), (Link::Open { since: 200 }, None));
}

#[test]
fn a_tab_that_follows_and_never_caught_up_is_without_updates_since_it_first_asked() {
    let mut m = Machine::default();
    m.on(Input::Rendered(since("e", 10)), 0, 0.0);
    m.on(Input::Follow, 1_000, 0.0);
    assert_eq!((m.link(), m.lost()), (Link::Connecting { began: 1_000 }, None), "nothing has failed yet");
    m.on(Input::CaughtUp(None), 1_200, 0.0);
    assert_eq!((m.lost(), m.is_paused(2_499), m.is_paused(2_500)), (Some(1_000), false, true));
    assert_eq!(m.on(Input::Tick, 2_600, 0.0), [Action::CatchUp(Some(since("e", 10)))]);
    let greeting = ServerFrame::Welcome { epoch: Epoch("e".into()), seq: 10, resumed: true, at: None };
    m.on(Input::CaughtUp(Some(vec![greeting])), 2_700, 0.0);
    let beat = TabMessage::Beat {
        since: Some(since("e", 10)),
        link: LeaderLink::Open,
        transport: Default::default(),
        lost: None,
        late: false,
    };
    m.on(Input::Heard(beat), 2_800, 0.0);
    assert_eq!((m.link(), m.lost()), (Link::Open { since: 2_800 }, None));
}

#[test]
fn a_ping_is_answered_and_silence_is_death() {
    let mut m = open(0);
    for late in [true, false] {
        let ping = ServerFrame::Ping { late };
        assert_eq!(m.on(Input::Frame(ping), 20_000, 0.0), [Action::Send(ClientFrame::Pong)]);
        assert_eq!(m.is_late(), late);
    }
    assert_eq!(m.on(Input::Tick, 64_999, 0.0), []);
    assert_eq!(m.on(Input::Tick, 65_000, 0.5), [Action::Hangup]);
    assert!(matches!(m.link(), Link::Waiting { .. }));
    assert_eq!(m.lost(), Some(20_000), "nothing came since the last ping");
}

#[test]
fn a_long_poll_tells_with_its_answer_that_others_are_heard_late() {
    let mut m = open(0);
    for (now, late) in [(1, true), (2, true), (3, false)] {
        // Each answer begins with a welcome, which by itself changes nothing.
        let before = m.is_late();
        m.on(welcome("e", 10, true), now, 0.0);
        assert_eq!(m.is_late(), before);
        assert_eq!(m.on(Input::Answered { late }, now, 0.0), [Action::Poll(Some(since("e", 10)))]);
        assert_eq!(m.is_late(), late);
    }
    // What the last server said does not hold for the next one.
    m.on(Input::Answered { late: true }, 4, 0.0);
    m.on(Input::Closed(1006), 5, 0.0);
    m.on(Input::Hurry, 6, 0.0);
    m.on(welcome("e", 10, true), 7, 0.0);
    assert!(!m.is_late());
}

#[test]
fn the_client_never_gives_up_and_waits_longer_each_time() {
    let mut m = Machine::default();
    m.on(Input::Start, 0, 0.0);
    let mut now = 0;
    let mut delays = vec![];
    for _ in 0..50 {
        m.on(Input::Closed(1006), now, 1.0);
        let Link::Waiting { until } = m.link() else { panic!("{:?}", m.link()) };
        delays.push(until - now);
        assert_eq!(m.on(Input::Tick, until - 1, 1.0), []);
        assert!(connects(&m.on(Input::Tick, until, 1.0)));
        now = until;
    }
    assert_eq!(delays[..7], [500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000]);
    assert!(delays[7..].iter().all(|d| *d == 30_000));
}

#[test]
fn the_network_coming_back_ends_the_waiting_at_once() {
    let mut m = open(0);
    m.on(Input::Closed(1006), 1, 0.9);
    assert!(connects(&m.on(Input::Hurry, 2, 0.9)));
    assert_eq!(m.on(Input::Hurry, 3, 0.9), []);
}

#[test]
fn a_network_that_is_gone_ends_the_link_at_once_and_the_trying_goes_on() {
    let mut m = open(0);
    assert_eq!(m.on(Input::Offline, 20_000, 0.5), [Action::Hangup]);
    assert_eq!((m.lost(), m.link()), (Some(20_000), Link::Waiting { until: 20_250 }));
    assert_eq!(m.on(Input::Offline, 20_100, 0.5), [], "there is none to end");
    assert!(connects(&m.on(Input::Tick, 21_000, 0.5)));
    // A tab that follows has none of its own; the one that leads hears of it too.
    let mut m = Machine::default();
    m.on(Input::Rendered(since("e", 10)), 0, 0.0);
    m.on(Input::Follow, 0, 0.0);
    assert_eq!(m.on(Input::Offline, 1, 0.5), []);
}

#[test]
fn a_tab_that_slept_through_the_silence_notices_when_it_wakes() {
    let mut m = open(0);
    assert_eq!(m.on(Input::Hurry, 10_000, 0.0), []);
    assert_eq!(m.on(Input::Hurry, 3_600_000, 0.0), [Action::Hangup]);
    assert_eq!((m.lost(), m.is_paused(3_600_000)), (Some(0), true), "not only since it woke");
    assert!(connects(&m.on(Input::Hurry, 3_600_001, 0.0)));
}

#[test]
fn a_restarting_server_is_reconnected_at_once_but_not_in_a_loop() {
    let mut m = open(0);
    assert!(connects(&m.on(Input::Closed(close::GOING_AWAY), 60_000, 0.9)));
    m.on(Input::Opened, 60_001, 0.0);
    m.on(welcome("e", 10, true), 60_002, 0.0);
    assert_eq!(m.on(Input::Closed(close::GOING_AWAY), 60_003, 0.9), []);
    assert!(matches!(m.link(), Link::Waiting { .. }));
}

#[test]
fn a_link_that_is_renewed_in_a_moment_locks_nothing_and_one_that_stays_away_does() {
    let mut m = open(0);
    m.on(Input::Closed(close::GOING_AWAY), 60_000, 0.9);
    assert_eq!((m.lost(), m.is_paused(60_400)), (Some(60_000), false));
    m.on(welcome("e", 10, true), 60_500, 0.0);
    assert!(!m.is_paused(70_000));
    m.on(Input::Closed(1006), 80_000, 0.9);
    // What becomes of the next tries does not matter.
    m.on(Input::Hurry, 80_100, 0.9);
    m.on(Input::Closed(1006), 80_200, 0.9);
    assert!(!m.is_paused(81_499));
    assert!(m.is_paused(81_500));
}

#[test]
fn a_link_that_never_came_up_locks_as_one_that_was_lost_from_its_first_try_on() {
    let mut m = Machine::default();
    m.on(Input::Start, 1_000, 0.0);
    assert_eq!(m.lost(), None, "nothing has failed yet");
    m.on(Input::Closed(1006), 1_200, 0.0);
    assert_eq!((m.lost(), m.is_paused(2_499), m.is_paused(2_500)), (Some(1_000), false, true));
    // No later try moves it, whatever it is tried by and however it fails.
    for now in [3_000, 5_000, 9_000, 20_000] {
        m.on(Input::Hurry, now, 0.0);
        m.on(Input::Closed(1006), now + 100, 0.0);
        assert_eq!(m.lost(), Some(1_000));
    }
    m.on(Input::Hurry, 30_000, 0.0);
    m.on(welcome("e", 10, true), 30_100, 0.0);
    assert_eq!((m.lost(), m.is_paused(40_000)), (None, false));
}

#[test]
fn too_many_connections_is_retried_slowly() {
    let mut m = Machine::default();
    m.on(Input::Start, 0, 0.0);
    m.on(Input::Closed(close::TOO_MANY), 1_000, 0.0);
    assert_eq!(m.link(), Link::Waiting { until: 31_000 });
}

#[test]
fn an_ended_session_leads_to_sign_in_and_nothing_else_follows() {
    for end in [Input::Closed(close::SESSION_ENDED), Input::SignedOut] {
        let mut m = open(0);
        assert_eq!(m.on(end, 1, 0.0), [Action::SignIn]);
        assert_eq!(m.lost(), Some(1), "a page that stays all the same is old from then on");
        for later in [Input::Start, Input::Hurry, Input::Tick, Input::Closed(1006), event(11)] {
            assert_eq!(m.on(later, 100_000, 0.0), []);
        }
    }
    let mut m = open(0);
    let ended =
        Event::SessionEnded { session_id: "00000000-0000-0000-0000-000000000001".parse().expect("an id") };
    let frame = ServerFrame::Event(EventFrame { seq: 10, at: Timestamp::from_micros(0), event: ended });
    assert_eq!(m.on(Input::Frame(frame), 1, 0.0), [Action::Hangup, Action::SignIn]);
}

#[test]
fn a_connection_that_hangs_is_given_up() {
    let mut m = Machine::default();
    m.on(Input::Start, 0, 0.0);
    assert_eq!(m.on(Input::Tick, 9_999, 0.0), []);
    assert_eq!(m.on(Input::Tick, 10_000, 0.0), [Action::Hangup]);
    // The dropped socket's own end comes late, and means nothing.
    let link = m.link();
    assert_eq!(m.on(Input::Closed(1006), 10_001, 0.0), []);
    assert_eq!(m.link(), link);
}

fn any_input() -> impl Strategy<Value = Input> {
    prop_oneof![
        Just(Input::Start),
        Just(Input::Opened),
        Just(Input::Tick),
        Just(Input::Hurry),
        Just(Input::Offline),
        Just(Input::Renewed),
        (0..40u64).prop_map(event),
        (0..40u64, any::<bool>()).prop_map(|(seq, resumed)| welcome("e", seq, resumed)),
        prop_oneof![Just(1001), Just(1006), Just(4408), Just(4429)].prop_map(Input::Closed),
        any::<bool>().prop_map(|late| Input::Frame(ServerFrame::Ping { late })),
    ]
}

proptest! {
    /// Whatever happens short of the session's end, the link tries again within a minute and a half.
    #[test]
    fn no_course_of_events_ends_the_trying(inputs in prop::collection::vec((any_input(), 0..60_000u64), 0..60)) {
        let mut m = Machine::default();
        let mut now = 0;
        m.on(Input::Start, now, 0.5);
        for (input, pause) in inputs {
            now += pause;
            m.on(input, now, 0.5);
        }
        let mut tried = false;
        for _ in 0..150 {
            now += 1_000;
            tried |= connects(&m.on(Input::Tick, now, 0.5));
        }
        prop_assert!(tried, "{:?}", m);
    }
}
