//! Files made to do harm, sent to a real server: each ends as a failed document that tells why, and harms nothing else.

use crate::common::{Server, eventually, prose};
use files::Hostile;
use serde_json::{Value, json};

#[path = "../../../crates/ingest/tests/hostile/files.rs"]
#[allow(clippy::unwrap_used, dead_code, reason = "it is a part of tests, of which each uses its own part")]
mod files;

/// One of each way to do harm.
const SOME: [&str; 10] = [
    "a PDF with a password",
    "a scan",
    "the mark of a PDF and nothing else",
    "a page that inherits from itself",
    "a hundred megabytes of text in half a megabyte",
    "entities that multiply",
    "a protected Word document",
    "a million cells",
    "a workbook of which the end is missing",
    "lists within lists",
];

#[tokio::test]
async fn hostile_files_of_a_batch_fail_with_a_reason_each_and_a_good_one_beside_them_is_ready() {
    let all = [files::pdfs(), files::word_documents(), files::workbooks(), files::texts()];
    let bad: Vec<Hostile> = all.into_iter().flatten().filter(|file| SOME.contains(&file.what)).collect();
    assert_eq!(bad.len(), SOME.len());
    let names: Vec<String> =
        bad.iter().enumerate().map(|(n, file)| format!("bad-{n}.{}", file.kind.as_str())).collect();
    let good = prose(1, 60);
    let mut batch: Vec<(&str, &[u8])> =
        bad.iter().zip(&names).map(|(file, name)| (name.as_str(), file.bytes.as_slice())).collect();
    batch.push(("good.txt", &good));

    let server = Server::start().await;
    let client = server.user("ada").await;
    let workspace = client.first_workspace().await;
    let answer = client.upload(&workspace, &batch).await;
    assert_eq!(answer.status, 202, "{answer:?}");
    let sent = answer.json();
    let id = |n: usize| sent["documents"][n]["document_id"].as_str().expect("an id").to_owned();
    for (n, file) in bad.iter().enumerate() {
        let failed = client.settled(&id(n)).await;
        let what = file.what;
        assert_eq!(failed["status"], "failed", "{what}: {failed}");
        let code = failed["error_code"].as_str().expect("a code");
        assert!(file.codes.iter().any(|expected| expected.as_str() == code), "{what}: {code}");
        for told in ["error", "error_hint"] {
            assert!(failed[told].as_str().is_some_and(|text| text.ends_with('.')), "{what}: {failed}");
        }
        assert_eq!(failed["correlation_id"], json!(id(n)), "{what}");
        if what == "a scan" {
            assert!(
                failed["error"].as_str().is_some_and(|text| text.starts_with("No text found")),
                "{failed}"
            );
            assert!(failed["error_hint"].as_str().is_some_and(|hint| hint.contains("OCR")), "{failed}");
        }
    }
    assert_eq!(client.settled(&id(bad.len())).await["status"], "ready");
    // The job is through, and counts them.
    let job = format!("/api/jobs/{}", sent["job_id"].as_str().expect("an id"));
    let job = eventually("the job is through", async || {
        let job = client.read(&job).await;
        (job["status"] == "completed").then_some(job)
    })
    .await;
    let counts = |name: &str| job["metrics"][name].as_u64();
    assert_eq!(
        (counts("documents_total"), counts("documents_done"), counts("documents_failed")),
        (Some(11), Some(1), Some(10)),
        "{job}"
    );
    assert_eq!(job["error"], Value::Null);
    // The server goes on as before.
    let after = client.upload_one(&workspace, "after.txt", &prose(2, 60)).await;
    assert_eq!(client.settled(&after).await["status"], "ready");
}
