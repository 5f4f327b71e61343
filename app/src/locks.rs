//! The locks that the tabs of a browser share. A browser lets go of a lock when the tab that holds it ends, however that
//! ends.

use js_sys::{Object, Promise, Reflect};
use leptos::{prelude::window, task::spawn_local};
use wasm_bindgen::{JsCast, JsValue, closure::Closure, prelude::wasm_bindgen};
use wasm_bindgen_futures::JsFuture;

#[wasm_bindgen]
extern "C" {
    /// `navigator.locks`, which `web_sys` has only for builds with unstable interfaces.
    pub type Locks;

    #[wasm_bindgen(method, catch)]
    fn request(this: &Locks, name: &str, options: &Object, granted: &Granted) -> Result<Promise, JsValue>;
}

/// Called with the lock, or with `null` when it was not free. The lock is held until the promise that it returns is
/// settled.
pub type Granted = Closure<dyn FnMut(JsValue) -> JsValue>;

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Claim {
    /// Only if nobody holds it.
    IfFree,
    /// When those before it are gone.
    Wait,
    /// At once; whoever holds it is told.
    Steal,
}

impl Locks {
    /// `None` where a browser has no locks: outside of secure pages.
    pub fn of_browser() -> Option<Self> {
        let locks = Reflect::get(&window().navigator(), &"locks".into()).ok()?;
        (!locks.is_undefined()).then(|| locks.unchecked_into())
    }

    pub fn claim(&self, name: &str, how: Claim, granted: &Granted) -> Result<Promise, JsValue> {
        let options = Object::new();
        match how {
            Claim::IfFree => set(&options, "ifAvailable"),
            Claim::Steal => set(&options, "steal"),
            Claim::Wait => {}
        }
        self.request(name, &options, granted)
    }
}

/// What a claim returns that holds its lock for good.
pub fn until_the_tab_ends() -> JsValue {
    Promise::new(&mut |_, _| {}).into()
}

/// Runs `then` in the first tab of this browser that asks under that name, and in no other as long as that tab lives.
pub fn in_one_tab(name: &str, then: impl FnOnce() + 'static) {
    let mut then = Some(then);
    let Some(locks) = Locks::of_browser() else {
        then.into_iter().for_each(|then| then());
        return;
    };
    let granted = Granted::new(move |lock: JsValue| {
        if lock.is_null() {
            return JsValue::UNDEFINED;
        }
        then.take().into_iter().for_each(|then| then());
        until_the_tab_ends()
    });
    let Ok(held) = locks.claim(name, Claim::IfFree, &granted) else { return };
    spawn_local(async move {
        let _ = JsFuture::from(held).await;
        drop(granted);
    });
}

fn set(options: &Object, name: &str) {
    let _ = Reflect::set(options, &name.into(), &JsValue::TRUE);
}
