//! The fields of a RAG config, each with its range, its help, and what differs from the config that a reset leads to.

use super::Now;
use crate::{
    components::{Field, Note, NumberField, Select, SelectOption, takes_cursor},
    forms::error_of,
    paths,
    server_fns::rag::RagPage,
    view,
};
use domain::{
    WorkspaceId,
    message::number,
    rag::{
        CHUNK_OVERLAP, CHUNK_SIZE, ChunkingStrategy, ModelState, RagChoice, RagConfig, RagField, RagOptions,
        TOP_K,
    },
};
use leptos::prelude::*;

/// What a field of a form holds for a config.
pub fn text_of(config: &RagConfig, field: RagField) -> String {
    match field {
        RagField::EmbeddingModel => config.embedding_model.clone(),
        RagField::EmbeddingDim => config.embedding_dim.map(|n| n.to_string()).unwrap_or_default(),
        RagField::RetrieverType => config.retriever_type.to_string(),
        RagField::ChunkingStrategy => config.chunking_strategy.to_string(),
        RagField::ChunkSize => config.chunk_size.to_string(),
        RagField::ChunkOverlap => config.chunk_overlap.to_string(),
        RagField::TopK => config.top_k.to_string(),
        RagField::RerankEnabled => if config.rerank_enabled { "true" } else { "" }.to_owned(),
        RagField::RerankModel => config.rerank_model.map(|m| m.to_string()).unwrap_or_default(),
    }
}

/// `now`: what the fields hold; `fill` puts a text into one.
#[component]
pub fn Fields(
    read: RagPage,
    base: RwSignal<RagConfig>,
    now: Now,
    fill: Callback<(RagField, String)>,
) -> impl IntoView {
    let RagPage { options, workspace, config: read_config, .. } = read;
    let of_workspace = workspace.map(|workspace| workspace.id);
    // What the fields start with; what a person types is the browser's own affair.
    let first = StoredValue::new(now.get_untracked());
    let value = move |field: RagField| {
        first.with_value(|texts| texts.get(field.as_str()).cloned().unwrap_or_default())
    };
    let held = move |field: RagField| now.with(|n| n.get(field.as_str()).cloned().unwrap_or_default());
    let differs = move |field: RagField| {
        of_workspace.map(|workspace| view! { <Differs workspace field mine=Memo::new(move |_| base.with(|base| text_of(base, field))) now fill /> })
    };
    let models = model_options(&options, &read_config.embedding_model);
    let model_help = {
        let options = options.clone();
        Signal::derive(move || {
            let name = held(RagField::EmbeddingModel);
            Some(options.model(&name).map_or_else(
                || "This server does not have that model.".to_owned(),
                |m| match m.dim {
                    Some(dim) => format!("{dim} dimensions. {}", m.detail),
                    None => m.detail.clone(),
                },
            ))
        })
    };
    let help_of = |choices: &[RagChoice], field: RagField| {
        let choices = choices.to_vec();
        Signal::derive(move || {
            let name = held(field);
            choices.iter().find(|c| c.name == name).map(|c| c.detail.clone())
        })
    };
    let unit = Signal::derive(move || {
        let token = held(RagField::ChunkingStrategy) == ChunkingStrategy::Token.as_str();
        if token { "tokens" } else { "characters" }
    });
    let rerank_options = {
        let mut all = choice_options(&options.rerank_models);
        all.insert(0, SelectOption::new("", "None"));
        all
    };
    let rerank_error = error_of("rerank_enabled");
    view! {
        <fieldset class="group">
            <legend class="section-title">"Chunks"</legend>
            <Select
                label="Chunking strategy"
                name="chunking_strategy"
                options=choice_options(&options.chunking_strategies)
                value=value(RagField::ChunkingStrategy)
                error=error_of("chunking_strategy")
                help=help_of(&options.chunking_strategies, RagField::ChunkingStrategy)
            />
            {differs(RagField::ChunkingStrategy)}
            <NumberField
                label="Chunk size"
                name="chunk_size"
                value=value(RagField::ChunkSize)
                range=CHUNK_SIZE
                step=50
                unit
                error=error_of("chunk_size")
                help="100 to 5,000. Smaller chunks find more exactly, larger ones keep more context."
            />
            {differs(RagField::ChunkSize)}
            <NumberField
                label="Chunk overlap"
                name="chunk_overlap"
                value=value(RagField::ChunkOverlap)
                range=CHUNK_OVERLAP
                step=10
                unit
                error=error_of("chunk_overlap")
                help="0 to 1,000, and less than the size. What two neighbours share, so that no thought is cut in two."
            />
            {differs(RagField::ChunkOverlap)}
        </fieldset>
        <fieldset class="group">
            <legend class="section-title">"Embedding"</legend>
            <Select
                label="Embedding model"
                name="embedding_model"
                options=models
                value=value(RagField::EmbeddingModel)
                error=error_of("embedding_model")
                help=model_help
            />
            {differs(RagField::EmbeddingModel)}
            <Field
                label="Dimensions"
                name="embedding_dim"
                kind="text"
                value=value(RagField::EmbeddingDim)
                error=error_of("embedding_dim")
                help="Empty: the model's own."
                optional=true
                numeric=true
            />
            {differs(RagField::EmbeddingDim)}
        </fieldset>
        <fieldset class="group">
            <legend class="section-title">"Search"</legend>
            <Select
                label="Retriever"
                name="retriever_type"
                options=choice_options(&options.retriever_types)
                value=value(RagField::RetrieverType)
                error=error_of("retriever_type")
                help=help_of(&options.retriever_types, RagField::RetrieverType)
            />
            {differs(RagField::RetrieverType)}
            <NumberField
                label="Passages for an answer (top k)"
                name="top_k"
                value=value(RagField::TopK)
                range=TOP_K
                step=1
                unit="passages"
                error=error_of("top_k")
                help="1 to 50. More passages know more, and take longer to read."
            />
            {differs(RagField::TopK)}
            <div class="field" data-field="Reranking">
                <label class="check">
                    <input
                        type="checkbox"
                        name="rerank_enabled"
                        value="true"
                        checked=!value(RagField::RerankEnabled).is_empty()
                        autofocus=takes_cursor(rerank_error.into())
                        aria-invalid=move || rerank_error.get().map(|_| "true")
                        aria-describedby="rerank_enabled-note"
                    />
                    "Put the found passages in order anew (rerank)"
                </label>
                <Note id="rerank_enabled-note" error=rerank_error.into() />
            </div>
            {differs(RagField::RerankEnabled)}
            <Select
                label="Rerank model"
                name="rerank_model"
                options=rerank_options
                value=value(RagField::RerankModel)
                error=error_of("rerank_model")
                help=help_of(&options.rerank_models, RagField::RerankModel)
            />
            {differs(RagField::RerankModel)}
        </fieldset>
    }
}

const BACK: &str = "Reset to my default";

/// The mark of a field that differs from the person's default, and the way back.
#[component]
fn Differs(
    workspace: WorkspaceId,
    field: RagField,
    mine: Memo<String>,
    now: Now,
    fill: Callback<(RagField, String)>,
) -> impl IntoView {
    let differs = Memo::new(move |_| {
        now.with(|n| mine.with(|mine| n.get(field.as_str()).is_some_and(|text| text != mine)))
    });
    let words = move || {
        mine.with(|mine| match (field, mine.as_str()) {
            (RagField::RerankEnabled, "") => "off".to_owned(),
            (RagField::RerankEnabled, _) => "on".to_owned(),
            (RagField::EmbeddingDim, "") => "the model's own".to_owned(),
            (_, "") => "none".to_owned(),
            (_, text) => text.parse().map_or_else(|_| text.to_owned(), number),
        })
    };
    view! {
        <p class="differs" data-differs=move || differs.get().then_some(field.as_str())>
            {move || {
                differs.get().then(|| {
                    view! {
                        <span class="mark">"Differs"</span>
                        <span>"Your default: " {words}</span>
                        <button
                            type="button"
                            class="link"
                            data-scripted=""
                            on:click=move |_| fill.run((field, mine.get_untracked()))
                        >
                            {BACK}
                        </button>
                        <a
                            class="link"
                            data-unscripted=""
                            href=paths::rag_filled(Some(workspace), super::RESET_FIELD, field.as_str())
                        >
                            {BACK}
                        </a>
                    }
                })
            }}
        </p>
    }
}

fn choice_options(choices: &[RagChoice]) -> Vec<SelectOption> {
    let option = |choice: &RagChoice| SelectOption {
        value: choice.name.clone(),
        words: words(&choice.name),
        disabled: !choice.available,
    };
    choices.iter().map(option).collect()
}

/// Only what can run is offered; the rest says why not. The saved one can stay, whatever its state: a browser would not
/// send a choice that is disabled, and nothing else of the form could be saved.
fn model_options(options: &RagOptions, saved: &str) -> Vec<SelectOption> {
    let option = |model: &domain::rag::EmbeddingModel| {
        let state = match model.state {
            ModelState::Ready => "",
            ModelState::NeedsConfiguration => " (needs configuration)",
            ModelState::Unreachable => " (unreachable)",
        };
        let dim = model.dim.map(|dim| format!(", {dim} dimensions")).unwrap_or_default();
        SelectOption {
            value: model.name.clone(),
            words: format!("{}{dim}{state}", model.name),
            disabled: model.state != ModelState::Ready && model.name != saved,
        }
    };
    options.models.iter().map(option).collect()
}

/// "cross-encoder" → "Cross-encoder"; what is an abbreviation stays one.
fn words(name: &str) -> String {
    match name {
        "rrf" => "Reciprocal rank fusion (rrf)".to_owned(),
        "bm25" => "BM25".to_owned(),
        other => {
            let mut letters = other.chars();
            letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::rag::EmbeddingModel;

    #[test]
    fn a_model_that_cannot_run_says_so_and_cannot_be_chosen_unless_it_is_saved() {
        let model =
            |name: &str, state| EmbeddingModel { name: name.into(), state, ..EmbeddingModel::builtin() };
        let models = vec![
            model("here", ModelState::Ready),
            model("away", ModelState::Unreachable),
            model("bare", ModelState::NeedsConfiguration),
        ];
        let shown = |saved: &str| {
            let all = model_options(&RagOptions::new(models.clone()), saved).into_iter();
            all.map(|option| (option.words, option.disabled)).collect::<Vec<_>>()
        };
        let words = [
            "here, 384 dimensions",
            "away, 384 dimensions (unreachable)",
            "bare, 384 dimensions (needs configuration)",
        ];
        let expected =
            |disabled: [bool; 3]| words.map(str::to_owned).into_iter().zip(disabled).collect::<Vec<_>>();
        assert_eq!(shown("here"), expected([false, true, true]));
        assert_eq!(shown("away"), expected([false, false, true]));
    }
}
