//! The export of an account: asked for, made in the background as a file that is written page by page, kept for a day.

mod file;

use crate::{
    Error, Result, Services, keys,
    ports::{BlobError, ExportClaim, ExportOutcome, NewExport, Signal, StoreError, WorkerId, heard},
};
use bytes::Bytes;
use domain::{Export, ExportId, ExportStatus, UserId, export::KEPT_SECONDS};
use file::Writer;
use futures::{StreamExt, channel::mpsc};
use std::time::Duration;

/// A maker that says nothing for this long has died.
const LEASE_SECONDS: u32 = 20;
/// How often the lease is extended while the file is written.
const KEEP_EVERY: Duration = Duration::from_secs(5);
/// An export that was begun so often and never came to its end will not.
const MOST_TRIES: u64 = 20;
/// Expired ones that are looked up at once.
const AT_ONCE: u32 = 20;
/// The fallback of the wake-up, and how often expired ones are looked for.
const PAUSE: Duration = Duration::from_secs(5);

/// Why the making of an export stopped.
#[derive(Debug, thiserror::Error)]
enum Stop {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("a row could not be written as JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// Whoever writes the file has stopped; it says why.
    #[error("the file is not written any more")]
    NoFile,
}

impl Services {
    /// Has an export made. One that is being made already is answered instead; an earlier one goes.
    pub async fn start_export(&self, user: UserId, command_id: Option<String>) -> Result<Export> {
        let new = NewExport {
            id: ExportId::new(self.ids.uuid()),
            user_id: user,
            command_id,
            created_at: self.clock.now(),
        };
        let export = self.exports.create_export(new).await?;
        self.bus.publish(Signal::WorkReady);
        Ok(export)
    }

    /// The newest export.
    ///
    /// # Errors
    /// 404 `no_export` when there is none, or it has expired.
    pub async fn export(&self, user: UserId) -> Result<Export> {
        Ok(self.newest_export(user).await?.0)
    }

    /// The newest export with the key of its file.
    ///
    /// # Errors
    /// 404 `no_export`; 409 `export_not_ready`.
    pub async fn export_content(&self, user: UserId) -> Result<(Export, String)> {
        match self.newest_export(user).await? {
            (export, Some(key)) if export.status == ExportStatus::Ready => Ok((export, key)),
            (export, _) => {
                let sentence = export.error.unwrap_or_else(|| "The export is still being made.".to_owned());
                Err(Error::problem(409, "export_not_ready", sentence))
            }
        }
    }

    async fn newest_export(&self, user: UserId) -> Result<(Export, Option<String>)> {
        let newest = self.exports.newest_export(user, self.clock.now()).await?;
        newest.ok_or_else(|| Error::problem(404, "no_export", "There is no export. Ask for one first."))
    }

    /// Makes exports for as long as the future is polled, and removes expired ones. Woken by the bus, with a slow poll
    /// in case a wake-up was lost.
    pub async fn run_exporter(self) {
        let worker = WorkerId(self.ids.uuid().to_string());
        // Interest first, then the look, or a wake-up between the two is lost.
        let mut bus = self.bus.subscribe();
        loop {
            match self.export_next(&worker).await {
                Ok(true) => continue,
                Ok(false) => {}
                Err(e) => tracing::warn!(error = format!("{e:?}"), "an export will be tried again"),
            }
            if let Err(e) = self.sweep_exports().await {
                tracing::warn!(error = format!("{e:?}"), "expired exports will be removed later");
            }
            let wake = heard(&mut bus, |signal| matches!(signal, Signal::WorkReady));
            let _ = tokio::time::timeout(PAUSE, wake).await;
        }
    }

    /// Makes the next export that waits; answers whether there was one.
    ///
    /// # Errors
    /// When the store fails; the export is begun anew when the lease has run out.
    pub async fn export_next(&self, worker: &WorkerId) -> Result<bool> {
        let now = self.clock.now();
        let Some(claim) = self.exports.claim_export(worker, LEASE_SECONDS, now).await? else {
            return Ok(false);
        };
        // Whoever claimed it before may have died with its file whole and nobody told. One that lives finds that it lost
        // the export, and removes its own.
        for earlier in 1..claim.fence {
            self.blobs.delete(&keys::export(claim.user_id, claim.export_id, earlier)).await?;
        }
        let key = keys::export(claim.user_id, claim.export_id, claim.fence);
        let outcome = if claim.fence > MOST_TRIES {
            ExportOutcome::Failed("The export could not be made. Ask the operator of this server.".to_owned())
        } else {
            tokio::select! {
                outcome = self.write_export(&claim, &key) => outcome?,
                lost = self.keep_export(&claim) => return lost,
            }
        };
        let now = self.clock.now();
        let ended = self.exports.end_export(&claim, outcome, now.plus_seconds(KEPT_SECONDS), now).await;
        match ended {
            Ok(()) => Ok(true),
            // Another server took it over, or the account is gone. The file is nobody's.
            Err(StoreError::Fenced) => {
                self.blobs.delete(&key).await?;
                Ok(true)
            }
            Err(e) => Err(e.into()),
        }
    }

    /// Extends the lease until it is lost. A file that is being written goes when its writing is dropped.
    async fn keep_export(&self, claim: &ExportClaim) -> Result<bool> {
        loop {
            tokio::time::sleep(KEEP_EVERY).await;
            match self.exports.keep_export(claim, LEASE_SECONDS).await {
                Ok(()) => {}
                Err(StoreError::Fenced) => return Ok(true),
                // The lease has some time left; the next turn tries again.
                Err(e) => tracing::warn!(error = %e, "the lease of an export could not be extended"),
            }
        }
    }

    /// Streams the account into the file. Never more than some pages are in memory.
    async fn write_export(&self, claim: &ExportClaim, key: &str) -> Result<ExportOutcome> {
        let (sender, receiver) = mpsc::channel::<std::result::Result<Bytes, BlobError>>(4);
        let mut writer = Writer::new(sender);
        let write = async {
            let written = self.write_account(claim.user_id, &mut writer).await;
            writer.end(written.as_ref().err()).await;
            written
        };
        let (written, received) = tokio::join!(write, self.blobs.receive(key, receiver.boxed(), u64::MAX));
        match (written, received) {
            (Ok(()), Ok(received)) => {
                Ok(ExportOutcome::Ready { blob_key: key.to_owned(), bytes: received.size })
            }
            (Err(Stop::Store(e)), _) => Err(e.into()),
            (Err(Stop::Json(e)), _) => Err(Error::Internal { what: "export", cause: Box::new(e) }),
            (_, Err(e)) => {
                tracing::error!(export_id = %claim.export_id, error = format!("{e:?}"), "an export could not be written");
                let sentence = "The server could not write the file. Try again; then ask its operator.";
                Ok(ExportOutcome::Failed(sentence.to_owned()))
            }
            (Err(Stop::NoFile), Ok(_)) => Err(Error::problem(500, "internal", "The export broke off.")),
        }
    }

    async fn sweep_exports(&self) -> Result<()> {
        for old in self.exports.old_exports(self.clock.now(), AT_ONCE).await? {
            // The file first: once the row is gone, nobody knows of it any more.
            if let Some(key) = &old.blob_key {
                self.blobs.delete(key).await?;
            }
            self.exports.forget_export(&old).await?;
            tracing::debug!(export_id = %old.export_id, "an expired export is gone");
        }
        Ok(())
    }
}
