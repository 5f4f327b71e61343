//! RAG configs: the person's default among the settings, and that of each workspace. Both are one form.

mod fields;
mod preview;
mod stale;

use super::{loaded, problem::Around};
use crate::{
    components::{Button, Icon, IconName, PageHeader, RowsSkeleton, TabTitle},
    effect::effect_after,
    forms::{Deed, FormState, Hooks, SaveForm, Typed},
    layout::{header_note, workspace_name},
    live::{Live, Screen},
    paths,
    server_fns::rag::{RESET, RagPage, ResetRag, SAVED, SaveRag, estimate_reindex, read_rag},
    stores::Stores,
    view,
    wire::{Wire, page_data},
};
use domain::{
    FieldErrors, WorkspaceId,
    provision::WorkspaceAction,
    rag::{Preset, RagConfig, RagField, RagForm, RagOptions},
};
use fields::{Fields, text_of};
use leptos::{html, prelude::*, server_fn::ServerFn, task::spawn_local};
use leptos_router::hooks::{use_params_map, use_query_map};
use litemap::LiteMap;
use preview::Preview;
pub use stale::Stale;
use stale::{Expected, expected};

/// What the fields hold now, by their names.
pub type Now = RwSignal<LiteMap<&'static str, String>>;

/// The person's default.
#[component]
pub fn DefaultRagPage() -> impl IntoView {
    view! {
        <TabTitle text="RAG config" />
        <Loaded workspace=Signal::stored(None) />
    }
}

/// The config of one workspace.
#[component]
pub fn WorkspaceRagPage() -> impl IntoView {
    Live::expect().shows(Screen::Other);
    provide_context(Around::default());
    let params = use_params_map();
    let id = Memo::new(move |_| params.with(|p| p.get("id").and_then(|id| id.parse::<WorkspaceId>().ok())));
    view! {
        <TabTitle text="RAG config" />
        <div class="page">
            <Loaded workspace=Signal::derive(move || id.get()) is_workspace=true />
        </div>
    }
}

/// Reads the config and shows it.
#[component]
fn Loaded(workspace: Signal<Option<WorkspaceId>>, #[prop(optional)] is_workspace: bool) -> impl IntoView {
    let query = use_query_map();
    let mut first = FormState::of_page();
    for what in [PRESET, RESET_FIELD] {
        if let Some(name) = query.with_untracked(|q| q.get(what)) {
            first.values.insert(what.to_owned(), name);
        }
    }
    let start = StoredValue::new(first);
    let page = page_data(
        move || workspace.get(),
        move |id| async move {
            match (id, is_workspace) {
                (None, true) => Err(super::not_found::no_such("workspace")),
                (id, _) => read_rag(id).await,
            }
        },
        true,
    );
    // An address that ends in `?reindex` asks what a re-index will take.
    let asks = Memo::new(move |_| is_workspace && query.with(|q| q.get("reindex").is_some()));
    let estimate = page_data(
        move || workspace.get().filter(|_| asks.get()),
        |id| async move {
            match id {
                Some(id) => Some(estimate_reindex(id).await),
                None => None,
            }
        },
        false,
    );
    let keep = |read: &RagPage, stores: Stores, _: Live| {
        if let Some(workspace) = &read.workspace {
            stores.put_workspace(workspace);
        }
    };
    loaded::read(
        page,
        move || async move { estimate.await.map(expected) },
        "RAG config",
        || view! { <RowsSkeleton rows=6 /> },
        keep,
        move |read, told, anew| {
            let first = filled_in(FormState::told_once(start), &read);
            let again = Callback::new(move |said: Option<&'static str>| {
                start.set_value(FormState { said: said.map(str::to_owned), ..FormState::default() });
                anew.run(());
            });
            view! { <Config read told start=first again /> }
        },
    )
}

/// What an address asks to fill in: the way of presets and of single fields without a script.
const PRESET: &str = "preset";
const RESET_FIELD: &str = "reset";

/// Puts what the address asks for in the place of what is saved. Nothing of it is saved before the form is sent.
fn filled_in(mut start: FormState, read: &RagPage) -> FormState {
    let preset = start.values.remove(PRESET).and_then(|name| name.parse::<Preset>().ok());
    let field = start.values.remove(RESET_FIELD).and_then(|name| name.parse::<RagField>().ok());
    let of_preset = preset.map(|preset| preset.fill(&read.config));
    let of_preset = of_preset.iter().flat_map(|config| Preset::fields().map(move |field| (field, config)));
    for (field, config) in of_preset.chain(field.map(|field| (field, &read.base))) {
        start.values.insert(field.as_str().to_owned(), text_of(config, field));
    }
    start
}

#[component]
fn Config(
    read: RagPage,
    told: Option<Expected>,
    start: FormState,
    again: Callback<Option<&'static str>>,
) -> impl IntoView {
    let workspace = read.workspace.as_ref().map(|w| w.id);
    let text =
        |field: &RagField| (field.as_str(), start.typed_or(field.as_str(), text_of(&read.config, *field)));
    let now: Now = RwSignal::new(RagField::ALL.iter().map(text).collect());
    let form = NodeRef::<html::Form>::new();
    let typed_now = move || form.get_untracked().map(|form| Typed::of(&form));
    let saved = RwSignal::new(read.config.clone());
    let base = RwSignal::new(read.base.clone());
    let options = StoredValue::new(read.options.clone());
    let is_kept = RwSignal::new(!read.is_default);
    let can_reset = Memo::new(move |_| match workspace {
        Some(_) => saved.with(|config| base.with(|base| config != base)),
        None => is_kept.get(),
    });
    // Not beside its button, which the news of the deed takes away, and that can come before the answer.
    let done = Callback::new(move |_| again.run(Some(RESET)));
    let is_old = RwSignal::new(false);
    follow(
        workspace,
        saved,
        base,
        Callback::new(move |()| {
            if typed_now().is_some_and(|typed| !typed.changed().is_empty()) {
                is_old.set(true);
            } else {
                again.run(None);
            }
        }),
    );
    let hooks = Hooks {
        check: Some(Callback::new(move |typed: Typed| {
            read_form(&typed, &options.get_value(), &saved.get_untracked()).err().unwrap_or_default()
        })),
        typed: Some(Callback::new(move |typed: Typed| {
            now.set(RagField::ALL.iter().map(|f| (f.as_str(), typed.text(f.as_str()))).collect());
        })),
        saved: Some(Callback::new(move |_| {
            is_kept.set(true);
            if let Some(typed) = typed_now()
                && let Ok(config) = read_form(&typed, &options.get_value(), &saved.get_untracked())
            {
                saved.set(config);
            }
            is_old.set(false);
            None
        })),
    };
    let fill = Callback::new(move |(field, text): (RagField, String)| {
        if let Some(typed) = typed_now() {
            typed.fill(field.as_str(), &text);
        }
    });
    let wrong = Callback::new(move |()| {
        let errors = read_form(&typed_now()?, &options.get_value(), &saved.get_untracked()).err()?;
        let cuts = [RagField::ChunkSize, RagField::ChunkOverlap, RagField::ChunkingStrategy];
        cuts.iter().find_map(|field| errors.of(field.as_str()).first().cloned())
    });
    let preset = move |preset: Preset| {
        for field in Preset::fields() {
            fill.run((field, text_of(&preset.fill(&saved.get_untracked()), field)));
        }
    };
    let held = workspace.map(|id| Stores::expect().workspace(id));
    let locked = Memo::new(move |_| {
        let status = held.as_ref()?.with(|w| w.as_ref().map(|w| w.status))?;
        status.refuses(WorkspaceAction::Edit).map(|refusal| refusal.sentence)
    });
    let reset_words = if workspace.is_some() { "Reset to my default" } else { "Back to InsightHub's own" };
    let fields = workspace.map(|id| ("workspace", id.to_string())).into_iter().collect::<Vec<_>>();
    view! {
        {read.workspace.clone().map(|workspace| {
            let name = workspace_name(workspace.id, workspace.name);
            view! {
                <PageHeader title="RAG config" note=header_note("of", name)>
                    <a class="link" href=paths::workspace(workspace.id)>"Back to the documents"</a>
                </PageHeader>
            }
        })}
        <div class="settings">
            {workspace.map(|id| view! { <Stale id told=told.clone() /> })}
            {move || {
                is_old.get().then(|| view! {
                    <div class="panel row" role="status" data-old="">
                        <Icon name=IconName::Warning />
                        <p class="grow">
                            "This RAG config was saved elsewhere meanwhile. To save what you see here puts it in place of that."
                        </p>
                        <Button on:click=move |_| {
                            // What is typed would outlive the change of what is saved.
                            if let Some(form) = form.get_untracked() {
                                form.reset();
                            }
                            again.run(None);
                        }>"Show what is saved"</Button>
                    </div>
                })
            }}
            <p class="muted">
                {match workspace {
                    Some(_) => "How the documents of this workspace are cut, embedded and found. It was copied from your default when the workspace was made.",
                    None => "How documents are cut, embedded and found. New workspaces start with a copy; those that are there keep theirs.",
                }}
            </p>
            <SaveForm
                action=SaveRag::url()
                verb="Save RAG config"
                said=SAVED
                start=start.clone()
                hooks
                bar=true
                guarded=true
                node=form
                locked
            >
                {workspace.map(|id| view! { <input type="hidden" name="workspace" value=id.to_string() /> })}
                <fieldset class="presets">
                    <legend class="field-label">"Start from"</legend>
                    {Preset::ALL
                        .iter()
                        .map(|&one| {
                            let words = move || {
                                view! {
                                    <strong>{one.title()}</strong>
                                    <span class="meta">{one.about()}</span>
                                }
                            };
                            view! {
                                <button
                                    type="button"
                                    class="preset"
                                    data-scripted=""
                                    on:click=move |_| preset(one)
                                >
                                    {words()}
                                </button>
                                <a
                                    class="preset"
                                    data-unscripted=""
                                    href=paths::rag_filled(workspace, PRESET, one.as_str())
                                >
                                    {words()}
                                </a>
                            }
                        })
                        .collect_view()}
                </fieldset>
                <Fields read=read.clone() base now fill />
            </SaveForm>
            <Preview now wrong />
            {move || {
                can_reset.get().then(|| view! {
                    <Deed
                        action=ResetRag::url()
                        words=reset_words
                        fields=fields.clone()
                        done
                    />
                })
            }}
        </div>
    }
}

/// Tells when something else is saved than this page knows: by another tab, another browser or a program, also while the
/// live link was down.
fn follow(
    workspace: Option<WorkspaceId>,
    saved: RwSignal<RagConfig>,
    base: RwSignal<RagConfig>,
    differs: Callback<()>,
) {
    let stores = Stores::expect();
    let of_workspace = workspace.map(|id| stores.workspace(id));
    let default = stores.rag_rev();
    let is_open = Live::expect().is_open();
    let told = Memo::new(move |_| {
        let of_workspace = of_workspace.as_ref().map(|w| w.with(|w| w.as_ref().map(|w| w.updated_at)));
        (default.get(), of_workspace, is_open.get())
    });
    effect_after(move |before: Option<_>| {
        let now = told.get();
        if before.is_some_and(|before| before != now) {
            spawn_local(async move {
                let read = read_rag(workspace).await;
                let (Ok(Wire(read)), Some(known)) = (read, saved.try_get_untracked()) else { return };
                base.try_set(read.base);
                if read.config != known {
                    differs.run(());
                }
            });
        }
        now
    });
}

/// What is typed, by the rules of the server, before it is asked.
fn read_form(typed: &Typed, options: &RagOptions, saved: &RagConfig) -> Result<RagConfig, FieldErrors> {
    let texts: Vec<_> = RagField::ALL.iter().map(|f| (f.as_str(), typed.text(f.as_str()))).collect();
    let form = RagForm::from_text(texts.iter().map(|(name, text)| (*name, text.as_str())));
    form.check(&RagConfig::default(), options, saved)
}
