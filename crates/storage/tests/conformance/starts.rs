//! Starts where nobody has made the tables yet: of one server, and of all servers of an installation at once.

use crate::{
    recovery::event,
    subject::{Database, open},
    support::{Place, World},
};
use futures::future::join_all;
use services::ports::EventLog;
use sqlx::{Executor, raw_sql};
use storage::{OpenOptions, Store};

const SERVERS: usize = 10;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_was_not_there_gets_the_tables_that_the_other_tests_find() {
    let mut found: Vec<Vec<String>> = vec![];
    for place in [Place::empty(), Place::sqlite().await] {
        open(&place, &World::new()).await.close().await;
        let mut conn = place.connect().await;
        let sql = "SELECT name || ' ' || COALESCE(sql, '') FROM sqlite_master ORDER BY name";
        found.push(sqlx::query_scalar(sql).fetch_all(&mut conn).await.unwrap());
    }
    assert!(found[0].len() > 100, "{found:?}");
    assert_eq!(found[0], found[1]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_servers_that_start_at_once_on_an_empty_database_all_serve_the_same_log() {
    let (place, world) = (Place::postgres().await, World::new());
    let mut conn = place.connect().await;
    // The place has its tables already, and pgvector where that is offered.
    conn.execute(raw_sql("DROP SCHEMA public CASCADE; CREATE SCHEMA public")).await.unwrap();
    let starting = (0..SERVERS).map(|n| {
        Store::open(OpenOptions {
            url: place.url(),
            bus: world.bus.clone(),
            clock: world.clock.clone(),
            secrets: world.secrets.clone(),
            // Each has a data folder of its own.
            high_water: Some(place.high_water().with_file_name(format!("{n}.mark"))),
            readers: 2,
            pgvector: true,
        })
    });
    let servers: Vec<Store> = join_all(starting).await.into_iter().map(|opened| opened.unwrap()).collect();
    let writers: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM writers").fetch_one(&mut conn).await.unwrap();
    assert_eq!(writers, SERVERS as i64, "each has put itself down");
    let epochs: Vec<_> = servers.iter().map(|server| server.epoch()).collect();
    assert!(epochs.iter().all(|epoch| *epoch == epochs[0]), "{epochs:?}");
    let searches: Vec<_> = servers.iter().map(|server| server.searches_vectors()).collect();
    assert!(searches.iter().all(|one| *one == searches[0]), "{searches:?}");

    let s = Database::of(place, world).await;
    let user = s.make_user().await;
    let before = s.store.head(user).await.unwrap();
    let writing =
        servers.iter().map(|server| server.append(user, vec![event(s.world().uuid())], s.world().now()));
    for written in join_all(writing).await {
        assert_eq!(written.unwrap().len(), 1);
    }
    for server in &servers {
        assert_eq!(server.head(user).await.unwrap(), before + SERVERS as u64);
    }
    for server in servers {
        server.close().await;
    }
}
