//! `insighthub check`: whether database, files and index agree, and bringing them together where they do not. What cannot
//! be brought back is said, with what to do about it.

mod files;

pub use files::Look;

use crate::{
    Result, Services, keys,
    ports::{Checks, Misfit, StoredFile},
};
use domain::{DocumentId, message::count};
use files::{Original, Place, Seen, Text, place_of};
use std::{collections::BTreeSet, fmt, time::Duration};

/// Files that are looked at before the next ones are asked for.
const PART: u32 = 500;
/// Things that are named of each kind.
const NAMED: usize = 20;

/// What is asked of a check.
#[derive(Clone, Copy, Debug)]
pub struct Asked {
    /// Files that are younger are taken for uploads in hand: where other servers may be running, it has to be more than any
    /// upload takes.
    pub age: Duration,
    pub look: Look,
    /// What can be mended is mended.
    pub repair: bool,
}

/// One kind of thing that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    pub what: &'static str,
    /// Ids of what it is about, or keys of files.
    pub of: Vec<String>,
    /// How many there are besides, of which only that is known.
    pub more: usize,
    /// What was done about it, or what somebody has to do.
    pub done: Done,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Done {
    Repaired(&'static str),
    /// `--repair` does it.
    Repairable,
    Advice(&'static str),
}

/// What was looked at, and what was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    pub documents: u64,
    pub findings: Vec<Finding>,
}

impl Report {
    /// Whether nothing is left to be done.
    pub fn is_good(&self) -> bool {
        self.findings.iter().all(|finding| matches!(finding.done, Done::Repaired(_)))
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let done = match self.done {
            Done::Repaired(what) => what,
            Done::Repairable => "`insighthub check --repair` mends it",
            Done::Advice(what) => what,
        };
        write!(f, "{}: {}; {done}", self.what, self.of.len() + self.more)?;
        for id in self.of.iter().take(NAMED) {
            write!(f, "\n  {id}")?;
        }
        let more = self.of.len().saturating_sub(NAMED) + self.more;
        if more > 0 {
            write!(f, "\n  and {more} more")?;
        }
        Ok(())
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} looked at", count(self.documents, "document", "documents"))?;
        for finding in &self.findings {
            writeln!(f, "{finding}")?;
        }
        match (self.findings.is_empty(), self.is_good()) {
            (true, _) => f.write_str("0 faults: database, files and index agree"),
            (false, true) => f.write_str("all of it was repaired"),
            (false, false) => f.write_str("not all of it is as it should be"),
        }
    }
}

const FOR_REINDEX: &str = "marked as stale: index them anew";
const FOR_READING: &str = "removed, and marked as stale: index them anew";

/// Documents of which the file is whole, and the text is not.
struct BadTexts {
    gone: Vec<DocumentId>,
    damaged: Vec<StoredFile>,
}

impl Services {
    /// Compares database, files and index, and mends what it can where that is asked.
    ///
    /// # Errors
    /// When the store or the disk fails.
    pub async fn check(&self, checks: &dyn Checks, asked: Asked) -> Result<Report> {
        let Asked { age, look, repair } = asked;
        let mut report = Report::default();
        let marked: BTreeSet<DocumentId> = checks.marked_stale().await?.into_iter().collect();
        for (misfit, what) in [
            (Misfit::Passages, "documents with other passages than they say"),
            (Misfit::Vectors, "documents whose passages lack vectors"),
        ] {
            let found = checks.misfits(misfit).await?;
            self.mark(checks, &marked, repair, what, found, &mut report).await?;
        }
        let found = checks.misfits(Misfit::Words).await?;
        if repair {
            for id in &found {
                checks.write_words(*id).await?;
            }
        }
        let written = mended(repair, "written anew");
        report.note("documents whose words are not all found", found, written);
        let found = checks.miscounted().await?;
        if repair {
            for id in &found {
                checks.count_anew(*id, self.clock.now()).await?;
            }
        }
        report.note(
            "workspaces that count other documents than they have",
            found,
            mended(repair, "counted anew"),
        );
        let advice = Done::Advice("cancel them, and retry");
        report.note("jobs that have nothing left to do and do not end", checks.idle_jobs().await?, advice);
        let texts = self.check_files(checks, look, &mut report).await?;
        self.mark(checks, &marked, repair, "documents whose text is gone", texts.gone, &mut report).await?;
        self.check_texts(checks, repair, texts.damaged, &mut report).await?;
        self.check_versions(checks, look, &mut report).await?;
        let orphans = self.orphans(age, repair).await?;
        report.note("files that belong to nothing", orphans, mended(repair, "removed"));
        Ok(report)
    }

    /// Tells of documents that have to be indexed anew, and with `repair` marks those that are not marked yet, so that it is
    /// offered. More than that cannot be done for them here.
    async fn mark(
        &self,
        checks: &dyn Checks,
        marked: &BTreeSet<DocumentId>,
        repair: bool,
        what: &'static str,
        found: Vec<DocumentId>,
        report: &mut Report,
    ) -> Result<()> {
        let (left, new): (Vec<_>, Vec<_>) = found.into_iter().partition(|id| marked.contains(id));
        if repair {
            for id in &new {
                checks.mark_stale(*id, self.clock.now()).await?;
            }
        }
        report.note(what, new, mended(repair, FOR_REINDEX));
        report.note(what, left, Done::Advice(FOR_REINDEX));
        Ok(())
    }

    /// Compares the originals alone, of all documents and of their other versions, and changes nothing.
    ///
    /// # Errors
    /// When the store or the disk fails.
    pub async fn check_originals(&self, checks: &dyn Checks) -> Result<Vec<Finding>> {
        let mut report = Report::default();
        self.check_files(checks, Look::Originals, &mut report).await?;
        self.check_versions(checks, Look::Originals, &mut report).await?;
        Ok(report.findings)
    }

    /// Tells of the files of documents, and answers of which of them the text is not as it should be.
    async fn check_files(&self, checks: &dyn Checks, look: Look, report: &mut Report) -> Result<BadTexts> {
        let (mut gone, mut resized, mut changed, mut unreadable) = (vec![], vec![], vec![], vec![]);
        let mut texts = BadTexts { gone: vec![], damaged: vec![] };
        let mut after: Option<DocumentId> = None;
        loop {
            let files = checks.stored_files(after, PART).await?;
            let Some(last) = files.last() else { break };
            let next = Some(last.document_id);
            report.documents += files.len() as u64;
            let mut faulty = self.faulty_files(checks, files, look).await?;
            if !faulty.is_empty() {
                let now = checks.stored_files(after, PART * 2).await?;
                retain_present(&mut faulty, now.iter());
            }
            for Seen { file, original, text } in faulty {
                let named = format!("{} {}", file.document_id, file.filename);
                match (original, text) {
                    (Original::Gone, _) => gone.push(named),
                    (Original::OtherSize, _) => resized.push(named),
                    (Original::OtherBytes, _) => changed.push(named),
                    (Original::Unreadable, _) => unreadable.push(named),
                    (Original::Whole, Text::Gone) => texts.gone.push(file.document_id),
                    (Original::Whole, Text::Damaged) => texts.damaged.push(file),
                    (Original::Whole, Text::Right) => {}
                }
            }
            after = next;
        }
        let again = Done::Advice("upload them again; what was read of them is found as before");
        report.note("documents whose file is gone", gone, again);
        report.note("documents whose file has another size than it had", resized, again);
        report.note("documents whose file has other bytes than it had", changed, again);
        report.note("documents whose file cannot be read", unreadable, again);
        Ok(texts)
    }

    /// Tells of texts that are others than they were. With `repair` such a text is removed, or it would be cut as it is where
    /// its document is indexed anew; it is read out of the original then.
    async fn check_texts(
        &self,
        checks: &dyn Checks,
        repair: bool,
        damaged: Vec<StoredFile>,
        report: &mut Report,
    ) -> Result<()> {
        if repair {
            for file in &damaged {
                self.blobs.delete(&keys::text(file.user_id, file.document_id, file.version)).await?;
                checks.mark_stale(file.document_id, self.clock.now()).await?;
            }
        }
        let of: Vec<DocumentId> = damaged.iter().map(|file| file.document_id).collect();
        let removed = mended(repair, FOR_READING);
        report.note("documents whose text is not that of their passages", of, removed);
        Ok(())
    }

    /// The versions that documents had, and those that they are to have: nothing of them can be made again.
    async fn check_versions(&self, checks: &dyn Checks, look: Look, report: &mut Report) -> Result<()> {
        let (mut older, mut coming) = (vec![], vec![]);
        let (mut textless, mut damaged) = (vec![], vec![]);
        let mut after: Option<(DocumentId, u32)> = None;
        loop {
            let versions = checks.stored_versions(after, PART).await?;
            let Some(last) = versions.last() else { break };
            let next = Some((last.file.document_id, last.file.version));
            let on_their_way: BTreeSet<Place> =
                versions.iter().filter(|v| v.is_coming).map(|v| place_of(&v.file)).collect();
            let files = versions.into_iter().map(|v| v.file).collect();
            let mut faulty = self.faulty_files(checks, files, look).await?;
            if !faulty.is_empty() {
                let now = checks.stored_versions(after, PART * 2).await?;
                retain_present(&mut faulty, now.iter().map(|v| &v.file));
            }
            for Seen { file, original, text } in faulty {
                let named = format!("{} {}, version {}", file.document_id, file.filename, file.version);
                match (original, text) {
                    (Original::Whole, Text::Gone) => textless.push(named),
                    (Original::Whole, Text::Damaged) => damaged.push(named),
                    (Original::Whole, Text::Right) => {}
                    _ if on_their_way.contains(&place_of(&file)) => coming.push(named),
                    _ => older.push(named),
                }
            }
            after = next;
        }
        let stays = Done::Advice("they cannot be had any more; what is found is not touched");
        report.note("older versions whose file is gone, or not what it was", older, stays);
        let shown = Done::Advice("they cannot be shown any more; their files are there");
        report.note("older versions whose text is gone", textless, shown);
        let misread =
            Done::Advice("what is shown of them is wrong; their files are there, and their passages");
        report.note("older versions whose text is not that of their passages", damaged, misread);
        let again = Done::Advice("upload them again; the versions before are found as they are");
        report.note("coming versions whose file is gone, or not what it was", coming, again);
        Ok(())
    }
}

/// Servers may run beside this, and reading takes its time: a file that somebody deleted since its row was read, or put
/// another one in the place of, is not missing. `now` are the rows as they are by now.
fn retain_present<'r>(faulty: &mut Vec<Seen>, now: impl Iterator<Item = &'r StoredFile>) {
    let now: BTreeSet<Place> = now.map(place_of).collect();
    faulty.retain(|seen| now.contains(&place_of(&seen.file)));
}

impl Report {
    fn note(&mut self, what: &'static str, of: Vec<impl ToString>, done: Done) {
        if !of.is_empty() {
            let of = of.iter().map(ToString::to_string).collect();
            self.findings.push(Finding { what, of, more: 0, done });
        }
    }
}

fn mended(repair: bool, how: &'static str) -> Done {
    if repair { Done::Repaired(how) } else { Done::Repairable }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::UserId;
    use uuid::Uuid;

    fn file(document: u128, version: u32, blob_key: &str) -> StoredFile {
        StoredFile {
            document_id: DocumentId::new(Uuid::from_u128(document)),
            user_id: UserId::new(Uuid::from_u128(9)),
            version,
            filename: "a.txt".into(),
            blob_key: blob_key.into(),
            size_bytes: 1,
            content_hash: "aa".into(),
            is_read: true,
        }
    }

    #[test]
    fn a_file_that_was_deleted_or_replaced_while_it_was_looked_at_is_not_told_of() {
        let seen = |file| Seen { file, original: Original::Gone, text: Text::Right };
        let mut faulty =
            vec![seen(file(1, 1, "a")), seen(file(2, 1, "b")), seen(file(3, 1, "c")), seen(file(4, 1, "d"))];
        let now = [file(2, 2, "b"), file(3, 1, "other"), file(4, 1, "d"), file(5, 1, "e")];
        retain_present(&mut faulty, now.iter());
        let left: Vec<&str> = faulty.iter().map(|seen| seen.file.blob_key.as_str()).collect();
        assert_eq!(left, ["d"]);
    }

    #[test]
    fn a_report_names_what_it_found_and_whether_anything_is_left() {
        let mut report = Report { documents: 1_204, ..Report::default() };
        assert_eq!(
            report.to_string(),
            "1,204 documents looked at\n0 faults: database, files and index agree"
        );
        report.note("documents whose words are not all found", vec!["a"], Done::Repaired("written anew"));
        assert!(report.is_good());
        report.note("documents whose file is gone", (0..30).collect(), Done::Advice("upload them again"));
        assert!(!report.is_good());
        let text = report.to_string();
        assert!(text.contains("documents whose words are not all found: 1; written anew\n  a\n"), "{text}");
        assert!(text.contains("  19\n  and 10 more\nnot all of it is as it should be"), "{text}");
        let done = Done::Advice("read them");
        report.findings.push(Finding { what: "letters", of: vec!["b".to_owned()], more: 2, done });
        let text = report.to_string();
        assert!(text.contains("letters: 3; read them\n  b\n  and 2 more\n"), "{text}");
    }
}
