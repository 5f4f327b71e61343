//! Jobs with their phases, and their tasks.

use super::{
    PARAMETERS, TASK_COLUMNS, int, json, json_text, maybe_moment, maybe_parsed, moment, number, parsed,
};
use crate::{bulk, fault::Fault};
use domain::{
    DocumentId, Job, PhaseDetail, PhaseName, PhaseStatus, Timestamp,
    ingest::{JobState, Pace},
    status::Halt,
};
use serde::{Deserialize, Serialize};
use sqlx::{AnyConnection, AssertSqlSafe, Row, any::AnyRow};

/// A phase as its row keeps it. The progress is a text: JSON numbers do not read back to the last bit, and a bar must
/// not fall by even that.
#[derive(Serialize, Deserialize)]
struct PhaseRow {
    name: PhaseName,
    status: PhaseStatus,
    progress: String,
    items_processed: u64,
    items_total: u64,
    #[serde(default)]
    items_reused: u64,
    started_at: Option<i64>,
    completed_at: Option<i64>,
    error: Option<String>,
    // Rows of older jobs have none. A text, as the progress is.
    #[serde(default)]
    rate: Option<String>,
    #[serde(default)]
    eta_seconds: Option<u64>,
}

impl From<&PhaseDetail> for PhaseRow {
    fn from(p: &PhaseDetail) -> Self {
        Self {
            name: p.name,
            status: p.status,
            progress: p.progress.to_string(),
            items_processed: p.items_processed,
            items_total: p.items_total,
            items_reused: p.items_reused,
            started_at: p.started_at.map(Timestamp::micros),
            completed_at: p.completed_at.map(Timestamp::micros),
            error: p.error.clone(),
            rate: p.rate.map(|rate| rate.to_string()),
            eta_seconds: p.eta_seconds,
        }
    }
}

impl TryFrom<PhaseRow> for PhaseDetail {
    type Error = Fault;

    fn try_from(p: PhaseRow) -> Result<Self, Fault> {
        Ok(Self {
            name: p.name,
            status: p.status,
            progress: p.progress.parse().map_err(Fault::corrupt)?,
            items_processed: p.items_processed,
            items_total: p.items_total,
            items_reused: p.items_reused,
            started_at: p.started_at.map(Timestamp::from_micros),
            completed_at: p.completed_at.map(Timestamp::from_micros),
            error: p.error,
            rate: p.rate.map(|rate| rate.parse().map_err(Fault::corrupt)).transpose()?,
            eta_seconds: p.eta_seconds,
        })
    }
}

#[derive(Serialize, Deserialize)]
struct Estimate {
    rate: Option<f64>,
    eta_seconds: Option<u64>,
    #[serde(default)]
    halted: Option<Halt>,
    #[serde(default)]
    pace: Pace,
}

/// A job, without its place in the queue.
pub(crate) fn job(row: &AnyRow) -> Result<JobState, Fault> {
    let estimate: Estimate = json(row, "estimate")?;
    let phases: Vec<PhaseRow> = json(row, "phase_details")?;
    let job = Job {
        job_id: parsed(row, "id")?,
        kind: parsed(row, "kind")?,
        kb_id: parsed(row, "workspace_id")?,
        user_id: parsed(row, "user_id")?,
        attempt: number(row, "attempt")?,
        status: parsed(row, "status")?,
        requested: maybe_parsed(row, "requested")?,
        phase: parsed(row, "phase")?,
        progress: row.try_get("progress")?,
        message: row.try_get("message")?,
        error: row.try_get("error")?,
        metrics: json(row, "metrics")?,
        queue_position: None,
        priority: parsed(row, "priority")?,
        rate: estimate.rate,
        eta_seconds: estimate.eta_seconds,
        halted: estimate.halted,
        rev: number(row, "rev")?,
        created_at: moment(row, "created_at")?,
        started_at: maybe_moment(row, "started_at")?,
        completed_at: maybe_moment(row, "completed_at")?,
        phase_details: phases.into_iter().map(PhaseDetail::try_from).collect::<Result<_, _>>()?,
        crawl: row
            .try_get::<Option<String>, _>("crawl")?
            .map(|text| serde_json::from_str(&text))
            .transpose()?,
    };
    // Without its workspace it indexes nothing any more.
    let config: Option<String> = row.try_get("rag_config")?;
    let config = config.map(|text| serde_json::from_str(&text)).transpose()?.unwrap_or_default();
    let held_back = row.try_get::<i64, _>("held_back")? != 0;
    Ok(JobState {
        job,
        config,
        event_at: moment(row, "event_at")?,
        held_back,
        cancel_removes: row.try_get::<i64, _>("cancel_removes")? != 0,
        turn_at: moment(row, "turn_at")?,
        pace: estimate.pace,
    })
}

fn phases_text(job: &Job) -> Result<String, Fault> {
    json_text(&job.phase_details.iter().map(PhaseRow::from).collect::<Vec<_>>())
}

fn estimate_text(state: &JobState) -> Result<String, Fault> {
    let job = &state.job;
    json_text(&Estimate {
        rate: job.rate,
        eta_seconds: job.eta_seconds,
        halted: job.halted,
        pace: state.pace,
    })
}

/// Answers false when the user made a job with that command before.
pub(crate) async fn insert_job(
    conn: &mut AnyConnection,
    state: &JobState,
    command_id: Option<&str>,
) -> Result<bool, Fault> {
    let job = &state.job;
    let inserted = sqlx::query(
        "INSERT INTO jobs (id, user_id, workspace_id, kind, attempt, status, requested, phase, progress, message, \
         error, metrics, phase_details, estimate, event_at, rev, created_at, started_at, completed_at, command_id, \
         rag_config, crawl, turn_at, priority) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, \
         $23, $24) \
         ON CONFLICT (user_id, command_id) DO NOTHING",
    )
    .bind(job.job_id.to_string())
    .bind(job.user_id.to_string())
    .bind(job.kb_id.to_string())
    .bind(job.kind.as_str())
    .bind(i64::from(job.attempt))
    .bind(job.status.as_str())
    .bind(job.requested.map(|r| r.as_str()))
    .bind(job.phase.as_str())
    .bind(job.progress)
    .bind(job.message.as_str())
    .bind(job.error.as_deref())
    .bind(json_text(&job.metrics)?)
    .bind(phases_text(job)?)
    .bind(estimate_text(state)?)
    .bind(state.event_at.micros())
    .bind(int(job.rev))
    .bind(job.created_at.micros())
    .bind(job.started_at.map(Timestamp::micros))
    .bind(job.completed_at.map(Timestamp::micros))
    .bind(command_id)
    .bind(json_text(&state.config)?)
    .bind(job.crawl.as_ref().map(json_text).transpose()?)
    .bind(state.turn_at.micros())
    .bind(job.priority.as_str())
    .execute(conn)
    .await?;
    Ok(inserted.rows_affected() > 0)
}

/// Writes what may have changed. `rev` is written by the writer, with the seq of the event.
pub(crate) async fn update_job(conn: &mut AnyConnection, state: &JobState) -> Result<(), Fault> {
    let job = &state.job;
    sqlx::query(
        "UPDATE jobs SET attempt = $2, status = $3, requested = $4, phase = $5, progress = $6, message = $7, \
         error = $8, metrics = $9, phase_details = $10, estimate = $11, event_at = $12, started_at = $13, \
         completed_at = $14, held_back = $15, cancel_removes = $16, crawl = $17 WHERE id = $1",
    )
    .bind(job.job_id.to_string())
    .bind(i64::from(job.attempt))
    .bind(job.status.as_str())
    .bind(job.requested.map(|r| r.as_str()))
    .bind(job.phase.as_str())
    .bind(job.progress)
    .bind(job.message.as_str())
    .bind(job.error.as_deref())
    .bind(json_text(&job.metrics)?)
    .bind(phases_text(job)?)
    .bind(estimate_text(state)?)
    .bind(state.event_at.micros())
    .bind(job.started_at.map(Timestamp::micros))
    .bind(job.completed_at.map(Timestamp::micros))
    .bind(i64::from(state.held_back))
    .bind(i64::from(state.cancel_removes))
    .bind(job.crawl.as_ref().map(json_text).transpose()?)
    .execute(conn)
    .await?;
    Ok(())
}

/// The tasks of the job's present attempt, each with its place.
pub(in crate::jobs) async fn insert_tasks(
    conn: &mut AnyConnection,
    state: &JobState,
    placed: &[(i64, DocumentId)],
) -> Result<(), Fault> {
    let job = &state.job;
    for part in bulk::parts(placed, PARAMETERS / 16) {
        let sql = format!(
            "INSERT INTO tasks (job_id, attempt, document_id, place, user_id, turn_at, status, owner, \
             lease_until, fence) VALUES {}",
            bulk::rows(part.len(), TASK_COLUMNS)
        );
        let mut query = sqlx::query(AssertSqlSafe(sql));
        for (place, document) in part {
            query = query
                .bind(job.job_id.to_string())
                .bind(i64::from(job.attempt))
                .bind(document.to_string())
                .bind(*place)
                .bind(job.user_id.to_string())
                .bind(state.turn_at.micros())
                .bind("pending")
                .bind(None::<String>)
                .bind(0i64)
                .bind(0i64);
        }
        query.execute(&mut *conn).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_phase_reads_back_to_the_last_bit() {
        for progress in [0.1 + 0.2, 100.0 / 3.0, 99.999_999_999_999_99, 5e-324, 0.0, 100.0] {
            let phase = PhaseDetail { progress, ..PhaseDetail::pending(PhaseName::Chunking) };
            let text = serde_json::to_string(&PhaseRow::from(&phase)).unwrap();
            let row: PhaseRow = serde_json::from_str(&text).unwrap();
            assert_eq!(PhaseDetail::try_from(row).unwrap().progress.to_bits(), progress.to_bits());
        }
    }
}
