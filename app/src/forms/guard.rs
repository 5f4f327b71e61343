//! Asks before a page with unsaved changes is left: by a link, by the way back, or by closing the tab.

use super::Typed;
use crate::{
    components::{Button, ButtonKind, Dialog},
    document::caught,
    effect::effect,
    view,
};
use leptos::{ev, html, prelude::*};
use leptos_router::{NavigateOptions, hooks::use_navigate};
use wasm_bindgen::JsCast;
use web_sys::{Element, HtmlAnchorElement, MouseEvent};

/// Where somebody was going when the guard stepped in.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Way {
    Link(String),
    Back,
}

/// Hears of the way back before the router does. Events that the browser sends to the window itself reach listeners in the
/// order in which those were added, so this one has to be made before the router is.
#[derive(Clone, Copy)]
pub struct WayBack(StoredValue<Option<Callback<(), bool>>>);

impl WayBack {
    pub fn listen() -> Self {
        let guard = StoredValue::new(None::<Callback<(), bool>>);
        #[cfg(not(feature = "ssr"))]
        window_event_listener(ev::popstate, move |ev| {
            if guard.try_get_value().flatten().is_some_and(|steps_in| steps_in.run(())) {
                ev.stop_immediate_propagation();
            }
        });
        Self(guard)
    }

    /// From now on `steps_in` is asked, until the owner of the caller is gone; it says whether it did.
    fn guard(self, steps_in: Callback<(), bool>) {
        self.0.set_value(Some(steps_in));
        on_cleanup(move || {
            self.0.try_update_value(Option::take);
        });
    }
}

/// `changed`: the labels of the fields of `form` that are not saved. At most one form of a page is guarded.
#[component]
pub fn LeaveGuard(changed: RwSignal<Vec<String>>, form: NodeRef<html::Form>) -> impl IntoView {
    let open = RwSignal::new(false);
    let way = RwSignal::new(None::<Way>);
    let way_back = expect_context::<WayBack>();
    let is_dirty = move || changed.try_with_untracked(|c| !c.is_empty()).unwrap_or_default();
    let ask = move |to: Way| {
        way.set(Some(to));
        open.set(true);
    };
    // Where the form stands. When it is made the address may still be that of the page before.
    let here = StoredValue::new(String::new());
    effect(move || {
        if changed.with(|c| !c.is_empty()) {
            here.set_value(window().location().href().unwrap_or_default());
        }
    });
    effect(move || {
        let closing = window_event_listener(ev::beforeunload, move |ev| {
            if is_dirty() {
                ev.prevent_default();
            }
        });
        // Caught on the way down, before the router hears of them.
        caught("click", move |ev: web_sys::Event| {
            if let Some(to) = is_dirty().then(|| page_of(&ev)).flatten() {
                ev.prevent_default();
                ev.stop_propagation();
                ask(Way::Link(to));
            }
        });
        way_back.guard(Callback::new(move |()| {
            let there = window().location().href().unwrap_or_default();
            let here = here.try_get_value().unwrap_or_default();
            let steps_in = is_dirty() && !same_page(&here, &there);
            if steps_in {
                // The browser has gone back already; it goes where it was until there is an answer.
                if let Ok(history) = window().history() {
                    let _ = history.push_state_with_url(&wasm_bindgen::JsValue::NULL, "", Some(&here));
                }
                ask(Way::Back);
            }
            steps_in
        }));
        on_cleanup(move || closing.remove());
    });
    let navigate = use_navigate();
    let leave = move |_| {
        if let Some(form) = form.get_untracked() {
            form.reset();
            changed.set(Typed::of(&form).changed());
        }
        open.set(false);
        match way.get_untracked() {
            Some(Way::Link(to)) => navigate(&to, NavigateOptions::default()),
            Some(Way::Back) => {
                if let Ok(history) = window().history() {
                    let _ = history.back();
                }
            }
            None => {}
        }
    };
    view! {
        <Dialog id="leave" title="Leave without saving?" open>
            <p>
                {move || changed.with(|c| format!("What you changed is not saved: {}.", c.join(", ")))}
            </p>
            <div class="form-actions">
                <Button kind=ButtonKind::Quiet on:click=leave>
                    "Leave without saving"
                </Button>
                <Button kind=ButtonKind::Primary on:click=move |_| open.set(false)>
                    "Stay"
                </Button>
            </div>
        </Dialog>
    }
}

/// The page of this site that a click leads to; `None` for everything else, such as a new tab.
fn page_of(ev: &web_sys::Event) -> Option<String> {
    let click = ev.dyn_ref::<MouseEvent>()?;
    if click.button() != 0 || click.ctrl_key() || click.meta_key() || click.shift_key() || click.alt_key() {
        return None;
    }
    let target = ev.target()?.dyn_into::<Element>().ok()?;
    let link = target.closest("a[href]").ok()??.dyn_into::<HtmlAnchorElement>().ok()?;
    let location = window().location();
    if !link.target().is_empty()
        || link.has_attribute("download")
        || link.origin() != location.origin().ok()?
        || same_page(&link.href(), &location.href().ok()?)
    {
        return None;
    }
    Some(link.pathname() + &link.search())
}

/// Whether two addresses differ at most in what comes after the `#`.
fn same_page(a: &str, b: &str) -> bool {
    let page = |address: &str| address.split('#').next().unwrap_or_default().to_owned();
    page(a) == page(b)
}
