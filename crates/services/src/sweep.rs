//! What nobody needs any more and nothing else removes: what a server that was killed had half-written, files of uploads
//! whose server was killed before it made their job, files that were sent ahead and never asked for, and chunks that were
//! to be removed when it was killed. And what somebody does need: the job of a file that came in parts, where the server was
//! killed between its last byte and that.

use crate::{Result, Services, keys, ports::FileOf};
use domain::{DocumentId, Timestamp, UserId};
use futures::StreamExt;
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::sync::watch;

/// Between two rounds.
const ROUND: Duration = Duration::from_secs(3_600);

/// So many seconds after the database went back unasked no file is taken for one of nothing: those that came since may be all
/// that is left, and it may have been put back by mistake.
const KEPT: i64 = 7 * 86_400;

/// The files that uploads of this process hold, and that no row names yet.
#[derive(Default)]
pub struct Uploads(Mutex<BTreeMap<String, watch::Sender<bool>>>);

/// How long whoever has a file may take to let go of it.
const LET_GO: Duration = Duration::from_secs(2);

impl Uploads {
    pub(crate) fn begin(self: &Arc<Self>, key: &str) -> Underway {
        let (asks, asked) = watch::channel(false);
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(key.to_owned(), asks);
        Underway { uploads: self.clone(), key: key.to_owned(), asked }
    }

    /// The same for one who must be alone with the file: whoever has it is asked to let go. `None` when that takes too
    /// long.
    pub(crate) async fn begin_alone(self: &Arc<Self>, key: &str) -> Option<Underway> {
        let taking = async {
            loop {
                let mut holder = {
                    let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
                    let Some(asks) = all.get(key) else {
                        let (asks, asked) = watch::channel(false);
                        all.insert(key.to_owned(), asks);
                        return Underway { uploads: self.clone(), key: key.to_owned(), asked };
                    };
                    asks.send_replace(true);
                    asks.subscribe()
                };
                // Until the other one's end is dropped.
                while holder.changed().await.is_ok() {}
            }
        };
        tokio::time::timeout(LET_GO, taking).await.ok()
    }

    fn hold(&self, key: &str) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).contains_key(key)
    }
}

/// As long as it lives, its file is held.
pub(crate) struct Underway {
    uploads: Arc<Uploads>,
    key: String,
    asked: watch::Receiver<bool>,
}

impl Underway {
    /// Until somebody else wants the file.
    pub(crate) fn wanted(&self) -> impl Future<Output = ()> + Send + 'static {
        let mut asked = self.asked.clone();
        async move {
            let _ = asked.wait_for(|asked| *asked).await;
        }
    }

    pub(crate) fn is_wanted(&self) -> bool {
        *self.asked.borrow()
    }
}

impl Drop for Underway {
    fn drop(&mut self) {
        self.uploads.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.key);
    }
}

/// Whose file it is, where that is a document: a key of any other form is left alone.
fn file_of(key: &str) -> Option<FileOf> {
    let mut parts = key.split('/');
    let ("users", user) = (parts.next()?, parts.next()?.parse::<UserId>().ok()?) else { return None };
    let (kind, name) = (parts.next()?, parts.next()?);
    // Behind the id there may be the number of a version or what was drawn: see [`keys::version`] and [`keys::drawn`].
    let (id, version) = name.split_once('.').map_or((name, None), |(id, version)| (id, Some(version)));
    let id = id.parse().ok()?;
    let (made, text_of) = match (kind, parts.next()) {
        ("documents", None) => match version {
            None => (keys::document(user, id), None),
            Some(version) => match version.parse() {
                Ok(version) => (keys::version(user, id, version), None),
                Err(_) => (keys::drawn(user, id, version.parse().ok()?), None),
            },
        },
        ("texts", Some(version)) => {
            let version = version.parse().ok()?;
            (keys::text(user, id, version), Some(version))
        }
        _ => return None,
    };
    (made == key).then_some(FileOf { key: made, document: id, text_of })
}

impl Services {
    /// Removes a file that was just stored for a document and that came to nothing: unless a row names it all the same.
    ///
    /// # Errors
    /// When the files or the database cannot be asked; then the sweep finds it.
    pub async fn give_up_file(&self, key: &str, document: DocumentId) -> Result<()> {
        let file = FileOf { key: key.to_owned(), document, text_of: None };
        if self.documents.kept_files(std::slice::from_ref(&file)).await?.is_empty() {
            self.blobs.delete(key).await?;
        }
        Ok(())
    }

    /// Removes files that are older than `age` and that no document has. Answers how many.
    ///
    /// # Errors
    /// When the files or the database cannot be asked.
    pub async fn sweep_files(&self, age: Duration) -> Result<usize> {
        Ok(self.orphans(age, true).await?.len())
    }

    /// The keys of those files; removes them when asked to, and with them what is left of trials of the place.
    pub(crate) async fn orphans(&self, age: Duration, remove: bool) -> Result<Vec<String>> {
        let mut orphans = vec![];
        let mut old = self.blobs.older_than(age);
        while let Some(keys) = old.next().await {
            let keys = keys?;
            if remove {
                // Whoever wrote it was killed, or gave up waiting, before it could remove it.
                for probe in keys.iter().filter(|key| key.starts_with(keys::PROBES)) {
                    self.blobs.delete(probe).await?;
                }
            }
            // First who holds it, then the rows: a file that is held no more by then has its row.
            let keys = keys.into_iter().filter(|key| !self.uploads.hold(key));
            let files: Vec<FileOf> = keys.filter_map(|key| file_of(&key)).collect();
            let kept = self.documents.kept_files(&files).await?;
            for file in files.into_iter().filter(|file| !kept.contains(file)) {
                if remove {
                    self.blobs.delete(&file.key).await?;
                }
                orphans.push(file.key);
            }
        }
        Ok(orphans)
    }

    /// Sweeps now and then, for as long as the future is polled. Where other servers may be uploading into the same
    /// folder, `age` has to be more than any upload takes. `went_back_at`: when the database was found to be in an older state.
    pub async fn run_sweeper(self, age: Duration, went_back_at: Option<Timestamp>) {
        let kept_until = went_back_at.map(|at| at.plus_seconds(KEPT));
        let mut every = tokio::time::interval(ROUND);
        loop {
            every.tick().await;
            // First of all: what is to become a document may be old enough to be forgotten.
            match self.finish_left_uploads().await {
                Ok(0) => {}
                Ok(files) => tracing::info!(files, "files that came whole became documents"),
                Err(error) => tracing::warn!(%error, "files that came whole will become documents later"),
            }
            if let Err(error) = self.drop_old_files().await {
                tracing::warn!(%error, "files that were sent ahead will be forgotten later");
            }
            if let Err(error) = self.forget_old_uploads().await {
                tracing::warn!(%error, "uploads that nobody goes on with will be forgotten later");
            }
            if let Err(error) = self.blobs.clear_unfinished(age).await {
                tracing::warn!(%error, "what was left half-written will be removed later");
            }
            if let Some(until) = kept_until.filter(|until| self.clock.now() < *until) {
                tracing::debug!(%until, "files that no document has are kept: the database went back to an older state");
            } else {
                match self.sweep_files(age).await {
                    Ok(0) => {}
                    Ok(files) => tracing::info!(files, "files that no document has were removed"),
                    Err(error) => {
                        tracing::warn!(%error, "files that no document has will be looked for later")
                    }
                }
            }
            loop {
                match self.jobs.drop_dead_chunks().await {
                    Ok(0) => break,
                    Ok(chunks) => tracing::debug!(chunks, "chunks that nothing finds were removed"),
                    Err(error) => {
                        tracing::warn!(%error, "chunks that nothing finds will be removed later");
                        break;
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    #[test]
    fn only_files_of_documents_are_swept() {
        let (user, id) = (UserId::new(Uuid::from_u128(7)), DocumentId::new(Uuid::from_u128(8)));
        for (key, text_of) in [
            (keys::document(user, id), None),
            (keys::text(user, id, 3), Some(3)),
            (keys::version(user, id, 2), None),
            (keys::drawn(user, id, Uuid::from_u128(9)), None),
        ] {
            assert_eq!(file_of(&key), Some(FileOf { key: key.clone(), document: id, text_of }));
        }
        for other in [
            keys::export(user, domain::ExportId::new(Uuid::from_u128(8)), 1),
            keys::texts(user, id),
            format!("users/{user}/notes/{id}"),
            format!("users/{user}/documents/{id}/more"),
            format!("users/{user}/documents/{id}.more"),
            format!("users/me/documents/{id}"),
            "probes/x".to_owned(),
            String::new(),
        ] {
            assert_eq!(file_of(&other), None, "{other}");
        }
    }

    #[test]
    fn an_upload_holds_its_file_until_it_is_dropped() {
        let uploads = Arc::new(Uploads::default());
        let underway = uploads.begin("users/a/documents/b");
        assert!(uploads.hold("users/a/documents/b") && !uploads.hold("users/a/documents/c"));
        drop(underway);
        assert!(!uploads.hold("users/a/documents/b"));
    }

    #[tokio::test]
    async fn who_must_be_alone_asks_the_one_before_to_let_go() {
        let uploads = Arc::new(Uploads::default());
        let first = uploads.begin_alone("a").await.expect("nobody has it");
        assert!(!first.is_wanted());
        let lets_go = async {
            first.wanted().await;
            assert!(first.is_wanted());
            drop(first);
        };
        let (second, ()) = tokio::join!(uploads.begin_alone("a"), lets_go);
        assert!(second.is_some() && uploads.hold("a"));
        drop(second);
        assert!(!uploads.hold("a"));
    }
}
