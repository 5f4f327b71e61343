//! Crawls of sites that the tests make: what is taken, what is left out and why, and how that is told.

mod again;
mod crash;
mod external;
mod guard;
pub mod site;

use crate::common::{Client, Server, Setup, eventually, fixture, prose};
use serde_json::{Value, json};
use site::{Reply, Site};
use std::collections::BTreeMap;

/// A server that may ask the sites of these tests.
fn setup() -> Setup {
    Setup::new().env("INSIGHTHUB_CRAWL_ALLOW", "127.0.0.1/32")
}

/// Somebody with a workspace that needs no model.
async fn somebody(server: &Server, name: &str) -> (Client, String) {
    let client = server.user(name).await;
    let workspace = client.first_workspace().await;
    let config = json!({ "retriever_type": "keyword" });
    let saved = client
        .send(client.request("PUT", &format!("/api/workspaces/{workspace}/rag-config")).json(&config))
        .await;
    assert_eq!(saved.status, 200, "{saved:?}");
    (client, workspace)
}

async fn begin(client: &Client, workspace: &str, body: Value) -> String {
    let answer = client.post(&format!("/api/workspaces/{workspace}/crawls"), body).await;
    assert_eq!(answer.status, 202, "{answer:?}");
    answer.json()["job_id"].as_str().expect("an id").to_owned()
}

async fn job(client: &Client, id: &str) -> Value {
    client.read(&format!("/api/jobs/{id}")).await
}

async fn control(client: &Client, id: &str, what: &str, body: Value) -> Value {
    let answer = client.post(&format!("/api/jobs/{id}/{what}"), body).await;
    assert_eq!(answer.status, 202, "{answer:?}");
    answer.json()
}

async fn ended(client: &Client, id: &str) -> Value {
    eventually("the crawl ends", async || {
        let job = job(client, id).await;
        matches!(job["status"].as_str(), Some("completed" | "failed" | "cancelled")).then_some(job)
    })
    .await
}

/// All pages of a crawl, by what follows the site's address.
async fn pages(client: &Client, id: &str, site: &Site) -> BTreeMap<String, Value> {
    let mut all = BTreeMap::new();
    let mut after = String::new();
    loop {
        let part = client.read(&format!("/api/jobs/{id}/pages?limit=7{after}")).await;
        for page in part["items"].as_array().expect("items") {
            let url = page["url"].as_str().expect("an address");
            let name = url.strip_prefix(&site.base).unwrap_or(url).to_owned();
            assert!(all.insert(name, page.clone()).is_none(), "told twice: {page}");
        }
        match part["next"].as_str() {
            Some(next) => after = format!("&after={next}"),
            None => return all,
        }
    }
}

async fn documents(client: &Client, workspace: &str) -> Vec<Value> {
    let list = client.read(&format!("/api/workspaces/{workspace}/documents?limit=200")).await;
    list["items"].as_array().expect("items").clone()
}

fn metric(job: &Value, name: &str) -> u64 {
    job["metrics"][name].as_u64().unwrap_or_else(|| panic!("no {name} in {job}"))
}

/// What is counted is what is listed, and nothing is left over.
fn check_sums(job: &Value, pages: &BTreeMap<String, Value>) {
    let listed = |state: &str| pages.values().filter(|p| p["state"] == state).count() as u64;
    for (counter, state) in
        [("pages_fetched", "fetched"), ("pages_failed", "failed"), ("pages_skipped", "skipped")]
    {
        assert_eq!(metric(job, counter), listed(state), "{counter}: {job}");
    }
    assert_eq!(listed("waiting"), 0, "{pages:?}");
    let parts = ["pages_fetched", "pages_failed", "pages_skipped"].map(|name| metric(job, name));
    assert_eq!(metric(job, "pages_found"), parts.iter().sum::<u64>(), "{job}");
}

#[tokio::test]
async fn a_site_becomes_documents_and_every_page_is_told() {
    let site = Site::start().await;
    site.set(
        "/docs/",
        Reply::page("Start", &["a", "b", "broken", "old", "/elsewhere", "secret/x", "logo.png", "paper.pdf"]),
    );
    site.set("/docs/a", Reply::page("Page a", &["./", "b", "a#part"]));
    site.set("/docs/b", Reply::page("Page b", &["a", "https://example.org/", "mailto:ada@example.org"]));
    site.set("/docs/broken", Reply::away(500).body("oh"));
    site.set("/docs/old", Reply::to("new"));
    site.set("/docs/new", Reply::page("New page", &[]));
    site.set("/docs/mapped", Reply::page("Mapped page", &[]));
    site.set("/docs/secret/x", Reply::page("Secret", &[]));
    site.set(
        "/docs/paper.pdf",
        Reply::new(200).header("content-type", "application/pdf").body(fixture("handbook.pdf")),
    );
    site.set(
        "/robots.txt",
        Reply::new(200)
            .body(format!("User-agent: *\nDisallow: /docs/secret\nSitemap: {}", site.url("/map.xml"))),
    );
    let map = format!("<urlset><url><loc>{}</loc></url></urlset>", site.url("/docs/mapped"));
    site.set("/map.xml", Reply::new(200).header("content-type", "application/xml").body(map));
    let server = setup().start().await;
    let (ada, home) = somebody(&server, "ada").await;
    let id = begin(&ada, &home, json!({ "url": site.url("/docs/") })).await;
    let job = ended(&ada, &id).await;

    assert_eq!((&job["kind"], &job["status"]), (&json!("crawl"), &json!("completed")), "{job}");
    assert_eq!(job["crawl"]["prefix"], site.url("/docs/"));
    assert_eq!(job["crawl"]["current_url"], Value::Null);
    let pages = pages(&ada, &id, &site).await;
    check_sums(&job, &pages);
    let told = |name: &str| {
        let page = &pages[name];
        (
            page["state"].as_str().expect("a state"),
            page["code"].as_str().unwrap_or_default(),
            page["http_status"].as_u64(),
        )
    };
    for fetched in ["/docs/", "/docs/a", "/docs/b", "/docs/new", "/docs/mapped", "/docs/paper.pdf"] {
        assert_eq!(told(fetched), ("fetched", "", Some(200)), "{fetched}");
        assert_eq!(pages[fetched]["change"], "new");
    }
    assert_eq!(told("/docs/broken"), ("failed", "http_500", Some(500)));
    let why = pages["/docs/broken"]["message"].as_str().unwrap_or_default();
    assert!(why.contains("500") && why.ends_with("It was tried 3 times."), "{why}");
    assert_eq!(pages["/docs/broken"]["found_on"], site.url("/docs/"));
    assert_eq!(told("/docs/old"), ("skipped", "moved", Some(302)));
    assert_eq!(told("/elsewhere"), ("skipped", "out_of_scope", None));
    assert_eq!(told("https://example.org/"), ("skipped", "out_of_scope", None));
    assert_eq!(told("/docs/secret/x"), ("skipped", "blocked_by_robots", None));
    assert_eq!(told("/docs/logo.png"), ("skipped", "unsupported_type", None));
    assert_eq!(pages.len(), 12, "{:?}", pages.keys());
    assert_eq!(metric(&job, "pages_blocked"), 1);
    assert_eq!(metric(&job, "pages_new"), 6);
    assert_eq!((site.times("/docs/broken"), site.repeated()), (3, 2), "{:?}", site.log());
    assert!(
        !site.log().iter().any(|p| p.contains("secret") || p.contains("elsewhere") || p.contains("logo"))
    );

    let failed = ada.read(&format!("/api/jobs/{id}/pages?state=failed")).await;
    assert_eq!(failed["items"].as_array().map(Vec::len), Some(1));
    ada.get(&format!("/api/jobs/{id}/pages?state=odd")).await.problem(422, "invalid");

    let documents = documents(&ada, &home).await;
    assert_eq!(documents.len(), 6);
    assert_eq!(metric(&job, "documents_done"), 6);
    for document in &documents {
        assert_eq!(document["status"], "ready", "{document}");
        let url = document["metadata"]["source_url"].as_str().expect("an address");
        let page = &pages[url.strip_prefix(&site.base).expect("of the site")];
        assert_eq!(page["document_id"], document["id"]);
    }
    let new = documents.iter().find(|d| d["metadata"]["title"] == "New page").expect("a title");
    assert!(new["filename"].as_str().is_some_and(|f| f.ends_with("/docs/new.html")), "{new}");
    let history =
        ada.read(&format!("/api/documents/{}/history?limit=200", new["id"].as_str().expect("an id"))).await;
    let steps: Vec<&str> = history["items"]
        .as_array()
        .expect("items")
        .iter()
        .filter_map(|e| e["data"]["step"].as_str())
        .collect();
    for step in ["initializing", "crawling", "processing_content", "storing_metadata", "finished"] {
        assert!(steps.contains(&step), "{step}: {steps:?}");
    }
    let found = ada.read(&format!("/api/workspaces/{home}/search?q=mapped")).await;
    assert!(found["items"].as_array().is_some_and(|hits| !hits.is_empty()), "{found}");
}

#[tokio::test]
async fn a_crawl_keeps_its_bounds() {
    let site = Site::start().await;
    let server = setup().start().await;
    let (ada, home) = somebody(&server, "ada").await;
    let id = begin(&ada, &home, json!({ "url": site.url("/endless/0"), "max_pages": 7 })).await;
    let done = ended(&ada, &id).await;
    assert_eq!(done["status"], "completed", "{done}");
    let listed = pages(&ada, &id, &site).await;
    check_sums(&done, &listed);
    assert_eq!(metric(&done, "pages_fetched"), 7);
    let asked = site.log().iter().filter(|path| path.starts_with("/endless/")).count();
    assert_eq!(asked, 7, "{:?}", site.log());
    assert!(listed.values().any(|page| page["code"] == "max_pages"), "{listed:?}");

    site.forget_log();
    let bounds = json!({ "url": site.url("/endless/0"), "max_depth": 1, "prefix": site.url("/endless/") });
    let id = begin(&ada, &home, bounds).await;
    let done = ended(&ada, &id).await;
    let listed = pages(&ada, &id, &site).await;
    check_sums(&done, &listed);
    let asked: Vec<String> = site.log().into_iter().filter(|path| path.starts_with("/endless/")).collect();
    assert_eq!(asked, ["/endless/0", "/endless/1", "/endless/2", "/endless/3"]);
    assert!(
        listed.values().filter(|page| page["depth"] == 2).all(|page| page["code"] == "too_deep"),
        "{listed:?}"
    );
    assert_eq!(listed.values().filter(|page| page["code"] == "too_deep").count(), 9);
}

#[tokio::test]
async fn a_site_that_turns_in_circles_or_leads_elsewhere_comes_to_an_end() {
    let site = Site::start().await;
    site.set("/round/", Reply::to("/round/1"));
    site.set("/round/1", Reply::to("/round/2"));
    site.set("/round/2", Reply::to("/round/"));
    site.set("/moved", Reply::to("/en/start/"));
    site.set("/en/start/", Reply::page("Start", &["more", "/"]));
    site.set("/en/start/more", Reply::page("More", &[]));
    let server = setup().start().await;
    let (ada, home) = somebody(&server, "ada").await;
    let id = begin(&ada, &home, json!({ "url": site.url("/round/") })).await;
    let job = ended(&ada, &id).await;
    assert_eq!(job["status"], "failed", "{job}");
    let listed = pages(&ada, &id, &site).await;
    check_sums(&job, &listed);
    assert_eq!(listed["/round/2"]["code"], "too_many_redirects", "{listed:?}");
    assert_eq!(site.repeated(), 0, "{:?}", site.log());

    // Where nobody named a part of the site, the first page does, wherever it stands by now.
    let id = begin(&ada, &home, json!({ "url": site.url("/moved") })).await;
    let job = ended(&ada, &id).await;
    assert_eq!(job["crawl"]["prefix"], site.url("/"), "it was in the folder of the first page already");
    let id = begin(&ada, &home, json!({ "url": site.url("/moved"), "prefix": site.url("/moved") })).await;
    let job = ended(&ada, &id).await;
    let listed = pages(&ada, &id, &site).await;
    assert_eq!((metric(&job, "pages_fetched"), listed["/moved"]["code"].as_str()), (0, Some("out_of_scope")));
}

#[tokio::test]
async fn a_site_in_trouble_is_left_alone_and_one_without_rules_is_not() {
    let site = Site::start().await;
    site.set("/", Reply::page("Start", &[]));
    site.set("/robots.txt", Reply::away(503));
    let server = setup().start().await;
    let (ada, home) = somebody(&server, "ada").await;
    let id = begin(&ada, &home, json!({ "url": site.url("/") })).await;
    let done = ended(&ada, &id).await;
    assert_eq!(done["status"], "failed", "{done}");
    assert_eq!(pages(&ada, &id, &site).await["/"]["code"], "robots_unreachable");
    assert_eq!((site.times("/"), site.times("/robots.txt")), (0, 3));

    site.remove("/robots.txt");
    control(&ada, &id, "retry", json!({})).await;
    let done = ended(&ada, &id).await;
    assert_eq!((&done["status"], &done["attempt"]), (&json!("completed"), &json!(2)), "{done}");
    assert_eq!(site.times("/"), 1);
}

#[tokio::test]
async fn a_page_that_may_be_had_later_is_asked_for_again_while_the_others_go_on() {
    let site = Site::start().await;
    site.set("/docs/", Reply::page("Start", &["later", "gone", "other"]));
    site.set("/docs/later", Reply::new(503));
    site.set("/docs/other", Reply::page("Other", &[]));
    let server = setup().start().await;
    let (ada, home) = somebody(&server, "ada").await;
    let id = begin(&ada, &home, json!({ "url": site.url("/docs/") })).await;
    let waits = eventually("the others are through, and one waits", async || {
        let pages = pages(&ada, &id, &site).await;
        let is_through = pages.get("/docs/other").is_some_and(|page| page["state"] == "fetched");
        pages.get("/docs/later").filter(|page| is_through && page["code"] == "http_503").cloned()
    })
    .await;
    assert_eq!((&waits["state"], &waits["http_status"]), (&json!("waiting"), &json!(503)), "{waits}");
    assert!(waits["message"].as_str().is_some_and(|m| m.contains(" of 3 in ")), "{waits}");
    eventually("the crawl says until when it waits", async || {
        let job = job(&ada, &id).await;
        let says = job["message"].as_str().is_some_and(|m| m.contains("It is asked again at "));
        (says && job["crawl"]["waits_until"].is_string()).then_some(())
    })
    .await;
    site.set("/docs/later", Reply::page("Later", &[]));
    let done = ended(&ada, &id).await;
    assert_eq!((&done["status"], &done["crawl"]["waits_until"]), (&json!("completed"), &Value::Null));
    check_sums(&done, &pages(&ada, &id, &site).await);
    assert_eq!((metric(&done, "pages_fetched"), metric(&done, "pages_failed")), (3, 1), "{done}");
    assert_eq!((site.times("/docs/gone"), site.times("/docs/other")), (1, 1), "nothing heals these");
    assert!((2..=3).contains(&site.times("/docs/later")), "{:?}", site.log());
}

#[tokio::test]
async fn a_site_that_has_too_much_to_do_is_left_alone() {
    let site = Site::start().await;
    site.set("/", Reply::page("Start", &["/a", "/b", "/c"]));
    site.set("/a", Reply::new(429).header("retry-after", "2"));
    site.set("/b", Reply::page("Page b", &[]));
    site.set("/c", Reply::page("Page c", &[]));
    let server = setup().start().await;
    let (ada, home) = somebody(&server, "ada").await;
    let id = begin(&ada, &home, json!({ "url": site.url("/") })).await;
    eventually("it is asked", async || (site.times("/a") > 0).then_some(())).await;
    site.set("/a", Reply::page("Page a", &[]));
    let done = ended(&ada, &id).await;
    assert_eq!((&done["status"], metric(&done, "pages_fetched")), (&json!("completed"), 4), "{done}");
    let log = site.log();
    let asked: Vec<&str> =
        log.iter().map(String::as_str).filter(|path| matches!(*path, "/a" | "/b" | "/c")).collect();
    let (before, last) = asked.split_at(asked.len() - 2);
    assert_eq!(last, ["/b", "/c"], "no other page meanwhile: {asked:?}");
    assert!(before.iter().all(|path| *path == "/a"), "{asked:?}");
}

#[tokio::test]
async fn the_beginning_of_endless_rules_is_kept() {
    let site = Site::start().await;
    site.set("/", Reply::page("Start", &["/secret"]));
    site.set("/secret", Reply::page("Secret", &[]));
    let endless = "# Nobody reads on to the end of this.\n".repeat(160_000);
    let rules = format!("User-agent: *\nDisallow: /secret\n{endless}");
    assert!(rules.len() > 5 << 20);
    site.set("/robots.txt", Reply::new(200).body(rules));
    let server = setup().start().await;
    let (ada, home) = somebody(&server, "ada").await;
    let id = begin(&ada, &home, json!({ "url": site.url("/") })).await;
    ended(&ada, &id).await;
    assert_eq!(pages(&ada, &id, &site).await["/secret"]["code"], "blocked_by_robots");
    assert_eq!((site.times("/"), site.times("/secret")), (1, 0));
}

#[tokio::test]
async fn the_counts_move_live_and_no_bar_goes_back() {
    let site = Site::start().await;
    let server = setup().start().await;
    let (ada, home) = somebody(&server, "ada").await;
    let id = begin(&ada, &home, json!({ "url": site.url("/endless/0"), "max_pages": 12 })).await;
    ended(&ada, &id).await;
    let history = ada.read(&format!("/api/jobs/{id}/history?format=json")).await;
    let events = history.as_array().expect("entries");
    let jobs: Vec<&Value> = events
        .iter()
        .filter(|e| e["data"]["job_id"] == json!(id) && e["data"]["kind"] == "crawl")
        .map(|e| &e["data"])
        .collect();
    assert!(jobs.len() > 5, "{}", jobs.len());
    let mut before = (0.0, 0, 0);
    for job in &jobs {
        let now = (
            job["progress"].as_f64().expect("a number"),
            metric(job, "pages_found"),
            metric(job, "pages_fetched"),
        );
        assert!(now.0 >= before.0 && now.1 >= before.1 && now.2 >= before.2, "{before:?} {now:?}");
        before = now;
    }
    let reads = jobs.iter().filter(|job| job["crawl"]["current_url"].is_string()).count();
    assert!(reads > 3, "the page in hand was told {reads} times");
    assert!(
        jobs.iter().any(|job| job["message"].as_str().is_some_and(|m| m.starts_with("Reading the site: ")))
    );
    let ends = events.iter().filter(|e| e["event"] == "job_complete").count();
    assert_eq!(ends, 1);
}

#[tokio::test]
async fn the_crawl_of_one_person_holds_up_nobody_elses_upload() {
    let site = Site::start().await;
    let server = setup().env("INSIGHTHUB_WORKERS", "1").start().await;
    let (ada, home) = somebody(&server, "ada").await;
    let (bob, other) = somebody(&server, "bob").await;
    let id = begin(&ada, &home, json!({ "url": site.url("/endless/0"), "max_pages": 600 })).await;
    eventually("the crawl is under way", async || {
        (metric(&job(&ada, &id).await, "pages_fetched") > 3).then_some(())
    })
    .await;
    let document = bob.upload_one(&other, "note.txt", &prose(1, 80)).await;
    assert_eq!(bob.settled(&document).await["status"], "ready");
    let now = job(&ada, &id).await;
    assert_eq!(now["status"], "running", "he had to wait for it: {now}");
    control(&ada, &id, "cancel", json!({})).await;
    ended(&ada, &id).await;
}

#[tokio::test]
async fn a_cancelled_crawl_asks_for_nothing_more_and_can_go_on_later() {
    let site = Site::start().await;
    let server = setup().start().await;
    let (ada, home) = somebody(&server, "ada").await;
    let id = begin(&ada, &home, json!({ "url": site.url("/endless/0"), "max_pages": 40 })).await;
    eventually("the crawl is under way", async || {
        (metric(&job(&ada, &id).await, "pages_fetched") > 2).then_some(())
    })
    .await;
    control(&ada, &id, "cancel", json!({})).await;
    let cancelled = ended(&ada, &id).await;
    assert_eq!(cancelled["status"], "cancelled", "{cancelled}");
    let asked = site.log().len();
    // Another crawl comes and goes, and the cancelled one has not moved.
    site.set("/small/", Reply::page("Small", &[]));
    let small = begin(&ada, &home, json!({ "url": site.url("/small/") })).await;
    ended(&ada, &small).await;
    let more: Vec<String> = site.log().split_off(asked);
    assert!(!more.iter().any(|path| path.starts_with("/endless/")), "{more:?}");

    control(&ada, &id, "retry", json!({})).await;
    let done = ended(&ada, &id).await;
    assert_eq!(done["status"], "completed", "{done}");
    check_sums(&done, &pages(&ada, &id, &site).await);
    assert_eq!(metric(&done, "pages_fetched"), 40);
    let endless: Vec<String> = site.log().into_iter().filter(|path| path.starts_with("/endless/")).collect();
    assert_eq!(endless.len(), 40, "{endless:?}");
}

#[tokio::test]
async fn one_page_that_failed_is_asked_for_again_and_no_other() {
    let site = Site::start().await;
    site.set("/docs/", Reply::page("Start", &["one", "two", "three"]));
    site.set("/docs/one", Reply::away(500));
    site.set("/docs/two", Reply::away(500));
    site.set("/docs/three", Reply::page("Page three", &[]));
    let server = setup().start().await;
    let (ada, home) = somebody(&server, "ada").await;
    let id = begin(&ada, &home, json!({ "url": site.url("/docs/") })).await;
    let first = ended(&ada, &id).await;
    assert_eq!((metric(&first, "pages_fetched"), metric(&first, "pages_failed")), (2, 2), "{first}");
    site.set("/docs/one", Reply::page("Page one", &[]));
    site.set("/docs/two", Reply::page("Page two", &[]));
    site.forget_log();
    let retry = format!("/api/jobs/{id}/retry");
    ada.post(&retry, json!({ "scope": "pages" })).await.problem(422, "invalid");
    let fine = json!({ "scope": "pages", "pages": [site.url("/docs/three")] });
    ada.post(&retry, fine).await.problem(409, "nothing_to_retry");
    let one =
        json!({ "scope": "pages", "pages": [site.url("/docs/one"), site.url("/docs/one")], "attempt": 1 });
    control(&ada, &id, "retry", one.clone()).await;
    let second = eventually("the second attempt ends", async || {
        let job = job(&ada, &id).await;
        (job["attempt"] == 2 && job["status"] == "completed").then_some(job)
    })
    .await;
    assert_eq!((metric(&second, "pages_fetched"), metric(&second, "pages_failed")), (3, 1), "{second}");
    check_sums(&second, &pages(&ada, &id, &site).await);
    assert_eq!((site.times("/docs/one"), site.times("/docs/two"), site.times("/docs/three")), (1, 0, 0));
    assert_eq!(control(&ada, &id, "retry", one).await["attempt"], 2, "a second click is none");
}
