//! Files in a bucket of an object store that speaks S3 (AWS, MinIO, Garage, Ceph …). An object comes into being whole, or
//! not at all; once a store has acknowledged it, it is durable, and all servers see it.

use super::{
    BucketServer, INCOMING, KEYS, Part, Seen, check_key,
    line::{Line, fault, fault_of_store},
    owner,
    pieces::{self, Piece, chain},
    scratch::Scratch,
    writing::{Bucket, LARGEST, PART, Writing},
};
use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use futures::{
    StreamExt, TryStreamExt, future,
    stream::{self, BoxStream},
};
use object_store::{
    BackoffConfig, GetOptions, GetRange, ObjectMeta, ObjectStore, RetryConfig,
    aws::{AmazonS3Builder, AmazonS3ConfigKey},
    path::Path,
};
use services::ports::{Appended, BlobError, Blobs, Clock, Ids, LocalFile, Received, Stored};
use std::{
    ops::Range,
    path::PathBuf,
    sync::{Arc, OnceLock},
    time::{Duration, SystemTime},
};

/// The object that says whose bucket, or whose part of one, this is. Its name begins with a dot, as no key does.
const MARK: &str = ".insighthub";
/// A request is asked for once more so often, and for so long: who waits for it is a person, or holds a lease.
const RETRIES: usize = 4;
const RETRIED_FOR: Duration = Duration::from_secs(20);
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(3);

/// What a machine or a container is told of who it is, where the operator names no keys.
const IDENTITY: [&str; 7] = [
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_ROLE_ARN",
    "AWS_ROLE_SESSION_NAME",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
    "AWS_ENDPOINT_URL_STS",
];

/// Another installation's name stands in the bucket; also that of the one of which our database is a copy.
#[derive(Debug, thiserror::Error)]
#[error(
    "another installation keeps its files there: name another bucket or prefix in INSIGHTHUB_BLOB_URL, or remove the \
     object `.insighthub` when that installation is gone, or this one was put back in its place"
)]
struct NotOurs;

#[derive(Clone)]
pub struct ObjectBlobs {
    bucket: Bucket,
    scratch: Scratch,
    owner: String,
    /// Set once the bucket was seen to be ours.
    is_ours: Arc<OnceLock<()>>,
    clock: Arc<dyn Clock>,
}

impl ObjectBlobs {
    /// Asks nothing yet. `secret` is the installation's, the same for all its servers; copies lie in `scratch`.
    ///
    /// # Errors
    /// A sentence, when the folder or the client cannot be made.
    pub fn open(
        server: &BucketServer,
        scratch: PathBuf,
        secret: &[u8; 32],
        clock: Arc<dyn Clock>,
        ids: Arc<dyn Ids>,
    ) -> Result<Self, String> {
        let mut builder = AmazonS3Builder::new()
            .with_bucket_name(&server.bucket)
            .with_region(&server.region)
            .with_http_connector(Line::new()?)
            .with_retry(RetryConfig {
                backoff: BackoffConfig {
                    init_backoff: FIRST_PAUSE,
                    max_backoff: LONGEST_PAUSE,
                    ..BackoffConfig::default()
                },
                max_retries: RETRIES,
                retry_timeout: RETRIED_FOR,
            });
        if let Some(endpoint) = &server.endpoint {
            // Whoever wrote http wants it.
            builder = builder.with_endpoint(&endpoint.0).with_allow_http(endpoint.0.starts_with("http:"));
        }
        builder = match &server.keys {
            Some(keys) => {
                let builder = builder.with_access_key_id(&keys.id).with_secret_access_key(&keys.secret);
                match &keys.token {
                    Some(token) => builder.with_token(token),
                    None => builder,
                }
            }
            None => IDENTITY.into_iter().fold(builder, |builder, name| {
                match (std::env::var(name), name.to_ascii_lowercase().parse::<AmazonS3ConfigKey>()) {
                    (Ok(value), Ok(key)) => builder.with_config(key, value),
                    _ => builder,
                }
            }),
        };
        let store = builder.build().map_err(|e| format!("the store of the files cannot be used: {e}"))?;
        let scratch = Scratch::open(scratch, ids.clone())
            .map_err(|e| format!("the folder for copies of files cannot be made: {e}"))?;
        let root = if server.prefix.is_empty() { String::new() } else { format!("{}/", server.prefix) };
        let bucket = Bucket { store, root, ids, underway: Arc::default() };
        Ok(Self { bucket, scratch, owner: owner(secret), is_ours: Arc::default(), clock })
    }

    fn place(&self, key: &str) -> Result<Path, BlobError> {
        check_key(key)?;
        Ok(self.bucket.at(key))
    }

    /// Nobody lists a bucket in order to remove things before it was seen to be ours: another installation's files have no
    /// rows here, and would be taken for orphans.
    async fn be_sure_that_it_is_ours(&self) -> Result<(), BlobError> {
        if self.is_ours.get().is_some() {
            return Ok(());
        }
        let mark = self.bucket.at(MARK);
        match self.whole(&mark).await {
            Ok(name) if name == self.owner.as_bytes() => {}
            Ok(_) => return Err(BlobError::Refused(Box::new(NotOurs))),
            Err(BlobError::NotFound) => self.bucket.put(&mark, Bytes::from(self.owner.clone())).await?,
            Err(e) => return Err(e),
        }
        let _ = self.is_ours.set(());
        Ok(())
    }

    async fn whole(&self, place: &Path) -> Result<Bytes, BlobError> {
        let got = self.bucket.store.get_opts(place, GetOptions::default()).await.map_err(fault)?;
        got.bytes().await.map_err(fault_of_store)
    }

    async fn flow(&self, place: &Path) -> Result<BoxStream<'static, Result<Bytes, BlobError>>, BlobError> {
        let got = self.bucket.store.get_opts(place, GetOptions::default()).await.map_err(fault)?;
        Ok(got.into_stream().map_err(fault_of_store).boxed())
    }

    async fn about(&self, place: &Path) -> Result<ObjectMeta, BlobError> {
        let options = GetOptions { head: true, ..GetOptions::default() };
        match self.bucket.store.get_opts(place, options).await.map_err(fault) {
            Ok(got) => Ok(got.meta),
            Err(BlobError::NotFound) => {
                // The answer to a HEAD has no words, so a bucket that is gone looks the same as a file that is.
                let mut marks = self.bucket.store.list(Some(&self.bucket.at(INCOMING)));
                marks.try_next().await.map_err(fault_of_store)?;
                Err(BlobError::NotFound)
            }
            Err(e) => Err(e),
        }
    }

    /// The pieces of a file that end at `at` or behind it.
    async fn pieces(&self, key: &str, at: u64) -> Result<Vec<Piece<Path>>, BlobError> {
        let folder = self.bucket.at(&pieces::folder_of(key));
        let listed = match at {
            0 => self.bucket.store.list(Some(&folder)),
            at => {
                let before = Path::from(format!("{folder}/{}", pieces::before(at)));
                self.bucket.store.list_with_offset(Some(&folder), &before)
            }
        };
        let found = listed.map_err(fault_of_store).try_filter_map(|meta| {
            let name = meta.location.filename().map(str::to_owned);
            future::ready(Ok(name.and_then(|name| pieces::piece_of(&name, meta.location))))
        });
        found.try_collect().await
    }

    /// Looks whether as many bytes of a file came as that, before a turn goes on from there. What earlier turns left behind
    /// it goes.
    async fn go_on(&self, key: &str, at: u64, turn: u64) -> Result<(), BlobError> {
        let place = self.place(key)?;
        let pieces = self.pieces(key, at).await?;
        let is_there = at == 0 || pieces.iter().any(|piece| piece.end == at);
        if !is_there && self.about(&place).await?.size < at {
            return Err(BlobError::NotFound);
        }
        let left = pieces.into_iter().filter(|piece| piece.is_left(at, turn));
        self.remove(left.map(|piece| piece.place).collect()).await
    }

    /// Writes the bytes of pieces one after the other.
    async fn copy(
        &self,
        pieces: &[Piece<Path>],
        seen: &mut Seen,
        writing: &mut Writing,
    ) -> Result<(), BlobError> {
        for piece in pieces {
            let mut bytes = self.flow(&piece.place).await?;
            let mut left = piece.end - piece.begin;
            while left > 0 {
                // It was there, and is shorter than what was put there.
                let mut some = bytes.try_next().await?.ok_or(BlobError::NotFound)?;
                some.truncate(usize::try_from(left).unwrap_or(usize::MAX));
                left -= some.len() as u64;
                seen.take(&some);
                writing.write(&some).await?;
            }
        }
        Ok(())
    }

    async fn remove(&self, places: Vec<Path>) -> Result<(), BlobError> {
        if places.is_empty() {
            return Ok(());
        }
        self.bucket.remove(stream::iter(places).map(Ok).boxed()).await
    }

    fn is_older(&self, meta: &ObjectMeta, age: Duration) -> bool {
        let micros = self.clock.now().micros().saturating_sub(meta.last_modified.timestamp_micros());
        i128::from(micros) >= i128::try_from(age.as_micros()).unwrap_or(i128::MAX) || age.is_zero()
    }

    /// The key of the file that an object is, or is a piece of.
    fn key_of(&self, place: &Path) -> Option<String> {
        let place: &str = place.as_ref();
        let key = place.strip_prefix(self.bucket.root.as_str())?;
        match pieces::file_of(key) {
            Some(file) => Some(file),
            None => check_key(key).is_ok().then(|| key.to_owned()),
        }
    }
}

#[async_trait]
impl Blobs for ObjectBlobs {
    async fn receive(
        &self,
        key: &str,
        mut body: BoxStream<'static, Result<Bytes, BlobError>>,
        limit: u64,
    ) -> Result<Received, BlobError> {
        let limit = limit.min(LARGEST);
        let mut writing = Writing::new(self.bucket.clone(), self.place(key)?);
        let mut seen = Seen::default();
        let taken = loop {
            match body.next().await {
                None => break Ok(()),
                Some(Err(reason)) => break Err(reason),
                Some(Ok(chunk)) => {
                    seen.take(&chunk);
                    if seen.size() > limit {
                        break Err(BlobError::TooLarge { limit });
                    }
                    if let Err(e) = writing.write(&chunk).await {
                        break Err(e);
                    }
                }
            }
        };
        match taken {
            Ok(()) => {
                writing.finish().await?;
                Ok(seen.received())
            }
            Err(e) => {
                writing.give_up().await;
                Err(e)
            }
        }
    }

    async fn append(
        &self,
        key: &str,
        turn: u64,
        at: u64,
        body: &mut BoxStream<'static, Result<Bytes, BlobError>>,
        enough: u64,
        room: u64,
    ) -> Result<Appended, BlobError> {
        self.go_on(key, at, turn).await?;
        let folder = self.bucket.at(&pieces::folder_of(key));
        let place_of = |begin, end| Path::from(format!("{folder}/{}", pieces::name_of(begin, end, turn)));
        let mut part = Part::new(body, at, enough, room);
        let (mut buffer, mut begin, mut kept) = (BytesMut::new(), at, vec![]);
        loop {
            let chunk = match part.next().await {
                Ok(Some(chunk)) => chunk,
                Ok(None) => break,
                Err(e) => {
                    self.remove(kept).await?;
                    return Err(e);
                }
            };
            buffer.extend_from_slice(&chunk);
            while buffer.len() >= PART {
                let place = place_of(begin, begin + PART as u64);
                self.bucket.put(&place, buffer.split_to(PART).freeze()).await?;
                kept.push(place);
                begin += PART as u64;
            }
        }
        let appended = part.appended();
        if !buffer.is_empty() {
            self.bucket.put(&place_of(begin, appended.end), buffer.freeze()).await?;
        }
        Ok(appended)
    }

    async fn put_together(&self, parts_of: &str, size: u64, key: &str) -> Result<Received, BlobError> {
        let (base, place) = (self.place(parts_of)?, self.place(key)?);
        let mut pieces = self.pieces(parts_of, 0).await?;
        match self.about(&base).await {
            Ok(meta) => pieces::add_base(&mut pieces, meta.size, &base, size),
            Err(BlobError::NotFound) => {}
            Err(e) => return Err(e),
        }
        let chain = chain(pieces, size).ok_or(BlobError::NotFound)?;
        let (mut seen, mut writing) = (Seen::default(), Writing::new(self.bucket.clone(), place));
        match self.copy(&chain, &mut seen, &mut writing).await {
            Ok(()) => {
                writing.finish().await?;
                Ok(seen.received())
            }
            Err(e) => {
                writing.give_up().await;
                Err(e)
            }
        }
    }

    async fn put(&self, key: &str, bytes: Bytes) -> Result<(), BlobError> {
        self.bucket.put(&self.place(key)?, bytes).await
    }

    async fn get(&self, key: &str) -> Result<Bytes, BlobError> {
        self.whole(&self.place(key)?).await
    }

    async fn look(&self, key: &str) -> Result<Stored, BlobError> {
        let meta = self.about(&self.place(key)?).await?;
        let written = u64::try_from(meta.last_modified.timestamp_micros()).unwrap_or_default();
        Ok(Stored { size: meta.size, modified: SystemTime::UNIX_EPOCH + Duration::from_micros(written) })
    }

    async fn read(
        &self,
        key: &str,
        stretch: Range<u64>,
    ) -> Result<BoxStream<'static, Result<Bytes, BlobError>>, BlobError> {
        let place = self.place(key)?;
        if stretch.is_empty() {
            return Ok(stream::empty().boxed());
        }
        let options = GetOptions { range: Some(GetRange::Bounded(stretch)), ..GetOptions::default() };
        let got = self.bucket.store.get_opts(&place, options).await.map_err(fault)?;
        Ok(got.into_stream().map_err(fault_of_store).boxed())
    }

    async fn open(&self, key: &str) -> Result<LocalFile, BlobError> {
        let place = self.place(key)?;
        let size = self.about(&place).await?.size;
        let mut copy = self.scratch.begin(size).await?;
        let mut bytes = self.flow(&place).await?;
        while let Some(some) = bytes.try_next().await? {
            copy.write(&some).await?;
        }
        copy.done().await
    }

    async fn delete(&self, key: &str) -> Result<(), BlobError> {
        let place = self.place(key)?;
        let mut gone: Vec<Path> = self.pieces(key, 0).await?.into_iter().map(|piece| piece.place).collect();
        gone.push(place);
        self.remove(gone).await
    }

    fn older_than(&self, age: Duration) -> BoxStream<'static, Result<Vec<String>, BlobError>> {
        let this = self.clone();
        let listed = async move {
            this.be_sure_that_it_is_ours().await?;
            let root = this.bucket.root.trim_end_matches('/');
            let folder = (!root.is_empty()).then(|| Path::from(root));
            // Asked once more after its end, which it has to bear.
            let objects = this.bucket.store.list(folder.as_ref()).fuse();
            let told = stream::try_unfold(
                (this, objects, None::<String>),
                move |(this, mut objects, mut last)| async move {
                    let mut some: Vec<String> = vec![];
                    while some.len() < KEYS {
                        let Some(meta) = objects.try_next().await.map_err(fault_of_store)? else { break };
                        let key = this.key_of(&meta.location).filter(|_| this.is_older(&meta, age));
                        // The pieces of one file come one after the other.
                        if key.is_some() && key != last {
                            some.extend(key.clone());
                            last = key;
                        }
                    }
                    Ok::<_, BlobError>((!some.is_empty()).then_some((some, (this, objects, last))))
                },
            );
            Ok::<_, BlobError>(told)
        };
        stream::once(listed).try_flatten().boxed()
    }

    async fn delete_folder(&self, folder: &str) -> Result<(), BlobError> {
        let listed = self.bucket.store.list(Some(&self.place(folder)?));
        self.bucket.remove(listed.map_ok(|meta| meta.location).boxed()).await
    }

    async fn clear_unfinished(&self, age: Duration) -> Result<(), BlobError> {
        self.be_sure_that_it_is_ours().await?;
        let mut marks = self.bucket.store.list(Some(&self.bucket.at(INCOMING)));
        while let Some(meta) = marks.try_next().await.map_err(fault_of_store)? {
            let is_here = meta.location.filename().is_some_and(|mark| self.bucket.has_underway(mark));
            if !is_here && self.is_older(&meta, age) {
                self.bucket.give_up(&meta.location).await?;
            }
        }
        Ok(())
    }
}
