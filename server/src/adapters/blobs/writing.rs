//! Writing one object of any length: a short one with a single request, a longer one in parts. Until all of it is there
//! nobody sees any of it. A store keeps the parts of a transfer that nobody ends, and not every store can list them; so
//! each such transfer has a mark, an object of its own that names it, by which whoever finds it later gives it up.

use super::{
    INCOMING,
    line::{fault, fault_of_store},
};
use bytes::{Bytes, BytesMut};
use futures::{
    StreamExt,
    stream::{self, BoxStream},
};
use object_store::{
    MultipartId, ObjectStore, PutOptions, PutPayload,
    aws::AmazonS3,
    multipart::{MultipartStore, PartId},
    path::Path,
};
use services::ports::{BlobError, Ids};
use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError},
};
use tokio::task::JoinSet;

/// Of a transfer. Stores want at least 5 MiB of each but the last, and some want them of one size.
pub(super) const PART: usize = 8 << 20;
/// No store takes more of one transfer.
const PARTS: u64 = 10_000;
/// The largest file that can be kept there, in bytes: 78 GiB.
pub(super) const LARGEST: u64 = PART as u64 * PARTS;

/// A bucket, or what is ours of one.
#[derive(Clone)]
pub(super) struct Bucket {
    pub(super) store: AmazonS3,
    /// Before every key; empty, or ends with a slash.
    pub(super) root: String,
    pub(super) ids: Arc<dyn Ids>,
    /// The marks of the transfers of this process.
    pub(super) underway: Arc<Mutex<BTreeSet<String>>>,
}

impl Bucket {
    /// Where something lies whose name is known to be a plain one.
    pub(super) fn at(&self, name: &str) -> Path {
        Path::from(format!("{}{name}", self.root))
    }

    pub(super) fn has_underway(&self, mark: &str) -> bool {
        self.underway.lock().unwrap_or_else(PoisonError::into_inner).contains(mark)
    }

    pub(super) async fn put(&self, place: &Path, bytes: Bytes) -> Result<(), BlobError> {
        let put = self.store.put_opts(place, PutPayload::from(bytes), PutOptions::default()).await;
        put.map(drop).map_err(fault_of_store)
    }

    /// Removes what lies there; what does not is fine.
    pub(super) async fn remove(
        &self,
        places: BoxStream<'static, object_store::Result<Path>>,
    ) -> Result<(), BlobError> {
        let mut gone = self.store.delete_stream(places);
        while let Some(one) = gone.next().await {
            match one.map_err(fault) {
                Ok(_) | Err(BlobError::NotFound) => {}
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }

    pub(super) async fn remove_one(&self, place: Path) -> Result<(), BlobError> {
        self.remove(stream::iter([Ok::<_, object_store::Error>(place)]).boxed()).await
    }

    /// Gives up the transfer that a mark names, whoever began it, and removes the mark. A mark of which the transfer is
    /// over already is only removed.
    pub(super) async fn give_up(&self, mark: &Path) -> Result<(), BlobError> {
        let named = match self.store.get_opts(mark, Default::default()).await {
            Ok(got) => got.bytes().await.map_err(fault_of_store)?,
            Err(e) => {
                return match fault(e) {
                    // Somebody else was faster.
                    BlobError::NotFound => Ok(()),
                    e => Err(e),
                };
            }
        };
        let named = String::from_utf8_lossy(&named);
        if let Some((place, id)) = named.split_once('\n') {
            match self.store.abort_multipart(&Path::from(place), &id.to_owned()).await.map_err(fault) {
                Ok(()) | Err(BlobError::NotFound) => {}
                Err(e) => return Err(e),
            }
        }
        self.remove_one(mark.clone()).await
    }
}

/// An object that is being written.
pub(super) struct Writing {
    bucket: Bucket,
    place: Path,
    buffer: BytesMut,
    transfer: Option<Transfer>,
}

impl Writing {
    pub(super) fn new(bucket: Bucket, place: Path) -> Self {
        Self { bucket, place, buffer: BytesMut::new(), transfer: None }
    }

    pub(super) async fn write(&mut self, bytes: &[u8]) -> Result<(), BlobError> {
        self.buffer.extend_from_slice(bytes);
        while self.buffer.len() >= PART {
            let part = self.buffer.split_to(PART).freeze();
            self.send(part).await?;
        }
        Ok(())
    }

    async fn send(&mut self, part: Bytes) -> Result<(), BlobError> {
        if self.transfer.is_none() {
            self.transfer = Some(Transfer::begin(self.bucket.clone(), self.place.clone()).await?);
        }
        match &mut self.transfer {
            Some(transfer) => transfer.send(part).await,
            None => Ok(()),
        }
    }

    /// Makes the object; durable when it returns. On an error nothing is there.
    pub(super) async fn finish(mut self) -> Result<(), BlobError> {
        let rest = self.buffer.split().freeze();
        if self.transfer.is_none() {
            return self.bucket.put(&self.place, rest).await;
        }
        let sent = if rest.is_empty() { Ok(()) } else { self.send(rest).await };
        let Some(mut transfer) = self.transfer.take() else { return sent };
        let ended = match sent {
            Ok(()) => transfer.complete().await,
            Err(e) => Err(e),
        };
        transfer.end().await;
        ended
    }

    /// Leaves nothing behind.
    pub(super) async fn give_up(mut self) {
        if let Some(transfer) = self.transfer.take() {
            transfer.end().await;
        }
    }
}

/// A transfer in parts. At most one is on its way while the next one is gathered.
struct Transfer {
    bucket: Bucket,
    place: Path,
    id: MultipartId,
    /// The name of the mark.
    mark: String,
    sending: JoinSet<object_store::Result<PartId>>,
    parts: Vec<PartId>,
    is_over: bool,
}

impl Transfer {
    /// On a task of its own: whoever waits may go away, and a transfer that was begun has to get its mark.
    async fn begin(bucket: Bucket, place: Path) -> Result<Self, BlobError> {
        let begun = tokio::spawn(async move {
            let id = bucket.store.create_multipart(&place).await.map_err(fault_of_store)?;
            let mark = bucket.ids.uuid().to_string();
            bucket.underway.lock().unwrap_or_else(PoisonError::into_inner).insert(mark.clone());
            let sending = JoinSet::new();
            let transfer = Self { bucket, place, id, mark, sending, parts: vec![], is_over: false };
            let named = format!("{}\n{}", transfer.place, transfer.id);
            match transfer.bucket.put(&transfer.mark(), named.into()).await {
                Ok(()) => Ok(transfer),
                Err(e) => {
                    transfer.end().await;
                    Err(e)
                }
            }
        });
        begun.await.map_err(|e| BlobError::Away(e.into()))?
    }

    fn mark(&self) -> Path {
        self.bucket.at(&format!("{INCOMING}/{}", self.mark))
    }

    async fn send(&mut self, part: Bytes) -> Result<(), BlobError> {
        self.arrive().await?;
        let (store, place, id, n) =
            (self.bucket.store.clone(), self.place.clone(), self.id.clone(), self.parts.len());
        self.sending.spawn(async move { store.put_part(&place, &id, n, PutPayload::from(part)).await });
        Ok(())
    }

    /// Waits for the part that is on its way.
    async fn arrive(&mut self) -> Result<(), BlobError> {
        while let Some(sent) = self.sending.join_next().await {
            let part = sent.map_err(|e| BlobError::Away(e.into()))?.map_err(fault_of_store)?;
            self.parts.push(part);
        }
        Ok(())
    }

    async fn complete(&mut self) -> Result<(), BlobError> {
        self.arrive().await?;
        let parts = std::mem::take(&mut self.parts);
        let made = self.bucket.store.complete_multipart(&self.place, &self.id, parts).await;
        made.map_err(fault_of_store)?;
        self.is_over = true;
        Ok(())
    }

    /// Removes what is left of it: the mark, and the parts where they did not become an object.
    async fn end(mut self) {
        self.sending.shutdown().await;
        // On a task of its own: whoever waits may go away.
        let _ = tokio::spawn(self.take_rest().remove()).await;
    }

    /// What is to be removed; nothing is left of it in here.
    fn take_rest(&mut self) -> Rest {
        let id = (!self.is_over).then(|| self.id.clone());
        Rest {
            bucket: self.bucket.clone(),
            place: self.place.clone(),
            id,
            mark: std::mem::take(&mut self.mark),
        }
    }
}

impl Drop for Transfer {
    fn drop(&mut self) {
        if self.mark.is_empty() {
            return;
        }
        // Whoever sent it went away in the middle. Outside of a runtime the process is ending, and the sweep finds the mark.
        let rest = self.take_rest();
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(rest.remove());
        }
    }
}

/// What is left of a transfer.
struct Rest {
    bucket: Bucket,
    place: Path,
    id: Option<MultipartId>,
    mark: String,
}

impl Rest {
    async fn remove(self) {
        let Self { bucket, place, id, mark } = self;
        let removing = async {
            if let Some(id) = id {
                match bucket.store.abort_multipart(&place, &id).await.map_err(fault) {
                    Ok(()) | Err(BlobError::NotFound) => {}
                    Err(e) => return Err(e),
                }
            }
            bucket.remove_one(bucket.at(&format!("{INCOMING}/{mark}"))).await
        };
        if let Err(error) = removing.await {
            // The mark is still there.
            tracing::warn!(%error, "parts of a file that was given up stay behind until the next sweep");
        }
        bucket.underway.lock().unwrap_or_else(PoisonError::into_inner).remove(&mark);
    }
}
