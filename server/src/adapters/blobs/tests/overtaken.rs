//! Uploads whose parts go to two servers, of which one stands still in the middle of its own, as a machine does that is
//! halted, or whose disk does not answer: whatever it does when it goes on, nothing of what the other one did is lost.

use super::{House, body, told};
use crate::{
    adapters::FilePlace,
    config::{Config, Raw},
    lifecycle::build,
};
use async_trait::async_trait;
use bytes::Bytes;
use domain::{DocumentId, OnDuplicate, UserId};
use futures::stream::BoxStream;
use messaging::InProcessBus;
use services::{
    Announced, Client, Error, Part, Services, SignUp, UploadStanding,
    ports::{Appended, BlobError, Blobs, LocalFile, Received, Stored},
};
use std::{
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tempfile::TempDir;
use tokio::{sync::Notify, task::JoinHandle};

const TEXT: &[u8] = b"A lantern on the bridge. A gull sleeps beside it.";
/// As long, and what nobody is to find.
const WRONG: &[u8] = b"a LANTERN ON THE BRIDGE. a GULL SLEEPS BESIDE IT.";
const HALF: usize = TEXT.len() / 2;
/// Longer than anything here takes.
const LIMIT: Duration = Duration::from_secs(60);

over_both!(
    a_document_that_another_server_finished_is_not_cut_off,
    what_another_server_acknowledged_is_not_cut_off,
    a_part_that_is_damaged_counts_for_nothing_though_it_is_late,
    of_two_who_make_the_document_one_does_and_both_tell_of_it,
    nothing_stays_of_a_part_that_came_after_its_upload_was_given_up,
);

/// Where a server stands still, once.
#[derive(Clone, Copy, PartialEq, Eq)]
enum At {
    /// It has its turn, and is about to write.
    Part,
    /// It has put the file together, and no row says so.
    Whole,
}

/// The way to the files of a server that stands still.
struct Stalling {
    blobs: Arc<dyn Blobs>,
    at: At,
    has_stalled: AtomicBool,
    stands: Notify,
    goes_on: Notify,
}

impl Stalling {
    async fn pass(&self, at: At) {
        if at == self.at && !self.has_stalled.swap(true, Ordering::SeqCst) {
            self.stands.notify_one();
            self.goes_on.notified().await;
        }
    }
}

#[async_trait]
impl Blobs for Stalling {
    async fn receive(
        &self,
        key: &str,
        body: BoxStream<'static, Result<Bytes, BlobError>>,
        limit: u64,
    ) -> Result<Received, BlobError> {
        self.blobs.receive(key, body, limit).await
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
        self.pass(At::Part).await;
        self.blobs.append(key, turn, at, body, enough, room).await
    }

    async fn put_together(&self, parts_of: &str, size: u64, key: &str) -> Result<Received, BlobError> {
        let made = self.blobs.put_together(parts_of, size, key).await;
        self.pass(At::Whole).await;
        made
    }

    async fn put(&self, key: &str, bytes: Bytes) -> Result<(), BlobError> {
        self.blobs.put(key, bytes).await
    }

    async fn get(&self, key: &str) -> Result<Bytes, BlobError> {
        self.blobs.get(key).await
    }

    async fn look(&self, key: &str) -> Result<Stored, BlobError> {
        self.blobs.look(key).await
    }

    async fn read(
        &self,
        key: &str,
        stretch: Range<u64>,
    ) -> Result<BoxStream<'static, Result<Bytes, BlobError>>, BlobError> {
        self.blobs.read(key, stretch).await
    }

    async fn open(&self, key: &str) -> Result<LocalFile, BlobError> {
        self.blobs.open(key).await
    }

    async fn delete(&self, key: &str) -> Result<(), BlobError> {
        self.blobs.delete(key).await
    }

    fn older_than(&self, age: Duration) -> BoxStream<'static, Result<Vec<String>, BlobError>> {
        self.blobs.older_than(age)
    }

    async fn delete_folder(&self, folder: &str) -> Result<(), BlobError> {
        self.blobs.delete_folder(folder).await
    }

    async fn clear_unfinished(&self, age: Duration) -> Result<(), BlobError> {
        self.blobs.clear_unfinished(age).await
    }
}

/// Two servers on one database and one place for files, and an upload that was announced.
struct Servers {
    /// The one that stands still.
    here: Services,
    there: Services,
    stalling: Arc<Stalling>,
    user: UserId,
    id: DocumentId,
    _dir: TempDir,
}

type Answer = Result<UploadStanding, Error>;

impl Servers {
    async fn start(house: &House, at: At) -> Self {
        crate::install_cryptography();
        let dir = tempfile::tempdir().expect("a folder");
        let config = Raw::read(|_| None).expect("read").check().expect("defaults");
        let config = Config {
            data_dir: dir.path().to_owned(),
            database_url: storage::sqlite_url(&dir.path().join("insighthub.db")),
            files: FilePlace::Folder(dir.path().join("files")),
            ..config
        };
        let Ok(built) = build(&config, InProcessBus::new()).await else { panic!("it does not start") };
        let stalling = Arc::new(Stalling {
            blobs: house.blobs.clone(),
            at,
            has_stalled: AtomicBool::new(false),
            stands: Notify::new(),
            goes_on: Notify::new(),
        });
        // What one server knows of its own uploads the other one does not.
        let here = Services { blobs: stalling.clone(), uploads: Arc::default(), ..built.services.clone() };
        let there = Services { blobs: house.blobs.clone(), uploads: Arc::default(), ..built.services };
        let form = SignUp {
            username: "ada".to_owned(),
            email: "ada@example.org".to_owned(),
            password: "Lantern-bridge-7".to_owned(),
            full_name: None,
        };
        let user = here.sign_up(form, Client::default()).await.expect("signed up").user.id;
        let announced = Announced {
            filename: "a.txt".to_owned(),
            size_bytes: TEXT.len() as u64,
            workspace: None,
            sha256: None,
            alone: true,
            on_duplicate: OnDuplicate::default(),
            metadata: None,
        };
        let id = here.announce_upload(user, announced, None).await.expect("announced").id;
        Self { here, there, stalling, user, id, _dir: dir }
    }

    fn part(offset: usize, bytes: &'static [u8]) -> Part {
        Part { offset: offset as u64, body: body(vec![Ok(Bytes::from_static(bytes))]), verify: None }
    }

    /// Sends a part to the server that stands still, and waits until it does.
    async fn stalls(&self, part: Part) -> JoinHandle<Answer> {
        let (here, user, id) = (self.here.clone(), self.user, self.id);
        let sending = tokio::spawn(async move { here.extend_upload(user, id, part).await });
        in_time(self.stalling.stands.notified()).await;
        sending
    }

    async fn goes_on(&self, sending: JoinHandle<Answer>) -> Answer {
        self.stalling.goes_on.notify_one();
        in_time(sending).await.expect("joined")
    }

    async fn sends(&self, offset: usize, bytes: &'static [u8]) -> UploadStanding {
        self.there.extend_upload(self.user, self.id, Self::part(offset, bytes)).await.expect("a part")
    }

    /// The document has what was acknowledged, and nothing else lies there.
    async fn has_the_text(&self, house: &House) {
        let standing = self.there.upload_standing(self.user, self.id).await.expect("it stands");
        assert!(standing.is_whole());
        let key = self.there.documents.blob_key(self.user, standing.document_id).await.expect("asked");
        let key = key.expect("a document");
        assert_eq!(house.blobs.get(&key).await.expect("its file"), TEXT);
        assert_eq!(told(&*house.blobs, Duration::ZERO).await, [key]);
    }
}

async fn in_time<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(LIMIT, what).await.expect("in time")
}

fn status(answer: Answer) -> u16 {
    answer.expect_err("an error").to_problem().status
}

async fn a_document_that_another_server_finished_is_not_cut_off(house: &House) {
    let servers = Servers::start(house, At::Part).await;
    let late = servers.stalls(Servers::part(0, WRONG)).await;
    assert!(servers.sends(0, TEXT).await.is_whole());
    assert_eq!(status(servers.goes_on(late).await), 409);
    servers.has_the_text(house).await;
}

async fn what_another_server_acknowledged_is_not_cut_off(house: &House) {
    let servers = Servers::start(house, At::Part).await;
    let late = servers.stalls(Servers::part(0, &WRONG[..HALF])).await;
    assert_eq!(servers.sends(0, &TEXT[..HALF]).await.received_bytes, HALF as u64);
    assert_eq!(status(servers.goes_on(late).await), 409);
    assert!(servers.sends(HALF, &TEXT[HALF..]).await.is_whole());
    servers.has_the_text(house).await;
}

/// It has the length that is wanted, and comes to lie there before the part that counts.
async fn a_part_that_is_damaged_counts_for_nothing_though_it_is_late(house: &House) {
    let servers = Servers::start(house, At::Part).await;
    let damaged = Part { verify: Some(Box::new(|| false)), ..Servers::part(0, WRONG) };
    let late = servers.stalls(damaged).await;
    assert_eq!(servers.sends(0, &TEXT[..HALF]).await.received_bytes, HALF as u64);
    assert_eq!(status(servers.goes_on(late).await), 460);
    assert!(servers.sends(HALF, &TEXT[HALF..]).await.is_whole());
    servers.has_the_text(house).await;
}

async fn of_two_who_make_the_document_one_does_and_both_tell_of_it(house: &House) {
    let servers = Servers::start(house, At::Whole).await;
    let late = servers.stalls(Servers::part(0, TEXT)).await;
    let made = servers.there.upload_standing(servers.user, servers.id).await.expect("made whole");
    let told_late = servers.goes_on(late).await.expect("it is whole");
    assert!(made.is_whole() && told_late.is_whole());
    assert_eq!(told_late.document_id, made.document_id);
    servers.has_the_text(house).await;
}

async fn nothing_stays_of_a_part_that_came_after_its_upload_was_given_up(house: &House) {
    let servers = Servers::start(house, At::Part).await;
    let late = servers.stalls(Servers::part(0, TEXT)).await;
    assert_eq!(servers.sends(0, &TEXT[..HALF]).await.received_bytes, HALF as u64);
    servers.there.give_up_upload(servers.user, servers.id).await.expect("given up");
    assert_eq!(status(servers.goes_on(late).await), 404);
    assert_eq!(told(&*house.blobs, Duration::ZERO).await, [""; 0]);
}
