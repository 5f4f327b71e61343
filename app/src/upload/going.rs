//! How one file goes: part by part, over lines that break and servers that are killed, until all of it is there. Where it
//! can it goes on from the last byte that the server has.

use super::{
    ShowRow, State, Upload, Uploads,
    kept::{self, Kept},
    plan::{self, Fate, MOST_TRIES, Meter, Next},
    send,
};
use domain::{DocumentId, WorkspaceId, backoff};
use js_sys::Promise;
use leptos::{prelude::*, task::spawn_local};
use std::cell::Cell;
use wasm_bindgen_futures::JsFuture;
use web_sys::File;

impl Uploads {
    /// Sends the file of a row until it is there, is refused, or is to wait for somebody.
    pub(super) async fn send(self, row: &Upload) {
        row.state.set(State::Sending(at(row), None));
        // Where the next part begins; unknown, the server is asked.
        let mut offset = None;
        let (mut tries, mut waits) = (0, 0);
        loop {
            let reply = match (row.announced.get_value(), offset) {
                (None, _) => {
                    let (reply, id) = send::begin(row.workspace, &row.sending, row.key).await;
                    if let Some(id) = id {
                        self.announced(row, id);
                    }
                    reply
                }
                (Some(id), None) => send::standing(id).await,
                (Some(id), Some(offset)) => send::extend(id, offset, &row.sending, row.key, told(row)).await,
            };
            if reply.status == 401 {
                return self.live.signed_out();
            }
            if self.row(row.key).is_none() {
                // It was dismissed meanwhile, maybe when all of it was there already.
                return self.take_back(row).await;
            }
            if !row.state.with_untracked(|s| matches!(s, State::Sending(..) | State::Held(_))) {
                // It was paused, and the request broken off.
                return;
            }
            let id = row.announced.get_value();
            let end = match plan::next(&reply, row.size, id.is_some()) {
                Next::Part(next) => {
                    row.received.set_value(next);
                    row.state.update(|state| {
                        if let State::Held(percent) = *state {
                            *state = State::Sending(percent, None);
                        }
                    });
                    (offset, tries, waits) = (Some(next), 0, 0);
                    None
                }
                Next::Whole => id.map(Fate::Accepted),
                Next::Look => {
                    offset = None;
                    None
                }
                Next::Wait => {
                    row.state.set(State::Held(at(row)));
                    sleep(backoff::delay_ms(waits, js_sys::Math::random())).await;
                    (offset, waits) = (None, waits.saturating_add(1));
                    None
                }
                Next::Anew => {
                    self.forget(row);
                    row.announced.set_value(None);
                    row.received.set_value(0);
                    offset = None;
                    None
                }
                Next::Again(why) => {
                    tries += 1;
                    (tries >= MOST_TRIES).then_some(Fate::Broken(why))
                }
                Next::End(fate) => Some(fate),
            };
            if let Some(fate) = end {
                return self.apply(row, fate, State::Kept);
            }
        }
    }

    /// Notes what the server calls a file, so that it is found after a reload.
    fn announced(self, row: &Upload, id: DocumentId) {
        row.announced.set_value(Some(id));
        kept::keep(Kept {
            id,
            workspace: row.workspace,
            name: row.name.clone(),
            mime: row.mime.clone(),
            size: row.size,
            modified: row.modified,
            way: row.way.get_value(),
        });
    }

    /// A reload does not bring it back.
    pub(super) fn forget(self, row: &Upload) {
        if let Some(id) = row.announced.get_value() {
            kept::forget(id);
        }
    }

    /// Takes back what the server has of it, once.
    pub(super) async fn take_back(self, row: &Upload) {
        self.forget(row);
        if let Some(id) = row.announced.try_update_value(Option::take).flatten() {
            send::take_back(id, row.document.get_value().is_some()).await;
        }
    }

    /// Lets a file wait; what the server has of it stays there.
    pub fn pause(self, key: u64) {
        let Some(row) = self.row(key) else { return };
        row.state.set(State::Paused(at(&row)));
        self.queue.update(|queue| queue.give_up(key));
        send::abort(&row.sending);
        // The others of its job do not wait for it.
        spawn_local(async move { self.conclude(&row).await });
    }

    pub fn resume(self, key: u64) {
        let Some(row) = self.row(key) else { return };
        row.state.set(State::Waiting);
        self.queue.update(|queue| queue.push(key));
        self.go_on();
    }

    /// Shows what was on its way when the page was loaded anew. What is whole is made a document; of the rest the bytes
    /// have to be chosen again.
    pub fn restore(self, workspace: WorkspaceId, row: ShowRow) {
        self.start(row);
        for kept in kept::all().into_iter().filter(|k| k.workspace == workspace && !self.shows(k.id)) {
            spawn_local(async move { self.bring_back(kept).await });
        }
    }

    fn shows(self, id: DocumentId) -> bool {
        self.rows.with_untracked(|rows| rows.iter().any(|r| r.announced.get_value() == Some(id)))
    }

    async fn bring_back(self, kept: Kept) {
        let reply = send::standing(kept.id).await;
        if self.shows(kept.id) {
            // A page may ask twice.
            return;
        }
        let (received, state) = match plan::next(&reply, kept.size, true) {
            Next::Whole => (kept.size, State::Kept),
            Next::Part(received) => {
                (received, State::Reselect(plan::percent(received as f64, kept.size as f64)))
            }
            Next::Anew => return kept::forget(kept.id),
            // Asked again when the page is.
            _ => return,
        };
        let is_whole = state == State::Kept;
        let row = Upload {
            mime: kept.mime,
            size: kept.size,
            modified: kept.modified,
            job: self.new_key(),
            ..self.named(kept.workspace, kept.name, state)
        };
        row.announced.set_value(Some(kept.id));
        row.received.set_value(received);
        row.way.set_value(kept.way);
        row.document.set_value(is_whole.then_some(kept.id));
        self.rows.update(|rows| rows.push(row.clone()));
        if is_whole {
            self.conclude(&row).await;
        }
    }

    /// Whether a file is one whose bytes were to be chosen again; then it goes on.
    pub(super) fn goes_on_with(self, workspace: WorkspaceId, file: &File) -> bool {
        let waits = |r: &&Upload| {
            r.workspace == workspace
                && r.state.with_untracked(|s| matches!(s, State::Reselect(_)))
                && r.is(file)
        };
        let Some(row) = self.rows.with_untracked(|rows| rows.iter().find(waits).cloned()) else {
            return false;
        };
        send::keep(row.key, file.clone());
        self.resume(row.key);
        true
    }

    /// Takes the bytes of a row; says why when they are those of another file.
    pub fn choose_again(self, key: u64, file: &File) -> Option<String> {
        let row = self.row(key)?;
        if !row.is(file) {
            return Some(format!("This is another file, or it was changed. Choose {} as it was.", row.name));
        }
        self.goes_on_with(row.workspace, file);
        None
    }
}

impl Upload {
    fn is(&self, file: &File) -> bool {
        self.name == file.name()
            && self.size == file.size() as u64
            && self.modified == file.last_modified() as u64
    }

    /// Whether it goes in more than one part, so that pausing it saves something.
    pub fn is_long(&self) -> bool {
        self.size > plan::PART
    }
}

/// Percent that the server has for certain.
fn at(row: &Upload) -> f64 {
    plan::percent(row.received.get_value() as f64, row.size as f64)
}

/// Shows how many bytes of the file are through.
fn told(row: &Upload) -> impl Fn(f64) + use<> {
    let (state, total) = (row.state.clone(), row.size as f64);
    let meter = Cell::new(Meter::default());
    move |sent| {
        let mut reading = meter.get();
        let speed = reading.look(js_sys::Date::now(), sent, total);
        meter.set(reading);
        let percent = plan::percent(sent, total);
        let moves = state.with_untracked(|s| {
            matches!(s, State::Sending(old, before)
                if percent.floor() > old.floor() || (percent < 100.0 && *before != speed))
        });
        if moves {
            state.set(State::Sending(percent, speed.filter(|_| percent < 100.0)));
        }
    }
}

async fn sleep(milliseconds: u32) {
    let time = i32::try_from(milliseconds).unwrap_or(i32::MAX);
    let rested = Promise::new(&mut |done, _| {
        let _ = window().set_timeout_with_callback_and_timeout_and_arguments_0(&done, time);
    });
    let _ = JsFuture::from(rested).await;
}
