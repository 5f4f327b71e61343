//! What was just deleted, for as long as it can be brought back: a toast that counts the seconds, on whatever page the
//! person is by then.

use crate::{
    components::{Button, Each, Toast, Tone},
    live::Live,
    server_fns::{
        chat::restore_talk,
        documents::restore_document,
        workspaces::{restore_workspace, undo_bulk},
    },
    view,
};
use domain::{BulkId, DocumentId, WorkspaceId, ingest::deletion::UNDO_SECONDS};
use leptos::{prelude::*, task::spawn_local};
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);
/// No more than these are offered at once; older ones go.
const MOST: usize = 3;

/// What can be brought back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Deleted {
    Document(DocumentId),
    /// A conversation, and its workspace.
    Talk(WorkspaceId, String),
    Workspace(WorkspaceId),
    Bulk(BulkId),
}

#[derive(Clone)]
struct Offer {
    number: u64,
    /// None: it could not be brought back, and the text says why.
    what: Option<Deleted>,
    text: String,
    /// Seconds that are left.
    left: ArcRwSignal<u64>,
}

/// The offers of this tab. It belongs to the app, so it outlives every page.
#[derive(Clone, Copy)]
pub struct Undo {
    offers: RwSignal<Vec<Offer>>,
    number: StoredValue<u64>,
}

impl Undo {
    pub fn provide() {
        provide_context(Self { offers: RwSignal::new(vec![]), number: StoredValue::new(0) });
    }

    pub fn expect() -> Self {
        expect_context()
    }

    /// Tells of a deletion that was just made, and offers to take it back.
    pub fn offer(self, what: Deleted, text: String) {
        let left = ArcRwSignal::new(UNDO_SECONDS.unsigned_abs());
        let number = self.show(Some(what), text, left.clone());
        let ends = js_sys::Date::now() + UNDO_SECONDS as f64 * 1_000.0;
        self.count_down(number, left, ends);
    }

    fn show(self, what: Option<Deleted>, text: String, left: ArcRwSignal<u64>) -> u64 {
        let number = self
            .number
            .try_update_value(|number| {
                *number += 1;
                *number
            })
            .unwrap_or_default();
        self.offers.try_update(|all| {
            all.push(Offer { number, what, text, left });
            let over = all.len().saturating_sub(MOST);
            all.drain(..over);
        });
        number
    }

    fn count_down(self, number: u64, left: ArcRwSignal<u64>, ends: f64) {
        set_timeout(
            move || {
                let now = after_a_second(left.get_untracked(), ends - js_sys::Date::now());
                left.set(now);
                if now == 0 { self.close(number) } else { self.count_down(number, left, ends) }
            },
            SECOND,
        );
    }

    fn close(self, number: u64) {
        self.offers.try_update(|all| all.retain(|offer| offer.number != number));
    }

    fn take_back(self, number: u64, what: Deleted, busy: RwSignal<bool>) {
        busy.set(true);
        spawn_local(async move {
            let done = match what {
                Deleted::Document(id) => restore_document(id).await,
                Deleted::Talk(workspace, conversation) => restore_talk(workspace, conversation).await,
                Deleted::Workspace(id) => restore_workspace(id).await,
                Deleted::Bulk(id) => undo_bulk(id).await.map(|_| ()),
            };
            busy.try_set(false);
            self.close(number);
            // The stream tells what is there again.
            if let Err(error) = done {
                self.show(None, error.0.detail, ArcRwSignal::new(0));
            }
        });
    }
}

/// Seconds that are left, a second or more after there were `before`, by a clock that has `millis` to go. A tab that is hidden
/// or sleeps gets its turn late, and the server waits for nobody; the clock itself may be set back.
fn after_a_second(before: u64, millis: f64) -> u64 {
    ((millis / 1_000.0).round().max(0.0) as u64).min(before.saturating_sub(1))
}

/// The toasts, among the others.
#[component]
pub fn Offers() -> impl IntoView {
    let undo = Undo::expect();
    view! {
        <Each
            each=move || undo.offers.get().into_iter().map(|offer| (offer, undo)).collect()
            key=|(offer, _): &(Offer, Undo)| offer.number.into()
            show=|(offer, undo)| view! { <Shown offer undo /> }
        />
    }
}

#[component]
fn Shown(offer: Offer, undo: Undo) -> impl IntoView {
    let Offer { number, what, text, left } = offer;
    let tone = if what.is_some() { Tone::Done } else { Tone::Failed };
    let busy = RwSignal::new(false);
    let paused = Live::expect().paused_reason();
    view! {
        <Toast tone text on_close=Callback::new(move |()| undo.close(number))>
            {what.map(|what| view! {
                <Button
                    busy
                    disabled=Signal::derive(move || paused.get().is_some())
                    on:click=move |_| {
                        if !busy.get_untracked() {
                            undo.take_back(number, what.clone(), busy);
                        }
                    }
                    attr:data-undo=""
                    title=paused
                >
                    "Undo"
                    // A screen reader is not told of each second.
                    <span class="num" aria-hidden="true">{move || format!("· {} s", left.get())}</span>
                </Button>
            })}
        </Toast>
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_goes_by_the_clock_also_where_the_tab_got_no_turn_and_never_grows() {
        assert_eq!(after_a_second(8, 6_998.0), 7);
        assert_eq!(after_a_second(8, 7_000.6), 7);
        assert_eq!(after_a_second(7, 2_100.0), 2, "it slept for some seconds");
        assert_eq!(after_a_second(7, -3_600_000.0), 0, "and for an hour");
        assert_eq!(after_a_second(7, 3_600_000.0), 6, "somebody set the clock");
        assert_eq!(after_a_second(0, 100.0), 0);
    }
}
