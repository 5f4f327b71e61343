//! From the stored file to the document's text, and what is said of it before it is cut.

use super::{Pulse, SAYS, Stop, Work, broken};
use crate::{
    classify,
    extract::{ExtractError, ExtractedText, FileKind, detect_file},
};
use bytes::Bytes;
use domain::{
    Step,
    ingest::{Checkpoint, Failure, Stage},
    message::Facts,
    resource::Warning,
};
use services::{
    keys,
    ports::{BlobError, LocalFile},
};
use std::{collections::HashSet, sync::Arc};

impl Work<'_> {
    pub(super) async fn load(&mut self) -> Result<Stage, Stop> {
        self.step(Step::Validating, Facts::file(&self.claim.filename)).await?;
        // One that is indexed anew was read before.
        let text = self.stored_text().await?;
        self.text = Some(text.clone());
        let pages = text.spans.iter().filter_map(|s| s.page).max();
        let warnings =
            text.warnings.iter().map(|w| Warning { code: w.code.clone(), message: w.message.clone() });
        self.checkpoint(Checkpoint::Loaded {
            pages: pages.map(u64::from),
            characters: text.text.chars().count() as u64,
            title: text.title.clone(),
            warnings: warnings.collect(),
        })
        .await?;
        self.look_at(&text).await?;
        Ok(Stage::Chunking)
    }

    /// Says what can be told of the document before it is cut: where it comes from; of a table its columns, and what is
    /// new since the last one of that name; of other texts what kind of document that is.
    async fn look_at(&self, text: &ExtractedText) -> Result<(), Stop> {
        if let Some(origin) = text.made_with.as_deref().and_then(classify::origin_of) {
            let facts = Facts { origin: Some(origin.to_owned()), ..Facts::default() };
            self.step(Step::PlatformDetection, facts).await?;
        }
        if let Some(table) = text.table {
            let facts = Facts { columns: Some(table.columns), rows: Some(table.rows), ..Facts::default() };
            self.step(Step::FieldDetection, facts).await?;
            if let Some((new, existing)) = self.new_rows(text).await? {
                let facts = Facts { new_rows: Some(new), existing_rows: Some(existing), ..Facts::default() };
                self.step(Step::DeltaAnalysisComplete, facts).await?;
            }
        } else if let Some(kind) = classify::kind_of(&text.text) {
            let facts = Facts { kind: Some(kind.to_owned()), ..Facts::default() };
            self.step(Step::DocumentClassification, facts).await?;
        }
        Ok(())
    }

    /// How many rows of a table are not in the last document of the same name, and how many are; `None` when there is no
    /// such document.
    async fn new_rows(&self, text: &ExtractedText) -> Result<Option<(u64, u64)>, Stop> {
        let services = &self.context.services;
        let Some((namesake, version)) = services.jobs.namesake(self.claim).await? else { return Ok(None) };
        // Without its text there is nothing to compare with.
        let Ok(bytes) = services.blobs.get(&keys::text(self.claim.user_id, namesake, version)).await else {
            return Ok(None);
        };
        let Ok(before) = serde_json::from_slice::<ExtractedText>(&bytes) else { return Ok(None) };
        let facts = Facts { rows: text.table.map(|table| table.rows), ..Facts::default() };
        self.step(Step::Extracting, facts).await?;
        let known: HashSet<&str> = rows_of(&before.text).collect();
        let (mut new, mut existing) = (0, 0);
        for row in rows_of(&text.text) {
            *(if known.contains(row) { &mut existing } else { &mut new }) += 1;
        }
        Ok(Some((new, existing)))
    }

    /// Reads the file in a process of its own and keeps the text beside it, durable before the checkpoint says so.
    async fn extracted(&mut self) -> Result<Arc<ExtractedText>, Stop> {
        let blobs = &self.context.services.blobs;
        let pulse = Pulse::default();
        // It may have to be fetched, and wait for room before that: both may take long, and whoever fetches gives up by itself
        // when nothing comes. The room of a copy is given back when the text is there.
        let opening = beating(&pulse, blobs.open(&self.claim.blob_key));
        let opening = self.minding(&pulse, opening).await?;
        let LocalFile { mut file, room } = opening.map_err(missing_file)?;
        let name = self.claim.filename.clone();
        let opened = tokio::task::spawn_blocking(move || {
            let kind = detect_file(&mut file, &name)?;
            // Telling the kind read the first bytes.
            std::io::Seek::rewind(&mut file)?;
            Ok::<_, std::io::Error>((file, kind))
        });
        let (file, kind) = opened.await.map_err(broken)?.map_err(|e| missing_file(BlobError::Io(e)))?;
        let kind: FileKind = kind.map_err(|refused| {
            Stop::Failed(Failure {
                code: refused.code.to_owned(),
                message: refused.sentence,
                hint: Some(refused.hint),
                retryable: false,
            })
        })?;
        self.step(Step::ExtractingText, Facts::file(&self.claim.filename)).await?;
        let extraction = self.context.tools.extractor.extract(file, kind, |_| pulse.beat());
        let text = self.minding(&pulse, extraction).await?.map_err(|e| Stop::Failed(failure_of(e)))?;
        drop(room);
        let bytes = serde_json::to_vec(&text).map_err(broken)?;
        let key = keys::text(self.claim.user_id, self.claim.document_id, self.claim.version);
        blobs.put(&key, Bytes::from(bytes)).await.map_err(full_disk)?;
        let text = Arc::new(text);
        self.text = Some(text.clone());
        Ok(text)
    }

    /// The text of an earlier unit or an earlier claim; read anew from the file when it is not there.
    pub(super) async fn stored_text(&mut self) -> Result<Arc<ExtractedText>, Stop> {
        if let Some(text) = &self.text {
            return Ok(text.clone());
        }
        let key = keys::text(self.claim.user_id, self.claim.document_id, self.claim.version);
        match self.context.services.blobs.get(&key).await {
            Ok(bytes) => match serde_json::from_slice::<ExtractedText>(&bytes) {
                Ok(text) => Ok(Arc::new(text)),
                Err(_) => self.extracted().await,
            },
            Err(BlobError::NotFound) => self.extracted().await,
            Err(e) => Err(missing_file(e)),
        }
    }
}

/// The rows of a table, as the readers write them.
fn rows_of(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter(|line| line.starts_with("- "))
}

fn failure_of(e: ExtractError) -> Failure {
    if let Some(technical) = &e.technical {
        tracing::info!(code = e.code.as_str(), technical, "a file could not be read");
    }
    Failure { code: e.code.as_str().to_owned(), message: e.sentence, hint: e.hint, retryable: e.retryable }
}

/// Does what gets on as long as it has not ended, since it ends by itself when it does not.
async fn beating<T>(pulse: &Pulse, work: impl Future<Output = T>) -> T {
    let beats = async {
        loop {
            pulse.beat();
            tokio::time::sleep(SAYS).await;
        }
    };
    tokio::select! {
        done = work => done,
        () = beats => unreachable!("it beats for ever"),
    }
}

/// The file is ours to keep; when it cannot be read, the disk is at fault, or what keeps the files, not the document.
fn missing_file(e: BlobError) -> Stop {
    tracing::error!(error = format!("{e:?}"), "a stored file could not be read");
    let hint = "Check the server's disk, then try again.";
    storage_failed(&e, "The stored file could not be read.", hint)
}

/// The text of a document cannot be kept.
fn full_disk(e: BlobError) -> Stop {
    tracing::error!(error = format!("{e:?}"), "a text could not be written");
    let hint = "Its disk may be full. Check it, then try again.";
    storage_failed(&e, "The server could not keep the text of this document.", hint)
}

fn storage_failed(e: &BlobError, message: &str, hint: &str) -> Stop {
    let hint = match e {
        BlobError::Away(_) => "The store of the files did not answer, or failed. Try again in a moment.",
        BlobError::Refused(_) => {
            "The store of the files refuses this server. Its operator has to see to that."
        }
        BlobError::Full(_) => "There is no room left for files. Make some, then try again.",
        _ => hint,
    };
    Stop::Failed(Failure {
        code: "storage_failed".into(),
        message: message.into(),
        hint: Some(hint.into()),
        retryable: true,
    })
}
