//! A script with nothing but `curl` follows a job to its end, over cuts of the line and a crash of the server.

use crate::{
    common::{PATIENCE, Server, Setup, prose},
    embeddings::{Embeddings, choose},
};
use serde_json::Value;
use std::process::Stdio;
use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    process::{Child, ChildStdout, Command},
};

/// `curl -N` on the event stream.
struct Curl {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Curl {
    fn start(base: &str, key: &str, last_id: Option<&str>) -> Self {
        let mut command = Command::new("curl");
        command.args(["--silent", "--show-error", "--no-buffer", "--fail"]);
        command.args(["--header", &format!("Authorization: Bearer {key}")]);
        if let Some(id) = last_id {
            command.args(["--header", &format!("Last-Event-ID: {id}")]);
        }
        command.arg(format!("{base}/api/status/events"));
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("curl runs");
        let lines = BufReader::new(child.stdout.take().expect("its output")).lines();
        Self { child, lines }
    }

    /// The next message but for pings: its id, when it has one, and its data. `None` when the line is cut.
    async fn next(&mut self) -> Option<(Option<String>, Value)> {
        loop {
            let (id, data) = self.message().await?;
            if data["type"] != "ping" {
                return Some((id, data));
            }
        }
    }

    async fn message(&mut self) -> Option<(Option<String>, Value)> {
        let (mut id, mut data) = (None, None);
        let reading = async {
            loop {
                let line = self.lines.next_line().await.expect("text")?;
                if let Some(text) = line.strip_prefix("id: ") {
                    id = Some(text.to_owned());
                } else if let Some(text) = line.strip_prefix("data: ") {
                    data = Some(serde_json::from_str(text).expect("JSON"));
                } else if line.is_empty()
                    && let Some(data) = data.take()
                {
                    return Some((id.take(), data));
                }
            }
        };
        tokio::time::timeout(PATIENCE, reading).await.expect("something in time")
    }

    async fn cut(mut self) {
        self.child.kill().await.expect("killed");
    }
}

#[tokio::test]
async fn curl_follows_a_job_to_its_end_with_last_event_id() {
    let embeddings = Embeddings::start().await;
    // At an address of this machine that nothing else uses: while the server is dead nobody takes its port.
    let setup = embeddings.told_to(Setup::new()).env("INSIGHTHUB_ADDR", "127.0.0.4:0");
    let mut server = setup.start().await;
    let ada = server.user("ada").await;
    let workspace = ada.first_workspace().await;
    choose(&ada, &workspace).await;
    let made = ada.new_key("follower", &["read"]).await;
    let key = made["secret"].as_str().expect("a secret").to_owned();
    let address = server.base.trim_start_matches("http://").to_owned();

    let mut curl = Curl::start(&server.base, &key, None);
    let (id, welcome) = curl.next().await.expect("the welcome");
    assert_eq!((&welcome["type"], &welcome["resumed"]), (&"welcome".into(), &false.into()));
    assert!(id.is_some(), "a place to go on from");
    let start = welcome["seq"].as_u64().expect("a number");

    // The last one is at its model until the line was cut and the server has died: the job is not over before.
    embeddings.hold(Some("zeppelin"));
    let mut texts: Vec<(String, Vec<u8>)> = (0..11).map(|n| (format!("{n}.txt"), prose(n, 2_500))).collect();
    texts.push(("11.txt".to_owned(), [&b"A zeppelin lands. "[..], &prose(11, 2_500)].concat()));
    let files: Vec<(&str, &[u8])> = texts.iter().map(|(name, text)| (name.as_str(), &text[..])).collect();
    let answer = ada.upload(&workspace, &files).await;
    assert_eq!(answer.status, 202);
    let job = answer.json()["job_id"].clone();

    let (mut seqs, mut cuts) = (vec![], 0);
    let done = loop {
        let Some((id, frame)) = curl.next().await else { panic!("the line was cut by nobody") };
        if frame["type"] == "welcome" {
            assert_eq!(frame["resumed"], true, "nothing was missed for good");
            continue;
        }
        let mut last_id = id.expect("every event has its id");
        seqs.push(frame["seq"].as_u64().expect("a number"));
        if frame["event"] == "job_complete" && frame["data"]["job_id"] == job {
            break frame;
        }
        let ready = frame["event"] == "document_status" && frame["data"]["status"] == "ready";
        if ready && cuts == 0 {
            // The line breaks, and things go on meanwhile.
            cuts = 1;
            curl.cut().await;
            let before = *seqs.last().expect("a seq");
            crate::common::eventually("more happened", async || {
                let now = ada.read("/api/status/changes").await["seq"].as_u64();
                (now > Some(before + 3)).then_some(())
            })
            .await;
            curl = Curl::start(&server.base, &key, Some(&last_id));
        } else if ready && cuts == 1 {
            // The server dies under the stream.
            cuts = 2;
            server.kill();
            while let Some((id, frame)) = curl.next().await {
                last_id = id.expect("every event has its id");
                seqs.push(frame["seq"].as_u64().expect("a number"));
            }
            let dir = server.dir.clone();
            let setup = embeddings.told_to(Setup::new()).dir(&dir);
            server = setup.env("INSIGHTHUB_ADDR", &address).start().await;
            embeddings.hold(None);
            curl = Curl::start(&server.base, &key, Some(&last_id));
        }
    };
    assert_eq!(cuts, 2, "the job was over before it could be cut");
    assert_eq!(done["data"]["metrics"]["documents_done"], 12, "{done}");
    assert!(seqs[0] > start && seqs.windows(2).all(|w| w[0] < w[1]), "in order, each once: {seqs:?}");

    // Every turn of the job and its documents was told, also those that happened while nobody listened.
    let id = job.as_str().expect("an id");
    let history = ada.read(&format!("/api/jobs/{id}/history?format=json&transitions=true")).await;
    let turns = history.as_array().expect("a list");
    assert!(turns.len() > 12 * 10, "{}", turns.len());
    // What only tells progress may be replaced by its successor while the line is slow.
    let lasting = |turn: &&Value| turn["event"] != "job_update" && turn["to"] != "in_progress";
    for turn in turns.iter().filter(lasting) {
        let seq = turn["seq"].as_u64().expect("a number");
        assert!(seqs.contains(&seq), "{seq} was never told: {turn}");
    }
}

#[tokio::test]
async fn curl_asks_a_question_and_reads_the_answer_as_it_comes() {
    let server = Server::start().await;
    let ada = server.user("ada").await;
    let workspace = ada.first_workspace().await;
    let text = b"The harbour has two quays. The lantern hangs at the end of the north quay.";
    let document = ada.upload_one(&workspace, "harbour.txt", text).await;
    assert_eq!(ada.settled(&document).await["status"], "ready");
    let key = ada.new_key("asker", &["chat"]).await;
    let output = Command::new("curl")
        .args(["--silent", "--show-error", "--no-buffer", "--fail"])
        .args(["--header", "content-type: application/json", "--header", "accept: text/event-stream"])
        .args(["--header", &format!("Authorization: Bearer {}", key["secret"].as_str().expect("a secret"))])
        .args(["--data", r#"{"query":"Where does the lantern hang?"}"#])
        .arg(format!("{}/v1/chat/", server.base))
        .output();
    let output = tokio::time::timeout(PATIENCE, output).await.expect("in time").expect("curl runs");
    assert!(output.status.success(), "{output:?}");
    let told = String::from_utf8(output.stdout).expect("text");
    let messages: Vec<Value> = told
        .lines()
        .filter_map(|line| line.strip_prefix("data: "))
        .map(|data| serde_json::from_str(data).expect("JSON"))
        .collect();
    let last = messages.last().expect("a message");
    assert_eq!(last["type"], "complete");
    assert!(last["answer"].as_str().expect("text").contains("at the end of the north quay"), "{last}");
    assert_eq!(messages[0]["step"], "initializing");
}
