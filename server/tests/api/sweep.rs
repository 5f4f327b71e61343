//! Files that no document has: what is left when a server is killed after a file has come and before its job is made.

use crate::{
    check::stopped,
    common::{Client, Home, PASSWORD, Server, Setup, engine, eventually},
    servers::database::Place,
};
use serde_json::json;
use std::{
    fs::{self, File},
    path::Path,
    time::{Duration, SystemTime},
};
use storage::Engine;

/// A file as it would be after so many seconds.
pub fn plant(path: &Path, seconds: u64) {
    fs::create_dir_all(path.parent().expect("a folder")).expect("made");
    fs::write(path, "left behind").expect("written");
    age(path, seconds);
}

#[expect(clippy::disallowed_methods, reason = "the age of a file goes by the clock of the system")]
pub fn age(path: &Path, seconds: u64) {
    let then = SystemTime::now() - Duration::from_secs(seconds);
    File::options().write(true).open(path).expect("there").set_modified(then).expect("set");
}

#[tokio::test]
async fn a_file_that_no_document_has_goes_when_it_is_old_enough_and_no_other() {
    let mut server = Setup::new().start().await;
    let client = server.user("ada").await;
    let workspace = client.first_workspace().await;
    let id = client.upload_one(&workspace, "a.txt", b"A lantern on the bridge.").await;
    client.settled(&id).await;
    let kept = server.all_files();
    assert!(kept.len() >= 2, "the file and its text: {kept:?}");
    server.kill();
    for path in &kept {
        age(path, 100_000);
    }
    let folder = kept.iter().find(|p| p.ends_with(&id)).and_then(|p| p.parent()).expect("its folder");
    let orphan = folder.join("0197a000-0000-7000-8000-000000000001");
    let fresh = folder.join("0197a000-0000-7000-8000-000000000002");
    let text = folder.with_file_name("texts").join("0197a000-0000-7000-8000-000000000003/1");
    let foreign = server.dir.path().join("files/notes/of-somebody");
    // Of a look at the place for files whose server was killed in the middle of it.
    let probe = server.dir.path().join("files/probes/0197a000-0000-7000-8000-000000000004");
    // Where other servers may share the files, a day has to be over instead of an hour.
    let old = match engine() {
        Engine::Sqlite => 3_700,
        Engine::Postgres => 86_500,
    };
    plant(&orphan, old);
    plant(&text, old);
    plant(&probe, old);
    plant(&fresh, 60);
    plant(&foreign, 100_000);

    let server = Setup::new().dir(&server.dir).start().await;
    let gone = || [&orphan, &text, &probe].iter().all(|path| !path.exists());
    eventually("the orphans are gone", async || gone().then_some(())).await;
    eventually("it is told", async || server.log().contains("files that no document has").then_some(()))
        .await;
    assert!(fresh.exists(), "its upload may be under way");
    assert!(foreign.exists(), "whose it is nobody knows");
    for path in &kept {
        assert!(path.exists(), "{}", path.display());
    }
    let back = Client { base: server.base.clone(), ..client };
    assert_eq!(back.get(&format!("/api/documents/{id}/content")).await.body, b"A lantern on the bridge.");
}

/// It puts back the file of the database.
mod on_sqlite {
    use super::*;

    #[tokio::test]
    async fn a_file_that_came_since_an_older_state_is_kept_until_somebody_says_that_it_was_put_back() {
        let mut server = Setup::new().start().await;
        let client = server.user("ada").await;
        let workspace = client.first_workspace().await;
        let dir = server.dir.clone();
        let copy = tempfile::tempdir().expect("a folder");
        let mut backup = Setup::new().dir(&dir).args(&["backup", "--to"]).command();
        let copied = backup.arg(copy.path()).output().expect("it runs");
        assert!(copied.status.success(), "{}", String::from_utf8_lossy(&copied.stderr));
        let id = client.upload_one(&workspace, "since.txt", b"A lantern on the bridge.").await;
        client.settled(&id).await;
        stopped(&mut server).await;
        let file = server.all_files().into_iter().find(|path| path.ends_with(&id)).expect("its file");
        age(&file, 100_000);

        // By hand, and nobody says so.
        for left in ["insighthub.db-wal", "insighthub.db-shm"] {
            let _ = fs::remove_file(dir.path().join(left));
        }
        fs::copy(copy.path().join("insighthub.db"), dir.path().join("insighthub.db")).expect("put back");
        for start in 1..=2 {
            let mut server = Setup::new().dir(&dir).start().await;
            let kept = "files that no document has are kept";
            eventually("it swept", async || (server.log().matches(kept).count() == start).then_some(()))
                .await;
            assert!(file.exists(), "it may be all that is left");
            stopped(&mut server).await;
        }

        let said = Setup::new().dir(&dir).args(&["restored"]).command().output().expect("it runs");
        assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
        let _server = Setup::new().dir(&dir).start().await;
        eventually("it is gone", async || (!file.exists()).then_some(())).await;
    }
}

/// Each server looks after the same folder and the same rows, and none of them leads.
#[tokio::test]
async fn two_servers_that_sweep_export_and_delete_at_once_do_what_one_would() {
    const TEXT: &[u8] = b"A lantern on the bridge.";
    let place = Place::postgres().await;
    let dir = Home::new();
    let start = || Setup::new().dir(&dir).env("DATABASE_URL", place.url()).start();
    let at = |client: &Client, server: &Server| Client { base: server.base.clone(), ..client.clone() };
    let mut server = start().await;
    let mut people = vec![];
    for name in ["ada", "bob", "eve", "kim"] {
        let client = server.user(name).await;
        let document = client.upload_one(&client.first_workspace().await, "a.txt", TEXT).await;
        client.settled(&document).await;
        people.push((client, document));
    }
    server.terminate();
    assert!(server.ended().await.success(), "{}", server.log());
    let kept = server.all_files();
    kept.iter().for_each(|path| age(path, 100_000));
    let (_, first) = &people[0];
    let folder = kept.iter().find(|path| path.ends_with(first)).and_then(|path| path.parent());
    let folder = folder.expect("its folder");
    let orphans: Vec<_> = (0..300).map(|n| folder.join(format!("0197a000-0000-7000-8000-{n:012}"))).collect();
    orphans.iter().for_each(|path| plant(path, 100_000));
    // Old enough where one server has the folder for itself.
    let fresh = folder.join("0197a000-0000-7000-8000-999999999999");
    plant(&fresh, 3_700);

    // Both sweep as soon as they start.
    let (here, there) = tokio::join!(start(), start());
    let (leaves, gone) = people.pop().expect("one of them");
    let leaving = at(&leaves, &here);
    let user = leaving.read("/api/auth/me").await["id"].as_str().expect("an id").to_owned();
    let left = leaving.request("DELETE", "/api/auth/account").json(&json!({ "password": PASSWORD }));
    let left = leaving.send(left).await;
    assert_eq!(left.status, 202, "{left:?}");
    for (n, (client, _)) in people.iter().enumerate() {
        let client = at(client, if n % 2 == 0 { &here } else { &there });
        assert_eq!(client.send(client.request("POST", "/api/auth/export")).await.status, 202);
    }

    eventually("the orphans are gone", async || orphans.iter().all(|path| !path.exists()).then_some(()))
        .await;
    assert!(fresh.exists(), "its upload may be under way at the other server");
    for (client, document) in &people {
        let client = at(client, &there);
        let export = eventually("the export is over", async || {
            let export = client.read("/api/auth/export").await;
            matches!(export["status"].as_str(), Some("ready" | "failed")).then_some(export)
        })
        .await;
        assert_eq!(export["status"], "ready", "{export}");
        assert_eq!(client.get("/api/auth/export/content").await.status, 200);
        assert_eq!(client.get(&format!("/api/documents/{document}/content")).await.body, TEXT);
    }
    eventually("one file of each export is left, and none that is half-written", async || {
        ((here.files("exports"), here.files("incoming")) == (people.len(), 0)).then_some(())
    })
    .await;
    eventually("the deletion is through", async || {
        here.log().contains("a deletion is through").then_some(())
    })
    .await;
    let files = here.all_files();
    assert!(files.iter().all(|path| !path.display().to_string().contains(&user)), "{gone}: {files:?}");
    assert!(kept.iter().filter(|path| !path.display().to_string().contains(&user)).all(|path| path.exists()));
}
