//! For those who run it: is it alive, is it ready, what does it do.

use super::{AppState, bytes, extract::Json};
use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use domain::{UserId, rag::ModelState};
use http::StatusCode;
use serde::Serialize;
use services::{keys, ports::BlobError};
use std::time::Duration;
use utoipa::ToSchema;
use uuid::Uuid;

/// A check that takes longer counts as failed.
const PATIENCE: Duration = Duration::from_secs(5);
/// Whoever has to wait longer for a change is better served elsewhere.
const LONGEST_WAIT: Duration = Duration::from_secs(5);
const FOLDER_OF_ITS_OWN: &str = "The folder of the files is not that of the other servers, so each has only what it \
                                 stored itself: give all of them the same one, or a bucket in INSIGHTHUB_BLOB_URL. \
                                 `insighthub check` says more.";

#[derive(Serialize, ToSchema)]
pub struct Alive {
    #[schema(example = "alive")]
    status: &'static str,
}

#[derive(Serialize, ToSchema)]
pub struct Readiness {
    /// `ready`, `degraded` (it serves, but cannot do everything) or `not_ready`.
    status: &'static str,
    checks: Vec<Check>,
}

#[derive(Serialize, ToSchema)]
pub struct Check {
    name: &'static str,
    ok: bool,
    /// What is wrong and what to do.
    detail: Option<String>,
}

impl Check {
    fn of(name: &'static str, result: Result<(), String>) -> Self {
        Self { name, ok: result.is_ok(), detail: result.err() }
    }
}

/// The process answers.
#[utoipa::path(get, path = "/health/live", tag = "operations", security(()), responses((status = 200, body = Alive)))]
pub async fn live() -> Json<Alive> {
    Json(Alive { status: "alive" })
}

/// The database answers, files can be written, the model is there. 503 tells a load balancer to send people elsewhere.
#[utoipa::path(get, path = "/health/ready", tag = "operations",
    responses((status = 200, body = Readiness), (status = 503, body = Readiness, description = "it is not; `checks` says what is wrong")))]
pub async fn ready(State(app): State<AppState>) -> Response {
    let needed = [
        Check::of("database", database(&app).await),
        Check::of("files", files(&app).await),
        Check::of(
            "running",
            if app.leaving().is_cancelled() || app.stopping().is_cancelled() {
                Err("The server is stopping.".into())
            } else {
                Ok(())
            },
        ),
    ];
    let wanted = [
        Check::of("embedding_model", model(&app).await),
        Check::of("embedding_server", embedding_server(&app)),
        // Fine where there is none. People are served without it, so it is no reason to send them elsewhere.
        Check::of("broker", app.services().bus.outage().map_or(Ok(()), Err)),
        Check::of("shared_files", shared_files(&app).await),
        Check::of("clock", clock(&app)),
    ];
    let status = match (needed.iter().all(|c| c.ok), wanted.iter().all(|c| c.ok)) {
        (true, true) => "ready",
        (true, false) => "degraded",
        (false, _) => "not_ready",
    };
    let code = if status == "not_ready" { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK };
    (code, Json(Readiness { status, checks: needed.into_iter().chain(wanted).collect() })).into_response()
}

async fn database(app: &AppState) -> Result<(), String> {
    // What reads has connections of its own; that they are well says nothing of the one that writes. Where nobody writes,
    // nothing waits that could tell.
    if app.services().events.only_reads() {
        return Err("The database only reads: it is a standby, or was set so.".into());
    }
    if app.services().events.longest_wait() > LONGEST_WAIT {
        return Err("Changes wait for the database for too long; the log has the details.".into());
    }
    // A read that finds nothing, through the same pool as every other.
    let asked = app.services().accounts.user(UserId::new(Uuid::nil()));
    match tokio::time::timeout(PATIENCE, asked).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(e)) => {
            tracing::warn!(error = format!("{e:?}"), "the database failed its check");
            Err("The database does not answer; the log has the details.".into())
        }
        Err(_) => Err("The database did not answer in time.".into()),
    }
}

async fn files(app: &AppState) -> Result<(), String> {
    let key = keys::probe(app.services().ids.uuid());
    let blobs = &app.services().blobs;
    let tried = async {
        blobs.put(&key, bytes::Bytes::from_static(b"ok")).await?;
        blobs.delete(&key).await
    };
    match tokio::time::timeout(PATIENCE, tried).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(e)) => {
            tracing::warn!(error = format!("{e:?}"), "the file store failed its check");
            Err(match e {
                BlobError::Away(_) => "The store of the files does not answer, or fails; the log has the details.",
                BlobError::Refused(_) => {
                    "The store of the files refuses this server: see to its keys and its bucket; the log has the details."
                }
                BlobError::Full(_) => "There is no room left for files.",
                _ => "Files cannot be written in the data directory; the log has the details.",
            }
            .into())
        }
        Err(_) => Err("What keeps the files did not answer in time.".into()),
    }
}

/// Whether the other servers have their files in the same folder; fine where nobody else is to have them. People are served
/// without them as far as that goes, and another server may have no more of them.
async fn shared_files(app: &AppState) -> Result<(), String> {
    let Some(folder) = app.folder().cloned() else { return Ok(()) };
    let looked = tokio::task::spawn_blocking(move || folder.is_the_one());
    match tokio::time::timeout(PATIENCE, looked).await {
        Ok(Ok(Ok(false))) => Err(FOLDER_OF_ITS_OWN.into()),
        // Whether there are files at all is a check of its own.
        _ => Ok(()),
    }
}

/// Whether this server has the time that the database has, by which all of them agree.
fn clock(app: &AppState) -> Result<(), String> {
    let Some(apart) = app.services().events.clocks_apart() else { return Ok(()) };
    Err(format!(
        "The clocks of this server and of the database are {} seconds apart: see to it that both keep the time, as with NTP.",
        apart.as_secs()
    ))
}

async fn model(app: &AppState) -> Result<(), String> {
    match tokio::time::timeout(PATIENCE, app.services().embedder.models()).await {
        Ok(models) if models.iter().any(|m| m.state == ModelState::Ready) => Ok(()),
        Ok(_) => {
            Err("No embedding model is there: run `cargo xtask setup`, or set INSIGHTHUB_MODELS_DIR or \
                      EMBEDDINGS_URL."
                .into())
        }
        Err(_) => Err("The embedding server did not answer in time.".into()),
    }
}

/// Whether the embedding server is left alone because it fails; fine where there is none.
fn embedding_server(app: &AppState) -> Result<(), String> {
    // Any name but that of the built-in model is the server's.
    app.services().embedder.outage("").map_or(Ok(()), |outage| Err(outage.words()))
}

/// Counters for Prometheus.
#[utoipa::path(get, path = "/metrics", tag = "operations",
    responses((status = 200, description = "the text format of Prometheus", content_type = "text/plain", body = String)))]
pub async fn metrics(State(app): State<AppState>) -> Response {
    metrics::gauge!("insighthub_live_connections").set(app.services().hub.connections() as f64);
    metrics::counter!("insighthub_unreadable_events_total").absolute(app.services().hub.unreadable());
    bytes("text/plain; version=0.0.4; charset=utf-8", app.0.metrics.render().into())
}
