//! What has to hold of a job however it was disturbed: looked for over the public interface, and in the database where
//! that does not show it.

use crate::{files::BROKEN, place::Place};
use domain::{DocumentStatus, JobStatus};
use measure::Failure;
use serde_json::Value;
use sqlx::AnyConnection;
use std::{collections::BTreeMap, time::Duration};

/// What was replaced or taken back is gone by then.
const SWEPT: Duration = Duration::from_secs(10);

/// A document's passages and their vectors as an undisturbed run makes them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Passages {
    /// Everything about them that does not depend on when they were made.
    chunks: Vec<Value>,
    vectors: Vec<Option<Vec<u8>>>,
}

/// What an undisturbed run made of each file, by name.
pub type Calm = BTreeMap<String, Passages>;

/// A job with its documents, as an upload answered.
#[derive(Clone, Debug)]
pub struct Upload {
    pub job: String,
    /// Id and name.
    pub documents: Vec<(String, String)>,
}

impl Upload {
    pub fn of(answer: &Value) -> Result<Self, Failure> {
        let id = |value: &Value| value.as_str().map(str::to_owned);
        let documents = answer["documents"].as_array().ok_or("no documents")?.iter();
        let documents = documents.map(|d| id(&d["document_id"]).zip(id(&d["filename"])));
        let job = id(&answer["job_id"]).ok_or("no job")?;
        Ok(Self { job, documents: documents.collect::<Option<_>>().ok_or("a document without a name")? })
    }

    pub fn path(&self) -> String {
        format!("/api/jobs/{}", self.job)
    }
}

/// What else is known of the job from what was asked of it.
#[derive(Clone, Copy, Default)]
pub struct Known {
    /// Its results were to be taken back, and nothing was asked since.
    pub removed: bool,
    /// Everything that can be ready has to be.
    pub whole: bool,
}

/// Holds a job that has ended against all rules.
pub async fn check(place: &Place, upload: &Upload, calm: &Calm, known: Known) -> Result<(), Failure> {
    let job = place.read(&upload.path()).await?;
    totals(&job, upload)?;
    let mut database = place.database().await?;
    swept(place, &mut database, upload).await?;
    for (id, name) in &upload.documents {
        let document = place.read(&format!("/api/documents/{id}")).await?;
        let found = passages(place, &mut database, id).await?;
        let wrong = |what: &str| -> Failure {
            format!("{name}: {what}; {} passages, {document}", found.chunks.len()).into()
        };
        if document["status"] == "ready" {
            let expected = calm.get(name).ok_or_else(|| wrong("an unreadable file became ready"))?;
            if document["chunk_count"] != found.chunks.len() {
                return Err(wrong("the count of its passages is wrong"));
            }
            if found.chunks != expected.chunks {
                return Err(wrong("its passages are not those of an undisturbed run"));
            }
            let by_words = document["warnings"]
                .as_array()
                .is_some_and(|all| all.iter().any(|warning| warning["code"] == "embedding_skipped"));
            if !by_words && found.vectors != expected.vectors {
                return Err(wrong("its vectors are not those of an undisturbed run"));
            }
        } else if !found.chunks.is_empty() && document["chunk_count"] != found.chunks.len() {
            // They are kept for a retry, which goes on there; no search finds them.
            return Err(wrong("it is not ready, and has other passages than it says"));
        }
        if known.removed && (document["status"] == "ready" || !found.chunks.is_empty()) {
            return Err(wrong("its results were to be taken back"));
        }
        if known.whole && document["status"] != "ready" && name != BROKEN {
            return Err(wrong("it never became ready"));
        }
    }
    moves(place, upload).await?;
    rows(&mut database).await
}

/// What an undisturbed job made.
pub async fn calm(place: &Place, upload: &Upload) -> Result<Calm, Failure> {
    let mut database = place.database().await?;
    let mut calm = Calm::new();
    for (id, name) in upload.documents.iter().filter(|(_, name)| name != BROKEN) {
        let found = passages(place, &mut database, id).await?;
        if found.chunks.is_empty() || found.vectors.iter().any(Option::is_none) {
            return Err(format!("{name} did not become ready without being disturbed").into());
        }
        calm.insert(name.clone(), found);
    }
    Ok(calm)
}

fn totals(job: &Value, upload: &Upload) -> Result<(), Failure> {
    let number = |value: &Value| value.as_u64().unwrap_or(u64::MAX);
    let metrics = &job["metrics"];
    let (done, failed) = (number(&metrics["documents_done"]), number(&metrics["documents_failed"]));
    let all = upload.documents.len() as u64;
    if number(&metrics["documents_total"]) != all || done.saturating_add(failed) != all {
        return Err(format!("the totals do not fit: {job}").into());
    }
    for phase in job["phase_details"].as_array().ok_or("no phases")? {
        let progress = phase["progress"].as_f64().unwrap_or(f64::NAN);
        let over =
            phase["items_total"].as_u64().is_some_and(|total| number(&phase["items_processed"]) > total);
        if !(0.0..=100.0).contains(&progress) || over {
            return Err(format!("a phase beyond its end: {phase}").into());
        }
    }
    Ok(())
}

async fn passages(place: &Place, database: &mut AnyConnection, id: &str) -> Result<Passages, Failure> {
    let mut chunks = place.list(&format!("/api/documents/{id}/chunks")).await?;
    for fields in chunks.iter_mut().filter_map(Value::as_object_mut) {
        fields.remove("id");
        fields.remove("document_id");
    }
    let vectors = sqlx::query_scalar(
        "SELECT v.vector FROM chunks c JOIN documents d ON d.id = c.document_id AND d.live = c.generation \
         LEFT JOIN chunk_vectors v ON v.chunk_id = c.id WHERE d.id = $1 AND d.status = 'ready' ORDER BY c.ordinal",
    );
    Ok(Passages { chunks, vectors: vectors.bind(id).fetch_all(database).await? })
}

async fn count(database: &mut AnyConnection, query: &'static str) -> Result<i64, Failure> {
    Ok(sqlx::query_scalar(query).fetch_one(database).await?)
}

/// What nobody reads any more goes by itself.
async fn swept(place: &Place, database: &mut AnyConnection, upload: &Upload) -> Result<(), Failure> {
    const LEFT: &str = "SELECT (SELECT count(*) FROM dead_chunks k JOIN documents d ON d.id = k.document_id WHERE d.job_id = $1) \
        + (SELECT count(*) FROM chunks c JOIN documents d ON d.id = c.document_id \
           WHERE d.job_id = $1 AND d.status = 'ready' AND c.generation <> d.live)";
    place
        .until("what was replaced is removed", SWEPT * place.slack, async |_| {
            let left: i64 = sqlx::query_scalar(LEFT).bind(&upload.job).fetch_one(&mut *database).await?;
            Ok((left == 0).then_some(()))
        })
        .await
}

/// What no row may be like.
async fn rows(database: &mut AnyConnection) -> Result<(), Failure> {
    let rules = [
        (
            "vectors of no passage",
            "SELECT count(*) FROM chunk_vectors v LEFT JOIN chunks c ON c.id = v.chunk_id WHERE c.id IS NULL",
        ),
        (
            "ready documents whose passages were miscounted",
            "SELECT count(*) FROM documents d WHERE d.status = 'ready' AND d.live_chunks <> \
             (SELECT count(*) FROM chunks c WHERE c.document_id = d.id AND c.generation = d.live)",
        ),
        (
            "tasks of jobs that have ended",
            "SELECT count(*) FROM tasks t JOIN jobs j ON j.id = t.job_id AND j.attempt = t.attempt \
             WHERE j.status IN ('completed', 'failed', 'cancelled') AND t.status IN ('pending', 'running', 'paused')",
        ),
        ("holes in the log", "SELECT coalesce(max(seq) - min(seq) + 1 - count(*), 0) FROM events"),
    ];
    for (what, query) in rules {
        let found = count(database, query).await?;
        if found != 0 {
            return Err(format!("{found} {what}").into());
        }
    }
    Ok(())
}

/// Every turn of a status that was logged is one that its table has, and no bar ever fell within an attempt.
async fn moves(place: &Place, upload: &Upload) -> Result<(), Failure> {
    let mut reached = (0, 0.0);
    for entry in place.list(&format!("{}/history", upload.path())).await? {
        let event = entry["event"].as_str().unwrap_or_default();
        let (from, to) = (entry["from"].as_str(), entry["to"].as_str());
        let is_legal = match (event, from, to) {
            ("document_status", Some(from), Some(to)) if from != to => {
                let (from, to): (DocumentStatus, DocumentStatus) = (from.parse()?, to.parse()?);
                // What is taken back goes both ways in one transaction: the table has them, and one event tells it.
                let taken_back = entry["data"]["error_code"] == "cancelled"
                    && from.may_become(DocumentStatus::Pending)
                    && DocumentStatus::Pending.may_become(to);
                from.may_become(to) || taken_back
            }
            ("job_update" | "job_complete" | "job_error", from, Some(to)) => {
                let now = (
                    entry["data"]["attempt"].as_u64().unwrap_or_default(),
                    entry["data"]["progress"].as_f64().unwrap_or(f64::NAN),
                );
                let another = now.0 > reached.0;
                let risen = another || now.0 == reached.0 && now.1 >= reached.1;
                reached = now;
                if !risen || !(0.0..=100.0).contains(&now.1) {
                    return Err(format!("the bar of the job fell: {entry}").into());
                }
                match from {
                    Some(from) if from != to => {
                        let (from, to): (JobStatus, JobStatus) = (from.parse()?, to.parse()?);
                        // Cancelling the last document of a job that stands ends it, as running work does.
                        let ended = from == JobStatus::Paused && JobStatus::Running.may_become(to);
                        from.may_become(to) || ended || another && from.is_final() && !to.is_final()
                    }
                    _ => true,
                }
            }
            _ => true,
        };
        if !is_legal {
            return Err(format!("a move that the table does not have: {entry}").into());
        }
    }
    Ok(())
}
