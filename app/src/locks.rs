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

/// How long a lock is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hold {
    /// So many milliseconds.
    For(i32),
    UntilTheTabEnds,
}

impl Hold {
    fn promise(self) -> JsValue {
        match self {
            Hold::UntilTheTabEnds => until_the_tab_ends(),
            Hold::For(time) => Promise::new(&mut |over, _| {
                let _ = window().set_timeout_with_callback_and_timeout_and_arguments_0(&over, time);
            })
            .into(),
        }
    }
}

/// Runs `then` in the first tab of this browser that asks under that name, and in no other as long as `then` says.
/// Answers whether it was this one.
pub async fn in_one_tab(name: &str, then: impl FnOnce() -> Hold + 'static) -> bool {
    let Some(locks) = Locks::of_browser() else {
        then();
        return true;
    };
    let mut settle = None;
    let answer = Promise::new(&mut |settled, _| settle = Some(settled));
    let Some(settle) = settle else { return false };
    let mut then = Some(then);
    let granted = {
        let settle = settle.clone();
        Granted::new(move |lock: JsValue| {
            let hold = then.take().filter(|_| !lock.is_null()).map(|then| then());
            let _ = settle.call1(&JsValue::UNDEFINED, &JsValue::from_bool(hold.is_some()));
            hold.map_or(JsValue::UNDEFINED, Hold::promise)
        })
    };
    let Ok(held) = locks.claim(name, Claim::IfFree, &granted) else { return false };
    spawn_local(async move {
        let _ = JsFuture::from(held).await;
        // A claim that came to nothing is no longer waited for.
        let _ = settle.call1(&JsValue::UNDEFINED, &JsValue::FALSE);
        drop(granted);
    });
    JsFuture::from(answer).await.is_ok_and(|is_mine| is_mine == JsValue::TRUE)
}

fn set(options: &Object, name: &str) {
    let _ = Reflect::set(options, &name.into(), &JsValue::TRUE);
}
