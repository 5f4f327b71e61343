//! A sample text, cut as the pipeline would cut it with what the form holds now.

use super::Now;
use crate::{
    components::TextArea,
    effect::effect,
    server_fns::rag::{PreviewChunk, preview_chunks},
    view,
    wire::Wire,
};
use domain::message::{count, number};
use leptos::{leptos_dom::helpers::TimeoutHandle, prelude::*, task::spawn_local};
use std::time::Duration;

/// So long after the last key the sample is cut.
const QUIET: Duration = Duration::from_millis(300);

const NO_SAMPLE: &str = "Enter some text.";

const SAMPLE: &str = "The harbour opens at six. Boats that carry fish come in first, since their freight does not wait.\n\n\
Whoever comes later anchors outside. The harbour master calls the boats by radio, one after the other. No boat enters \
without a call, for the channel is narrow and the current is strong when the tide turns.\n\n\
In winter the lamps stay on until nine. The keeper writes down each boat with its name, its freight and its hour. \
These books go back to the year 1887, and none of them is missing.";

/// Cuts the sample when something changed, but for values that `wrong` has something to say about: that is told instead,
/// and the server is not asked for what it would refuse.
#[component]
pub fn Preview(now: Now, wrong: Callback<(), Option<String>>) -> impl IntoView {
    let text = RwSignal::new(SAMPLE.to_owned());
    // `None` until the first answer.
    let chunks = RwSignal::new(None::<Vec<PreviewChunk>>);
    let trouble = RwSignal::new(None::<String>);
    let turn = StoredValue::new(0u32);
    let waiting = StoredValue::new(None::<TimeoutHandle>);
    let cut = move || {
        let Some(held) = now.try_get_untracked() else { return };
        let of = |field: &str| held.get(field).cloned().unwrap_or_default();
        let (model, strategy) = (of("embedding_model"), of("chunking_strategy"));
        let (size, overlap) = (of("chunk_size"), of("chunk_overlap"));
        let Some(mine) = turn.try_update_value(|n| {
            *n += 1;
            *n
        }) else {
            return;
        };
        let Some(sample) = text.try_get_untracked() else { return };
        let told = if sample.trim().is_empty() { Some(NO_SAMPLE.to_owned()) } else { wrong.run(()) };
        if told.is_some() {
            trouble.try_set(told);
            return;
        }
        spawn_local(async move {
            let answer = preview_chunks(model, strategy, size, overlap, sample).await;
            if turn.try_get_value() != Some(mine) {
                return;
            }
            match answer {
                Ok(Wire(cut)) => {
                    chunks.try_set(Some(cut));
                    trouble.try_set(None);
                }
                Err(e) => {
                    let first = e.0.errors.iter().find_map(|(_, messages)| messages.first().cloned());
                    trouble.try_set(Some(first.unwrap_or(e.0.detail)));
                }
            }
        });
    };
    effect(move || {
        now.track();
        text.track();
        waiting.update_value(|handle| {
            if let Some(handle) = handle.take() {
                handle.clear();
            }
            *handle = set_timeout_with_handle(cut, QUIET).ok();
        });
    });
    view! {
        <p class="muted" data-unscripted="">
            "With JavaScript, a sample of your text is cut here as you change the fields. Programs can ask for the same at "
            <code class="mono">"/api/rag/preview"</code> "."
        </p>
        <section class="section" aria-labelledby="preview-title" data-scripted="">
            <h2 class="section-title" id="preview-title">
                "Preview"
            </h2>
            <TextArea
                label="A sample of your text"
                name="sample"
                value=SAMPLE
                help="Nothing of it is kept."
                maxlength=20_000
                optional=true
                on_input=Callback::new(move |typed| text.set(typed))
            />
            <p class="meta num" role="status">
                {move || match trouble.get() {
                    Some(text) => text,
                    None => chunks.with(|all| all.as_deref().map_or_else(|| "Cutting the sample…".to_owned(), summary)),
                }}
            </p>
            <ol class="hits" data-preview="" hidden=move || chunks.with(|all| all.as_ref().is_none_or(Vec::is_empty))>
                {move || {
                    chunks
                        .get()
                        .unwrap_or_default()
                        .into_iter()
                        .enumerate()
                        .map(|(n, chunk)| view! {
                            <li class="hit">
                                <p class="meta num">
                                    {format!(
                                        "#{} · {} · {}",
                                        n + 1,
                                        count(chunk.chars, "character", "characters"),
                                        count(chunk.tokens, "token", "tokens"),
                                    )}
                                </p>
                                <p class="hit-text">{chunk.text}</p>
                            </li>
                        })
                        .collect_view()
                }}
            </ol>
        </section>
    }
}

/// "3 chunks, 210 to 480 characters"
fn summary(chunks: &[PreviewChunk]) -> String {
    let sizes = chunks.iter().map(|c| c.chars);
    let (Some(least), Some(most)) = (sizes.clone().min(), sizes.max()) else {
        return "No chunks".to_owned();
    };
    let all = count(chunks.len() as u64, "chunk", "chunks");
    if least == most {
        format!("{all} of {} characters", number(most))
    } else {
        format!("{all}, {} to {} characters", number(least), number(most))
    }
}
