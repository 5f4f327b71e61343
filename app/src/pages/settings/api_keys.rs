//! API keys: what programs sign in with. A key is shown once, when it is made.

use super::super::problem::ProblemView;
use crate::{
    components::{
        Ago, Button, CopyButton, Field, Icon, IconName, Note, OnDay, RowsSkeleton, Said, Select,
        SelectOption, TabTitle, focus_if_lost, takes_cursor, use_now,
    },
    forms::{Afterwards, Deed, FormState, Hooks, SaveForm, Typed, error_of},
    rules,
    server_fns::settings::{MakeKey, RevokeKey, list_keys},
    view,
    wire::{Wire, page_data},
};
use domain::{ApiKey, Scope, Timestamp};
use leptos::{prelude::*, server_fn::ServerFn};
use serde_json::Value;
use wasm_bindgen::JsCast;

/// Days, and what they are called; the first is what the form starts with.
const LIVES: [(&str, &str); 5] =
    [("90", "90 days"), ("7", "7 days"), ("30", "30 days"), ("365", "1 year"), ("", "Never")];

#[component]
pub fn ApiKeysPage() -> impl IntoView {
    let start = FormState::of_page();
    let keys = page_data(|| (), |()| list_keys(), false);
    let secret = RwSignal::new(start.values.get("secret").cloned());
    let said = RwSignal::new(start.said.clone().filter(|_| start.values.is_empty()));
    view! {
        <TabTitle text="API keys" />
        <p class="muted">
            "Programs use a key instead of your password, with "
            <code class="mono">"Authorization: Bearer"</code> ". A key does only what you allow here. "
            <a class="link" href="/api/docs" rel="external">"What programs can do"</a>
        </p>
        <Made secret />
        <NewKey start secret made=Callback::new(move |()| keys.refetch()) />
        <section class="section" aria-labelledby="keys-title">
            <h2 class="section-title" id="keys-title">"Your keys"</h2>
            <Said text=said of_list=true />
            <Transition fallback=|| view! { <RowsSkeleton rows=2 /> }>
                {move || Suspend::new(async move {
                    match keys.await {
                        Ok(Wire(list)) if list.is_empty() => {
                            view! { <p class="muted">"You have no keys."</p> }
                        }
                        Ok(Wire(list)) => {
                            let revoked = Callback::new(move |_: Value| {
                                said.set(Some("The key is revoked.".to_owned()));
                                keys.refetch();
                            });
                            view! {
                                <ul class="lines">
                                    {list.into_iter().map(|key| view! { <Line key revoked /> }).collect_view()}
                                </ul>
                            }
                        }
                        Err(error) => {
                            let retry = Callback::new(move |()| keys.refetch());
                            view! { <ProblemView error what="list" retry /> }
                        }
                    }
                })}
            </Transition>
        </section>
    }
}

/// The key that was just made: the one time that it is shown.
#[component]
fn Made(secret: RwSignal<Option<String>>) -> impl IntoView {
    let have_it = move || {
        secret.set(None);
        focus_if_lost(|| document().get_element_by_id("name")?.dyn_into().ok());
    };
    move || {
        secret.get().map(|text| {
            view! {
                <section class="panel stack" aria-labelledby="made-title" data-made="">
                    <h2 class="section-title" id="made-title">
                        <Icon name=IconName::Warning />
                        "Copy your new key now: it is not shown again"
                    </h2>
                    <div class="row">
                        <code class="secret mono grow">{text.clone()}</code>
                        <CopyButton words="Copy" text />
                        <Button on:click=move |_| have_it() attr:data-scripted="">
                            "I have it"
                        </Button>
                    </div>
                </section>
            }
        })
    }
}

#[component]
fn NewKey(start: FormState, secret: RwSignal<Option<String>>, made: Callback<()>) -> impl IntoView {
    let start = FormState { said: None, ..start };
    let name = start.value("name");
    // What was ticked when the form was refused; at first, the one that does no harm.
    let ticked = if start.is_refused() { start.value("scopes") } else { Scope::Read.as_str().to_owned() };
    let lives = LIVES.map(|(value, words)| SelectOption::new(value, words)).to_vec();
    let life = start.typed_or("expires_in_days", LIVES[0].0);
    let hooks = Hooks {
        check: Some(Callback::new(|typed: Typed| rules::api_key(&|field| typed.text(field)))),
        saved: Some(Callback::new(move |answer: Value| {
            secret.set(answer.as_str().map(str::to_owned));
            made.run(());
            None
        })),
        ..Hooks::default()
    };
    view! {
        <section class="section" aria-labelledby="new-key-title">
            <h2 class="section-title" id="new-key-title">"New key"</h2>
            <SaveForm
                action=MakeKey::url()
                verb="Make key"
                said="The key is made."
                start
                hooks
                afterwards=Afterwards::Clear
                guarded=true
                once=true
            >
                <Field
                    label="Name"
                    name="name"
                    value=name
                    error=error_of("name")
                    help="What it is for, such as “Nightly upload”."
                    maxlength=60
                    autocomplete="off"
                />
                <Scopes ticked />
                <Select
                    label="Expires after"
                    name="expires_in_days"
                    options=lives
                    value=life
                    error=error_of("expires_in_days")
                    help="An expired key is refused; make a new one in time."
                />
            </SaveForm>
        </section>
    }
}

#[component]
fn Scopes(ticked: String) -> impl IntoView {
    let error = error_of("scopes");
    let takes_cursor = takes_cursor(error.into());
    let one = |scope: &Scope| {
        let scope = *scope;
        let autofocus = takes_cursor && Some(&scope) == Scope::ALL.first();
        let is_ticked = ticked.split(' ').any(|ticked| ticked == scope.as_str());
        view! {
            <label class="check">
                <input
                    type="checkbox"
                    name="scopes[]"
                    value=scope.as_str()
                    checked=is_ticked
                    autofocus=autofocus
                    aria-invalid=move || error.get().map(|_| "true")
                    aria-describedby="scopes-note"
                />
                <span>
                    <span class="mono">{scope.as_str()}</span>
                    <span class="muted">{format!(" · {}", about(scope))}</span>
                </span>
            </label>
        }
    };
    view! {
        <fieldset class="field" data-field="What it may do">
            <legend class="field-label">"What it may do"</legend>
            <div class="stack gap-1">{Scope::ALL.iter().map(one).collect_view()}</div>
            <Note id="scopes-note" error=error.into() />
        </fieldset>
    }
}

const fn about(scope: Scope) -> &'static str {
    match scope {
        Scope::Read => "read data, search, follow the live streams",
        Scope::Write => "upload and change",
        Scope::Chat => "ask questions",
        Scope::StatusWrite => "report the status of documents that a worker of yours processes",
    }
}

/// When a key ends; an ended one says so.
#[component]
fn Expiry(at: Timestamp) -> impl IntoView {
    let now = use_now().at;
    let is_over = Memo::new(move |_| now.get().is_some_and(|now| now >= at));
    view! {
        <span data-expired=move || is_over.get().then_some("")>
            {move || is_over.get().then(|| view! { <Icon name=IconName::Warning /> })}
            {move || if is_over.get() { "expired on " } else { "expires on " }}
            <OnDay at />
        </span>
    }
}

#[component]
fn Line(key: ApiKey, revoked: Callback<Value>) -> impl IntoView {
    let ApiKey { id, name, prefix, scopes, created_at, last_used_at, expires_at } = key;
    let label = format!("Revoke the key {name}");
    let scopes = scopes.iter().map(|s| s.as_str()).collect::<Vec<_>>().join(", ");
    view! {
        <li class="line" data-key-id=id.to_string()>
            <div class="line-body">
                <p class="line-title">
                    {name}
                    <span class="mono muted">{prefix} "…"</span>
                </p>
                <p class="meta num">
                    {scopes} " · made " <Ago at=Signal::stored(created_at) /> " · "
                    {match last_used_at {
                        Some(at) => view! { "last used " <Ago at=Signal::stored(at) /> },
                        None => "never used".into_any(),
                    }} " · "
                    {match expires_at {
                        Some(at) => view! { <Expiry at /> },
                        None => "never expires".into_any(),
                    }}
                </p>
            </div>
            <Deed
                action=RevokeKey::url()
                words="Revoke"
                fields=vec![("id", id.to_string())]
                name=label
                done=revoked
            />
        </li>
    }
}
