//! Documents that were indexed with other settings than their workspace has now, and indexing just those anew.

use crate::{
    AppError,
    components::{Button, ButtonKind, Dialog, Icon, IconName},
    effect::effect_after,
    forms::Deed,
    live::Live,
    paths,
    server_fns::rag::{Reindex, estimate_reindex},
    stores::Stores,
    view,
    wire::Wire,
};
use domain::{
    WorkspaceId,
    message::{count, number},
    rag::Estimate,
};
use leptos::{prelude::*, server_fn::ServerFn, task::spawn_local};
use leptos_router::hooks::use_navigate;
use serde_json::Value;

/// What a re-index will take, or why nobody can say.
pub type Expected = Result<Estimate, String>;

/// What came of asking for it.
pub fn expected(read: Result<Wire<Estimate>, AppError>) -> Expected {
    read.map(|Wire(estimate)| estimate).map_err(|e| e.0.detail)
}

/// Shown while there are any. `told`: what a re-index will take, for a page whose address asks for it; it then stands
/// there with the button. That is the way without a script, where a dialog would open otherwise.
#[component]
pub fn Stale(id: WorkspaceId, #[prop(optional_no_strip)] told: Option<Expected>) -> impl IntoView {
    let workspace = RwSignal::from(Stores::expect().workspace(id));
    let stale = Memo::new(move |_| workspace.with(|w| w.as_ref().map_or(0, |w| w.counts.stale)));
    let paused_reason = Live::expect().paused_reason();
    let open = RwSignal::new(false);
    let is_told = told.is_some();
    let known = RwSignal::new(told);
    let count_them = move || {
        known.set(None);
        spawn_local(async move {
            let read = estimate_reindex(id).await;
            known.try_set(Some(expected(read)));
        });
    };
    let ask = move |_| {
        open.set(true);
        count_them();
    };
    effect_after(move |before: Option<u64>| {
        let stale = stale.get();
        if before.is_some_and(|before| before != stale) && (is_told || open.get_untracked()) {
            count_them();
        }
        stale
    });
    let navigate = use_navigate();
    let to = paths::workspace(id);
    let done = Callback::new(move |_: Value| {
        open.set(false);
        navigate(&to, Default::default());
    });
    view! {
        {move || {
            (stale.get() > 0).then(|| {
                let words = move || format!("Re-index {}…", count(stale.get(), "document", "documents"));
                view! {
                    <div class="panel row" data-status="stale" data-stale=stale.get()>
                        <Icon name=IconName::Refresh />
                        <p class="grow">
                            <strong>{count(stale.get(), "document is stale", "documents are stale")}</strong>
                            ": indexed with other settings than the workspace has now. Searches still find what is there."
                        </p>
                        {move || paused_reason.get().map(|why| view! { <span class="meta" data-paused="">{why}</span> })}
                        {(!is_told).then(|| view! {
                            <Button
                                kind=ButtonKind::Primary
                                disabled=Signal::derive(move || paused_reason.get().is_some())
                                on:click=ask
                                attr:data-scripted=""
                            >
                                {words}
                            </Button>
                            <a class="button primary" href=paths::estimate(id) data-unscripted="">
                                {words}
                            </a>
                        })}
                    </div>
                    {is_told.then(|| view! {
                        <div class="panel stack" data-estimate="">
                            <h2 class="section-title">"Re-index the stale documents?"</h2>
                            <Take known />
                            <div class="form-actions">
                                <a class="button quiet" href=paths::rag(Some(id))>"Cancel"</a>
                                <Start id done />
                            </div>
                        </div>
                    })}
                }
            })
        }}
        <Dialog id="reindex" title="Re-index the stale documents?" open>
            <Take known />
            <div class="form-actions">
                <Button kind=ButtonKind::Quiet on:click=move |_| open.set(false)>
                    "Cancel"
                </Button>
                <Start id done />
            </div>
        </Dialog>
    }
}

/// What it will take.
#[component]
fn Take(known: RwSignal<Option<Expected>>) -> impl IntoView {
    view! {
        <p role="status">
            {move || match known.get() {
                None => "Counting…".to_owned(),
                Some(Ok(estimate)) => sentence(&estimate),
                Some(Err(why)) => why,
            }}
        </p>
        <p class="muted">"Other documents are left alone. The old chunks answer searches until the new ones are there."</p>
    }
}

#[component]
fn Start(id: WorkspaceId, done: Callback<Value>) -> impl IntoView {
    view! {
        <Deed
            action=Reindex::url()
            words="Re-index"
            fields=vec![("id", id.to_string())]
            kind=ButtonKind::Primary
            once=true
            done
        />
    }
}

/// "3 documents: about 1,240 chunks and 310,000 tokens (± 20 %)."
fn sentence(estimate: &Estimate) -> String {
    let Estimate { documents, chunks, tokens, error_percent, embeds, .. } = *estimate;
    let documents = count(documents, "document", "documents");
    let (chunks, tokens) = (number(chunks), number(tokens));
    let margin = if error_percent == 0 { String::new() } else { format!(" (± {error_percent} %)") };
    let about = if error_percent == 0 { "" } else { "about " };
    let vectors = if embeds { "" } else { " No vectors are made: the workspace searches by keyword." };
    format!("{documents}: {about}{chunks} chunks and {tokens} tokens{margin}.{vectors}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_estimate_says_how_sure_it_is() {
        let estimate = Estimate {
            documents: 3,
            characters: 1_000_000,
            chunks: 1_240,
            tokens: 310_000,
            error_percent: 20,
            embeds: true,
        };
        assert_eq!(sentence(&estimate), "3 documents: about 1,240 chunks and 310,000 tokens (± 20 %).");
        let exact = Estimate { documents: 1, error_percent: 0, embeds: false, ..estimate };
        assert!(sentence(&exact).starts_with("1 document: 1,240 chunks and 310,000 tokens. No vectors"));
    }
}
