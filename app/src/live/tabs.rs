//! What the tabs of one session share, by means of the browser: a channel on which they speak, and a lock that the leader
//! holds. A browser lets go of the lock when its tab ends, however that ends.

use super::{Live, machine::Input, message::TabMessage};
use crate::{
    locks::{self, Claim, Granted, Locks},
    wire,
};
use domain::ServerFrame;
use leptos::task::spawn_local;
use std::{
    cell::{Cell, RefCell},
    rc::Rc,
};
use wasm_bindgen::{JsCast, JsValue, closure::Closure};
use wasm_bindgen_futures::JsFuture;
use web_sys::{BroadcastChannel, MessageEvent};

struct Tabs {
    channel: BroadcastChannel,
    locks: Locks,
    name: String,
    // Kept alive as long as the channel may call it.
    _message: Closure<dyn FnMut(MessageEvent)>,
}

thread_local! {
    // A browser's page has one thread.
    static TABS: RefCell<Option<Tabs>> = const { RefCell::new(None) };
    /// This tab stands in the queue for the lock.
    static QUEUED: Cell<bool> = const { Cell::new(false) };
}

/// Joins the other tabs of the session. False: this browser cannot share (no lock outside of secure pages), or there is
/// no session; then the tab has a link of its own.
pub fn join(live: Live, session: Option<String>) -> bool {
    let Some(session) = session else { return false };
    let Some(locks) = Locks::of_browser() else { return false };
    let name = format!("insighthub-live-{session}");
    let Ok(channel) = BroadcastChannel::new(&name) else { return false };
    let on_message = Closure::<dyn FnMut(MessageEvent)>::new(move |event: MessageEvent| {
        let message = event.data().as_string().and_then(|text| TabMessage::parse(&text));
        match message {
            Some(TabMessage::Event { epoch, after, frame }) => {
                if let Some(ServerFrame::Event(event)) = wire::frame(&frame) {
                    live.feed(Input::Shared { epoch, after, event });
                }
            }
            Some(message) => live.feed(Input::Heard(message)),
            None => {}
        }
    });
    channel.set_onmessage(Some(on_message.as_ref().unchecked_ref()));
    TABS.replace(Some(Tabs { channel, locks, name, _message: on_message }));
    claim(live, Claim::IfFree);
    true
}

pub fn tell(message: &TabMessage) {
    TABS.with_borrow(|tabs| {
        if let Some(tabs) = tabs {
            // A closed channel has nobody to tell.
            let _ = tabs.channel.post_message(&message.to_text().into());
        }
    });
}

pub fn take_over(live: Live) {
    claim(live, Claim::Steal);
}

fn claim(live: Live, how: Claim) {
    if how == Claim::Wait && QUEUED.replace(true) {
        return;
    }
    let held = Rc::new(Cell::new(false));
    let granted = {
        let held = held.clone();
        Granted::new(move |lock: JsValue| {
            if how == Claim::Wait {
                QUEUED.set(false);
            }
            if lock.is_null() {
                return JsValue::UNDEFINED;
            }
            held.set(true);
            live.feed(Input::Lead);
            locks::until_the_tab_ends()
        })
    };
    let request = TABS.with_borrow(|tabs| {
        let tabs = tabs.as_ref()?;
        tabs.locks.claim(&tabs.name, how, &granted).ok()
    });
    let Some(request) = request else {
        // Without the lock there is no sharing.
        live.feed(Input::Start);
        return;
    };
    spawn_local(async move {
        let _ = JsFuture::from(request).await;
        drop(granted);
        if how == Claim::Wait {
            QUEUED.set(false);
        }
        // Either it was taken from this tab, or it was never given.
        if held.get() {
            live.feed(Input::Deposed);
        } else {
            live.feed(Input::Follow);
        }
        claim(live, Claim::Wait);
    });
}
