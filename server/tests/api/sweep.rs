//! Files that no document has: what is left when a server is killed after a file has come and before its job is made.

use crate::{
    check::stopped,
    common::{Client, Setup, engine, eventually},
};
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
    // Where other servers may share the files, a day has to be over instead of an hour.
    let old = match engine() {
        Engine::Sqlite => 3_700,
        Engine::Postgres => 86_500,
    };
    plant(&orphan, old);
    plant(&text, old);
    plant(&fresh, 60);
    plant(&foreign, 100_000);

    let server = Setup::new().dir(&server.dir).start().await;
    eventually("the orphans are gone", async || (!orphan.exists() && !text.exists()).then_some(())).await;
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
