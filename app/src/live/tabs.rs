//! What the tabs of one session share, by means of the browser: a channel on which they speak, and a lock that the leader
//! holds. A browser lets go of the lock when its tab ends, however that ends.

use super::{
    Live,
    machine::{Action, Input},
    word::Word,
};
use crate::wire;
use domain::ServerFrame;
use js_sys::{Object, Promise, Reflect};
use leptos::{prelude::window, task::spawn_local};
use std::cell::{Cell, RefCell};
use wasm_bindgen::{JsCast, JsValue, closure::Closure, prelude::wasm_bindgen};
use wasm_bindgen_futures::JsFuture;
use web_sys::{BroadcastChannel, MessageEvent};

#[wasm_bindgen]
extern "C" {
    /// `navigator.locks`, which `web_sys` has only for builds with unstable interfaces.
    type Locks;

    #[wasm_bindgen(method, catch)]
    fn request(
        this: &Locks,
        name: &str,
        options: &Object,
        granted: &Closure<dyn FnMut(JsValue) -> JsValue>,
    ) -> Result<Promise, JsValue>;
}

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

#[derive(Clone, Copy, PartialEq, Eq)]
enum Claim {
    /// Only if nobody leads.
    IfFree,
    /// When those before it are gone.
    Wait,
    /// At once; whoever leads is told.
    Steal,
}

/// Joins the other tabs of the session. False: this browser cannot share (no lock outside of secure pages), or there is
/// no session; then the tab has a link of its own.
pub fn join(live: Live, session: Option<String>) -> bool {
    let Some(session) = session else { return false };
    let locks = Reflect::get(&window().navigator(), &"locks".into()).ok();
    let Some(locks) = locks.filter(|l| !l.is_undefined()) else { return false };
    let name = format!("insighthub-live-{session}");
    let Ok(channel) = BroadcastChannel::new(&name) else { return false };
    let on_message = Closure::<dyn FnMut(MessageEvent)>::new(move |message: MessageEvent| {
        let word = message.data().as_string().and_then(|text| Word::parse(&text));
        match word {
            Some(Word::Event { epoch, after, frame }) => {
                if let Some(ServerFrame::Event(event)) = wire::frame(&frame) {
                    live.feed(Input::Shared { epoch, after, event });
                }
            }
            Some(word) => live.feed(Input::Heard(word)),
            None => {}
        }
    });
    channel.set_onmessage(Some(on_message.as_ref().unchecked_ref()));
    TABS.replace(Some(Tabs { channel, locks: locks.unchecked_into(), name, _message: on_message }));
    claim(live, Claim::IfFree);
    true
}

pub fn tell(word: &Word) {
    TABS.with_borrow(|tabs| {
        if let Some(tabs) = tabs {
            // A closed channel has nobody to tell.
            let _ = tabs.channel.post_message(&word.to_text().into());
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
    let options = Object::new();
    match how {
        Claim::IfFree => set(&options, "ifAvailable"),
        Claim::Steal => set(&options, "steal"),
        Claim::Wait => {}
    }
    let held = Cell::new(false);
    let held = std::rc::Rc::new(held);
    let granted = {
        let held = held.clone();
        Closure::<dyn FnMut(JsValue) -> JsValue>::new(move |lock: JsValue| {
            if how == Claim::Wait {
                QUEUED.set(false);
            }
            if lock.is_null() {
                return JsValue::UNDEFINED;
            }
            held.set(true);
            live.feed(Input::Lead);
            // Held until the tab ends, or another one takes it.
            Promise::new(&mut |_, _| {}).into()
        })
    };
    let request = TABS.with_borrow(|tabs| {
        let tabs = tabs.as_ref()?;
        tabs.locks.request(&tabs.name, &options, &granted).ok()
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

fn set(options: &Object, name: &str) {
    let _ = Reflect::set(options, &name.into(), &JsValue::TRUE);
}

/// What of the machine's actions concerns the other tabs.
pub fn pass(action: &Action, text: Option<&str>) {
    if let (Action::Pass { epoch, after }, Some(frame)) = (action, text) {
        tell(&Word::Event { epoch: epoch.clone(), after: *after, frame: frame.to_owned() });
    }
}
