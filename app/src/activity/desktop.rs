//! Notifications of the system: what a browser shows of a page that nobody looks at. A browser shows them when the person
//! has allowed it there, which it only asks after a click.

use js_sys::{Function, Object, Promise, Reflect};
use leptos::prelude::window;
use wasm_bindgen::{JsCast, JsValue, closure::Closure, prelude::wasm_bindgen};
use wasm_bindgen_futures::JsFuture;

#[wasm_bindgen]
extern "C" {
    /// The little that is used of the browser's interface.
    #[wasm_bindgen(js_name = Notification)]
    type Card;

    #[wasm_bindgen(catch, constructor, js_class = "Notification")]
    fn new(title: &str, options: &Object) -> Result<Card, JsValue>;

    #[wasm_bindgen(static_method_of = Card, js_class = "Notification", getter)]
    fn permission() -> String;

    #[wasm_bindgen(catch, static_method_of = Card, js_class = "Notification", js_name = requestPermission)]
    fn request_permission() -> Result<Promise, JsValue>;

    #[wasm_bindgen(method, setter, js_class = "Notification")]
    fn set_onclick(this: &Card, clicked: &Function);

    #[wasm_bindgen(method, js_class = "Notification")]
    fn close(this: &Card);
}

/// What this browser does with them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Permission {
    /// It has none, or pages cannot show any.
    Missing,
    /// It has some, but not for a page that comes without TLS from another machine.
    Insecure,
    /// The person was not asked yet.
    Unasked,
    Granted,
    Refused,
}

impl Permission {
    /// As it is now; a person may change it in the browser's own settings at any time.
    pub fn of_browser() -> Self {
        if !Reflect::has(&window(), &"Notification".into()).unwrap_or_default() {
            return Self::Missing;
        }
        if !window().is_secure_context() {
            return Self::Insecure;
        }
        match Card::permission().as_str() {
            "granted" => Self::Granted,
            "denied" => Self::Refused,
            _ => Self::Unasked,
        }
    }
}

/// Asks the person, by a question of the browser's own, and shows a first one when they allow it: a browser that cannot
/// show any says so by that.
pub async fn ask() -> Permission {
    let Ok(answer) = Card::request_permission() else { return Permission::Missing };
    // A question that was closed without an answer is none; what holds then is read below.
    let _ = JsFuture::from(answer).await;
    match Permission::of_browser() {
        Permission::Granted if !show("Notifications work in this browser.", "allowed", || {}) => {
            Permission::Missing
        }
        permission => permission,
    }
}

/// Shows one; answers whether that worked. One with the `tag` of another takes its place. A click brings the page to the
/// front and does `clicked`.
pub fn show(text: &str, tag: &str, clicked: impl FnOnce() + 'static) -> bool {
    let options = Object::new();
    for (name, value) in [("body", text), ("tag", tag), ("icon", "/favicon.svg")] {
        let _ = Reflect::set(&options, &name.into(), &value.into());
    }
    // Chromium on Android has the interface, and refuses pages to use it.
    let Ok(card) = Card::new("InsightHub", &options) else { return false };
    let shown: Card = JsValue::from(&card).unchecked_into();
    let on_click = Closure::once_into_js(move || {
        let _ = window().focus();
        shown.close();
        clicked();
    });
    card.set_onclick(on_click.unchecked_ref());
    true
}
