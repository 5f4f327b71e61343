//! `insighthub check`: what does not agree is found and named, and mended where it can be.

use crate::{
    common::{Client, Home, Server, Setup, engine},
    servers::database::Place,
    sweep::plant,
    versions::replace,
};
use serde_json::json;
use sqlx::Connection;
use std::{path::Path, process::Output, sync::Arc};
use storage::Engine;

fn run(dir: &Arc<Home>, args: &[&'static str]) -> (bool, String) {
    said(&Setup::new().dir(dir).args(args))
}

fn said(setup: &Setup) -> (bool, String) {
    let Output { status, stdout, stderr } = setup.command().output().expect("it runs");
    let said = String::from_utf8_lossy(&stdout).into_owned() + &String::from_utf8_lossy(&stderr);
    (status.success(), said)
}

pub async fn stopped(server: &mut Server) {
    server.terminate();
    assert!(server.ended().await.success(), "{}", server.log());
}

#[tokio::test]
async fn what_does_not_agree_is_named_and_mended_as_far_as_it_can_be() {
    let mut server = Server::start().await;
    let ada = server.user("ada").await;
    let workspace = ada.first_workspace().await;
    let mut ids = vec![];
    for (name, text) in [
        ("lantern.txt", "A lantern on the bridge."),
        ("gull.txt", "A gull sleeps."),
        ("gone.txt", "It goes."),
    ] {
        let id = ada.upload_one(&workspace, name, text.as_bytes()).await;
        assert_eq!(ada.settled(&id).await["status"], "ready");
        ids.push(id);
    }
    let dir = server.dir.clone();
    if engine() == Engine::Sqlite {
        let (good, said) = run(&dir, &["check"]);
        assert!(!good && said.contains("another insighthub is using"), "{said}");
    }
    stopped(&mut server).await;
    let (good, said) = run(&dir, &["check"]);
    assert!(good && said.contains("3 documents looked at") && said.contains("0 faults"), "{said}");

    // What no transaction of ours does.
    let mut rows = dir.connect().await;
    let of = "IN (SELECT id FROM chunks WHERE document_id = $1)";
    let lost = format!("DELETE FROM chunk_vectors WHERE chunk_id {of}");
    sqlx::query(sqlx::AssertSqlSafe(lost)).bind(&ids[0]).execute(&mut rows).await.expect("a vector less");
    let unsaid = match engine() {
        Engine::Sqlite => {
            "DELETE FROM chunk_text WHERE rowid IN (SELECT place FROM chunks WHERE document_id = $1)"
        }
        Engine::Postgres => {
            "DELETE FROM chunk_text WHERE chunk_id IN (SELECT id FROM chunks WHERE document_id = $1)"
        }
    };
    sqlx::query(unsaid).bind(&ids[1]).execute(&mut rows).await.expect("words less");
    let miscounted = "UPDATE workspace_counts SET ready = ready + 1, stale = 7 WHERE workspace_id = $1";
    sqlx::query(miscounted).bind(&workspace).execute(&mut rows).await.expect("counts that are wrong");
    rows.close().await.expect("closed");
    let file = server.all_files().into_iter().find(|path| path.ends_with(&ids[2])).expect("its file");
    std::fs::remove_file(&file).expect("removed");
    let orphan = file.with_file_name("0197a000-0000-7000-8000-000000000001");
    plant(&orphan, 100_000);

    let (good, said) = run(&dir, &["check"]);
    assert!(!good, "{said}");
    for line in [
        "documents whose passages lack vectors: 1; `insighthub check --repair` mends it",
        "documents whose words are not all found: 1; `insighthub check --repair` mends it",
        "workspaces that count other documents than they have: 1; `insighthub check --repair` mends it",
        "documents whose file is gone: 1; upload them again",
        "files that belong to nothing: 1; `insighthub check --repair` mends it",
        "not all of it is as it should be",
    ] {
        assert!(said.contains(line), "{line}: {said}");
    }
    assert!(ids.iter().all(|id| said.contains(id)), "{said}");
    assert!(orphan.exists(), "nothing is changed unasked");

    let (good, said) = run(&dir, &["check", "--repair"]);
    assert!(!good && said.contains("marked as stale") && said.contains("written anew"), "{said}");
    assert!(!orphan.exists());
    // The vector is to be made anew, and a file cannot be.
    let (_, said) = run(&dir, &["check"]);
    let left = "lack vectors: 1; marked as stale: index them anew";
    assert!(said.contains(left) && said.contains("file is gone: 1"), "{said}");
    assert!(!said.contains("--repair"), "it can do no more: {said}");
    for mended in ["words are not", "belong to nothing", "count other documents"] {
        assert!(!said.contains(mended), "{said}");
    }

    let mut server = Setup::new().dir(&dir).start().await;
    let ada = Client { base: server.base.clone(), ..ada };
    let hits = ada.read(&format!("/api/workspaces/{workspace}/search?q=gull")).await;
    assert!(hits.to_string().contains("gull.txt"), "{hits}");
    let counts = &ada.read(&format!("/api/workspaces/{workspace}")).await["counts"];
    assert_eq!([&counts["documents"], &counts["ready"], &counts["stale"]], [3, 3, 1], "{counts}");
    assert_eq!(ada.read(&format!("/api/documents/{}", ids[0])).await["stale"], true);
    let started = ada.post(&format!("/api/workspaces/{workspace}/reindex"), json!({})).await;
    assert_eq!((started.status, started.json()["documents"].clone()), (202, json!(1)), "{started:?}");
    ada.settled(&ids[0]).await;
    assert_eq!(ada.read(&format!("/api/documents/{}", ids[0])).await["stale"], false);
    stopped(&mut server).await;
    let (good, said) = run(&dir, &["check"]);
    assert!(!good && said.contains("file is gone: 1") && !said.contains("vectors"), "{said}");
}

#[tokio::test]
async fn a_text_that_is_gone_is_read_anew_and_a_version_that_is_gone_is_told() {
    let mut server = Server::start().await;
    let ada = server.user("ada").await;
    let workspace = ada.first_workspace().await;
    let mut ids = vec![];
    for (name, bytes) in [
        ("notes.txt", b"A gull sleeps.".to_vec()),
        ("report.txt", b"A lantern on the bridge.".to_vec()),
        ("letter.txt", b"A letter to the harbour.".to_vec()),
        ("paper.pdf", crate::pdf::simple(&["A ledger of every lantern."])),
    ] {
        let id = ada.upload_one(&workspace, name, &bytes).await;
        assert_eq!(ada.settled(&id).await["status"], "ready");
        ids.push(id);
    }
    let [notes, report, letter, paper] = &ids[..] else { unreachable!("four of them") };
    for (id, name, text) in
        [(report, "report.txt", "Two lanterns."), (letter, "letter.txt", "Another letter.")]
    {
        replace(&ada, &workspace, name, text.as_bytes()).await;
        assert_eq!(ada.settled(id).await["version"], 2);
    }
    let torn = replace(&ada, &workspace, "paper.pdf", b"%PDF-1.7\nnothing of what a PDF has").await;
    let coming = torn["documents"][0]["file_id"].as_str().expect("an id").to_owned();
    assert_eq!(ada.settled(paper).await["next_version"], 2);
    let dir = server.dir.clone();
    stopped(&mut server).await;
    let (good, said) = run(&dir, &["check"]);
    assert!(good && said.contains("0 faults"), "{said}");

    let files = server.all_files();
    for gone in [
        format!("texts/{notes}/1"),
        format!("documents/{report}"),
        format!("texts/{letter}/1"),
        format!("documents/{coming}"),
    ] {
        let file = files.iter().find(|path| path.ends_with(&gone));
        std::fs::remove_file(file.unwrap_or_else(|| panic!("no {gone} in {files:?}"))).expect("removed");
    }
    let told = [
        (format!("{report} report.txt, version 1"), "older versions whose file is gone"),
        (
            format!("{letter} letter.txt, version 1"),
            "older versions whose text is gone: 1; they cannot be shown",
        ),
        (format!("{paper} paper.pdf, version 2"), "coming versions whose file is gone"),
    ];
    let (good, said) = run(&dir, &["check"]);
    assert!(!good && said.contains(notes.as_str()), "{said}");
    let line = "documents whose text is gone: 1; `insighthub check --repair` mends it";
    assert!(said.contains(line), "{said}");
    assert!(told.iter().all(|(of, what)| said.contains(of) && said.contains(what)), "{said}");
    assert!(!said.contains("documents whose file is gone"), "each has the file of what is found: {said}");

    let (_, said) = run(&dir, &["check", "--repair"]);
    assert!(said.contains("documents whose text is gone: 1; marked as stale"), "{said}");
    let (good, said) = run(&dir, &["check"]);
    let left = "documents whose text is gone: 1; marked as stale: index them anew";
    assert!(!good && said.contains(left) && !said.contains("--repair"), "{said}");
    let mut server = Setup::new().dir(&dir).start().await;
    let ada = Client { base: server.base.clone(), ..ada };
    let preview = format!("/api/documents/{notes}/preview");
    ada.get(&preview).await.problem(404, "not_read");
    let started = ada.post(&format!("/api/workspaces/{workspace}/reindex"), json!({})).await;
    assert_eq!((started.status, started.json()["documents"].clone()), (202, json!(1)), "{started:?}");
    ada.settled(notes).await;
    let shown = ada.read(&preview).await;
    assert!(shown["body"].as_str().is_some_and(|text| text.contains("A gull sleeps.")), "{shown}");
    stopped(&mut server).await;
    let (good, said) = run(&dir, &["check"]);
    assert!(!good && !said.contains("documents whose text"), "{said}");
    assert!(told.iter().all(|(of, what)| said.contains(of) && said.contains(what)), "{said}");
}

/// One word in the place of another one that is as long.
fn garble(file: &Path, word: &str, other: &str) {
    let before = std::fs::read_to_string(file).expect("a text");
    let after = before.replace(word, other);
    assert!(after != before && after.len() == before.len(), "{before}");
    std::fs::write(file, after).expect("written");
}

#[tokio::test]
async fn bytes_that_changed_where_they_lie_are_told_and_a_text_is_read_anew_out_of_its_whole_file() {
    let mut server = Server::start().await;
    let ada = server.user("ada").await;
    let workspace = ada.first_workspace().await;
    let mut ids = vec![];
    for (name, text) in [
        ("lamp.txt", "Zo\u{eb} hangs a lamp \u{1f3ee} up."),
        ("bridge.txt", "A bridge of stone."),
        ("notes.txt", "Zo\u{eb} sees \u{1f426}: a gull sleeps."),
        ("report.txt", "A report of a ledger."),
        ("letter.txt", "A letter to the harbour."),
    ] {
        let id = ada.upload_one(&workspace, name, text.as_bytes()).await;
        assert_eq!(ada.settled(&id).await["status"], "ready");
        ids.push(id);
    }
    let [lamp, bridge, notes, report, letter] = &ids[..] else { unreachable!("five of them") };
    // Words that somebody wrote in place of a passage's do not stand in its document's text.
    for id in [lamp, bridge] {
        let passages = ada.read(&format!("/api/documents/{id}/chunks")).await;
        let passage = passages["items"][0]["id"].as_str().expect("an id");
        let path = format!("/api/documents/{id}/chunks/{passage}");
        let changed = ada.patch(&path, json!({ "text": "Other words." })).await;
        assert_eq!(changed.status, 200, "{changed:?}");
    }
    for (id, name) in [(lamp, "lamp.txt"), (report, "report.txt"), (letter, "letter.txt")] {
        replace(&ada, &workspace, name, b"Something else.").await;
        assert_eq!(ada.settled(id).await["version"], 2);
    }
    let dir = server.dir.clone();
    stopped(&mut server).await;
    let (good, said) = run(&dir, &["check"]);
    assert!(good && said.contains("0 faults"), "{said}");

    let files = server.all_files();
    let at = |end: String| {
        let file = files.iter().find(|path| path.ends_with(&end));
        file.unwrap_or_else(|| panic!("no {end} in {files:?}"))
    };
    let text = at(format!("texts/{notes}/1"));
    garble(at(format!("documents/{bridge}")), "stone", "stony");
    garble(text, "gull", "bull");
    garble(at(format!("documents/{report}")), "ledger", "ladder");
    garble(at(format!("texts/{letter}/1")), "harbour", "parlour");
    let (good, said) = run(&dir, &["check", "--quick"]);
    assert!(good && said.contains("5 documents looked at") && said.contains("0 faults"), "{said}");
    let told = [
        (
            "documents whose file has other bytes than it had: 1; upload them again",
            format!("{bridge} bridge.txt"),
        ),
        (
            "documents whose text is not that of their passages: 1; `insighthub check --repair` mends it",
            notes.clone(),
        ),
        (
            "older versions whose file is gone, or not what it was: 1; they cannot be had",
            format!("{report} report.txt, version 1"),
        ),
        (
            "older versions whose text is not that of their passages: 1; what is shown",
            format!("{letter} letter.txt, version 1"),
        ),
    ];
    let (good, said) = run(&dir, &["check"]);
    assert!(!good && !said.contains("lamp.txt"), "{said}");
    for (what, of) in &told {
        assert!(said.contains(what) && said.contains(of.as_str()), "{what}, {of}: {said}");
    }
    assert!(text.exists(), "nothing is changed unasked");

    let (_, said) = run(&dir, &["check", "--repair"]);
    let mended = "documents whose text is not that of their passages: 1; removed, and marked as stale";
    assert!(said.contains(mended) && !text.exists(), "{said}");
    let (_, said) = run(&dir, &["check"]);
    let left = "documents whose text is gone: 1; marked as stale: index them anew";
    assert!(said.contains(left) && !said.contains("--repair"), "{said}");

    let mut server = Setup::new().dir(&dir).start().await;
    let ada = Client { base: server.base.clone(), ..ada };
    let started = ada.post(&format!("/api/workspaces/{workspace}/reindex"), json!({})).await;
    assert_eq!((started.status, started.json()["documents"].clone()), (202, json!(1)), "{started:?}");
    ada.settled(notes).await;
    let shown = ada.read(&format!("/api/documents/{notes}/preview")).await;
    assert!(shown["body"].as_str().is_some_and(|text| text.contains("a gull sleeps.")), "{shown}");
    // As it is advised. The changed file is that of the version before then.
    replace(&ada, &workspace, "bridge.txt", b"A bridge of stone.").await;
    assert_eq!(ada.settled(bridge).await["version"], 2);
    stopped(&mut server).await;
    let (good, said) = run(&dir, &["check"]);
    assert!(!good && !said.contains("documents whose"), "{said}");
    assert!(said.contains("older versions whose file is gone, or not what it was: 2;"), "{said}");
}

#[tokio::test]
async fn beside_servers_that_run_only_files_that_nobody_can_be_sending_any_more_belong_to_nothing() {
    let place = Place::postgres().await;
    let dir = Home::new();
    let on = |args: &[&'static str]| Setup::new().dir(&dir).env("DATABASE_URL", place.url()).args(args);
    // It does not sweep.
    let _server = on(&["serve", "--role", "web"]).start().await;
    let folder = dir.path().join("files/users/0197a000-0000-7000-8000-000000000001/documents");
    let in_hand = folder.join("0197a000-0000-7000-8000-000000000002");
    let left = folder.join("0197a000-0000-7000-8000-000000000003");
    plant(&in_hand, 4_000);
    plant(&left, 100_000);

    let (good, report) = said(&on(&["check"]));
    assert!(!good && report.contains("files that belong to nothing: 1;"), "{report}");
    assert!(report.contains("-000000000003") && !report.contains("-000000000002"), "{report}");
    let (good, report) = said(&on(&["check", "--repair"]));
    assert!(good && report.contains("belong to nothing: 1; removed"), "{report}");
    assert!(in_hand.exists(), "its upload may be under way");
    assert!(!left.exists());
    let (good, report) = said(&on(&["check"]));
    assert!(good && report.contains("0 faults"), "{report}");
}
