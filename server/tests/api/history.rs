//! Histories: what happened, when, by whom, from which status; in pages, and whole as CSV and JSON.

use crate::common::{Client, Server, prose};
use serde_json::{Value, json};

/// Of each entry: event or step, from, to, kind of actor.
fn turns(page: &Value) -> Vec<String> {
    let text = |v: &Value| v.as_str().unwrap_or("-").to_owned();
    let entries = page["items"].as_array().expect("items").iter();
    let shown = entries.map(|e| {
        let name = if e["event"] == "file_progress" { &e["data"]["step"] } else { &e["event"] };
        format!("{} {} {} {}", text(name), text(&e["from"]), text(&e["to"]), text(&e["actor"]["kind"]))
    });
    shown.collect()
}

/// All pages of a list, three at a time.
async fn whole(client: &Client, path: &str) -> Vec<Value> {
    let (mut all, mut after) = (vec![], String::new());
    loop {
        let page =
            client.read(&format!("{path}{}limit=3{after}", if path.contains('?') { '&' } else { '?' })).await;
        all.extend(page["items"].as_array().expect("items").clone());
        match page["next"].as_str() {
            Some(next) => after = format!("&after={next}"),
            None => return all,
        }
    }
}

#[tokio::test]
async fn a_document_has_its_history_with_who_did_what() {
    let server = Server::start().await;
    let ada = server.user("ada").await;
    let workspace = ada.first_workspace().await;
    let key = ada.new_key("Nightly import", &["write", "read"]).await;
    let document = ada.program(&key).upload_one(&workspace, "a.txt", &prose(1, 200)).await;
    let settled = ada.settled(&document).await;
    let path = format!("/api/documents/{document}/history");

    let page = ada.read(&format!("{path}?transitions=true&limit=200")).await;
    let told = turns(&page);
    assert_eq!(told[..2], ["document_status - pending user", "document_status pending processing worker"]);
    assert_eq!(told.last().map(String::as_str), Some("document_status processing ready worker"));
    for turn in ["extracting_text - in_progress worker", "extracting_text in_progress complete worker"] {
        assert!(told.iter().any(|t| t == turn), "{turn}: {told:?}");
    }
    let first = &page["items"][0];
    assert_eq!(
        first["actor"],
        json!({ "kind": "user", "id": settled["user_id"], "name": "ada", "key": "Nightly import" })
    );
    assert_eq!((&first["data"]["filename"], &first["at"]), (&json!("a.txt"), &settled["created_at"]));

    let oldest = whole(&ada, &path).await;
    let mut newest = whole(&ada, &format!("{path}?order=newest")).await;
    newest.reverse();
    assert_eq!(oldest, newest);
    assert_eq!(oldest.last().map(|e| &e["seq"]), Some(&settled["rev"]));

    let job = settled["job_id"].as_str().expect("a job");
    let of_job = turns(&ada.read(&format!("/api/jobs/{job}/history?transitions=true&limit=200")).await);
    for turn in [
        "job_update - pending user",
        "job_update pending running worker",
        "job_complete running completed worker",
        "document_status processing ready worker",
    ] {
        assert!(of_job.iter().any(|t| t == turn), "{turn}: {of_job:?}");
    }
    let edited = ada.patch(&format!("/api/workspaces/{workspace}"), json!({ "description": "new" })).await;
    assert_eq!(edited.status, 200);
    let newest = ada.read(&format!("/api/workspaces/{workspace}/history?order=newest&limit=1")).await;
    let entry = &newest["items"][0];
    assert_eq!(turns(&newest), ["workspace_status ready ready user"]);
    assert_eq!((&entry["data"]["description"], &entry["actor"]["key"]), (&json!("new"), &Value::Null));
    let first = &whole(&ada, &format!("/api/workspaces/{workspace}/history")).await[0];
    assert_eq!((&first["from"], &first["actor"]["name"]), (&Value::Null, &json!("ada")), "made at sign-up");
}

#[tokio::test]
async fn what_a_page_does_is_told_as_done_by_the_person() {
    let server = Server::start().await;
    let ada = server.user("ada").await;
    let made = ada.submit("/_fn/workspaces/create", &[("name", "Papers")]).await;
    assert_eq!(made.status, 200, "{made:?}");
    let list = ada.read("/api/workspaces").await;
    let id = list["items"][0]["id"].as_str().expect("an id");
    let history = ada.read(&format!("/api/workspaces/{id}/history")).await;
    assert_eq!(turns(&history)[0], "workspace_status - provisioning user");
    assert!(turns(&history)[1..].iter().all(|t| t.ends_with(" system")), "{history}");
}

#[tokio::test]
async fn a_whole_history_is_a_table_or_json_and_never_a_formula() {
    let server = Server::start().await;
    let ada = server.user("ada").await;
    let workspace = ada.first_workspace().await;
    let document = ada.upload_one(&workspace, "=1+1, \"x\".txt", &prose(1, 100)).await;
    ada.settled(&document).await;
    let path = format!("/api/documents/{document}/history");
    let entries = whole(&ada, &path).await;

    let answer = ada.get(&format!("{path}?format=csv")).await;
    assert_eq!(answer.status, 200);
    assert!(answer.header("content-type").starts_with("text/csv"));
    let name = format!("attachment; filename=\"history-of-document-{document}.csv\"");
    assert_eq!(answer.header("content-disposition"), name);
    let mut table = csv::Reader::from_reader(&answer.body[..]);
    let header = ["seq", "at", "event", "what", "from", "to", "by", "message", "data"];
    assert_eq!(table.headers().expect("a header"), &header[..]);
    let rows: Vec<csv::StringRecord> = table.records().map(|r| r.expect("a row")).collect();
    assert_eq!(rows.len(), entries.len());
    for (row, entry) in rows.iter().zip(&entries) {
        assert_eq!(row[0], entry["seq"].to_string());
        assert_eq!(&row[1], entry["at"].as_str().expect("a time"));
        assert_eq!(&row[3], "'=1+1, \"x\".txt");
        assert_eq!(&row[4], entry["from"].as_str().unwrap_or_default());
        assert_eq!(serde_json::from_str::<Value>(&row[8]).expect("JSON"), entry["data"]);
        assert!(row.iter().all(|cell| !cell.starts_with(['=', '+', '-', '@', '\t', '\r'])));
    }
    assert_eq!((&rows[0][5], &rows[0][6]), ("pending", "ada"));

    let by_header = ada.request("GET", &path).header("accept", "text/csv");
    assert_eq!(ada.send(by_header).await.body, answer.body);
    let answer = ada.get(&format!("{path}?format=json")).await;
    assert_eq!(answer.header("content-type"), "application/json");
    assert!(answer.header("content-disposition").ends_with(".json\""));
    assert_eq!(answer.json(), json!(entries));
    let turned = ada.read(&format!("{path}?format=json&transitions=true")).await;
    let turned = turned.as_array().expect("a list");
    assert!(!turned.is_empty() && turned.iter().all(|e| e["from"] != e["to"]));
}

#[tokio::test]
async fn a_history_longer_than_many_pages_is_exported_whole() {
    let server = Server::start().await;
    let ada = server.user("ada").await;
    let workspace = ada.first_workspace().await;
    for n in 0..460 {
        let edit = json!({ "description": format!("number {n}") });
        assert_eq!(ada.patch(&format!("/api/workspaces/{workspace}"), edit).await.status, 200);
    }
    let path = format!("/api/workspaces/{workspace}/history");
    let all = ada.read(&format!("{path}?format=json")).await;
    let texts: Vec<&str> =
        all.as_array().expect("a list").iter().filter_map(|e| e["data"]["description"].as_str()).collect();
    let expected: Vec<String> =
        std::iter::once(String::new()).chain((0..460).map(|n| format!("number {n}"))).collect();
    assert_eq!(texts, expected);
    let table = ada.get(&format!("{path}?format=csv")).await;
    assert_eq!(csv::Reader::from_reader(&table.body[..]).records().count(), expected.len());
}

#[tokio::test]
async fn a_history_refuses_what_it_cannot_read_and_whose_it_is_not() {
    let server = Server::start().await;
    let (ada, bob) = (server.user("ada").await, server.user("bob").await);
    let workspace = ada.first_workspace().await;
    let path = format!("/api/workspaces/{workspace}/history");
    for (query, field) in [
        ("limit=201", "limit"),
        ("order=random", "order"),
        ("format=xml", "format"),
        ("transitions=maybe", "transitions"),
    ] {
        let problem = ada.get(&format!("{path}?{query}")).await.problem(422, "invalid");
        assert!(problem["errors"][field].is_array(), "{problem}");
    }
    let problem = ada.get(&format!("{path}?after=nonsense")).await.problem(422, "invalid");
    assert!(problem["errors"]["after"].is_array(), "{problem}");
    for query in ["", "?format=csv", "?format=json"] {
        bob.get(&format!("{path}{query}")).await.problem(404, "not_found");
    }
}

#[tokio::test]
async fn the_figures_of_a_workspace_count_what_its_history_tells() {
    let server = Server::start().await;
    let ada = server.user("ada").await;
    let workspace = ada.first_workspace().await;
    let path = format!("/api/workspaces/{workspace}/analytics");
    let none = ada.read(&path).await;
    assert_eq!((none["days"].as_array().map(Vec::len), &none["failure_rate"]), (Some(30), &Value::Null));
    for (name, bytes) in [
        ("a.txt", &prose(1, 200)[..]),
        ("b.md", b"# Harbour\n\nIt opens at six."),
        ("c.pdf", b"%PDF-1.4 broken"),
    ] {
        let document = ada.upload_one(&workspace, name, bytes).await;
        ada.settled(&document).await;
    }
    let figures = ada.read(&format!("{path}?days=7")).await;
    let days = figures["days"].as_array().expect("days");
    assert_eq!(days.len(), 7);
    let sum = |field: &str| days.iter().filter_map(|day| day[field].as_u64()).sum::<u64>();
    assert_eq!((sum("added"), sum("ready"), sum("failed")), (3, 2, 1), "{figures}");
    assert_eq!(
        (&figures["ready"], &figures["failed"], &figures["is_part"]),
        (&json!(2), &json!(1), &json!(false))
    );
    assert!((figures["failure_rate"].as_f64().expect("a rate") - 1.0 / 3.0).abs() < 1e-9);
    let phases = figures["phases"].as_array().expect("phases");
    let of = |kind: &str| -> Vec<&str> {
        phases
            .iter()
            .filter(|p| p["kind"] == kind && p["documents"] == 1)
            .filter_map(|p| p["phase"].as_str())
            .collect()
    };
    assert_eq!(of("text"), ["loading", "chunking", "embedding", "indexing"]);
    assert_eq!(of("markdown"), of("text"));
    // The page has the same figures without a script: as bars of the very heights, and as a table.
    let page =
        String::from_utf8(ada.get(&format!("/w/{workspace}/analytics?days=7")).await.body).expect("text");
    let today = days.iter().rev().find(|day| day["added"].as_u64() > Some(0)).expect("a day with documents");
    let (ready, failed) =
        (today["ready"].as_f64().expect("a number"), today["failed"].as_f64().expect("a number"));
    // What the server leaves for the script between the texts.
    let page = page.replace("<!>", "");
    let chart = page.split("<svg class=\"chart by-day\"").nth(1).and_then(|rest| rest.split("</svg>").next());
    let heights = |class: &str| -> Vec<f64> {
        let bars =
            chart.expect("a chart").split("<rect").filter(|bar| bar.contains(&format!("tone-{class}")));
        bars.filter_map(|bar| bar.split("height=\"").nth(1)?.split('"').next()?.parse().ok()).collect()
    };
    // All of one day fits below the next bound that reads well: 3 documents below 5.
    let whole = 150.0;
    assert_eq!(
        (heights("ready"), heights("failed")),
        (vec![whole * ready / 5.0], vec![whole * failed / 5.0])
    );
    let row = [&today["date"], &today["added"], &today["ready"], &today["failed"]];
    let row: String =
        row.map(|v| format!("<td>{}</td>", v.as_str().map_or_else(|| v.to_string(), str::to_owned))).concat();
    assert!(page.contains(&row), "{row}: {page}");
    for days in ["0", "91", "many"] {
        ada.get(&format!("{path}?days={days}")).await.problem(422, "invalid");
    }
}
