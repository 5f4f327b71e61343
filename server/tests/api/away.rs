//! What servers stand on goes away under load and comes back: the database crashes, the broker is killed, and the network
//! between a server and the one or the other is cut, or swallows everything. Meanwhile everybody is told the truth, and afterwards nothing is lost
//! or stuck.

use crate::{
    broker::{Installation, broker_check, moved},
    common::{Server, eventually, within},
    line::{Line, State, port_of},
    load::Load,
};
use measure::{broker::Broker, postgres::Postgres};
use serde_json::json;
use std::time::Duration;

/// How soon a server knows that all is well again.
const KNOWN: Duration = Duration::from_secs(10);

/// Work that waits for programs, away from the threads that serve.
async fn apart<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.expect("done")
}

async fn readiness(server: &Server) -> u16 {
    server.visitor().get("/health/ready").await.status
}

async fn says_no(server: &Server) {
    eventually("it says that it is not ready", async || (readiness(server).await == 503).then_some(())).await;
    assert_eq!(server.visitor().get("/health/live").await.status, 200, "that is no reason to start it anew");
}

async fn says_yes(server: &Server) {
    within(KNOWN, "it is ready again", async || (readiness(server).await == 200).then_some(())).await;
}

async fn knows_of_the_broker(server: &Server, there: bool) {
    let what = format!("it knows whether the broker is there: {there}");
    within(KNOWN, &what, async || (broker_check(&server.visitor()).await["ok"] == there).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_crashes_under_load_costs_time_and_nothing_else() {
    let mut postgres = apart(|| Postgres::start().expect("a PostgreSQL")).await;
    let installation = Installation::on(postgres.url());
    let (here, there) = (installation.node("web").await, installation.node("web").await);
    let workers = (installation.node("worker").await, installation.node("worker").await);
    let ada = here.user("ada").await;
    let load = Load::start(vec![ada.clone(), moved(&ada, &there)]).await;
    assert_eq!(load.refused(), 0);

    postgres = apart(move || {
        postgres.kill();
        postgres
    })
    .await;
    says_no(&here).await;
    says_no(&there).await;
    // Whatever waits for it is not kept waiting for ever.
    eventually("requests are refused", async || (load.refused() > 0).then_some(())).await;

    postgres = apart(move || {
        postgres.begin().expect("it starts again");
        postgres
    })
    .await;
    load.is_live_again().await;
    says_yes(&here).await;
    says_yes(&there).await;
    load.end().await;
    drop((here, there, workers));
    apart(move || drop(postgres)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_is_killed_under_load_costs_no_request_and_no_event() {
    let mut broker = apart(|| Broker::start().expect("a broker")).await;
    let installation = Installation::at(broker.url()).await;
    let (here, there) = (installation.node("web").await, installation.node("web").await);
    let workers = (installation.node("worker").await, installation.node("worker").await);
    let ada = here.user("ada").await;
    let load = Load::start(vec![ada.clone(), moved(&ada, &there)]).await;

    broker = apart(move || {
        broker.kill();
        broker
    })
    .await;
    for server in [&here, &there] {
        knows_of_the_broker(server, false).await;
        assert_eq!(readiness(server).await, 200, "people are served without it");
    }
    load.is_live_again().await;

    broker = apart(move || {
        broker.begin().expect("it starts again");
        broker
    })
    .await;
    for server in [&here, &there] {
        knows_of_the_broker(server, true).await;
    }
    load.is_live_again().await;
    assert_eq!(load.refused(), 0);
    load.end().await;
    drop((here, there, workers));
    apart(move || drop(broker)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_cut_off_from_the_database_says_so_and_the_others_go_on() {
    let installation = Installation::new().await;
    let line = Line::to(port_of(installation.database())).await;
    let over = line.over(installation.database());
    let here = installation.node_with("all", |setup| setup.env("DATABASE_URL", over)).await;
    let there = installation.node("all").await;
    let ada = here.user("ada").await;
    let load = Load::start(vec![ada.clone(), moved(&ada, &there)]).await;

    line.is_now(State::Cut);
    says_no(&here).await;
    eventually("requests are refused", async || (load.refused() > 0).then_some(())).await;
    let before = load.changes();
    eventually("the other one goes on", async || (load.changes() > before + 2).then_some(())).await;
    assert_eq!(readiness(&there).await, 200);
    line.is_now(State::Well);
    load.is_live_again().await;
    says_yes(&here).await;

    line.is_now(State::Swallows);
    says_no(&here).await;
    assert_eq!(readiness(&there).await, 200);
    line.is_now(State::Well);
    load.is_live_again().await;
    says_yes(&here).await;
    load.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fail_over_that_leaves_the_old_connections_silent_costs_seconds_and_nothing_else() {
    let installation = Installation::new().await;
    let line = Line::to(port_of(installation.database())).await;
    let over = line.over(installation.database());
    let here = installation.node_with("web", |setup| setup.env("DATABASE_URL", over)).await;
    let ada = here.user("ada").await;

    line.is_now(State::Forgets);
    // What reads finds new connections soon; it is the change that waits, and that has to be seen.
    let asked = ada.post("/api/workspaces", json!({ "name": "Papers" }));
    let (made, ()) = tokio::join!(asked, says_no(&here));
    assert_eq!(made.status, 201, "it is done over a new connection");
    says_yes(&here).await;
    assert_eq!(ada.post("/api/workspaces", json!({ "name": "Notes" })).await.status, 201);
    let list = ada.read("/api/workspaces").await;
    let items = list["items"].as_array().expect("items");
    for name in ["Papers", "Notes"] {
        assert_eq!(items.iter().filter(|item| item["name"] == name).count(), 1, "{list}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_cut_off_from_the_broker_is_late_and_refuses_nothing() {
    let installation = Installation::new().await;
    let line = Line::to(port_of(installation.broker())).await;
    let over = line.over(installation.broker());
    let here = installation.node_with("all", |setup| setup.env("RABBITMQ_URL", over)).await;
    let there = installation.node("all").await;
    let ada = here.user("ada").await;
    // The page is at the server that is cut off, and every other change is made at the other one.
    let load = Load::start(vec![ada.clone(), moved(&ada, &there)]).await;
    for state in [State::Cut, State::Swallows] {
        line.is_now(state);
        knows_of_the_broker(&here, false).await;
        knows_of_the_broker(&there, true).await;
        load.is_live_again().await;
        assert_eq!(readiness(&here).await, 200, "people are served without it");
        line.is_now(State::Well);
        knows_of_the_broker(&here, true).await;
        load.is_live_again().await;
    }
    assert_eq!(load.refused(), 0);
    load.end().await;
}
