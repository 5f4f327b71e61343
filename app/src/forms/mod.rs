//! Forms of pages: what is typed is compared with what is saved, sent as the browser would send it, and guarded when
//! the page is left. Without a script the same forms post by themselves, and the page that answers shows how that went.

mod changes;
mod deed;
mod guard;
mod send;
mod state;

use crate::{
    AppError,
    components::{Button, ButtonKind, ErrorPanel, Reason, Said, focus_if_lost, guide_cursor},
    effect::effect,
    live::Live,
    upload::idempotency_key,
    view,
};
pub use changes::Typed;
pub use deed::Deed;
use domain::FieldErrors;
use guard::LeaveGuard;
pub use guard::WayBack;
use leptos::{ev::SubmitEvent, html, prelude::*, task::spawn_local};
use serde_json::Value;
pub use state::FormState;
use wasm_bindgen::JsCast;

/// What a page says of a form that was refused and has no place of its own: without a script nothing else tells it.
#[component]
pub fn Refused(left: StoredValue<FormState>) -> impl IntoView {
    let detail = FormState::told_once(left).all_messages();
    (!detail.is_empty()).then(|| view! { <ErrorPanel title="That did not work" detail /> })
}

/// The messages of the form around a field.
#[derive(Clone, Copy)]
struct Errors {
    told: RwSignal<FieldErrors>,
    /// The fields that show their own.
    placed: StoredValue<Vec<&'static str>>,
}

impl Errors {
    fn new(told: RwSignal<FieldErrors>) -> Self {
        Self { told, placed: StoredValue::new(Vec::new()) }
    }

    /// What no field of the form shows: it is told for the form as a whole, since nothing may be refused in silence.
    fn homeless(self) -> Option<String> {
        self.told.with(|errors| {
            let homeless = errors.iter().filter(|(field, _)| self.placed.with_value(|p| !p.contains(field)));
            let texts: Vec<String> = homeless.flat_map(|(_, messages)| messages.iter().cloned()).collect();
            (!texts.is_empty()).then(|| texts.join(" "))
        })
    }
}

/// The message of a field of the form around it.
pub fn error_of(field: &'static str) -> Signal<Option<String>> {
    let Errors { told, placed } = expect_context();
    placed.update_value(|all| all.push(field));
    Signal::derive(move || told.with(|e| (!e.of(field).is_empty()).then(|| e.of(field).join(" "))))
}

/// What becomes of the typed values once they are saved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Afterwards {
    /// They are what is saved now.
    #[default]
    Keep,
    /// The fields go back to how they were: a password, a thing that was made.
    Clear,
}

/// What a form does besides its fields.
#[derive(Clone, Copy, Default)]
pub struct Hooks {
    /// The rules that the server has too, so that it need not be asked.
    pub check: Option<Callback<Typed, FieldErrors>>,
    /// Hears of each change of a field.
    pub typed: Option<Callback<Typed>>,
    /// Hears of the server's answer, and may word the success by it.
    pub saved: Option<Callback<Value, Option<String>>>,
}

/// `action`: where it is posted; `verb`: the words of its button; `said`: what a success tells; `start`: what a form
/// that was posted without a script left behind; `bar`: the button stands in a bar that comes when something changed;
/// `guarded`: leaving with something changed asks first; `once`: it makes something, and must not make it twice;
/// `node`: the form itself, for who fills it in; `name`: tells the forms of a page apart.
#[component]
pub fn SaveForm(
    #[prop(into)] action: String,
    verb: &'static str,
    said: &'static str,
    #[prop(default = "form")] name: &'static str,
    #[prop(optional)] start: FormState,
    #[prop(optional)] afterwards: Afterwards,
    #[prop(optional)] hooks: Hooks,
    #[prop(optional)] bar: bool,
    #[prop(optional)] danger: bool,
    #[prop(optional)] guarded: bool,
    #[prop(optional)] once: bool,
    #[prop(optional)] node: NodeRef<html::Form>,
    /// Why it cannot be saved, whatever is typed.
    #[prop(optional, into)]
    locked: MaybeProp<&'static str>,
    children: Children,
) -> impl IntoView {
    let FormState { errors, message, said: said_before, values } = start;
    // The page came with values that are not saved: the browser takes them for what is, so no field tells.
    let is_filled = RwSignal::new(bar && !values.is_empty());
    let errors = RwSignal::new(errors);
    let message = RwSignal::new(message);
    let told = RwSignal::new(said_before);
    let busy = RwSignal::new(false);
    let changed = RwSignal::new(filled_in(is_filled));
    let form = node;
    let all_errors = Errors::new(errors);
    provide_context(all_errors);
    guide_cursor();
    let key = drawn_key(form);
    let fields = children();

    let look = move || {
        let Some(element) = form.get_untracked() else { return };
        let typed = Typed::of(&element);
        let labels = typed.changed();
        changed.set(if labels.is_empty() { filled_in(is_filled) } else { labels });
        if let Some(hear) = hooks.typed {
            hear.run(typed);
        }
    };
    let live = Live::expect();
    let paused = live.paused_reason();
    let locked = Signal::derive(move || locked.get().or_else(|| paused.get()));
    let fail = move |error: AppError| {
        if error.status() == 401 {
            live.signed_out();
        }
        message.set(error.0.errors.is_empty().then(|| error.0.detail.clone()));
        errors.set(error.0.errors);
        focus_first_wrong(form);
    };
    let on_submit = {
        let action = action.clone();
        move |ev: SubmitEvent| {
            ev.prevent_default();
            let Some(element) = form.get_untracked() else { return };
            let wrong = hooks.check.map(|check| check.run(Typed::of(&element))).unwrap_or_default();
            let is_wrong = !wrong.is_empty();
            errors.set(wrong);
            message.set(None);
            told.set(None);
            if is_wrong {
                focus_first_wrong(form);
            }
            if is_wrong || busy.get_untracked() {
                return;
            }
            busy.set(true);
            let action = action.clone();
            spawn_local(async move {
                let answer = send::send(&element, &action).await;
                if busy.try_set(false).is_some() {
                    // The page was left meanwhile.
                    return;
                }
                match answer {
                    Ok(value) => {
                        match afterwards {
                            Afterwards::Keep => Typed::of(&element).settle(),
                            Afterwards::Clear => element.reset(),
                        }
                        key.set(idempotency_key());
                        is_filled.set(false);
                        look();
                        let words = hooks.saved.and_then(|hear| hear.run(value));
                        told.set(Some(words.unwrap_or_else(|| said.to_owned())));
                    }
                    Err(error) => fail(error),
                }
            });
        }
    };
    // A mistake that was mended is told no more; new ones wait until the form is sent.
    let forgive = move || {
        let Some(check) = hooks.check.filter(|_| errors.with_untracked(|e| !e.is_empty())) else { return };
        let Some(element) = form.get_untracked() else { return };
        let wrong = check.run(Typed::of(&element));
        errors.update(|told| told.keep(|field| !wrong.of(field).is_empty()));
    };
    let reset = move |_| {
        if is_filled.get_untracked() {
            // What is saved is not in this page.
            changed.set(Vec::new());
            let place = window().location();
            let _ = place.pathname().and_then(|path| place.replace(&path));
        } else if let Some(element) = form.get_untracked() {
            element.reset();
            errors.set(FieldErrors::default());
            message.set(None);
            look();
            // The bar goes with its buttons.
            let first = element.query_selector("input:not([type=hidden]):not(:disabled)").ok().flatten();
            let first = first.and_then(|first| first.dyn_into::<web_sys::HtmlElement>().ok());
            focus_if_lost(move || first.clone());
        }
    };
    let has_changes = Memo::new(move |_| changed.with(|c| !c.is_empty()));
    let button = move || {
        view! {
            <Reason text=locked />
            <Button
                kind=if danger { ButtonKind::Danger } else { ButtonKind::Primary }
                submit=true
                busy
                disabled=Signal::derive(move || locked.get().is_some())
                title=locked
            >
                {verb}
            </Button>
        }
    };
    view! {
        <form
            class="form"
            method="post"
            action=action
            data-form=name
            node_ref=form
            novalidate
            on:submit=on_submit
            on:input=move |_| {
                told.set(None);
                look();
                forgive();
            }
        >
            {move || {
                let detail = message.get().or_else(|| all_errors.homeless());
                detail.map(|detail| view! { <ErrorPanel title="That did not work" detail /> })
            }}
            {once.then(|| view! { <KeyField key /> })}
            {fields}
            <Said text=told />
            {if bar {
                view! {
                    <div class="save-bar" data-changed=move || has_changes.get().then_some("")>
                        <p class="grow muted">
                            {move || changed.with(|c| (!c.is_empty()).then(|| format!("Changed: {}", c.join(", "))))}
                        </p>
                        <Button kind=ButtonKind::Quiet on:click=reset attr:data-scripted="">
                            "Reset"
                        </Button>
                        {button()}
                    </div>
                }
            } else {
                view! { <div class="form-actions">{button()}</div> }
            }}
        </form>
        {guarded.then(|| view! { <LeaveGuard changed form /> })}
    }
}

/// What stands for the labels of fields that the page came with.
fn filled_in(is_filled: RwSignal<bool>) -> Vec<String> {
    if is_filled.get_untracked() { vec!["what was filled in".to_owned()] } else { Vec::new() }
}

/// The key under which a form is sent, so that what is sent twice is done once. The server draws it with the page, which a
/// browser without a script sends back as it is; the script goes on with that one, and draws it anew after each success.
pub fn drawn_key(form: NodeRef<html::Form>) -> RwSignal<String> {
    #[cfg(feature = "ssr")]
    let key = RwSignal::new(crate::ssr::drawn_key());
    #[cfg(not(feature = "ssr"))]
    let key = RwSignal::new(String::new());
    effect(move || {
        let given = form.get().map(|form| Typed::of(&form).text("key")).filter(|given| !given.is_empty());
        key.set(given.unwrap_or_else(idempotency_key));
    });
    key
}

#[component]
pub fn KeyField(key: RwSignal<String>) -> impl IntoView {
    view! { <input type="hidden" name="key" value=move || key.get() /> }
}

/// Puts the cursor where the first mistake is, once it is on screen.
fn focus_first_wrong(form: NodeRef<html::Form>) {
    request_animation_frame(move || {
        let wrong = form
            .try_get_untracked()
            .flatten()
            .and_then(|form| form.query_selector("[aria-invalid=true]").ok().flatten())
            .and_then(|field| field.dyn_into::<web_sys::HtmlElement>().ok());
        if let Some(field) = wrong {
            let _ = field.focus();
        }
    });
}

#[cfg(all(test, feature = "ssr"))]
mod tests {
    use super::*;

    #[test]
    fn what_no_field_shows_is_told_for_the_form_as_a_whole() {
        Owner::new().with(|| {
            let mut told = FieldErrors::one("nowhere", "Not that.");
            told.add("name", "Not this.");
            let errors = Errors::new(RwSignal::new(told));
            provide_context(errors);
            assert_eq!(errors.homeless().as_deref(), Some("Not this. Not that."));
            let name = error_of("name");
            assert_eq!(name.get_untracked().as_deref(), Some("Not this."));
            assert_eq!(errors.homeless().as_deref(), Some("Not that."));
        });
    }
}
