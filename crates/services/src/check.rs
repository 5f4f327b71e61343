//! `insighthub check`: whether database, files and index agree, and bringing them together where they do not. What cannot
//! be brought back is said, with what to do about it.

use crate::{
    Result, Services, keys,
    ports::{BlobError, Checks, Misfit, StoredFile, StoredVersion},
};
use domain::{DocumentId, message::count};
use std::{collections::BTreeSet, fmt, time::Duration};

/// Files that are looked at before the next ones are asked for.
const PART: u32 = 500;
/// Things that are named of each kind.
const NAMED: usize = 20;

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

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} looked at", count(self.documents, "document", "documents"))?;
        for finding in &self.findings {
            let done = match finding.done {
                Done::Repaired(what) => what,
                Done::Repairable => "`insighthub check --repair` mends it",
                Done::Advice(what) => what,
            };
            writeln!(f, "{}: {}; {done}", finding.what, finding.of.len() + finding.more)?;
            for id in finding.of.iter().take(NAMED) {
                writeln!(f, "  {id}")?;
            }
            let more = finding.of.len().saturating_sub(NAMED) + finding.more;
            if more > 0 {
                writeln!(f, "  and {more} more")?;
            }
        }
        match (self.findings.is_empty(), self.is_good()) {
            (true, _) => f.write_str("0 faults: database, files and index agree"),
            (false, true) => f.write_str("all of it was repaired"),
            (false, false) => f.write_str("not all of it is as it should be"),
        }
    }
}

const FOR_REINDEX: &str = "marked as stale: index them anew";

impl Services {
    /// Compares database, files and index. With `repair` it mends what it can. Files that are younger than `age` are taken for
    /// uploads in hand: where other servers may be running, it has to be more than any upload takes.
    ///
    /// # Errors
    /// When the store or the disk fails.
    pub async fn check(&self, checks: &dyn Checks, age: Duration, repair: bool) -> Result<Report> {
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
        self.check_files(checks, &marked, repair, &mut report).await?;
        self.check_versions(checks, &mut report).await?;
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

    async fn check_files(
        &self,
        checks: &dyn Checks,
        marked: &BTreeSet<DocumentId>,
        repair: bool,
        report: &mut Report,
    ) -> Result<()> {
        let (mut gone, mut changed, mut textless) = (vec![], vec![], vec![]);
        let mut after: Option<DocumentId> = None;
        loop {
            let files = checks.stored_files(after, PART).await?;
            let Some(last) = files.last() else { break };
            after = Some(last.document_id);
            report.documents += files.len() as u64;
            for file in files {
                let named = format!("{} {}", file.document_id, file.filename);
                let size = self.size_of(&file.blob_key).await?;
                // It is read anew out of its file.
                if size.is_some() && !self.has_its_text(&file).await? {
                    textless.push(file.document_id);
                }
                match size {
                    None => gone.push(named),
                    Some(size) if size != file.size_bytes => changed.push(named),
                    Some(_) => {}
                }
            }
        }
        let again = Done::Advice("upload them again; what was read of them is found as before");
        report.note("documents whose file is gone", gone, again);
        report.note("documents whose file has another size than it had", changed, again);
        self.mark(checks, marked, repair, "documents whose text is gone", textless, report).await
    }

    /// The versions that documents had, and those that they are to have: nothing of them can be made again.
    async fn check_versions(&self, checks: &dyn Checks, report: &mut Report) -> Result<()> {
        let (mut older, mut coming, mut textless) = (vec![], vec![], vec![]);
        let mut after: Option<(DocumentId, u32)> = None;
        loop {
            let versions = checks.stored_versions(after, PART).await?;
            let Some(last) = versions.last() else { break };
            after = Some((last.file.document_id, last.file.version));
            for StoredVersion { file, is_coming } in versions {
                let named = format!("{} {}, version {}", file.document_id, file.filename, file.version);
                let is_whole = self.size_of(&file.blob_key).await? == Some(file.size_bytes);
                if !is_whole {
                    if is_coming { coming.push(named) } else { older.push(named) }
                } else if !self.has_its_text(&file).await? {
                    textless.push(named);
                }
            }
        }
        let stays = Done::Advice("they cannot be had any more; what is found is not touched");
        report.note("older versions whose file is gone, or not as long as it was", older, stays);
        let shown = Done::Advice("they cannot be shown any more; their files are there");
        report.note("older versions whose text is gone", textless, shown);
        let again = Done::Advice("upload them again; the versions before are found as they are");
        report.note("coming versions whose file is gone, or not as long as it was", coming, again);
        Ok(())
    }

    async fn has_its_text(&self, file: &StoredFile) -> Result<bool> {
        if !file.is_read {
            return Ok(true);
        }
        let key = keys::text(file.user_id, file.document_id, file.version);
        Ok(self.size_of(&key).await?.is_some())
    }

    async fn size_of(&self, key: &str) -> Result<Option<u64>> {
        match self.blobs.look(key).await {
            Ok(stored) => Ok(Some(stored.size)),
            Err(BlobError::NotFound) => Ok(None),
            Err(e) => Err(e.into()),
        }
    }
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
