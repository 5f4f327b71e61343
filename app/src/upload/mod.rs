//! Files on their way to the server: one row each, shown at once, until the document itself is on screen. Each is sent by
//! itself; when all that were added together have come, the server makes one job of them. It belongs to the app, so an
//! upload goes on while one looks at another page. All but the handle is a part of the WASM of its own
//! (`pages::workspace::drop` names it), which is fetched when somebody adds files for the first time.

mod doubled;
mod folders;
mod going;
mod kept;
mod plan;
mod queue;
mod send;

pub use doubled::{Double, Question};
pub use kept::has_some as has_unfinished;
pub use plan::{Accepted, Answer, HeldDocument, HeldFile, HeldFiles, Rejected, Speed};
pub use send::idempotency_key;

use crate::{effect::effect, live::Live, server_fns::workspaces::read_workspace, stores::Stores, wire::Wire};
use domain::{DocumentId, OnDuplicate, WorkspaceId, files, message::count, upload};
use leptos::{prelude::*, task::spawn_local};
use plan::Fate;
use queue::Queue;
use web_sys::{File, FileSystemEntry};

#[derive(Clone, Debug, PartialEq)]
pub enum State {
    /// Its turn has not come.
    Waiting,
    /// Percent that is through, and how fast it goes once that is known.
    Sending(f64, Option<Speed>),
    /// Nobody answers just now; it goes on by itself from that percent.
    Held(f64),
    /// The person wants it to wait.
    Paused(f64),
    /// The page was loaded anew: its bytes are to be chosen again, and it goes on from that percent.
    Reselect(f64),
    /// The server has it; the others of its job are on their way.
    Kept,
    /// It is being made a document, whose row is about to come.
    Joining,
    /// Will not be taken.
    Refused(String),
    /// Did not get through; may be tried again.
    Broken(String),
}

/// One file on its way.
#[derive(Clone, Debug)]
pub struct Upload {
    pub key: u64,
    pub workspace: WorkspaceId,
    pub name: String,
    pub mime: String,
    pub size: u64,
    /// When the file was changed last, in milliseconds.
    modified: u64,
    pub state: ArcRwSignal<State>,
    /// What the server calls it since it was announced.
    announced: ArcStoredValue<Option<DocumentId>>,
    /// Bytes that the server has for certain.
    received: ArcStoredValue<u64>,
    /// The id that the server gave to it, once it is there.
    document: ArcStoredValue<Option<DocumentId>>,
    /// Names its sending, so that trying again makes no second file.
    sending: String,
    /// What is to become of it where the workspace has it already.
    way: ArcStoredValue<OnDuplicate>,
    /// The same for all files of a job.
    job: u64,
}

/// What was chosen or dropped.
pub struct Chosen {
    pub files: Vec<File>,
    /// Their files are taken as well, and those of the folders in them.
    pub folders: Vec<FileSystemEntry>,
}

/// The handle; cheap to copy, given to every page through the context.
#[derive(Clone, Copy)]
pub struct Uploads {
    rows: RwSignal<Vec<Upload>>,
    queue: RwSignal<Queue>,
    /// Of rows and jobs.
    next_key: StoredValue<u64>,
    stores: Stores,
    live: Live,
    /// How a row looks; known since something was uploaded for the first time.
    row: StoredValue<Option<ShowRow>>,
    /// What has to live as long as the app does belongs to it.
    owner: StoredValue<Option<Owner>>,
    /// Nothing could be begun: the part that does it did not come.
    failed: RwSignal<bool>,
    /// What somebody has to say before more is sent, in turn.
    questions: RwSignal<Vec<Question>>,
}

/// Makes the row of an upload out of its key.
pub type ShowRow = fn(u64) -> AnyView;

impl Uploads {
    pub fn new(stores: Stores, live: Live) -> Self {
        Self {
            rows: RwSignal::new(vec![]),
            queue: RwSignal::new(Queue::default()),
            next_key: StoredValue::new(0),
            stores,
            live,
            row: StoredValue::new(None),
            owner: StoredValue::new(Owner::current()),
            failed: RwSignal::new(false),
            questions: RwSignal::new(vec![]),
        }
    }

    /// Files in the states that the gallery of components shows; their keys count from 0.
    #[cfg(all(feature = "ssr", debug_assertions))]
    pub fn of_gallery(
        stores: Stores,
        live: Live,
        workspace: WorkspaceId,
        files: Vec<(&str, &str, u64, State)>,
    ) -> Self {
        let uploads = Self::new(stores, live);
        let row = |(key, (name, mime, size, state)): (usize, (&str, &str, u64, State))| Upload {
            key: key as u64,
            workspace,
            name: name.to_owned(),
            mime: mime.to_owned(),
            size,
            modified: 0,
            state: ArcRwSignal::new(state),
            announced: ArcStoredValue::new(None),
            received: ArcStoredValue::new(0),
            document: ArcStoredValue::new(None),
            sending: String::new(),
            way: ArcStoredValue::new(OnDuplicate::KeepBoth),
            job: 0,
        };
        uploads.rows.set(files.into_iter().enumerate().map(row).collect());
        uploads
    }

    /// What is done once, when something is uploaded for the first time.
    fn start(self, row: ShowRow) {
        if self.row.try_update_value(|known| known.replace(row).is_none()) != Some(true) {
            return;
        }
        if let Some(owner) = self.owner.get_value() {
            owner.with(|| self.look_after());
        }
        send::guard(move || {
            self.rows.with_untracked(|rows| rows.iter().any(|r| r.state.with_untracked(|s| !is_over(s))))
        });
    }

    /// Takes the rows off whose documents have come.
    fn look_after(self) {
        // Documents come over the live link, often before the answer of the request that brought them.
        effect(move || {
            let mut workspaces: Vec<_> = self.rows.with(|rows| rows.iter().map(|r| r.workspace).collect());
            workspaces.dedup();
            for workspace in workspaces {
                self.stores.document_ids(workspace).track();
                self.settle(workspace);
            }
        });
    }

    /// The row of an upload.
    pub fn show(self, key: u64) -> Option<AnyView> {
        self.row.get_value().map(|row| row(key))
    }

    /// Whether nothing could be begun the last time.
    pub fn failed(self) -> RwSignal<bool> {
        self.failed
    }

    /// The uploads of this app.
    pub fn expect() -> Self {
        expect_context()
    }

    /// Rows of a workspace, the last file first: where its document will stand.
    pub fn rows(self, workspace: WorkspaceId) -> Memo<Vec<u64>> {
        let rows = self.rows;
        Memo::new(move |_| {
            rows.with(|rows| rows.iter().rev().filter(|r| r.workspace == workspace).map(|r| r.key).collect())
        })
    }

    pub fn row(self, key: u64) -> Option<Upload> {
        self.rows.with_untracked(|rows| rows.iter().find(|r| r.key == key).cloned())
    }

    /// Shows a row for each file at once and sends them, each when its turn comes.
    pub fn add(self, workspace: WorkspaceId, chosen: Chosen, row: ShowRow) {
        self.start(row);
        let Chosen { mut files, folders } = chosen;
        if folders.is_empty() {
            return self.take(workspace, files, vec![]);
        }
        spawn_local(async move {
            let found = folders::read(folders).await;
            files.extend(found.files);
            self.take(workspace, files, found.left);
        });
    }

    /// `left`: what is not among the files, by its name, with the reason.
    fn take(self, workspace: WorkspaceId, mut files: Vec<File>, mut left: Vec<(String, String)>) {
        let rest = files.len().saturating_sub(plan::MOST_ADDED) as u64;
        if rest > 0 {
            files.truncate(plan::MOST_ADDED);
            left.push((count(rest, "more file", "more files"), plan::too_many()));
        }
        files.retain(|file| !self.goes_on_with(workspace, file));
        let limit = self.stores.max_file_bytes();
        let refusal = |file: &File| upload::refused_size(file.size() as u64, limit).map(|r| r.sentence);
        let (wrong, good): (Vec<File>, Vec<File>) = files.into_iter().partition(|f| refusal(f).is_some());
        let sizes: Vec<u64> = good.iter().map(|f| f.size() as u64).collect();
        let mut rows = vec![];
        for part in plan::batches(&sizes) {
            let job = self.new_key();
            for file in &good[part] {
                let row = Upload { job, ..self.row_of(workspace, file, State::Waiting) };
                send::keep(row.key, file.clone());
                rows.push(row);
            }
        }
        let good: Vec<Upload> = rows.clone();
        rows.extend(wrong.iter().map(|file| {
            let state = State::Refused(refusal(file).unwrap_or_default());
            self.row_of(workspace, file, state)
        }));
        rows.extend(left.into_iter().map(|(name, why)| self.named(workspace, name, State::Refused(why))));
        self.rows.update(|all| all.extend(rows));
        spawn_local(async move { self.sort_out(workspace, good).await });
    }

    fn new_key(self) -> u64 {
        let next = |n: &mut u64| {
            *n += 1;
            *n
        };
        self.next_key.try_update_value(next).unwrap_or_default()
    }

    fn row_of(self, workspace: WorkspaceId, file: &File, state: State) -> Upload {
        Upload {
            mime: file.type_(),
            size: file.size() as u64,
            modified: file.last_modified() as u64,
            ..self.named(workspace, file.name(), state)
        }
    }

    fn named(self, workspace: WorkspaceId, name: String, state: State) -> Upload {
        Upload {
            key: self.new_key(),
            workspace,
            name,
            mime: String::new(),
            size: 0,
            modified: 0,
            state: ArcRwSignal::new(state),
            announced: ArcStoredValue::new(None),
            received: ArcStoredValue::new(0),
            document: ArcStoredValue::new(None),
            sending: send::idempotency_key(),
            way: ArcStoredValue::new(OnDuplicate::KeepBoth),
            job: 0,
        }
    }

    /// Refuses a file by its first bytes when it is certainly of no use, before a byte of it is sent; else it waits for
    /// its turn.
    async fn look(self, row: &Upload) {
        let head = send::head(row.key, files::HEAD).await;
        if self.row(row.key).is_none() {
            return;
        }
        match head.map(|head| files::first_look(&head, &row.name)) {
            Some(Err(refused)) => {
                row.state.set(State::Refused(refused.to_string()));
                let row = row.clone();
                spawn_local(async move { self.conclude(&row).await });
            }
            Some(Ok(_)) | None => {
                self.queue.update(|queue| queue.push(row.key));
                self.go_on();
            }
        }
    }

    /// Takes a row off the screen; a file that is on its way is not sent, one that has come is taken back.
    pub fn dismiss(self, key: u64) {
        let Some(row) = self.row(key) else {
            return;
        };
        self.rows.update(|rows| rows.retain(|r| r.key != key));
        self.queue.update(|queue| queue.give_up(key));
        send::forget(key);
        send::abort(&row.sending);
        spawn_local(async move {
            self.take_back(&row).await;
            self.conclude(&row).await;
        });
    }

    /// Tries a broken file again, with those that were added with it and broke as well. What the server has already is
    /// not sent twice.
    pub fn retry(self, key: u64) {
        let Some(job) = self.row(key).map(|row| row.job) else {
            return;
        };
        let is_broken =
            |r: &Upload| r.job == job && r.state.with_untracked(|s| matches!(s, State::Broken(_)));
        let broken: Vec<Upload> =
            self.rows.with_untracked(|rows| rows.iter().filter(|r| is_broken(r)).cloned().collect());
        for row in &broken {
            if row.document.get_value().is_some() {
                row.state.set(State::Kept);
            } else {
                row.state.set(State::Waiting);
                self.queue.update(|queue| queue.push(row.key));
            }
        }
        self.go_on();
        spawn_local(async move {
            if let Some(row) = broken.first() {
                self.conclude(row).await;
            }
        });
    }

    /// Begins with what waits, as far as there is room.
    fn go_on(self) {
        while let Some(key) = self.queue.try_update(Queue::next).flatten() {
            spawn_local(async move {
                let row = self.row(key);
                if let Some(row) = &row {
                    self.send(row).await;
                }
                self.queue.try_update(|queue| {
                    queue.end(key);
                    // It was paused and resumed before the request was broken off.
                    if row.as_ref().is_some_and(|r| r.state.with_untracked(|s| *s == State::Waiting)) {
                        queue.push(key);
                    }
                });
                self.go_on();
                if let Some(row) = row {
                    self.conclude(&row).await;
                }
            });
        }
    }

    /// Files that go before the one of a row; `None` when it does not wait for others.
    pub fn before(self, key: u64) -> Memo<Option<usize>> {
        let queue = self.queue;
        Memo::new(move |_| queue.with(|queue| queue.before(key)))
    }

    fn apply(self, row: &Upload, fate: Fate, accepted: State) {
        row.state.set(match fate {
            Fate::Accepted(id) => {
                row.document.set_value(Some(id));
                accepted
            }
            Fate::Refused(reason) => {
                self.forget(row);
                State::Refused(reason)
            }
            Fate::Broken(reason) => State::Broken(reason),
            Fate::Gone(reason) => {
                self.forget(row);
                row.document.set_value(None);
                State::Broken(reason)
            }
        });
    }

    /// Has a job made of the files that were added with this one, once none of them is on its way any more.
    async fn conclude(self, of: &Upload) {
        let together: Vec<Upload> = self
            .rows
            .try_with_untracked(|rows| rows.iter().filter(|r| r.job == of.job).cloned().collect())
            .unwrap_or_default();
        if together.iter().any(|r| r.state.with_untracked(is_unfinished)) {
            return;
        }
        let kept: Vec<(Upload, DocumentId)> = together
            .into_iter()
            .filter(|r| r.state.with_untracked(|s| *s == State::Kept))
            .filter_map(|r| r.document.get_value().map(|id| (r, id)))
            .collect();
        if kept.is_empty() {
            return;
        }
        kept.iter().for_each(|(row, _)| row.state.set(State::Joining));
        let ids: Vec<DocumentId> = kept.iter().map(|(_, id)| *id).collect();
        let ways = kept.iter().map(|(row, _)| row.way.get_value());
        let way = ways.max_by_key(|way| *way != OnDuplicate::KeepBoth).unwrap_or_default();
        let (status, body) = send::join(of.workspace, &ids, way).await;
        if status == 401 {
            return self.live.signed_out();
        }
        for ((row, _), fate) in kept.iter().zip(plan::joined(&ids, status, &body)) {
            self.apply(row, fate, State::Joining);
        }
        self.settle(of.workspace);
        self.fetch_missing(of.workspace).await;
    }

    /// Without a live link the documents do not come by themselves.
    async fn fetch_missing(self, workspace: WorkspaceId) {
        let is_missing =
            |r: &Upload| r.workspace == workspace && r.state.with_untracked(|s| *s == State::Joining);
        if self.rows.try_with_untracked(|rows| rows.iter().any(is_missing)) != Some(true) {
            return;
        }
        let listed = u32::try_from(self.stores.listed(workspace)).ok();
        if let Ok(Wire(page)) = read_workspace(workspace, listed).await {
            self.stores.put_workspace_page(&page);
            self.settle(workspace);
        }
    }

    /// Takes off every row whose document is on screen, which mostly comes over the live link before the answer.
    fn settle(self, workspace: WorkspaceId) {
        let is_there = |r: &Upload| {
            r.workspace == workspace
                && r.document.try_get_value().flatten().is_some_and(|id| self.stores.knows_document(id))
        };
        let done: Vec<Upload> =
            self.rows.with_untracked(|rows| rows.iter().filter(|r| is_there(r)).cloned().collect());
        if !done.is_empty() {
            for row in &done {
                send::forget(row.key);
                self.forget(row);
            }
            self.rows.update(|rows| rows.retain(|r| !done.iter().any(|d| d.key == r.key)));
        }
    }
}

/// Whether nothing goes on any more before the person says what next.
fn is_over(state: &State) -> bool {
    matches!(state, State::Refused(_) | State::Broken(_) | State::Reselect(_))
}

/// Whether its bytes are still to come by themselves. The others of its job do not wait for one that somebody has paused.
fn is_unfinished(state: &State) -> bool {
    matches!(state, State::Waiting | State::Sending(..) | State::Held(_))
}
