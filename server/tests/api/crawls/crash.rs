//! A crawl that is paused, restarted or killed goes on where it was: what was asked for is not asked for again.

use super::*;
use std::time::Duration;

const PAGES: u64 = 40;

async fn restarted(server: Server, client: &mut Client) -> Server {
    let dir = server.dir.clone();
    drop(server);
    let server = setup().dir(&dir).start().await;
    client.base.clone_from(&server.base);
    server
}

/// Whatever happened: every page once, each with one document.
async fn check_end(client: &Client, home: &str, id: &str, site: &Site) {
    let done = ended(client, id).await;
    assert_eq!((&done["status"], &done["attempt"]), (&json!("completed"), &json!(1)), "{done}");
    let listed = pages(client, id, site).await;
    check_sums(&done, &listed);
    assert_eq!(metric(&done, "pages_fetched"), PAGES);
    assert_eq!(metric(&done, "documents_done"), PAGES);
    let documents = documents(client, home).await;
    let mut sources: Vec<&str> =
        documents.iter().filter_map(|d| d["metadata"]["source_url"].as_str()).collect();
    sources.sort_unstable();
    sources.dedup();
    assert_eq!((documents.len(), sources.len()), (PAGES as usize, PAGES as usize));
    assert!(documents.iter().all(|d| d["status"] == "ready"));
}

#[tokio::test]
async fn a_paused_crawl_keeps_its_frontier_over_a_restart() {
    let site = Site::start().await;
    let mut server = setup().start().await;
    let (mut ada, home) = somebody(&server, "ada").await;
    let id = begin(&ada, &home, json!({ "url": site.url("/endless/0"), "max_pages": PAGES })).await;
    eventually("it is under way", async || {
        (metric(&job(&ada, &id).await, "pages_fetched") > 5).then_some(())
    })
    .await;
    control(&ada, &id, "pause", json!({})).await;
    let paused = eventually("it stands", async || {
        let now = job(&ada, &id).await;
        (now["status"] == "paused").then_some(now)
    })
    .await;
    assert!(metric(&paused, "pages_fetched") < PAGES, "in the middle: {paused}");
    let asked = site.log().len();
    assert_eq!(paused["crawl"]["current_url"], Value::Null);

    server.terminate();
    server.ended().await;
    let _server = restarted(server, &mut ada).await;
    let note = ada.upload_one(&home, "note.txt", &prose(3, 60)).await;
    ada.settled(&note).await;
    assert_eq!(job(&ada, &id).await, paused, "another job was done meanwhile, and this one has not moved");
    assert_eq!(site.log().len(), asked);
    control(&ada, &id, "resume", json!({})).await;
    let done = ended(&ada, &id).await;
    assert_eq!(done["status"], "completed", "{done}");
    assert_eq!(metric(&done, "pages_fetched"), PAGES);
    assert_eq!(site.repeated(), 0, "{:?}", site.log());
}

#[tokio::test]
async fn a_crawl_that_is_killed_goes_on_by_itself_and_repeats_the_page_in_hand_at_most() {
    const KILLS: u64 = 4;
    let site = Site::start().await;
    // So that a kill often finds a page under way.
    site.slow(Duration::from_millis(80));
    let mut server = setup().start().await;
    let (mut ada, home) = somebody(&server, "ada").await;
    let id = begin(&ada, &home, json!({ "url": site.url("/endless/0"), "max_pages": PAGES })).await;
    for kill in 1..=KILLS {
        let goal = kill * PAGES / (KILLS + 2);
        eventually("it gets on", async || {
            (metric(&job(&ada, &id).await, "pages_fetched") >= goal).then_some(())
        })
        .await;
        server.kill();
        server = restarted(server, &mut ada).await;
        let before = metric(&job(&ada, &id).await, "pages_fetched");
        // It may be through by the time of this look.
        let moves_on = |now: u64| now > before || now == PAGES;
        let moved = async || moves_on(metric(&job(&ada, &id).await, "pages_fetched")).then_some(());
        eventually("it goes on by itself", moved).await;
    }
    check_end(&ada, &home, &id, &site).await;
    let robots = site.times("/robots.txt") - 1;
    assert!(site.repeated() as u64 <= KILLS, "more than the page in hand: {:?}", site.log());
    assert_eq!(robots, 0, "its rules were kept");
}

#[tokio::test]
async fn what_a_crawl_leaves_out_is_told_and_told_the_same_after_a_kill() {
    let site = Site::start().await;
    let map = |n: usize| format!("/maps/{n}.xml");
    let maps: String = (0..22).map(|n| format!("<loc>{}</loc>", site.url(&map(n)))).collect();
    site.set("/sitemap.xml", Reply::new(200).body(format!("<sitemapindex>{maps}</sitemapindex>")));
    // So many links as are followed, all to one page, and two more.
    let mut links: Vec<String> = (0..2_000).map(|n| format!("/a#{n}")).collect();
    links.extend(["/b".to_owned(), "/c".to_owned()]);
    let links: Vec<&str> = links.iter().map(String::as_str).collect();
    site.set("/", Reply::page("Start", &links));
    site.set("/a", Reply::page("Page a", &["/b"]));
    site.set("/b", Reply::page("Page b", &[]));
    site.set("/c", Reply::page("Page c", &[]));
    let mut server = setup().start().await;
    let (mut ada, home) = somebody(&server, "ada").await;
    let held = site.hold().await;
    let id = begin(&ada, &home, json!({ "url": site.url("/") })).await;
    eventually("the page with all the links is in hand", async || (site.times("/") > 0).then_some(())).await;
    server.kill();
    drop(held);
    let _server = restarted(server, &mut ada).await;
    let done = ended(&ada, &id).await;
    assert_eq!(done["message"], "3 pages ready, 4 skipped", "{done}");
    let listed = pages(&ada, &id, &site).await;
    check_sums(&done, &listed);
    let told = |name: &str| ["state", "code", "found_on"].map(|field| listed[name][field].clone());
    for fetched in ["/", "/a", "/b"] {
        assert_eq!(told(fetched)[..2], [json!("fetched"), Value::Null], "{fetched}");
    }
    assert_eq!(listed["/b"]["found_on"], site.url("/a"), "it is followed from there");
    assert_eq!(told("/c"), ["skipped", "max_links", &*site.url("/")].map(|text| json!(text)));
    // The one that names the others is one of those that are read.
    for n in 19..22 {
        let wanted = ["skipped", "max_sitemaps", &*site.url("/sitemap.xml")].map(|text| json!(text));
        assert_eq!(told(&map(n)), wanted, "{n}");
    }
    assert_eq!(listed.len(), 7, "{:?}", listed.keys());
    assert_eq!((site.times("/"), site.times(&map(18)), site.times(&map(19)), site.times("/c")), (2, 1, 0, 0));
}

#[tokio::test]
async fn a_page_that_comes_when_its_crawl_is_no_longer_its_workers_leaves_no_file() {
    let site = Site::start().await;
    site.set("/", Reply::page("Start", &[]));
    let server = setup().start().await;
    let (ada, home) = somebody(&server, "ada").await;
    let held = site.hold().await;
    let id = begin(&ada, &home, json!({ "url": site.url("/") })).await;
    eventually("the page is asked for", async || (site.times("/") > 0).then_some(())).await;
    // As when another worker takes it over, or its workspace goes.
    let mut rows = server.dir.connect().await;
    let taken = sqlx::query("UPDATE crawls SET fence = fence + 1").execute(&mut rows).await.expect("taken");
    assert_eq!(taken.rows_affected(), 1);
    drop(held);
    let gone = "the file of a page that came to nothing was removed";
    eventually("its file goes", async || server.log().contains(gone).then_some(())).await;
    assert_eq!(server.files("documents"), 0);

    // Whoever took it over gives it back, and the page is asked for once more.
    let free = "UPDATE crawls SET owner = NULL, lease_until = 0";
    sqlx::query(free).execute(&mut rows).await.expect("given back");
    let done = ended(&ada, &id).await;
    assert_eq!((&done["status"], site.times("/")), (&json!("completed"), 2), "{done}");
    assert_eq!((documents(&ada, &home).await.len(), server.files("documents")), (1, 1));
}

#[tokio::test]
async fn a_page_that_waits_for_its_next_try_waits_over_a_pause_and_a_kill() {
    let site = Site::start().await;
    site.set("/", Reply::page("Start", &["/later"]));
    site.set("/later", Reply::new(429).header("retry-after", "86400"));
    let mut server = setup().start().await;
    let (mut ada, home) = somebody(&server, "ada").await;
    let id = begin(&ada, &home, json!({ "url": site.url("/") })).await;
    let until = eventually("it waits", async || {
        let now = job(&ada, &id).await;
        let until = now["crawl"]["waits_until"].as_str().map(str::to_owned);
        until.filter(|_| metric(&now, "documents_done") == 1)
    })
    .await;
    // Nobody has it in hand, so nobody has to be waited for.
    control(&ada, &id, "pause", json!({})).await;
    assert_eq!(job(&ada, &id).await["status"], "paused");
    server.kill();
    server = restarted(server, &mut ada).await;
    control(&ada, &id, "resume", json!({})).await;
    let note = ada.upload_one(&home, "note.txt", &prose(3, 60)).await;
    ada.settled(&note).await;
    let waits = job(&ada, &id).await;
    assert_eq!(
        (&waits["status"], &waits["crawl"]["waits_until"]),
        (&json!("running"), &json!(until)),
        "{waits}"
    );
    assert_eq!(site.times("/later"), 1);

    control(&ada, &id, "cancel", json!({})).await;
    assert_eq!(ended(&ada, &id).await["status"], "cancelled");
    site.set("/later", Reply::page("Later", &[]));
    control(&ada, &id, "retry", json!({})).await;
    let done = ended(&ada, &id).await;
    assert_eq!((&done["status"], metric(&done, "pages_fetched")), (&json!("completed"), 2), "{done}");
    assert_eq!((site.times("/"), site.times("/later")), (1, 2), "a retry waits for nothing");
    drop(server);
}
