//! What the composition of containers asks its servers.

use crate::common::Server;
use std::{
    path::Path,
    process::{Command, Stdio},
};

/// The program and its arguments by which a container is found to be healthy, for that address instead of its own.
fn healthcheck(base: &str) -> Vec<String> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/compose.yaml");
    let text = std::fs::read_to_string(file).expect("the composition");
    let mut asking = text.lines().filter(|line| line.contains("/health/ready"));
    let (line, None) = (asking.next().expect("a line of it"), asking.next()) else { panic!("two of them") };
    let test = line.trim().strip_prefix("test: ").expect("a test");
    let mut words: Vec<String> = serde_json::from_str(test).expect("a list, as JSON has it as well");
    assert_eq!(words.remove(0), "CMD");
    let (host, port) = base.strip_prefix("http://").and_then(|at| at.split_once(':')).expect("an address");
    assert_eq!(host, "127.0.0.1");
    words.into_iter().map(|word| word.replace("/127.0.0.1/3000 ", &format!("/127.0.0.1/{port} "))).collect()
}

#[tokio::test]
async fn a_container_is_healthy_when_its_server_is_ready() {
    let mut server = Server::start().await;
    let words = healthcheck(&server.base);
    let is_healthy = || {
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).stdout(Stdio::null()).stderr(Stdio::null());
        command.status().expect("it runs").success()
    };
    assert!(is_healthy());
    let files = server.dir.path().join("files");
    std::fs::remove_dir_all(&files).expect("removed");
    std::fs::write(&files, "in the way").expect("written");
    assert!(!is_healthy(), "it says that it is not ready");
    server.kill();
    assert!(!is_healthy(), "nobody answers");
}
