//! How files are gathered into jobs, how fast one goes, and what the answers of the server mean for it. Pure.

use crate::wire;
use domain::{DocumentId, Problem, message::number};
use std::ops::Range;

/// Most files of one job.
const MOST_FILES: usize = 50;
/// Most bytes of one job, unless a single file is larger: work on the first files begins before the last have come.
const MOST_BYTES: u64 = 100 * 1024 * 1024;

/// Most files that are added at once: whoever drops a whole disk did not mean it.
pub const MOST_ADDED: usize = 1_000;

pub fn too_many() -> String {
    format!("At most {} files are added at once.", number(MOST_ADDED as u64))
}

/// Cuts a row of files, given by their sizes, into jobs.
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

/// Percent of a file when `sent` of its request's `total` bytes are through.
pub fn percent(sent: f64, total: f64) -> f64 {
    if total > 0.0 { (sent / total * 100.0).clamp(0.0, 100.0) } else { 0.0 }
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
    /// Of the file, as it was named when it was sent.
    pub file_id: DocumentId,
    /// The document that has it.
    pub document_id: DocumentId,
}

#[derive(Debug)]
pub struct Rejected {
    pub filename: String,
    pub detail: String,
}

/// What the server says when it makes a job of files that were sent.
#[derive(Debug)]
pub struct Answer {
    pub documents: Vec<Accepted>,
    pub rejected: Vec<Rejected>,
}

/// What became of a file.
#[derive(Clone, Debug, PartialEq)]
pub enum Fate {
    /// It is on the server, and is the document with that id or will be.
    Accepted(DocumentId),
    /// For good: the same file would be refused again.
    Refused(String),
    /// Trying again may help.
    Broken(String),
    /// It is not on the server any more, and has to be sent again.
    Gone(String),
}

/// What a workspace has of files that are about to be sent, in their order.
#[derive(Debug)]
pub struct HeldFiles {
    pub items: Vec<HeldFile>,
}

#[derive(Debug)]
pub struct HeldFile {
    pub same: Option<HeldDocument>,
    pub namesake: Option<HeldDocument>,
    pub same_size: bool,
}

#[derive(Debug)]
pub struct HeldDocument {
    pub filename: String,
}

const CHANGED: &str = "The file cannot be read any more; it was changed, moved or removed.";
const UNREADABLE: &str = "The answer of the server could not be read.";

/// Bytes of a part. What breaks off is sent again, so it is no more than a slow line brings in some seconds.
pub const PART: u64 = 4 * 1024 * 1024;
/// A part that came damaged is sent so often.
pub const MOST_TRIES: u32 = 3;

/// An answer to a part of a file, or to the question how far the file is.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reply {
    /// 0 when no answer came.
    pub status: u16,
    pub body: String,
    /// What the server has of it.
    pub offset: Option<u64>,
    /// Nothing was asked: the browser could not read the file.
    pub unreadable: bool,
}

/// What is to be done after an answer.
#[derive(Clone, Debug, PartialEq)]
pub enum Next {
    /// Send the part that begins there.
    Part(u64),
    /// All of it is there.
    Whole,
    /// Ask how far it is.
    Look,
    /// Nobody answers: ask how far it is in a while.
    Wait,
    /// It is forgotten: begin from the first byte.
    Anew,
    /// The part came damaged: send it once more.
    Again(String),
    End(Fate),
}

/// `begun`: the server knows of the file, so that going on loses nothing.
pub fn next(reply: &Reply, size: u64, begun: bool) -> Next {
    if reply.unreadable {
        return Next::End(Fate::Broken(CHANGED.into()));
    }
    let code = || wire::from_json::<Problem>(&reply.body).map(|problem| problem.code);
    match (reply.status, reply.offset) {
        (200..=299, Some(offset)) if begun && offset >= size => Next::Whole,
        (200..=299, Some(offset)) if begun => Next::Part(offset),
        (200..=299, _) => Next::End(Fate::Broken(UNREADABLE.into())),
        (0 | 408 | 423 | 502..=504, _) if begun => Next::Wait,
        (404, _) if begun => Next::Anew,
        (409, _) if code().as_deref() == Some("wrong_offset") => Next::Look,
        (460, _) => match failed(reply.status, &reply.body) {
            Fate::Refused(why) | Fate::Broken(why) | Fate::Gone(why) => Next::Again(why),
            Fate::Accepted(_) => Next::Look,
        },
        (status, _) => Next::End(failed(status, &reply.body)),
    }
}

/// The fates of the files of which a job was to be made.
pub fn joined(files: &[DocumentId], status: u16, body: &str) -> Vec<Fate> {
    let all = |fate: Fate| vec![fate; files.len()];
    if !(200..=299).contains(&status) {
        return all(failed(status, body));
    }
    let Some(answer) = wire::from_json::<Answer>(body) else { return all(Fate::Broken(UNREADABLE.into())) };
    let fate = |id: &DocumentId| {
        if let Some(file) = answer.documents.iter().find(|d| d.file_id == *id) {
            return Fate::Accepted(file.document_id);
        }
        // What is not there any more is told under its id.
        let name = id.to_string();
        let gone = answer.rejected.iter().find(|r| r.filename == name);
        let silent = || "The server did not say what became of this file.".to_owned();
        Fate::Gone(gone.map_or_else(silent, |r| r.detail.clone()))
    };
    files.iter().map(fate).collect()
}

fn failed(status: u16, body: &str) -> Fate {
    if status == 0 {
        return Fate::Broken("The connection broke before the upload was through.".into());
    }
    let Some(problem) = wire::from_json::<Problem>(body) else {
        return Fate::Broken(format!("The server answered {status}."));
    };
    match (status, problem.code.as_str()) {
        (_, "file_gone") => Fate::Gone(problem.detail),
        (408 | 429 | 500.., _) => Fate::Broken(problem.detail),
        _ => Fate::Refused(problem.detail),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "00000000-0000-0000-0000-000000000001";

    fn id(text: &str) -> DocumentId {
        text.parse().expect("an id")
    }

    #[test]
    fn many_files_and_large_ones_become_several_jobs() {
        const MB: u64 = 1024 * 1024;
        assert!(batches(&[]).is_empty());
        assert_eq!(batches(&[1; 120]), [0..50, 50..100, 100..120]);
        assert_eq!(batches(&[60 * MB, 60 * MB, 1]), [0..1, 1..3]);
        assert_eq!(batches(&[300 * MB, 1]), [0..1, 1..2]);
        assert_eq!(batches(&[1, 300 * MB]), [0..1, 1..2]);
    }

    #[test]
    fn percent_is_of_the_bytes_and_never_out_of_bounds() {
        assert_eq!(percent(0.0, 400.0), 0.0);
        assert_eq!(percent(100.0, 400.0), 25.0);
        assert_eq!(percent(500.0, 400.0), 100.0);
        assert_eq!(percent(0.0, 0.0), 0.0);
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
    fn a_part_is_followed_by_the_next_until_the_file_is_whole() {
        let taken = |offset| Reply { status: 204, offset: Some(offset), ..Reply::default() };
        assert_eq!(next(&taken(4), 10, true), Next::Part(4));
        assert_eq!(next(&taken(10), 10, true), Next::Whole);
        // One that the server has as a whole already.
        assert_eq!(next(&Reply { status: 201, ..taken(10) }, 10, true), Next::Whole);
        // It did not say what it calls the file.
        assert!(matches!(next(&taken(0), 10, false), Next::End(Fate::Broken(_))));
    }

    #[test]
    fn a_file_that_is_refused_learns_the_reason() {
        let reply = |status| {
            let problem = Problem::new(status, "unsupported_type", "Not a text.");
            Reply { status, body: serde_json::to_string(&problem).expect("JSON"), ..Reply::default() }
        };
        for begun in [false, true] {
            assert_eq!(next(&reply(415), 1, begun), Next::End(Fate::Refused("Not a text.".into())));
            for status in [429, 500, 507] {
                let broken = Next::End(Fate::Broken("Not a text.".into()));
                assert_eq!(next(&reply(status), 1, begun), broken, "{status}");
            }
        }
    }

    #[test]
    fn what_broke_off_goes_on_where_it_was_and_what_never_began_can_be_tried_again() {
        for status in [0, 408, 423, 502, 503, 504] {
            let silent = Reply { status, ..Reply::default() };
            assert_eq!(next(&silent, 1, true), Next::Wait, "{status}");
        }
        for status in [0, 502, 503] {
            let silent = Reply { status, body: "<html>".into(), ..Reply::default() };
            assert!(matches!(next(&silent, 1, false), Next::End(Fate::Broken(_))), "{status}");
        }
        let problem = |status, code| {
            let problem = Problem::new(status, code, "Why.");
            Reply { status, body: serde_json::to_string(&problem).expect("JSON"), ..Reply::default() }
        };
        assert_eq!(next(&problem(409, "wrong_offset"), 1, true), Next::Look);
        assert_eq!(next(&problem(404, "not_found"), 1, true), Next::Anew);
        assert_eq!(next(&problem(460, "damaged_in_transfer"), 1, true), Next::Again("Why.".into()));
        // A workspace that is gone is no upload that was forgotten.
        assert_eq!(next(&problem(404, "not_found"), 1, false), Next::End(Fate::Refused("Why.".into())));
        assert_eq!(next(&problem(409, "workspace_error"), 1, false), Next::End(Fate::Refused("Why.".into())));
    }

    #[test]
    fn a_file_that_was_removed_meanwhile_is_told_as_such() {
        let gone = Reply { unreadable: true, ..Reply::default() };
        assert_eq!(next(&gone, 1, true), Next::End(Fate::Broken(CHANGED.into())));
    }

    #[test]
    fn a_job_that_was_not_made_can_be_tried_again() {
        for (status, body) in [(0, ""), (502, "<html>"), (201, "{}")] {
            assert!(matches!(joined(&[id(ID)], status, body)[..], [Fate::Broken(_)]), "{status}");
        }
    }

    #[test]
    fn each_file_of_a_job_learns_its_own_fate() {
        let other = "00000000-0000-0000-0000-000000000002";
        // It became the next version of another one.
        let own = "00000000-0000-0000-0000-000000000003";
        let body = format!(
            r#"{{"job_id":"{ID}","documents":[{{"file_id":"{ID}","document_id":"{own}","filename":"a.txt","status":"pending"}}],
            "rejected":[{{"filename":"{other}","code":"file_gone","detail":"Send it again."}}]}}"#
        );
        assert_eq!(
            joined(&[id(other), id(ID)], 202, &body),
            [Fate::Gone("Send it again.".into()), Fate::Accepted(id(own))]
        );
        let gone = Problem::new(422, "file_gone", "Send it again.");
        let gone = serde_json::to_string(&gone).expect("JSON");
        assert_eq!(joined(&[id(ID)], 422, &gone), [Fate::Gone("Send it again.".into())]);
        let deleting = Problem::new(409, "workspace_deleting", "It is being deleted.");
        let deleting = serde_json::to_string(&deleting).expect("JSON");
        assert_eq!(joined(&[id(ID)], 409, &deleting), [Fate::Refused("It is being deleted.".into())]);
    }
}
