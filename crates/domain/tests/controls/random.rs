//! Random commands between random work.

use crate::bench::Bench;
use domain::{
    ingest::{
        self, DocumentState,
        control::{Control, DocumentControl, Retry, RetryScope},
    },
    resource::{CANCELLED, PAUSED, RETRYING, STOPPING},
    status::{DocumentStatus, JobStatus, PhaseName, PhaseStatus},
};
use proptest::prelude::*;
use std::collections::BTreeSet;

#[derive(Clone, Debug)]
enum Act {
    Work(usize),
    Fail(usize, bool),
    Release(usize),
    Job(u8),
    Document(usize, u8),
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        20 => (0..4usize).prop_map(Act::Work),
        2 => (0..4usize, any::<bool>()).prop_map(|(i, heals)| Act::Fail(i, heals)),
        3 => (0..4usize).prop_map(Act::Release),
        4 => (0..8u8).prop_map(Act::Job),
        4 => (0..4usize, 0..5u8).prop_map(|(i, which)| Act::Document(i, which)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]

    #[test]
    fn under_any_commands_progress_never_falls_in_an_attempt_and_the_totals_stay_true(
        documents in 1..4u32,
        acts in prop::collection::vec(act(), 0..120),
    ) {
        let mut b = Bench::new(documents);
        let mut last = (1, 0.0, vec![0.0; 4]);
        let mut bars = vec![(1, 0.0); documents as usize];
        // What is found beside a run that begins anew is not counted twice: from then on the sums are others.
        let mut once = true;
        for act in acts {
            let i = |i: usize| i % documents as usize;
            match act {
                Act::Work(n) => b.work(i(n), None),
                Act::Fail(n, heals) => b.work(i(n), Some(heals)),
                Act::Release(n) => b.release(i(n)),
                Act::Job(which) => {
                    let wanted = match which {
                        0 => Control::Pause,
                        1 | 2 => Control::Resume,
                        3 => Control::Cancel { keep_results: true },
                        4 => Control::Cancel { keep_results: false },
                        5 => Control::CancelPhase(PhaseName::Embedding),
                        6 => Control::Retry(Retry { scope: RetryScope::All, ..Retry::failed() }),
                        _ => Control::Retry(Retry::failed()),
                    };
                    let before = b.clone();
                    if b.control(&wanted).is_err() {
                        prop_assert_eq!((&b.job, &b.docs), (&before.job, &before.docs));
                    } else if which == 6 {
                        once = false;
                    }
                }
                Act::Document(n, which) => {
                    let wanted = match which {
                        0 => DocumentControl::Pause,
                        1 => DocumentControl::Resume,
                        2 => DocumentControl::Cancel { keep_results: true },
                        3 => DocumentControl::Cancel { keep_results: false },
                        _ => DocumentControl::SkipEmbedding,
                    };
                    let before = b.clone();
                    if b.control_document(i(n), wanted).is_err() {
                        prop_assert_eq!((&b.job, &b.docs), (&before.job, &before.docs));
                    }
                }
            }
            let job = &b.job.job;
            if job.attempt > last.0 {
                last = (job.attempt, 0.0, vec![0.0; 4]);
            }
            prop_assert!(job.progress >= last.1 && job.progress <= 100.0, "{} after {}", job.progress, last.1);
            for (p, before) in job.phase_details.iter().zip(&last.2) {
                prop_assert!(p.progress >= *before && p.progress <= 100.0, "{:?} after {}", p, before);
                prop_assert!(p.items_processed <= p.items_total || p.status == PhaseStatus::Skipped, "{:?}", p);
            }
            last = (job.attempt, job.progress, job.phase_details.iter().map(|p| p.progress).collect());
            let m = job.metrics;
            let count = |f: &dyn Fn(&DocumentState) -> bool| b.docs.iter().filter(|d| f(d)).count() as u64;
            let warned = |d: &DocumentState, code| d.document.warnings.iter().any(|w| w.code == code);
            let kept = |d: &DocumentState| {
                warned(d, ingest::REINDEX_FAILED) || warned(d, ingest::REINDEX_CANCELLED)
            };
            let is_ready = |d: &DocumentState| d.document.status == DocumentStatus::Ready && !kept(d);
            prop_assert_eq!(m.documents_done, count(&is_ready));
            let is_failed = |d: &DocumentState| d.document.status == DocumentStatus::Failed || kept(d);
            prop_assert_eq!(m.documents_failed, count(&is_failed));
            let cancelled = count(&|d| {
                d.document.error_code.as_deref() == Some(CANCELLED) || warned(d, ingest::REINDEX_CANCELLED)
            });
            prop_assert_eq!(m.documents_cancelled, cancelled);
            prop_assert_eq!(job.status.is_final(), !b.docs.iter().any(|d| d.document.is_unfinished()));
            prop_assert_eq!(job.status.is_final(), job.completed_at.is_some());
            let sum = |f: &dyn Fn(&DocumentState) -> u64| b.docs.iter().map(f).sum::<u64>();
            let noted = |d: &DocumentState, name: &str| d.document.metadata[name].as_u64().unwrap_or(0);
            prop_assert_eq!(m.pages_found, sum(&|d| noted(d, "pages")));
            if once {
                let chunks = sum(&|d| d.document.chunk_count);
                let embedded = sum(&|d| d.embedded);
                let known = sum(&|d| noted(d, "known_chunks").min(d.embedded));
                prop_assert_eq!((m.chunks_created, m.tokens), (chunks, chunks));
                prop_assert_eq!((m.chunks_embedded, m.chunks_skipped), (embedded, known));
            }
            for (d, bar) in b.docs.iter().zip(&mut bars) {
                let now = (d.document.attempt, d.document.progress);
                prop_assert!(now.0 > bar.0 || now.1 >= bar.1, "a document went from {:?} to {:?}", bar, now);
                *bar = now;
                let warnings = &d.document.warnings;
                let codes: BTreeSet<&str> = warnings.iter().map(|w| w.code.as_str()).collect();
                prop_assert_eq!(codes.len(), warnings.len(), "{:?}", warnings);
                prop_assert_eq!(d.requested.is_some(), d.document.stopping().is_some());
                prop_assert_eq!(d.paused, d.document.is_paused());
                let stands = [PAUSED, STOPPING, RETRYING].iter().any(|code| codes.contains(code));
                prop_assert!(d.document.is_unfinished() || !stands, "{:?}", warnings);
            }
            if matches!(job.status, JobStatus::Completed | JobStatus::Failed) {
                for p in job.phase_details.iter().filter(|p| p.status != PhaseStatus::Skipped) {
                    prop_assert_eq!(p.items_processed, p.items_total, "{:?}", p);
                }
            }
            if job.requested.is_some() {
                prop_assert_eq!((job.rate, job.eta_seconds), (None, None));
            }
            if job.status != JobStatus::Running {
                prop_assert_eq!(job.requested, None, "only a running job waits for a worker");
                prop_assert_eq!((job.rate, job.eta_seconds), (None, None));
                prop_assert!(job.phase_details.iter().all(|p| p.status != PhaseStatus::Running), "{:?}", job);
            }
        }
    }
}
