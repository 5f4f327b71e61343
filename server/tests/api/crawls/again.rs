//! Once more: what failed, and whole sites that were read before.

use super::*;

#[tokio::test]
async fn what_failed_is_asked_for_again_and_nothing_else() {
    let site = Site::start().await;
    site.set("/", Reply::page("Start", &["/a", "/broken", "/gone"]));
    site.set("/a", Reply::page("Page a", &[]));
    site.set("/broken", Reply::away(503).body("later"));
    let server = setup().start().await;
    let (ada, home) = somebody(&server, "ada").await;
    let id = begin(&ada, &home, json!({ "url": site.url("/") })).await;
    let first = ended(&ada, &id).await;
    assert_eq!(first["status"], "completed", "{first}");
    assert_eq!((metric(&first, "pages_failed"), metric(&first, "pages_fetched")), (2, 2));
    assert!(first["message"].as_str().is_some_and(|m| m.contains("2 failed")), "{first}");

    site.set("/broken", Reply::page("Mended", &["/behind"]));
    site.set("/behind", Reply::page("Behind", &[]));
    site.forget_log();
    let again = control(&ada, &id, "retry", json!({ "attempt": 1 })).await;
    assert_eq!((&again["attempt"], &again["job_id"]), (&json!(2), &json!(id)));
    let second = ended(&ada, &id).await;
    assert_eq!(second["status"], "completed", "{second}");
    let mut asked = site.log();
    asked.sort_unstable();
    assert_eq!(asked, ["/behind", "/broken", "/gone"]);
    let listed = pages(&ada, &id, &site).await;
    check_sums(&second, &listed);
    assert_eq!(listed["/broken"]["state"], "fetched");
    assert_eq!(
        (&listed["/gone"]["code"], &listed["/gone"]["http_status"]),
        (&json!("http_404"), &json!(404))
    );
    assert_eq!(metric(&second, "documents_done"), 4);
    let attempts = ada.read(&format!("/api/jobs/{id}/attempts")).await;
    assert_eq!(attempts[0]["metrics"]["pages_failed"], 2, "{attempts}");
    assert_eq!(documents(&ada, &home).await.len(), 4);
}

#[tokio::test]
async fn a_later_crawl_tells_what_changed_and_indexes_only_that() {
    let site = Site::start().await;
    let with_tag = |title: &str, links: &[&str], tag: &str| Reply::page(title, links).header("etag", tag);
    site.set("/docs/", with_tag("Start", &["same", "other", "leaves", "plain"], "\"1\""));
    site.set("/docs/same", with_tag("Same", &["behind"], "\"1\""));
    site.set("/docs/behind", Reply::page("Behind", &[]));
    site.set("/docs/other", with_tag("Other", &[], "\"1\""));
    site.set("/docs/leaves", Reply::page("Leaves", &[]));
    site.set("/docs/plain", Reply::page("Plain", &[]));
    let server = setup().start().await;
    let (ada, home) = somebody(&server, "ada").await;
    let body = json!({ "url": site.url("/docs/") });
    let id = begin(&ada, &home, body.clone()).await;
    let first = ended(&ada, &id).await;
    assert_eq!((metric(&first, "pages_new"), metric(&first, "pages_unchanged")), (6, 0), "{first}");
    let before = documents(&ada, &home).await;
    let of = |all: &[Value], path: &str| {
        let url = site.url(path);
        all.iter()
            .find(|d| d["metadata"]["source_url"] == json!(url))
            .cloned()
            .unwrap_or_else(|| panic!("no {url}"))
    };

    site.set("/docs/", with_tag("Start", &["same", "other", "plain", "fresh"], "\"2\""));
    site.set("/docs/other", with_tag("Other things", &[], "\"2\""));
    site.set("/docs/fresh", Reply::page("Fresh", &[]));
    site.remove("/docs/leaves");
    site.forget_log();
    let id = begin(&ada, &home, body.clone()).await;
    let second = ended(&ada, &id).await;
    assert_eq!(second["status"], "completed", "{second}");
    let listed = pages(&ada, &id, &site).await;
    let change = |path: &str| listed[path]["change"].as_str().unwrap_or_default().to_owned();
    assert_eq!(["/docs/", "/docs/other"].map(change), ["changed", "changed"], "{listed:?}");
    assert_eq!(
        ["/docs/same", "/docs/behind", "/docs/plain"].map(change),
        ["unchanged", "unchanged", "unchanged"]
    );
    assert_eq!(change("/docs/fresh"), "new");
    assert_eq!(listed["/docs/leaves"]["state"], "removed");
    let counts =
        ["pages_new", "pages_changed", "pages_unchanged", "pages_removed"].map(|name| metric(&second, name));
    assert_eq!(counts, [1, 2, 3, 1], "{second}");
    assert_eq!(metric(&second, "documents_total"), 3, "the others were not indexed again");
    assert_eq!(site.told_unchanged(), 1, "it was asked by its version");

    let after = documents(&ada, &home).await;
    assert_eq!(after.len(), 7);
    for path in ["/docs/same", "/docs/behind", "/docs/plain", "/docs/leaves"] {
        assert_eq!(of(&after, path), of(&before, path), "{path} was touched");
    }
    let (old, new) = (of(&before, "/docs/other"), of(&after, "/docs/other"));
    assert_eq!((&old["id"], &new["status"], &new["version"]), (&new["id"], &json!("ready"), &json!(2)));
    assert_ne!(old["content_hash"], new["content_hash"]);
    let content = ada.get(&format!("/api/documents/{}/content", new["id"].as_str().expect("an id"))).await;
    assert!(String::from_utf8_lossy(&content.body).contains("Other things"));
    let found = ada.read(&format!("/api/workspaces/{home}/search?q=things")).await;
    assert_eq!(
        found["items"].as_array().map(|hits| hits.iter().all(|h| h["document"]["id"] == new["id"])),
        Some(true)
    );
    assert_eq!(server.files("documents"), 9, "what two pages were before is kept with their versions");
    let path = format!("/api/documents/{}/content?version=1", new["id"].as_str().expect("an id"));
    let content = ada.get(&path).await;
    assert_eq!(content.status, 200, "{content:?}");
    assert!(String::from_utf8_lossy(&content.body).contains("The page Other tells"));

    // A third time, with nothing new: it is told so, and nothing is indexed.
    let id = begin(&ada, &home, body).await;
    let third = ended(&ada, &id).await;
    assert_eq!(third["status"], "completed", "{third}");
    let counts = ["documents_total", "pages_unchanged", "pages_removed"].map(|name| metric(&third, name));
    assert_eq!(counts, [0, 6, 1], "{third}");
    assert!(
        third["phase_details"]
            .as_array()
            .expect("phases")
            .iter()
            .all(|p| p["status"] == "completed" || p["status"] == "skipped"),
        "{third}"
    );
}

#[tokio::test]
async fn a_site_that_does_not_answer_has_lost_nothing_and_a_retry_reads_all_of_it() {
    let site = Site::start().await;
    site.set("/", Reply::page("Start", &["/a", "/b"]));
    site.set("/a", Reply::page("Page a", &["/behind"]));
    site.set("/b", Reply::page("Page b", &[]));
    site.set("/behind", Reply::page("Behind", &[]));
    let server = setup().start().await;
    let (ada, home) = somebody(&server, "ada").await;
    let body = json!({ "url": site.url("/") });
    ended(&ada, &begin(&ada, &home, body.clone()).await).await;
    let counts = |job: &Value| ["pages_unchanged", "pages_failed", "pages_removed"].map(|n| metric(job, n));

    site.set("/", Reply::away(503).body("later"));
    let id = begin(&ada, &home, body.clone()).await;
    let down = ended(&ada, &id).await;
    assert_eq!((&down["status"], counts(&down)), (&json!("failed"), [0, 1, 0]), "{down}");
    assert_eq!(pages(&ada, &id, &site).await.len(), 1);
    // The same with a page in the middle: what is behind it nobody can tell.
    site.set("/", Reply::page("Start", &["/a", "/b"]));
    site.set("/a", Reply::away(503).body("later"));
    control(&ada, &id, "retry", json!({})).await;
    let half = ended(&ada, &id).await;
    assert_eq!(counts(&half), [2, 1, 0], "{half}");
    site.set("/a", Reply::page("Page a", &["/behind"]));
    control(&ada, &id, "retry", json!({})).await;
    let whole = ended(&ada, &id).await;
    assert_eq!(counts(&whole), [4, 0, 0], "{whole}");
    check_sums(&whole, &pages(&ada, &id, &site).await);

    // What was told to be gone is there again once a page that could not be had leads to it.
    site.set("/", Reply::page("Start", &["/a", "/new"]));
    site.set("/new", Reply::away(503).body("later"));
    let id = begin(&ada, &home, body).await;
    let first = ended(&ada, &id).await;
    assert_eq!(counts(&first), [2, 1, 1], "{first}");
    assert_eq!(pages(&ada, &id, &site).await["/b"]["state"], "removed");
    site.set("/new", Reply::page("New", &["/b"]));
    control(&ada, &id, "retry", json!({})).await;
    let second = ended(&ada, &id).await;
    assert_eq!(counts(&second), [3, 0, 0], "{second}");
    let listed = pages(&ada, &id, &site).await;
    check_sums(&second, &listed);
    assert_eq!((&listed["/b"]["state"], &listed["/b"]["change"]), (&json!("fetched"), &json!("unchanged")));
}

#[tokio::test]
async fn what_only_a_site_map_names_is_not_gone_while_that_cannot_be_had() {
    let site = Site::start().await;
    site.set("/", Reply::page("Start", &[]));
    site.set("/mapped", Reply::page("Mapped", &[]));
    let map = format!("<urlset><url><loc>{}</loc></url></urlset>", site.url("/mapped"));
    site.set("/sitemap.xml", Reply::new(200).body(map));
    let server = setup().start().await;
    let (ada, home) = somebody(&server, "ada").await;
    let body = json!({ "url": site.url("/") });
    let crawled = async || ended(&ada, &begin(&ada, &home, body.clone()).await).await;
    assert_eq!(metric(&crawled().await, "pages_new"), 2);
    site.set("/sitemap.xml", Reply::away(503));
    let away = crawled().await;
    assert_eq!((metric(&away, "pages_unchanged"), metric(&away, "pages_removed")), (1, 0), "{away}");
    site.remove("/sitemap.xml");
    let none = crawled().await;
    assert_eq!((metric(&none, "pages_unchanged"), metric(&none, "pages_removed")), (1, 1), "{none}");
}

#[tokio::test]
async fn a_page_whose_file_is_gone_is_asked_for_anew_and_leads_on_as_before() {
    let site = Site::start().await;
    site.set("/", Reply::page("Start", &["/a"]).header("etag", "\"1\""));
    site.set("/a", Reply::page("Page a", &[]));
    let server = setup().start().await;
    let (ada, home) = somebody(&server, "ada").await;
    let body = json!({ "url": site.url("/") });
    ended(&ada, &begin(&ada, &home, body.clone()).await).await;
    let first = json!(site.url("/"));
    let all = documents(&ada, &home).await;
    let start = all.iter().find(|d| d["metadata"]["source_url"] == first).expect("the first page");
    let id = start["id"].as_str().expect("an id");
    let file = server.all_files().into_iter().find(|file| file.ends_with(id)).expect("its file");
    std::fs::remove_file(file).expect("removed");
    site.forget_log();
    let again = ended(&ada, &begin(&ada, &home, body).await).await;
    assert_eq!((metric(&again, "pages_unchanged"), metric(&again, "pages_removed")), (2, 0), "{again}");
    assert_eq!(site.told_unchanged(), 0);
}

#[tokio::test]
async fn what_a_page_was_before_stays_when_what_it_became_cannot_be_read() {
    let site = Site::start().await;
    site.set("/", Reply::page("Lanterns", &[]));
    let server = setup().start().await;
    let (ada, home) = somebody(&server, "ada").await;
    let body = json!({ "url": site.url("/") });
    ended(&ada, &begin(&ada, &home, body.clone()).await).await;
    let id = documents(&ada, &home).await[0]["id"].as_str().expect("an id").to_owned();
    let content = async |version: &str| {
        let answer = ada.get(&format!("/api/documents/{id}/content{version}")).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        String::from_utf8_lossy(&answer.body).into_owned()
    };

    let torn = b"%PDF-1.7\nThis is all that is left of it.".to_vec();
    site.set("/", Reply::new(200).header("content-type", "application/pdf").body(torn));
    ended(&ada, &begin(&ada, &home, body.clone()).await).await;
    let kept = ada.read(&format!("/api/documents/{id}")).await;
    assert_eq!((&kept["status"], &kept["version"]), (&json!("ready"), &json!(1)), "{kept}");
    assert_eq!(kept["warnings"][0]["code"], "replace_failed", "{kept}");
    assert!(content("").await.contains("Lanterns"));
    let preview = ada.read(&format!("/api/documents/{id}/preview")).await;
    assert!(preview["body"].as_str().is_some_and(|text| text.contains("Lanterns")), "{preview}");

    site.set("/", Reply::page("Candles", &[]));
    ended(&ada, &begin(&ada, &home, body).await).await;
    assert!(content("").await.contains("Candles"));
    assert!(content("?version=1").await.contains("Lanterns"));
}
