//! How well the documents of a workspace went, out of its history: how many a day, how many failed, and how long each
//! phase takes for each kind of file.

use crate::{
    event::FileProgress,
    files::FileKind,
    history::HistoryEntry,
    ids::{DocumentId, JobId},
    resource::CANCELLED,
    status::PhaseName,
    step::Step,
    timestamp::Timestamp,
};
use litemap::LiteMap;
use serde::{Deserialize, Serialize};

const DAY: i64 = 86_400_000_000;

/// One day, in UTC.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Day {
    /// `2026-11-22`
    pub date: String,
    /// Documents that came.
    pub added: u64,
    /// Ends of their processing. What somebody cancelled did not fail.
    pub ready: u64,
    pub failed: u64,
}

/// How long one phase took for the documents of one kind, each document's own time in it. One that was processed twice
/// counts twice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PhaseTime {
    /// The kind of file (`pdf`, `docx`, `text`, …), or `other`.
    #[cfg_attr(feature = "openapi", schema(example = "pdf"))]
    pub kind: String,
    pub phase: PhaseName,
    pub documents: u64,
    pub median_ms: u64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Analytics {
    /// From the first to today, without a gap.
    pub days: Vec<Day>,
    pub ready: u64,
    pub failed: u64,
    /// Of those that ended, 0–1; `null` when none did.
    pub failure_rate: Option<f64>,
    /// By kind, and then in the order of the phases.
    pub phases: Vec<PhaseTime>,
    /// The history was longer than is looked at; these are the newest events of it.
    pub is_part: bool,
}

/// One way of a document through the phases.
type Run = (DocumentId, Option<JobId>, u32);

/// Gathers the figures from entries in any order.
#[derive(Debug)]
pub struct Gathering {
    first: i64,
    days: Vec<Day>,
    /// Micros that one run of a document spent in a phase.
    spent: LiteMap<(PhaseName, Run), i64>,
    /// The kind of each document, with the seq of the event that told it: the newest one counts.
    kinds: LiteMap<DocumentId, (u64, &'static str)>,
}

impl Gathering {
    /// For so many days, today among them.
    pub fn new(now: Timestamp, days: u32) -> Self {
        let today = now.micros().div_euclid(DAY);
        let first = today - i64::from(days.max(1)) + 1;
        let date = |day: i64| Timestamp::from_micros(day * DAY).to_string().chars().take(10).collect();
        let days = (first..=today).map(|day| Day { date: date(day), ..Day::default() }).collect();
        Self { first, days, spent: LiteMap::new(), kinds: LiteMap::new() }
    }

    /// The beginning of the first day.
    pub fn since(&self) -> Timestamp {
        Timestamp::from_micros(self.first * DAY)
    }

    pub fn take(&mut self, entry: &HistoryEntry) {
        let place = usize::try_from(entry.at.micros().div_euclid(DAY) - self.first).ok();
        let Some(day) = place.and_then(|at| self.days.get_mut(at)) else { return };
        let is_cancelled = || entry.data["error_code"] == CANCELLED;
        match (entry.event.as_str(), entry.from.as_deref(), entry.to.as_deref()) {
            ("document_status", None, _) => day.added += 1,
            ("document_status", Some(from), Some("ready")) if from != "ready" => day.ready += 1,
            ("document_status", Some(from), Some("failed")) if from != "failed" && !is_cancelled() => {
                day.failed += 1;
            }
            ("file_progress", _, Some("complete")) => self.take_step(entry),
            _ => {}
        }
        if entry.event == "document_status" {
            self.take_kind(entry);
        }
    }

    /// The kind was told by the content. The name of a file is only asked where no more is known, since anybody may give
    /// it another one.
    fn take_kind(&mut self, entry: &HistoryEntry) {
        let id = entry.data["id"].as_str().and_then(|id| id.parse().ok());
        let kind = entry.data["mime_type"].as_str().and_then(FileKind::of_mime);
        if let Some((id, kind)) = id.zip(kind) {
            self.note_kind(id, entry.seq, kind.as_str());
        }
    }

    fn note_kind(&mut self, id: DocumentId, seq: u64, kind: &'static str) {
        if self.kinds.get(&id).is_none_or(|(known, _)| *known < seq) {
            self.kinds.insert(id, (seq, kind));
        }
    }

    fn take_step(&mut self, entry: &HistoryEntry) {
        let Ok(step) = serde_json::from_value::<FileProgress>(entry.data.clone()) else { return };
        let Some(phase) = Step::phase(&step.step) else { return };
        self.note_kind(
            step.document_id,
            0,
            FileKind::of_name(&step.filename).map_or("other", FileKind::as_str),
        );
        let took = step.timestamp.micros().saturating_sub(step.started_at.micros()).max(0);
        let run = (step.document_id, step.job_id, step.attempt);
        *self.spent.entry((phase, run)).or_default() += took;
    }

    /// `is_part`: there was more than was taken.
    pub fn done(self, is_part: bool) -> Analytics {
        let mut times: LiteMap<(String, PhaseName), Vec<i64>> = LiteMap::new();
        for ((phase, (document, ..)), took) in self.spent {
            let kind = self.kinds.get(&document).map_or("other", |(_, kind)| *kind);
            times.entry((kind.to_owned(), phase)).or_default().push(took);
        }
        let phases = times.into_iter().map(|((kind, phase), mut took)| PhaseTime {
            kind,
            phase,
            documents: took.len() as u64,
            median_ms: median(&mut took).div_euclid(1_000).unsigned_abs(),
        });
        let (ready, failed) =
            self.days.iter().fold((0, 0), |(ready, failed), day| (ready + day.ready, failed + day.failed));
        let ended = ready + failed;
        Analytics {
            phases: phases.collect(),
            ready,
            failed,
            failure_rate: (ended > 0).then(|| failed as f64 / ended as f64),
            days: self.days,
            is_part,
        }
    }
}

/// The middle one; of an even number the mean of the two in the middle.
fn median(all: &mut [i64]) -> i64 {
    all.sort_unstable();
    match all.len() {
        0 => 0,
        n if n % 2 == 1 => all[n / 2],
        n => (all[n / 2 - 1] + all[n / 2]) / 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// A quarter past midnight, so many days before the 22nd of November 2026.
    fn at(days_ago: i64) -> Timestamp {
        let today = Timestamp::parse("2026-11-22T00:15:00Z").expect("a time");
        Timestamp::from_micros(today.micros() - days_ago * DAY)
    }

    fn entry(
        days_ago: i64,
        event: &str,
        from: Option<&str>,
        to: Option<&str>,
        data: serde_json::Value,
    ) -> HistoryEntry {
        HistoryEntry {
            seq: 1,
            at: at(days_ago),
            event: event.into(),
            from: from.map(Into::into),
            to: to.map(Into::into),
            actor: None,
            data,
        }
    }

    fn step(document: u64, filename: &str, step: &str, seconds: i64) -> HistoryEntry {
        step_of(1, document, filename, step, seconds)
    }

    fn step_of(attempt: u32, document: u64, filename: &str, step: &str, seconds: i64) -> HistoryEntry {
        let id = format!("00000000-0000-0000-0000-{document:012}");
        let data = json!({
            "document_id": id, "workspace_id": id, "job_id": null, "attempt": attempt, "filename": filename,
            "step": step, "message": "", "status": "complete", "progress": 10.0, "extra": {}, "rev": 1,
            "started_at": at(0).to_string(), "timestamp": at(0).plus_seconds(seconds).to_string(), "fileId": id,
        });
        entry(0, "file_progress", Some("in_progress"), Some("complete"), data)
    }

    #[test]
    fn days_have_no_gap_and_hold_what_came_and_how_it_ended() {
        let mut all = Gathering::new(at(0), 3);
        assert_eq!(all.since(), Timestamp::parse("2026-11-20T00:00:00Z").expect("a time"));
        let turn = |days, from, to| entry(days, "document_status", from, to, json!({}));
        for entry in [
            turn(2, None, Some("pending")),
            turn(2, Some("pending"), Some("processing")),
            turn(0, Some("processing"), Some("ready")),
            turn(0, Some("ready"), Some("ready")),
            turn(0, None, Some("pending")),
            turn(0, Some("processing"), Some("failed")),
            // What somebody cancelled did not fail.
            entry(
                0,
                "document_status",
                Some("processing"),
                Some("failed"),
                json!({ "error_code": "cancelled" }),
            ),
            turn(3, None, Some("pending")),
            entry(0, "job_update", Some("pending"), Some("failed"), json!({})),
        ] {
            all.take(&entry);
        }
        let done = all.done(false);
        let days: Vec<_> = done.days.iter().map(|d| (d.date.as_str(), d.added, d.ready, d.failed)).collect();
        assert_eq!(days, [("2026-11-20", 1, 0, 0), ("2026-11-21", 0, 0, 0), ("2026-11-22", 1, 1, 1)]);
        assert_eq!((done.ready, done.failed, done.failure_rate), (1, 1, Some(0.5)));
        assert_eq!(Gathering::new(at(0), 7).done(false).failure_rate, None);
    }

    #[test]
    fn the_kind_is_that_of_the_content_whatever_the_file_is_called() {
        let mut all = Gathering::new(at(0), 1);
        let told = |seq: u64, document: u64, mime: &str| {
            let id = format!("00000000-0000-0000-0000-{document:012}");
            let data = json!({ "id": id, "mime_type": mime });
            HistoryEntry { seq, ..entry(0, "document_status", Some("processing"), Some("processing"), data) }
        };
        for entry in [
            // The newest comes first, as the history is read.
            told(9, 1, "application/pdf"),
            step(1, "scan.txt", "extracting_text", 1),
            told(3, 1, "text/plain"),
            step(2, "letter", "extracting_text", 1),
            told(4, 2, "text/html; charset=utf-8"),
            // Of one that nothing else is known of.
            step(3, "table.csv", "extracting_text", 1),
            step(4, "strange.bin", "extracting_text", 1),
            told(5, 4, "application/octet-stream"),
        ] {
            all.take(&entry);
        }
        let kinds: Vec<String> = all.done(false).phases.into_iter().map(|p| p.kind).collect();
        assert_eq!(kinds, ["csv", "html", "other", "pdf"]);
    }

    #[test]
    fn the_time_of_a_phase_is_the_middle_of_what_its_documents_took() {
        let mut all = Gathering::new(at(0), 1);
        for entry in [
            // Two steps of one document in the same phase count together.
            step(1, "a.pdf", "validating", 1),
            step(1, "a.pdf", "extracting_text", 2),
            step(2, "b.pdf", "extracting_text", 5),
            step(3, "c.pdf", "extracting_text", 40),
            step(3, "c.pdf", "chunking_text", 4),
            step(4, "notes.txt", "extracting_text", 1),
            // A second attempt is a run of its own.
            step_of(2, 4, "notes.txt", "extracting_text", 6),
            step(5, "notes.txt", "extracting_text", 2),
            step(5, "notes.txt", "something_else", 2),
        ] {
            all.take(&entry);
        }
        let phases = all.done(true).phases;
        let told: Vec<_> =
            phases.iter().map(|p| (p.kind.as_str(), p.phase, p.documents, p.median_ms)).collect();
        assert_eq!(
            told,
            [
                ("pdf", PhaseName::Loading, 3, 5_000),
                ("pdf", PhaseName::Chunking, 1, 4_000),
                ("text", PhaseName::Loading, 3, 2_000),
            ]
        );
    }
}
