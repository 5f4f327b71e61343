//! Four phases as four segments on one rail. They overlap, so each fills on its own.

use super::{Icon, IconName, spinner::ring, use_now, words};
use crate::view;
use domain::{PhaseDetail, PhaseName, PhaseStatus, Timestamp, message::number};
use leptos::prelude::*;

/// `phases`: the job's `phase_details`; one that is missing counts as pending. One that runs shows its pace and what is
/// left, where they are known. A failed phase opens its error in place. A job without
/// phases, which is one that deletes, shows nothing.
#[component]
pub fn PhaseTimeline(#[prop(into)] phases: Signal<Vec<PhaseDetail>>) -> impl IntoView {
    let segments = PhaseName::ALL.iter().map(|&name| {
        let detail = Memo::new(move |_| {
            phases.with(|all| {
                all.iter().find(|p| p.name == name).cloned().unwrap_or_else(|| PhaseDetail::pending(name))
            })
        });
        view! { <Segment detail /> }
    });
    view! {
        <div class="phase-timeline" hidden=move || phases.with(Vec::is_empty)>
            <ol class="phases" aria-label="Phases">
                {segments.collect_view()}
            </ol>
        </div>
    }
}

#[component]
fn Segment(detail: Memo<PhaseDetail>) -> impl IntoView {
    let now = use_now();
    let status = Memo::new(move |_| detail.with(|p| p.status));
    let sign = Memo::new(move |_| detail.with(sign));
    let took = Memo::new(move |_| detail.with(|p| time(p, now.at.get())));
    let error = Memo::new(move |_| detail.with(|p| p.error.clone()));
    let pace = Memo::new(move |_| detail.with(pace));
    view! {
        <li class="phase" data-phase=detail.with_untracked(|p| p.name.as_str()) data-status=move || status.get().as_str()>
            <span class="sr-only">{move || detail.with(sentence)}</span>
            <div class="phase-head" aria-hidden="true">
                <svg
                    class=move || if status.get() == PhaseStatus::Running { "icon spin-ring" } else { "icon" }
                    data-known=move || (status.get() == PhaseStatus::Running).then_some("")
                    viewBox="0 0 16 16"
                    inner_html=move || sign.get()
                ></svg>
                <span class="phase-name">{detail.with_untracked(|p| p.name.title())}</span>
                <span class="phase-percent">{move || detail.with(share)}</span>
            </div>
            <progress
                class="phase-rail"
                max="100"
                value=move || detail.with(|p| words::bounded(p.progress))
                aria-hidden="true"
            ></progress>
            <div class="phase-meta" aria-hidden="true">
                <span>{move || detail.with(counts)}</span>
                {move || pace.get().map(|text| view! { <span class="phase-pace">{text}</span> })}
                {move || took.get().map(|text| view! { <span>{text}</span> })}
            </div>
            {move || {
                error
                    .get()
                    .filter(|_| status.get() == PhaseStatus::Failed)
                    .map(|text| {
                        view! {
                            <details class="phase-error">
                                <summary>
                                    <Icon name=IconName::ChevronRight />
                                    "What went wrong"
                                </summary>
                                <p>{text}</p>
                            </details>
                        }
                    })
            }}
        </li>
    }
}

fn sign(phase: &PhaseDetail) -> String {
    let icon = match phase.status {
        PhaseStatus::Running => return ring(Some(words::bounded(phase.progress).floor())),
        PhaseStatus::Pending => IconName::Clock,
        PhaseStatus::Paused => IconName::Pause,
        PhaseStatus::Completed => IconName::CheckCircle,
        PhaseStatus::Failed => IconName::CrossCircle,
        PhaseStatus::Cancelled => IconName::SlashCircle,
        PhaseStatus::Skipped => IconName::Skip,
    };
    icon.body().to_owned()
}

/// What stands at the right of the name: the percentage while it moves, else the state.
fn share(phase: &PhaseDetail) -> String {
    match phase.status {
        PhaseStatus::Running if phase.items_total == 0 => "Running".into(),
        PhaseStatus::Running => words::percent(phase.progress, false),
        PhaseStatus::Completed => "Done".into(),
        other => title(other).into(),
    }
}

const fn title(status: PhaseStatus) -> &'static str {
    match status {
        PhaseStatus::Pending => "Pending",
        PhaseStatus::Running => "Running",
        PhaseStatus::Paused => "Paused",
        PhaseStatus::Completed => "Completed",
        PhaseStatus::Failed => "Failed",
        PhaseStatus::Cancelled => "Cancelled",
        PhaseStatus::Skipped => "Skipped",
    }
}

/// "105 / 150 documents"; a count alone while the total is unknown.
fn counts(phase: &PhaseDetail) -> String {
    let unit = phase.name.unit();
    match (phase.items_processed, phase.items_total) {
        (0, 0) => "–".into(),
        (done, 0) => format!("{} {unit}", number(done)),
        (done, total) => format!("{} / {} {unit}", number(done), number(total)),
    }
}

/// "31 chunks/s · about 40 s left" of one that runs.
fn pace(phase: &PhaseDetail) -> Option<String> {
    if phase.status != PhaseStatus::Running {
        return None;
    }
    let rate = phase.rate.map(|rate| words::rate(rate, phase.name.unit()));
    let parts: Vec<String> = rate.into_iter().chain(phase.eta_seconds.map(words::time_left)).collect();
    (!parts.is_empty()).then(|| parts.join(" · "))
}

/// How long the phase took, or has been running.
fn time(phase: &PhaseDetail, now: Option<Timestamp>) -> Option<String> {
    let start = phase.started_at?;
    let end = match phase.completed_at {
        Some(end) => end,
        None if phase.status == PhaseStatus::Running => now?,
        None => return None,
    };
    let micros = end.micros().saturating_sub(start.micros());
    // A running clock in tenths of a second would only fidget.
    let micros = if phase.completed_at.is_none() { micros.max(0) / 1_000_000 * 1_000_000 } else { micros };
    Some(match phase.completed_at {
        None if micros < 10_000_000 => format!("{} s", micros / 1_000_000),
        _ => words::duration(micros),
    })
}

/// The whole segment for a screen reader: "Chunking, running, 105 of 150, 70 percent".
fn sentence(phase: &PhaseDetail) -> String {
    let mut out = format!("{}, {}", phase.name.title(), phase.status);
    if phase.items_total > 0 && phase.status != PhaseStatus::Pending {
        out.push_str(&format!(
            ", {} of {}, {} percent",
            number(phase.items_processed),
            number(phase.items_total),
            words::bounded(phase.progress).floor()
        ));
    } else if phase.items_processed > 0 {
        out.push_str(&format!(", {} {}", number(phase.items_processed), phase.name.unit()));
    }
    if let Some(left) = phase.eta_seconds.filter(|_| phase.status == PhaseStatus::Running) {
        out.push_str(&format!(", {}", words::time_left(left)));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunking() -> PhaseDetail {
        PhaseDetail {
            status: PhaseStatus::Running,
            progress: 70.0,
            items_processed: 105,
            items_total: 150,
            items_reused: 0,
            started_at: Some(Timestamp::from_micros(0)),
            ..PhaseDetail::pending(PhaseName::Chunking)
        }
    }

    #[test]
    fn a_segment_reads_as_a_sentence() {
        assert_eq!(sentence(&chunking()), "Chunking, running, 105 of 150, 70 percent");
        assert_eq!(sentence(&PhaseDetail::pending(PhaseName::Indexing)), "Indexing, pending");
        let unknown = PhaseDetail { items_total: 0, ..chunking() };
        assert_eq!(sentence(&unknown), "Chunking, running, 105 documents");
    }

    #[test]
    fn a_running_phase_shows_its_pace_and_what_is_left_where_they_are_known() {
        assert_eq!(pace(&chunking()), None);
        let known = PhaseDetail { rate: Some(0.25), eta_seconds: Some(180), ..chunking() };
        assert_eq!(pace(&known).as_deref(), Some("0.3 documents/s · about 3 min left"));
        assert_eq!(sentence(&known), "Chunking, running, 105 of 150, 70 percent, about 3 min left");
        let paused = PhaseDetail { status: PhaseStatus::Paused, ..known };
        assert_eq!(pace(&paused), None);
        assert_eq!(sentence(&paused), "Chunking, paused, 105 of 150, 70 percent");
    }

    #[test]
    fn an_unknown_total_is_a_count() {
        let unknown = PhaseDetail { items_total: 0, ..chunking() };
        assert_eq!(counts(&unknown), "105 documents");
        assert_eq!(share(&unknown), "Running");
    }

    #[test]
    fn a_running_phase_shows_its_time_only_when_the_present_is_known() {
        assert_eq!(time(&chunking(), None), None);
        assert_eq!(time(&chunking(), Some(Timestamp::from_micros(4_900_000))).as_deref(), Some("4 s"));
        let done = PhaseDetail {
            status: PhaseStatus::Completed,
            completed_at: Some(Timestamp::from_micros(1_240_000)),
            ..chunking()
        };
        assert_eq!(time(&done, None).as_deref(), Some("1.2 s"));
    }
}
