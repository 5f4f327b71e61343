//! Files on their way to the server: one row each, shown at once, until the document itself is on screen. It belongs to
//! the app, so an upload goes on while one looks at another page. All but the handle is a part of the WASM of its own
//! (`pages::workspace::drop` names it), which is fetched when somebody adds files for the first time.

mod plan;
mod send;

pub use send::idempotency_key;

use crate::{effect::effect, live::Live, server_fns::workspaces::read_workspace, stores::Stores, wire::Wire};
use domain::{DocumentId, WorkspaceId, files, upload};
use leptos::{prelude::*, task::spawn_local};
use litemap::LiteMap;
pub use plan::{Accepted, Answer, Rejected, Speed};
use plan::{Fate, Meter};
use std::cell::Cell;
use web_sys::File;

/// Requests that are under way at the same time; the others wait for their turn.
const MOST_AT_ONCE: usize = 3;

#[derive(Clone, Debug, PartialEq)]
pub enum State {
    /// Its request has not begun.
    Waiting,
    /// Percent that is through, and how fast it goes once that is known.
    Sending(f64, Option<Speed>),
    /// The server has it; its row is about to come.
    Arrived(DocumentId),
    /// Will not be taken.
    Refused(String),
    /// Did not get through; may be tried again.
    Broken(String),
}

impl State {
    /// On its way, as opposed to waiting for the person to say what next.
    pub fn is_busy(&self) -> bool {
        matches!(self, State::Waiting | State::Sending(..) | State::Arrived(_))
    }
}

/// One file on its way.
#[derive(Clone, Debug)]
pub struct Upload {
    pub key: u64,
    pub workspace: WorkspaceId,
    pub name: String,
    pub mime: String,
    pub size: u64,
    pub state: ArcRwSignal<State>,
    /// The same for all files of a request, so that trying again makes no second document.
    batch: String,
}

/// What was chosen or dropped.
pub struct Chosen {
    pub files: Vec<File>,
    /// Names of folders among it.
    pub folders: Vec<String>,
}

/// The handle; cheap to copy, given to every page through the context.
#[derive(Clone, Copy)]
pub struct Uploads {
    rows: RwSignal<Vec<Upload>>,
    /// Requests that wait, in their order.
    queue: RwSignal<Vec<String>>,
    /// Requests that are under way.
    under_way: StoredValue<usize>,
    next_key: StoredValue<u64>,
    /// Documents that took the place of a row, or were there before it.
    claimed: StoredValue<LiteMap<DocumentId, ()>>,
    stores: Stores,
    live: Live,
    /// How a row looks; known since something was uploaded for the first time.
    row: StoredValue<Option<ShowRow>>,
    /// What has to live as long as the app does belongs to it.
    owner: StoredValue<Option<Owner>>,
    /// Nothing could be begun: the part that does it did not come.
    failed: RwSignal<bool>,
}

/// Makes the row of an upload out of its key.
pub type ShowRow = fn(u64) -> AnyView;

impl Uploads {
    pub fn new(stores: Stores, live: Live) -> Self {
        Self {
            rows: RwSignal::new(vec![]),
            queue: RwSignal::new(vec![]),
            under_way: StoredValue::new(0),
            next_key: StoredValue::new(0),
            claimed: StoredValue::new(LiteMap::new()),
            stores,
            live,
            row: StoredValue::new(None),
            owner: StoredValue::new(Owner::current()),
            failed: RwSignal::new(false),
        }
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
            self.rows.with_untracked(|rows| {
                rows.iter()
                    .any(|r| r.state.with_untracked(|s| matches!(s, State::Waiting | State::Sending(..))))
            })
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

    /// Shows a row for each file at once and sends them, request after request.
    pub fn add(self, workspace: WorkspaceId, chosen: Chosen, row: ShowRow) {
        self.start(row);
        let here = self.stores.document_ids(workspace).get_untracked();
        self.claimed.update_value(|claimed| claimed.extend(here.into_iter().map(|id| (id, ()))));
        let limit = self.stores.max_file_bytes();
        // What its size alone rules out has a row and no part in a request.
        let refusal = |file: &File| upload::refused_size(file.size() as u64, limit).map(|r| r.sentence);
        let (wrong, good): (Vec<File>, Vec<File>) =
            chosen.files.into_iter().partition(|f| refusal(f).is_some());
        let sizes: Vec<u64> = good.iter().map(|f| f.size() as u64).collect();
        let mut rows = vec![];
        for batch in plan::batches(&sizes) {
            let name = send::idempotency_key();
            for file in &good[batch] {
                let row = self.row_of(workspace, file.name(), name.clone(), State::Waiting);
                send::keep(row.key, file.clone());
                rows.push(Upload { mime: file.type_(), size: file.size() as u64, ..row });
            }
        }
        let queue: Vec<String> = rows.iter().map(|r: &Upload| r.batch.clone()).collect();
        for file in wrong {
            let state = State::Refused(refusal(&file).unwrap_or_default());
            let row = self.row_of(workspace, file.name(), String::new(), state);
            rows.push(Upload { mime: file.type_(), size: file.size() as u64, ..row });
        }
        for folder in chosen.folders {
            let sorry = State::Refused("A folder cannot be dropped. Open it and choose its files.".into());
            rows.push(self.row_of(workspace, folder, String::new(), sorry));
        }
        self.rows.update(|all| all.extend(rows));
        self.send_all(queue);
    }

    fn row_of(self, workspace: WorkspaceId, name: String, batch: String, state: State) -> Upload {
        let key = self.next_key.try_update_value(|n| {
            *n += 1;
            *n
        });
        let (mime, state) = (String::new(), ArcRwSignal::new(state));
        Upload { key: key.unwrap_or_default(), workspace, name, mime, size: 0, state, batch }
    }

    /// Takes a row off the screen; a file that is on its way is not sent.
    pub fn dismiss(self, key: u64) {
        let batch = self.row(key).and_then(|row| {
            row.state.with_untracked(|s| matches!(s, State::Sending(..))).then_some(row.batch)
        });
        send::forget(key);
        self.rows.update(|rows| rows.retain(|r| r.key != key));
        if let Some(batch) = batch {
            // The files that share its request begin again without it.
            self.rows.with_untracked(|rows| {
                rows.iter()
                    .filter(|r| {
                        r.batch == batch && r.state.with_untracked(|s| matches!(s, State::Sending(..)))
                    })
                    .for_each(|r| r.state.set(State::Waiting));
            });
            send::abort(&batch);
        }
    }

    /// Sends the broken files of a row's request again, under the same key: what the server took the first time is not
    /// taken twice.
    pub fn retry(self, key: u64) {
        let Some(row) = self.row(key) else {
            return;
        };
        self.rows.with_untracked(|rows| {
            for r in rows.iter().filter(|r| r.batch == row.batch) {
                if r.state.with_untracked(|s| matches!(s, State::Broken(_))) {
                    r.state.set(State::Waiting);
                }
            }
        });
        self.send_all(vec![row.batch]);
    }

    fn send_all(self, mut batches: Vec<String>) {
        batches.dedup();
        self.queue.update(|queue| queue.extend(batches));
        self.go_on();
    }

    /// Begins with what waits, as far as there is room.
    fn go_on(self) {
        while self.under_way.try_get_value().is_some_and(|n| n < MOST_AT_ONCE) {
            let next = self.queue.try_update(|queue| (!queue.is_empty()).then(|| queue.remove(0))).flatten();
            let Some(batch) = next else { return };
            self.under_way.update_value(|n| *n += 1);
            spawn_local(async move {
                self.look(&batch).await;
                // A file was taken out of the request on its way: the others go again.
                while self.send_batch(&batch).await {}
                self.under_way.try_update_value(|n| *n -= 1);
                self.go_on();
            });
        }
    }

    /// Files that go before those of a row's request; `None` once it is under way.
    pub fn behind(self, key: u64) -> Memo<Option<usize>> {
        let (rows, queue) = (self.rows, self.queue);
        let batch = self.row(key).map(|row| row.batch).unwrap_or_default();
        Memo::new(move |_| {
            let before =
                queue.with(|queue| queue.iter().position(|b| *b == batch).map(|at| queue[..at].to_vec()))?;
            let goes = |state: &State| matches!(state, State::Waiting | State::Sending(..));
            let waits = queue.with(|queue| queue.clone());
            Some(rows.with(|rows| {
                let earlier = rows.iter().filter(|r| before.contains(&r.batch) || !waits.contains(&r.batch));
                earlier.filter(|r| r.state.with(goes)).count()
            }))
        })
    }

    /// The rows of a request that still have to go.
    fn waiting(self, batch: &str) -> Vec<Upload> {
        let is_next = |r: &Upload| r.batch == batch && r.state.with_untracked(|s| *s == State::Waiting);
        self.rows
            .try_with_untracked(|rows| rows.iter().filter(|r| is_next(r)).cloned().collect())
            .unwrap_or_default()
    }

    /// Refuses by their first bytes the files that are certainly of no use, before a byte of them is sent.
    async fn look(self, batch: &str) {
        for row in self.waiting(batch) {
            if let Some(head) = send::head(row.key, files::HEAD).await
                && let Err(refused) = files::first_look(&head, &row.name)
            {
                row.state.set(State::Refused(refused.to_string()));
            }
        }
    }

    /// Sends what waits of a request; true when there is more to send, since it was broken off for one of its files.
    async fn send_batch(self, batch: &str) -> bool {
        let rows = self.waiting(batch);
        let Some(workspace) = rows.first().map(|r| r.workspace) else {
            return false;
        };
        let keys: Vec<u64> = rows.iter().map(|r| r.key).collect();
        let sizes: Vec<u64> = rows.iter().map(|r| r.size).collect();
        let names: Vec<String> = rows.iter().map(|r| r.name.clone()).collect();
        let states: Vec<ArcRwSignal<State>> = rows.iter().map(|r| r.state.clone()).collect();
        for state in &states {
            state.set(State::Sending(0.0, None));
        }
        let meter = Cell::new(Meter::default());
        let progress = move |sent: f64, total: f64| {
            let mut reading = meter.get();
            let speed = reading.look(js_sys::Date::now(), sent, total);
            meter.set(reading);
            for (state, share) in states.iter().zip(plan::shares(&sizes, sent, total)) {
                let moves = state.with_untracked(|s| {
                    matches!(s, State::Sending(old, before)
                        if share.floor() > old.floor() || (share < 100.0 && *before != speed))
                });
                if moves {
                    state.set(State::Sending(share, speed.filter(|_| share < 100.0)));
                }
            }
        };
        let url = format!("/api/workspaces/{workspace}/documents");
        let (status, body) = send::send(&url, batch, &keys, progress).await;
        if status == 401 {
            self.live.signed_out();
            return false;
        }
        if status == 0 && rows.iter().any(|r| self.row(r.key).is_none()) {
            return true;
        }
        for (row, fate) in rows.iter().zip(plan::fates(&names, status, &body)) {
            row.state.set(match fate {
                Fate::Accepted(id) => State::Arrived(id),
                Fate::Refused(reason) => State::Refused(reason),
                Fate::Broken(reason) => State::Broken(reason),
            });
        }
        self.settle(workspace);
        self.fetch_missing(workspace).await;
        false
    }

    /// Without a live link the documents do not come by themselves.
    async fn fetch_missing(self, workspace: WorkspaceId) {
        let is_missing = |r: &Upload| {
            r.workspace == workspace && r.state.with_untracked(|s| matches!(s, State::Arrived(_)))
        };
        if self.rows.try_with_untracked(|rows| rows.iter().any(is_missing)) != Some(true) {
            return;
        }
        let listed = u32::try_from(self.stores.listed(workspace)).ok();
        if let Ok(Wire(page)) = read_workspace(workspace, listed).await {
            self.stores.put_workspace_page(&page);
            self.settle(workspace);
        }
    }

    /// Takes off every row whose document is on screen: known by the answer of its request or, before that, by name and
    /// size among the documents that came since.
    fn settle(self, workspace: WorkspaceId) {
        let listed = self.stores.document_ids(workspace).get_untracked();
        let done: Option<Vec<u64>> = self.claimed.try_update_value(|claimed| {
            let mut done = vec![];
            let mine: Vec<Upload> = self
                .rows
                .with_untracked(|rows| rows.iter().filter(|r| r.workspace == workspace).cloned().collect());
            for row in mine {
                let document = match row.state.get_untracked() {
                    State::Arrived(id) => self.stores.knows_document(id).then_some(id),
                    State::Sending(..) => self.newcomer(&row, &listed, claimed),
                    State::Waiting | State::Refused(_) | State::Broken(_) => None,
                };
                if let Some(id) = document {
                    claimed.insert(id, ());
                    done.push(row.key);
                }
            }
            done
        });
        let done = done.unwrap_or_default();
        if !done.is_empty() {
            done.iter().for_each(|key| send::forget(*key));
            self.rows.update(|rows| rows.retain(|r| !done.contains(&r.key)));
        }
    }

    fn newcomer(
        self,
        row: &Upload,
        listed: &[DocumentId],
        claimed: &LiteMap<DocumentId, ()>,
    ) -> Option<DocumentId> {
        listed.iter().copied().filter(|id| !claimed.contains_key(id)).find(|id| {
            let document = self.stores.document(*id);
            document.with_untracked(|d| {
                d.as_ref()
                    .is_some_and(|d| d.size_bytes == row.size && plan::same_name(&d.filename, &row.name))
            })
        })
    }
}
