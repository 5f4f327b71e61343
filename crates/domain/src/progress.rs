//! How far a job and a document are. Computed from counts that the rows hold; the stores keep the highest value of an
//! attempt, so that no bar ever falls.

use crate::{
    resource::PhaseDetail,
    status::{JobStatus, PhaseName, PhaseStatus},
    step::Step,
};

/// Share of the whole time that each phase takes, measured on mixed documents: embedding is by far the dearest.
const WEIGHTS: [f64; 4] = [0.10, 0.04, 0.80, 0.06];

/// Progress of one phase from its counts, 0–100. `share_known` (0–1) says which part of the whole is known yet: while
/// documents are still being cut, the number of chunks to embed is not final, and the bar must not run ahead.
pub fn of_phase(done: u64, total: u64, share_known: f64) -> f64 {
    if total == 0 {
        return 0.0;
    }
    (done as f64 / total as f64 * share_known.clamp(0.0, 1.0) * 100.0).clamp(0.0, 100.0)
}

/// Progress of a job from its phases, weighted by what they cost. A skipped phase weighs nothing.
pub fn of_job(phases: &[PhaseDetail]) -> f64 {
    let (mut sum, mut weight) = (0.0, 0.0);
    for phase in phases {
        if phase.status == PhaseStatus::Skipped {
            continue;
        }
        let w = WEIGHTS[phase.name.index()];
        sum += w * phase.progress;
        weight += w;
    }
    if weight == 0.0 { 0.0 } else { (sum / weight).clamp(0.0, 100.0) }
}

/// Progress of one document that has reached `phase` and done `done` of `total` units there.
pub fn of_document(phase: PhaseName, done: u64, total: u64) -> f64 {
    let before: f64 = WEIGHTS[..phase.index()].iter().sum();
    let here = WEIGHTS[phase.index()] * of_phase(done, total, 1.0) / 100.0;
    ((before + here) * 100.0).clamp(0.0, 100.0)
}

/// Progress of a document where a step of the pipeline begins that does not begin a phase, or that may be begun anew after
/// a stop: so the row itself knows that it was reached. Of any other step nothing more is known than of its phase.
pub fn at_step(step: &Step) -> f64 {
    match step {
        Step::ExtractingText | Step::Crawling => of_document(PhaseName::Loading, 1, 4),
        Step::ChunkingText | Step::ProcessingContent => of_document(PhaseName::Chunking, 1, 4),
        Step::StoringMetadata => of_document(PhaseName::Indexing, 1, 2),
        _ => 0.0,
    }
}

/// The phase that a job is said to be in: the first running one, else the first unfinished, else the last. One that failed
/// was never finished: a job that failed stays in it.
pub fn current_phase(phases: &[PhaseDetail]) -> PhaseName {
    let unfinished =
        |s: PhaseStatus| !matches!(s, PhaseStatus::Completed | PhaseStatus::Skipped | PhaseStatus::Cancelled);
    phases
        .iter()
        .find(|p| p.status == PhaseStatus::Running)
        .or_else(|| phases.iter().find(|p| unfinished(p.status)))
        .or_else(|| phases.last())
        .map_or(PhaseName::Loading, |p| p.name)
}

/// How a job ends whose documents are all through: all failed is failed, some failed is completed with counts.
pub const fn outcome(documents_done: u64, documents_failed: u64) -> JobStatus {
    if documents_done == 0 && documents_failed > 0 { JobStatus::Failed } else { JobStatus::Completed }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn phase(name: PhaseName, status: PhaseStatus, progress: f64) -> PhaseDetail {
        PhaseDetail { status, progress, ..PhaseDetail::pending(name) }
    }

    #[test]
    fn the_weights_are_a_whole() {
        assert!((WEIGHTS.iter().sum::<f64>() - 1.0).abs() < 1e-9);
    }

    #[test]
    fn progress_reaches_exactly_a_hundred_and_never_more() {
        let all = PhaseName::ALL.iter().map(|&n| phase(n, PhaseStatus::Completed, 100.0)).collect::<Vec<_>>();
        assert!((of_job(&all) - 100.0).abs() < 1e-9);
        assert!((of_phase(12, 10, 1.0) - 100.0).abs() < 1e-9);
        assert!(of_phase(0, 0, 1.0).abs() < 1e-9);
    }

    #[test]
    fn a_skipped_phase_does_not_hold_the_bar_back() {
        let mut phases =
            PhaseName::ALL.iter().map(|&n| phase(n, PhaseStatus::Completed, 100.0)).collect::<Vec<_>>();
        phases[2] = phase(PhaseName::Embedding, PhaseStatus::Skipped, 0.0);
        assert!((of_job(&phases) - 100.0).abs() < 1e-9);
    }

    #[test]
    fn the_current_phase_is_the_first_running_then_the_first_unfinished_then_the_last() {
        use PhaseName::*;
        use PhaseStatus as S;
        let make =
            |s: [S; 4]| PhaseName::ALL.iter().zip(s).map(|(&n, s)| phase(n, s, 0.0)).collect::<Vec<_>>();
        assert_eq!(current_phase(&make([S::Completed, S::Running, S::Running, S::Pending])), Chunking);
        assert_eq!(current_phase(&make([S::Completed, S::Pending, S::Pending, S::Pending])), Chunking);
        assert_eq!(current_phase(&make([S::Completed, S::Completed, S::Running, S::Running])), Embedding);
        assert_eq!(current_phase(&make([S::Completed; 4])), Indexing);
        assert_eq!(current_phase(&make([S::Failed, S::Pending, S::Pending, S::Pending])), Loading);
        assert_eq!(current_phase(&make([S::Completed, S::Skipped, S::Failed, S::Pending])), Embedding);
        assert_eq!(current_phase(&make([S::Failed, S::Running, S::Pending, S::Pending])), Chunking);
    }

    #[test]
    fn a_job_fails_only_when_nothing_succeeded() {
        assert_eq!(outcome(0, 3), JobStatus::Failed);
        assert_eq!(outcome(1, 3), JobStatus::Completed);
        assert_eq!(outcome(0, 0), JobStatus::Completed);
    }
}
