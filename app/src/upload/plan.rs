//! How files are cut into requests, how the bytes of a request are told as progress of its files, and what an answer
//! means for each of them. Pure.

use crate::wire;
use domain::{DocumentId, Problem, upload::kept_name};
use std::{collections::VecDeque, ops::Range};

/// Most files of one request; each request becomes one job.
const MOST_FILES: usize = 50;
/// Most bytes of one request, unless a single file is larger.
const MOST_BYTES: u64 = 100 * 1024 * 1024;

/// Cuts a row of files, given by their sizes, into requests.
pub fn batches(sizes: &[u64]) -> Vec<Range<usize>> {
    let mut out: Vec<Range<usize>> = vec![];
    let mut bytes = 0;
    for (i, size) in sizes.iter().enumerate() {
        match out.last_mut() {
            Some(batch) if batch.len() < MOST_FILES && bytes + size <= MOST_BYTES => {
                batch.end = i + 1;
                bytes += size;
            }
            _ => {
                out.push(i..i + 1);
                bytes = *size;
            }
        }
    }
    out
}

/// Percent of each file when `sent` of the request's `total` bytes are through. Files travel one after another; what is
/// around them (names, separators) is taken as spread evenly.
pub fn shares(sizes: &[u64], sent: f64, total: f64) -> Vec<f64> {
    let all: u64 = sizes.iter().sum();
    let mut through = if total > 0.0 { sent / total * all as f64 } else { 0.0 };
    let share = |size: &u64| {
        let size = *size as f64;
        let part = if size > 0.0 { (through / size).clamp(0.0, 1.0) } else { 1.0 };
        through -= size;
        part * 100.0
    };
    sizes.iter().map(share).collect()
}

/// How fast the bytes of a request go, smoothed over some seconds.
#[derive(Clone, Copy, Debug, Default)]
pub struct Meter {
    /// Milliseconds and bytes at the last look.
    last: Option<(f64, f64)>,
    /// Bytes a second.
    rate: f64,
}

/// Shortest time between two looks, in milliseconds: the browser tells progress in bursts.
const LOOK: f64 = 250.0;
/// Weight of what a new look says.
const NEWS: f64 = 0.3;

impl Meter {
    /// Takes what is through by now; answers bytes a second and the seconds left, once they are known.
    pub fn look(&mut self, now: f64, sent: f64, total: f64) -> Option<Speed> {
        match self.last {
            None => self.last = Some((now, sent)),
            Some((then, before)) if now - then >= LOOK => {
                let fresh = (sent - before).max(0.0) / (now - then) * 1_000.0;
                self.rate = if self.rate > 0.0 { self.rate + NEWS * (fresh - self.rate) } else { fresh };
                self.last = Some((now, sent));
            }
            Some(_) => {}
        }
        (self.rate >= 1.0).then(|| Speed {
            bytes_a_second: self.rate as u64,
            seconds_left: ((total - sent).max(0.0) / self.rate).ceil() as u64,
        })
    }
}

/// How fast a request goes, and when it will be through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Speed {
    pub bytes_a_second: u64,
    pub seconds_left: u64,
}

#[derive(Debug)]
pub struct Accepted {
    pub document_id: DocumentId,
    pub filename: String,
}

#[derive(Debug)]
pub struct Rejected {
    pub filename: String,
    pub detail: String,
}

/// What the server says to an upload.
#[derive(Debug)]
pub struct Answer {
    pub documents: VecDeque<Accepted>,
    pub rejected: VecDeque<Rejected>,
}

/// What became of one file.
#[derive(Clone, Debug, PartialEq)]
pub enum Fate {
    Accepted(DocumentId),
    /// For good: the same file would be refused again.
    Refused(String),
    /// Trying again may help.
    Broken(String),
}

/// Tells each file of a request its fate. `status` is 0 when no answer came.
pub fn fates(names: &[String], status: u16, body: &str) -> Vec<Fate> {
    let all = |fate: Fate| vec![fate; names.len()];
    match status {
        200..=299 => match wire::from_json::<Answer>(body) {
            Some(answer) => accepted(names, answer),
            None => all(Fate::Broken("The answer of the server could not be read.".into())),
        },
        0 => all(Fate::Broken("The connection broke before the upload was through.".into())),
        _ => match wire::from_json::<Problem>(body) {
            Some(problem) => names.iter().map(|name| refused(name, status, &problem)).collect(),
            None => all(Fate::Broken(format!("The server answered {status}."))),
        },
    }
}

/// The answer lists the taken files and the refused ones, each in the order of the request.
fn accepted(names: &[String], mut answer: Answer) -> Vec<Fate> {
    let fate = |name: &String| {
        let taken = answer.documents.front().is_some_and(|d| same_name(&d.filename, name));
        let refused = answer.rejected.front().is_some_and(|r| same_name(&r.filename, name));
        if refused && !taken {
            return answer.rejected.pop_front().map(|r| Fate::Refused(r.detail));
        }
        answer.documents.pop_front().map(|d| Fate::Accepted(d.document_id))
    };
    let lost = || Fate::Broken("The server did not say what became of this file.".into());
    names.iter().map(fate).map(|fate| fate.unwrap_or_else(lost)).collect()
}

/// All were refused; the reasons stand under `file`, each behind the name of its file.
fn refused(name: &str, status: u16, problem: &Problem) -> Fate {
    let mut reasons = problem.errors.of("file").iter();
    let own = reasons.find_map(|reason| {
        let (file, sentence) = reason.split_once(": ")?;
        same_name(file, name).then(|| sentence.to_owned())
    });
    let sentence = own.unwrap_or_else(|| problem.detail.clone());
    if status >= 500 || matches!(status, 408 | 429) {
        Fate::Broken(sentence)
    } else {
        Fate::Refused(sentence)
    }
}

/// The server keeps the name by [`domain::upload::kept_name`].
pub fn same_name(kept: &str, own: &str) -> bool {
    kept == kept_name(own)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "00000000-0000-0000-0000-000000000001";

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|n| (*n).to_owned()).collect()
    }

    #[test]
    fn many_files_and_large_ones_go_in_several_requests() {
        const MB: u64 = 1024 * 1024;
        assert!(batches(&[]).is_empty());
        assert_eq!(batches(&[1; 120]), [0..50, 50..100, 100..120]);
        assert_eq!(batches(&[60 * MB, 60 * MB, 1]), [0..1, 1..3]);
        assert_eq!(batches(&[300 * MB, 1]), [0..1, 1..2]);
        assert_eq!(batches(&[1, 300 * MB]), [0..1, 1..2]);
    }

    #[test]
    fn the_files_of_a_request_fill_one_after_another() {
        assert_eq!(shares(&[100, 300], 0.0, 440.0), [0.0, 0.0]);
        assert_eq!(shares(&[100, 300], 110.0, 440.0), [100.0, 0.0]);
        assert_eq!(shares(&[100, 300], 275.0, 440.0), [100.0, 50.0]);
        assert_eq!(shares(&[100, 300], 440.0, 440.0), [100.0, 100.0]);
        assert_eq!(shares(&[0], 0.0, 0.0), [100.0]);
    }

    #[test]
    fn speed_and_time_left_are_told_once_they_are_known_and_never_out_of_nothing() {
        let mut meter = Meter::default();
        assert_eq!(meter.look(0.0, 0.0, 4_000.0), None);
        assert_eq!(meter.look(100.0, 500.0, 4_000.0), None, "too early");
        let speed = Speed { bytes_a_second: 1_000, seconds_left: 3 };
        assert_eq!(meter.look(1_000.0, 1_000.0, 4_000.0), Some(speed));
        assert_eq!(meter.look(2_000.0, 2_000.0, 4_000.0).map(|s| s.seconds_left), Some(2));
        assert_eq!(meter.look(2_000.0, 2_000.0, 4_000.0).map(|s| s.seconds_left), Some(2), "no time went by");
        // It stalls: the time left grows, and nothing divides by nothing.
        for second in 3..60 {
            let stalled = meter.look(f64::from(second) * 1_000.0, 2_000.0, 4_000.0);
            assert!(stalled.is_none_or(|s| s.seconds_left >= 2));
        }
        assert_eq!(Meter::default().look(0.0, 0.0, 0.0), None);
    }

    #[test]
    fn each_file_learns_its_own_fate() {
        let body = format!(
            r#"{{"job_id":"{ID}","documents":[{{"document_id":"{ID}","filename":"a.txt","status":"pending"}},
            {{"document_id":"{ID}","filename":"c.txt","status":"pending"}}],
            "rejected":[{{"filename":"b.exe","code":"unsupported_type","detail":"Not a text."}}]}}"#
        );
        let id: DocumentId = ID.parse().expect("an id");
        assert_eq!(
            fates(&names(&["a.txt", "b.exe", "c.txt"]), 202, &body),
            [Fate::Accepted(id), Fate::Refused("Not a text.".into()), Fate::Accepted(id)]
        );
    }

    #[test]
    fn when_all_are_refused_each_reason_finds_its_file() {
        let mut problem = Problem::new(415, "unsupported_type", "Not a text.");
        problem.errors.add("file", "a.exe: Not a text.");
        problem.errors.add("file", "b.txt: The file is empty.");
        let body = serde_json::to_string(&problem).expect("JSON");
        assert_eq!(
            fates(&names(&["a.exe", "b.txt"]), 415, &body),
            [Fate::Refused("Not a text.".into()), Fate::Refused("The file is empty.".into())]
        );
    }

    #[test]
    fn a_broken_connection_can_be_tried_again() {
        assert!(matches!(fates(&names(&["a"]), 0, "")[..], [Fate::Broken(_)]));
        assert!(matches!(fates(&names(&["a"]), 502, "<html>")[..], [Fate::Broken(_)]));
        assert!(matches!(fates(&names(&["a"]), 202, "{}")[..], [Fate::Broken(_)]));
    }
}
