//! Courses through the world: random ones, and those that are told by name.

use super::{Command, ENTITIES, World};
use crate::live::{ladder::Transport, machine::Link};
use proptest::prelude::*;

fn command() -> impl Strategy<Value = Command> {
    let tab = || 0..8usize;
    prop_oneof![
        8 => (1..=ENTITIES).prop_map(Command::Commit),
        3 => Just(Command::Open),
        2 => tab().prop_map(Command::Close),
        2 => tab().prop_map(Command::Freeze),
        2 => tab().prop_map(Command::Thaw),
        2 => (tab(), any::<bool>()).prop_map(|(tab, v)| Command::Visible(tab, v)),
        2 => tab().prop_map(Command::Cut),
        2 => tab().prop_map(Command::Stall),
        1 => Just(Command::Down),
        2 => Just(Command::Up),
        2 => any::<bool>().prop_map(Command::Sockets),
        2 => any::<bool>().prop_map(Command::Streams),
        1 => Just(Command::Forget),
        1 => (0..10u64).prop_map(Command::Restore),
        6 => (1..70u64).prop_map(Command::Wait),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn whatever_goes_wrong_every_tab_ends_with_what_the_server_has(
        commands in prop::collection::vec(command(), 1..60)
    ) {
        let mut world = World::default();
        world.run(&Command::Open);
        for command in &commands {
            world.run(command);
        }
        world.calm();
        let links = |world: &World| {
            let alive = world.tabs.iter().filter(|t| !t.gone);
            alive.filter(|t| t.link.is_some() || t.poll.is_some()).count()
        };
        for (n, tab) in world.tabs.iter().enumerate().filter(|(_, t)| !t.gone) {
            prop_assert!(matches!(tab.machine.link(), Link::Open { .. }), "tab {n}: {:?}", tab.machine);
            prop_assert_eq!(tab.seen(), world.server.state(), "tab {}: {:?}", n, tab.machine);
            prop_assert_eq!(tab.machine.since().map(|s| s.seq), Some(world.server.head()));
        }
        prop_assert!(links(&world) <= 1, "the tabs share one link");
        // And what happens now comes at once, to everybody.
        if world.tabs.iter().any(|t| !t.gone) {
            world.run(&Command::Commit(1));
        }
        for tab in world.tabs.iter().filter(|t| !t.gone) {
            prop_assert_eq!(tab.seen(), world.server.state());
        }
    }
}

/// A world with so many tabs, all of them calm.
fn tabs(n: usize) -> World {
    let mut world = World::default();
    (0..n).for_each(|_| world.run(&Command::Open));
    world.run(&Command::Wait(3));
    world
}

#[test]
fn five_tabs_have_one_link() {
    let world = tabs(5);
    assert_eq!(world.tabs.iter().filter(|t| t.link.is_some()).count(), 1);
    assert!(world.tabs.iter().all(|t| matches!(t.machine.link(), Link::Open { .. })));
}

#[test]
fn the_next_tab_leads_when_the_leader_is_closed() {
    let mut world = tabs(3);
    world.run(&Command::Close(0));
    world.run(&Command::Commit(1));
    assert!(world.tabs[1].link.is_some());
    assert_eq!(world.tabs[2].seen(), world.server.state());
}

#[test]
fn a_visible_tab_takes_the_lead_from_one_that_sleeps() {
    let mut world = tabs(2);
    world.run(&Command::Freeze(0));
    world.run(&Command::Commit(1));
    world.run(&Command::Wait(6));
    assert_eq!(world.lock, Some(1));
    assert_eq!(world.tabs[1].seen(), world.server.state());
    world.run(&Command::Thaw(0));
    world.run(&Command::Wait(3));
    assert_eq!(world.tabs[0].seen(), world.server.state());
    assert!(world.tabs[0].link.is_none(), "the one that slept follows now");
}

#[test]
fn without_sockets_the_link_goes_down_the_ladder_and_up_again() {
    let mut world = tabs(1);
    let transport = |world: &World| world.tabs[0].machine.transport();
    world.run(&Command::Sockets(false));
    world.run(&Command::Wait(8));
    assert_eq!(transport(&world), Transport::Events);
    world.run(&Command::Commit(1));
    assert_eq!(world.tabs[0].seen(), world.server.state());
    world.run(&Command::Streams(false));
    world.run(&Command::Wait(20));
    assert_eq!(transport(&world), Transport::Polling);
    world.run(&Command::Commit(2));
    assert_eq!(world.tabs[0].seen(), world.server.state());
    world.run(&Command::Sockets(true));
    world.run(&Command::Wait(60));
    assert_eq!(transport(&world), Transport::Socket);
    world.run(&Command::Commit(3));
    assert_eq!(world.tabs[0].seen(), world.server.state());
}

#[test]
fn a_tab_that_polled_and_lost_the_lead_in_its_sleep_polls_no_more() {
    let mut world = tabs(1);
    world.run(&Command::Sockets(false));
    world.run(&Command::Streams(false));
    world.run(&Command::Wait(30));
    assert_eq!(world.tabs[0].machine.transport(), Transport::Polling);
    world.run(&Command::Open);
    world.run(&Command::Freeze(0));
    world.run(&Command::Wait(40));
    assert_eq!(world.lock, Some(1));
    world.run(&Command::Thaw(0));
    world.run(&Command::Wait(3));
    assert!(world.tabs[0].poll.is_none(), "the answer that came in its sleep is not followed by a question");
    world.run(&Command::Commit(1));
    assert_eq!(world.tabs[0].seen(), world.server.state());
}
