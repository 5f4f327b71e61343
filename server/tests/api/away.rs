//! What servers stand on goes away under load and comes back: the database crashes, the broker is killed, and the network
//! between a server and the one or the other is cut, or swallows everything. Meanwhile everybody is told the truth, and afterwards nothing is lost
//! or stuck.

use crate::{
    broker::{Installation, broker_check, moved},
    common::{BACK, Server, Setup, eventually, within},
    line::{Line, State, port_of},
    load::Load,
    servers::database::Place,
};
use futures::future::join_all;
use measure::{broker::Broker, postgres::Postgres};
use serde_json::json;
use sqlx::{AssertSqlSafe, Executor, raw_sql};
use std::time::Duration;

/// By when whoever reads is told that there will be no answer: long before the client itself would give up.
const REFUSED: Duration = Duration::from_secs(60);
/// Connections of a server that read.
const READERS: usize = 8;

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
    within(BACK, "it is ready again", async || (readiness(server).await == 200).then_some(())).await;
}

async fn knows_of_the_broker(server: &Server, there: bool) {
    let what = format!("it knows whether the broker is there: {there}");
    within(BACK, &what, async || (broker_check(&server.visitor()).await["ok"] == there).then_some(())).await;
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
    // What was cut off in the middle of a transaction may keep it from writing until PostgreSQL ends that.
    says_yes(&there).await;
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
async fn reads_that_are_under_way_when_the_line_falls_silent_are_refused_and_hold_up_no_others() {
    let place = Place::postgres().await;
    let line = Line::to(port_of(&place.url())).await;
    let setup = Setup::new().env("DATABASE_URL", line.over(&place.url()));
    let here = setup.args(&["serve", "--role", "web"]).start().await;
    let ada = here.user("ada").await;
    let (mut holds, mut looks) = (place.connect().await, place.connect().await);
    for state in [State::Swallows, State::Forgets] {
        // Until the table is free again, whoever reads it is under way.
        let lock = raw_sql("BEGIN; LOCK TABLE workspaces IN ACCESS EXCLUSIVE MODE");
        holds.execute(lock).await.expect("locked");
        let asked: Vec<_> = (0..READERS)
            .map(|_| {
                let ada = ada.clone();
                tokio::spawn(async move { ada.get("/api/workspaces").await })
            })
            .collect();
        // What the server looks for by itself reads over the same connections. A request that it keeps waiting is not under way.
        let under_way = eventually("every connection that reads is under way", async || {
            let sql = "SELECT SUM(n)::BIGINT, MAX(n) FROM (SELECT COUNT(*) AS n FROM pg_stat_activity \
                       WHERE datname = current_database() AND wait_event_type = 'Lock' GROUP BY query) AS waiting";
            let waiting: (Option<i64>, Option<i64>) =
                sqlx::query_as(sql).fetch_one(&mut looks).await.expect("counted");
            waiting.1.filter(|_| waiting.0 >= Some(READERS as i64))
        })
        .await;
        assert!(under_way > READERS as i64 / 2, "{under_way} requests are under way");
        line.is_now(state);
        holds.execute(raw_sql("ROLLBACK")).await.expect("free again");

        let answers = tokio::time::timeout(REFUSED, join_all(asked)).await.expect("nobody waits for ever");
        let mut refused = 0;
        for answer in answers {
            let answer = answer.expect("answered");
            if answer.status != 200 {
                answer.problem(503, "unavailable");
                refused += 1;
            }
        }
        assert!(refused >= under_way, "{refused} of {under_way} were refused");
        if state == State::Swallows {
            assert_eq!(readiness(&here).await, 503);
            line.is_now(State::Well);
        }
        within(BACK, "reads are answered", async || {
            (ada.get("/api/workspaces").await.status == 200).then_some(())
        })
        .await;
        says_yes(&here).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_whose_database_became_one_that_only_reads_is_not_ready_though_nobody_writes() {
    let place = Place::postgres().await;
    let setup = Setup::new().env("DATABASE_URL", place.url());
    let here = setup.args(&["serve", "--role", "web"]).start().await;
    let ada = here.user("ada").await;
    says_yes(&here).await;
    let mut conn = place.connect().await;
    let url = place.url();
    let (_, name) = url.rsplit_once('/').expect("the URL names a database");
    let set = format!("ALTER DATABASE {name} SET default_transaction_read_only = on");
    conn.execute(raw_sql(AssertSqlSafe(set))).await.expect("set");
    // As when the primary becomes a standby: every connection ends, and what can be had after that only reads.
    let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
               WHERE datname = current_database() AND pid <> pg_backend_pid()";
    conn.execute(raw_sql(end)).await.expect("ended");
    within(BACK, "it says why it is not ready", async || {
        let answer = here.visitor().get("/health/ready").await;
        let told = answer.json()["checks"][0]["detail"].as_str().is_some_and(|d| d.contains("only reads"));
        (answer.status == 503 && told).then_some(())
    })
    .await;
    assert_eq!(ada.get("/api/workspaces").await.status, 200, "what is there can be read");

    let reset = format!("ALTER DATABASE {name} RESET default_transaction_read_only");
    conn.execute(raw_sql(AssertSqlSafe(reset))).await.expect("set back");
    says_yes(&here).await;
    assert_eq!(ada.post("/api/workspaces", json!({ "name": "Papers" })).await.status, 201);
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
