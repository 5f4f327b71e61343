//! The command line and the configuration.

use crate::common::{Home, PASSWORD, Server, Setup, engine, eventually};
use serde_json::json;
use std::{
    fs::{DirEntry, File},
    io::{self, BufRead, BufReader, Write},
    path::Path,
    process::Stdio,
};
use storage::Engine;

#[tokio::test]
async fn the_settings_are_printed_with_their_source_and_without_secrets() {
    let setup = Setup::new().args(&["config"]).env("DATABASE_URL", "postgres://ada:hush@127.0.0.1:1/hub");
    let out = setup.command().output().expect("it runs");
    let text = String::from_utf8(out.stdout).expect("text");
    assert!(out.status.success(), "{text}");
    assert!(text.contains("postgres://ada:…@127.0.0.1:1/hub") && !text.contains("hush"), "{text}");
    assert!(text.contains("from environment INSIGHTHUB_ADDR") && text.contains("from default"), "{text}");
}

#[tokio::test]
async fn a_wrong_setting_is_named_and_nothing_starts() {
    let out = Setup::new().env("INSIGHTHUB_MAX_FILES", "many").command().output().expect("it runs");
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(
        !out.status.success() && said.contains("max_files") && said.contains("INSIGHTHUB_MAX_FILES"),
        "{said}"
    );
}

/// What all other tests rely on that name no database: without this the run on PostgreSQL could be on SQLite unnoticed.
#[tokio::test]
async fn each_installation_has_a_database_of_its_own_on_the_engine_of_the_run() {
    let database = |home| {
        let out = Setup::new().dir(home).args(&["config"]).command().output().expect("it runs");
        let text = String::from_utf8(out.stdout).expect("text");
        let mut told = text.lines().filter_map(|line| line.strip_prefix("database_url = "));
        told.next().expect("a line about it").to_owned()
    };
    let (here, there) = (Home::new(), Home::new());
    let url = database(&here);
    assert_eq!(Engine::of_url(&url), Some(engine()), "{url}");
    assert_eq!(database(&here), url, "it is kept");
    assert_ne!(database(&there), url);
}

#[tokio::test]
async fn a_settings_file_in_the_data_directory_is_read() {
    let setup = Setup::new().args(&["config"]);
    let probe = setup.command();
    let dir = probe.get_current_dir().expect("a folder").to_owned();
    std::fs::write(dir.join("insighthub.toml"), "session_days = 3\n").expect("written");
    let text = String::from_utf8(setup.command().output().expect("it runs").stdout).expect("text");
    assert!(text.contains("session_days = 3"), "{text}");
}

#[tokio::test]
async fn an_account_made_by_the_operator_can_sign_in() {
    let setup = Setup::new().args(&["user", "add", "--username", "ada", "--email", "ada@example.org"]);
    let add = |password: &str| {
        let mut child = setup
            .command()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it runs");
        writeln!(child.stdin.take().expect("input"), "{password}").expect("written");
        child.wait_with_output().expect("it ends")
    };
    let weak = add("short");
    let said = String::from_utf8_lossy(&weak.stderr).into_owned();
    assert!(!weak.status.success() && said.contains("password: Use 8 to 128 characters."), "{said}");
    let added = add(PASSWORD);
    assert!(added.status.success(), "{}", String::from_utf8_lossy(&added.stderr));
    assert!(!add(PASSWORD).status.success(), "the name is taken");

    let server = setup.args(&["serve"]).start().await;
    let form = json!({ "email": "ada@example.org", "password": PASSWORD });
    assert_eq!(server.visitor().post("/api/auth/login", form).await.status, 200);
}

#[tokio::test]
async fn a_server_whose_database_is_away_ends_and_its_unit_goes_on_starting_it() {
    let setup = Setup::new().env("DATABASE_URL", "postgres://ada:hush@127.0.0.1:1/hub");
    let out = setup.command().output().expect("it runs");
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(!out.status.success() && said.contains("postgres://ada:…@127.0.0.1:1/hub"), "{said}");
    // By itself systemd gives up after a few starts.
    let unit = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/insighthub.service");
    let unit = std::fs::read_to_string(unit).expect("the unit");
    let (head, service) = unit.split_once("[Service]").expect("two parts");
    assert!(head.lines().any(|line| line == "StartLimitIntervalSec=0"), "{head}");
    assert!(service.lines().any(|line| line == "Restart=always"), "{service}");
}

#[tokio::test]
async fn migrating_twice_is_fine() {
    let setup = Setup::new().args(&["migrate"]);
    for _ in 0..2 {
        let out = setup.command().output().expect("it runs");
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    }
}

/// The folder has a lock where the database is a file in it.
mod on_sqlite {
    use super::*;

    #[tokio::test]
    async fn a_second_server_on_the_same_folder_is_refused() {
        let server = Server::start().await;
        let out = Setup::new().dir(&server.dir).command().output().expect("it runs");
        let said = String::from_utf8_lossy(&out.stderr).into_owned();
        assert!(!out.status.success() && said.contains("another insighthub"), "{said}");
    }

    #[tokio::test]
    async fn a_server_waits_for_a_lock_that_outlives_whoever_was_killed_by_a_moment() {
        let dir = Home::new();
        let path = dir.path().join("lock");
        let held = File::create(&path).expect("a file");
        held.lock().expect("locked");
        let mut command = Setup::new().dir(&dir).command();
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("it starts");
        let files = format!("/proc/{}/fd", child.id());
        let is_path = |entry: io::Result<DirEntry>| {
            entry.is_ok_and(|file| std::fs::read_link(file.path()).is_ok_and(|to| to == path))
        };
        eventually("it wants the lock", async || {
            std::fs::read_dir(&files).is_ok_and(|mut all| all.any(is_path)).then_some(())
        })
        .await;
        drop(held);
        let out = child.stdout.take().expect("standard output");
        let line = tokio::task::spawn_blocking(move || BufReader::new(out).lines().next());
        let line = line.await.expect("read");
        child.kill().expect("killed");
        child.wait().expect("ended");
        let line = line.expect("a line").expect("text");
        assert!(line.starts_with("listening on "), "{line}");
    }
}
