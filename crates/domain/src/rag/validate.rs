//! Reading a configuration from a form or a body, with every bound and every rule between fields. The sentences stand
//! here once; what is refused in the browser is refused with the same words by every interface.

use super::{
    ChunkingStrategy, ModelState, RagConfig, RagField, RagOptions, RerankModel, RetrieverType,
    options::{RETRIEVERS, STRATEGIES, refusal},
};
use crate::{message::number as digits, validate::FieldErrors};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::{fmt::Display, ops::RangeInclusive, str::FromStr};

pub const CHUNK_SIZE: RangeInclusive<u32> = 100..=5000;
pub const CHUNK_OVERLAP: RangeInclusive<u32> = 0..=1000;
pub const TOP_K: RangeInclusive<u32> = 1..=50;

/// What may be tried in a single question.
const TRIED: [RagField; 4] =
    [RagField::RetrieverType, RagField::TopK, RagField::RerankEnabled, RagField::RerankModel];

pub(super) const UNKNOWN_MODEL: &str = "This server does not have that model.";
pub(super) const OVERLAP_TOO_LARGE: &str = "The overlap must be smaller than the chunk size.";
pub(super) const NO_RERANK_MODEL: &str = "Choose a model, or switch reranking off.";
pub(super) const NO_BOOL: &str = "Use true or false.";
pub(super) const NO_DIM: &str = "Leave this empty, or use a whole number.";

pub(super) fn whole_number(range: &RangeInclusive<u32>) -> String {
    format!(
        "Use a whole number from {} to {}.",
        digits((*range.start()).into()),
        digits((*range.end()).into())
    )
}

/// A configuration as it came in: a JSON object whose fields are looked at one by one, so that all that is wrong is
/// told at once. What is absent takes the value of another configuration; what is unknown is ignored.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RagForm(pub Map<String, Value>);

impl From<&RagConfig> for RagForm {
    fn from(config: &RagConfig) -> Self {
        match serde_json::to_value(config) {
            Ok(Value::Object(fields)) => Self(fields),
            // A struct with named fields is always an object.
            _ => Self::default(),
        }
    }
}

impl RagForm {
    /// The form of a page: texts, where an empty one is none, and a box that is not ticked is not sent.
    pub fn from_text<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let mut fields = Map::new();
        fields.insert(RagField::RerankEnabled.as_str().to_owned(), Value::Bool(false));
        for (name, text) in pairs {
            let text = text.trim();
            let value = match name.parse::<RagField>() {
                Err(_) => continue,
                Ok(RagField::RerankEnabled) => Value::Bool(!matches!(text, "" | "false" | "off")),
                Ok(RagField::EmbeddingDim | RagField::RerankModel) if text.is_empty() => Value::Null,
                Ok(
                    RagField::ChunkSize | RagField::ChunkOverlap | RagField::TopK | RagField::EmbeddingDim,
                ) => text.parse::<i64>().map_or_else(|_| Value::from(text), Value::from),
                Ok(_) => Value::from(text),
            };
            fields.insert(name.to_owned(), value);
        }
        Self(fields)
    }

    /// Reads every field and checks every rule. What is absent is taken from `base`. `current` is what is saved now:
    /// its model may stay while its server does not answer.
    ///
    /// # Errors
    /// All that is wrong, by field.
    pub fn check(
        &self,
        base: &RagConfig,
        options: &RagOptions,
        current: &RagConfig,
    ) -> Result<RagConfig, FieldErrors> {
        let mut errors = FieldErrors::default();
        let config = self.read(base, &mut errors);
        rules(&config, options, Some(current), &mut errors);
        errors.check().map(|()| config)
    }

    /// What it says of how passages are found, over what is saved: for trying that in a question without saving it. How
    /// documents are indexed is not looked at. A rerank model that is named is meant.
    ///
    /// # Errors
    /// All that is wrong with those fields.
    pub fn try_out(&self, saved: &RagConfig, options: &RagOptions) -> Result<RagConfig, FieldErrors> {
        let is_tried = |name: &str| name.parse().is_ok_and(|field: RagField| TRIED.contains(&field));
        let given = self.0.iter().filter(|(name, _)| is_tried(name));
        let mut form = Self(given.map(|(name, value)| (name.clone(), value.clone())).collect());
        if let Some(model) = form.0.get(RagField::RerankModel.as_str()) {
            let enabled = Value::Bool(!model.is_null());
            form.0.entry(RagField::RerankEnabled.as_str()).or_insert(enabled);
        }
        let mut errors = FieldErrors::default();
        let config = form.read(saved, &mut errors);
        rules(&config, options, Some(saved), &mut errors);
        errors.keep(is_tried);
        errors.check().map(|()| config)
    }

    fn read(&self, base: &RagConfig, errors: &mut FieldErrors) -> RagConfig {
        let mut config = base.clone();
        let given = |field: RagField| self.0.get(field.as_str());
        if let Some(value) = given(RagField::EmbeddingModel) {
            match value.as_str() {
                Some(name) => {
                    name.clone_into(&mut config.embedding_model);
                    if name != base.embedding_model {
                        // The number of the other model would not fit.
                        config.embedding_dim = None;
                    }
                }
                None => errors.add(RagField::EmbeddingModel.as_str(), UNKNOWN_MODEL),
            }
        }
        if let Some(value) = given(RagField::EmbeddingDim) {
            match number(value) {
                _ if value.is_null() => config.embedding_dim = None,
                Some(n) => config.embedding_dim = Some(n),
                None => errors.add(RagField::EmbeddingDim.as_str(), NO_DIM),
            }
        }
        let mut bounded = |field: RagField, range: RangeInclusive<u32>, slot: &mut u32| {
            let Some(value) = given(field) else { return };
            match number(value) {
                Some(n) => *slot = n,
                None => errors.add(field.as_str(), whole_number(&range)),
            }
        };
        bounded(RagField::ChunkSize, CHUNK_SIZE, &mut config.chunk_size);
        bounded(RagField::ChunkOverlap, CHUNK_OVERLAP, &mut config.chunk_overlap);
        bounded(RagField::TopK, TOP_K, &mut config.top_k);
        if let Some(value) = given(RagField::RetrieverType) {
            named(value, RagField::RetrieverType, RetrieverType::ALL, &mut config.retriever_type, errors);
        }
        if let Some(value) = given(RagField::ChunkingStrategy) {
            let all = ChunkingStrategy::ALL;
            named(value, RagField::ChunkingStrategy, all, &mut config.chunking_strategy, errors);
        }
        if let Some(value) = given(RagField::RerankEnabled) {
            match value.as_bool() {
                Some(enabled) => config.rerank_enabled = enabled,
                None => errors.add(RagField::RerankEnabled.as_str(), NO_BOOL),
            }
        }
        match given(RagField::RerankModel) {
            None => {}
            Some(Value::Null) => config.rerank_model = None,
            Some(value) => {
                let mut model = RerankModel::Rrf;
                named(value, RagField::RerankModel, RerankModel::ALL, &mut model, errors);
                config.rerank_model = Some(model);
            }
        }
        config
    }
}

/// A number that is not negative and has no fraction; too large ones become the largest, which no range has.
fn number(value: &Value) -> Option<u32> {
    value.as_u64().map(|n| u32::try_from(n).unwrap_or(u32::MAX))
}

pub(super) fn one_of<T: Display>(all: &[T]) -> String {
    let names: Vec<String> = all.iter().map(ToString::to_string).collect();
    format!("Use one of {}.", names.join(", "))
}

fn named<T: FromStr + Display>(
    value: &Value,
    field: RagField,
    all: &[T],
    slot: &mut T,
    errors: &mut FieldErrors,
) {
    match value.as_str().and_then(|text| text.parse().ok()) {
        Some(parsed) => *slot = parsed,
        None => errors.add(field.as_str(), one_of(all)),
    }
}

impl RagConfig {
    /// Every bound and every rule between fields. See [`RagForm::check`] for `current`.
    ///
    /// # Errors
    /// All that is wrong, by field.
    pub fn validate(&self, options: &RagOptions, current: Option<&RagConfig>) -> Result<(), FieldErrors> {
        let mut errors = FieldErrors::default();
        rules(self, options, current, &mut errors);
        errors.check()
    }
}

/// Adds what is wrong. A field that could not even be read is left alone, and so is a rule that would need it.
fn rules(config: &RagConfig, options: &RagOptions, current: Option<&RagConfig>, errors: &mut FieldErrors) {
    let readable = |errors: &FieldErrors, field: RagField| errors.of(field.as_str()).is_empty();
    if readable(errors, RagField::EmbeddingModel) {
        if let Some(sentence) = model_refusal(config, options, current) {
            errors.add(RagField::EmbeddingModel.as_str(), sentence);
        } else if let Some(dim) = config.embedding_dim.filter(|_| readable(errors, RagField::EmbeddingDim)) {
            let kept = current.is_some_and(|c| {
                c.embedding_model == config.embedding_model && c.embedding_dim == config.embedding_dim
            });
            match options.model(&config.embedding_model).and_then(|m| m.dim) {
                Some(own) if own != dim => errors.add(
                    RagField::EmbeddingDim.as_str(),
                    format!("{} has {own} dimensions.", config.embedding_model),
                ),
                None if !kept => errors.add(
                    RagField::EmbeddingDim.as_str(),
                    format!("The dimensions of {} are not known now.", config.embedding_model),
                ),
                _ => {}
            }
        }
    }
    for (field, value, range) in [
        (RagField::ChunkSize, config.chunk_size, CHUNK_SIZE),
        (RagField::ChunkOverlap, config.chunk_overlap, CHUNK_OVERLAP),
        (RagField::TopK, config.top_k, TOP_K),
    ] {
        if readable(errors, field) && !range.contains(&value) {
            errors.add(field.as_str(), whole_number(&range));
        }
    }
    let readable_cut = readable(errors, RagField::ChunkSize) && readable(errors, RagField::ChunkOverlap);
    if readable_cut && config.chunk_overlap >= config.chunk_size {
        errors.add(RagField::ChunkOverlap.as_str(), OVERLAP_TOO_LARGE);
    }
    if let Some(why) = refusal(&RETRIEVERS, &config.retriever_type) {
        errors.add(RagField::RetrieverType.as_str(), why);
    }
    if let Some(why) = refusal(&STRATEGIES, &config.chunking_strategy) {
        errors.add(RagField::ChunkingStrategy.as_str(), why);
    }
    if readable(errors, RagField::RerankModel) {
        match &config.rerank_model {
            Some(model) => {
                // One that is silent just now may stay: what cannot be reached is told with the result.
                let is_kept = current.is_some_and(|c| c.rerank_enabled && c.rerank_model == Some(*model));
                if let Some(why) = options.rerank_refusal(*model).filter(|_| !is_kept) {
                    errors.add(RagField::RerankModel.as_str(), why);
                }
            }
            None if config.rerank_enabled => errors.add(RagField::RerankModel.as_str(), NO_RERANK_MODEL),
            None => {}
        }
    }
}

fn model_refusal(config: &RagConfig, options: &RagOptions, current: Option<&RagConfig>) -> Option<String> {
    let is_current = current.is_some_and(|c| c.embedding_model == config.embedding_model);
    let Some(model) = options.model(&config.embedding_model) else {
        // A server that does not answer cannot tell its models either: what was chosen from it may stay.
        let some_silent = options.models.iter().any(|m| m.state == ModelState::Unreachable);
        return (!(is_current && some_silent)).then(|| UNKNOWN_MODEL.to_owned());
    };
    match model.state {
        ModelState::Ready => None,
        // Nothing would ever ask it.
        _ if !config.needs_model() => None,
        ModelState::Unreachable if is_current => None,
        ModelState::Unreachable | ModelState::NeedsConfiguration => Some(model.detail.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rag::{EmbeddingModel, Provider, bad_values};
    use proptest::prelude::*;

    fn model(name: &str, dim: Option<u32>, state: ModelState) -> EmbeddingModel {
        EmbeddingModel {
            name: name.into(),
            dim,
            max_tokens: None,
            provider: Provider::Server,
            state,
            detail: format!("{name} is {state}."),
        }
    }

    fn options() -> RagOptions {
        RagOptions::new(vec![
            EmbeddingModel::builtin(),
            model("away", None, ModelState::Unreachable),
            model("later", Some(768), ModelState::NeedsConfiguration),
        ])
    }

    fn check(form: &RagForm) -> Result<RagConfig, FieldErrors> {
        let d = RagConfig::default();
        form.check(&d, &options(), &d)
    }

    #[test]
    fn the_defaults_are_valid() {
        assert_eq!(RagConfig::default().validate(&options(), None), Ok(()));
    }

    #[test]
    fn every_bad_value_is_told_at_its_field_with_its_sentence_and_nowhere_else() {
        let table = bad_values(&options());
        for &field in RagField::ALL {
            assert!(table.iter().any(|bad| bad.field == field), "{field}");
        }
        for bad in table {
            let errors = check(&bad.body()).expect_err(&bad.sentence);
            assert_eq!(errors, FieldErrors::one(bad.field.as_str(), bad.sentence.as_str()), "{bad:?}");
        }
    }

    #[test]
    fn a_page_that_sends_the_same_is_told_the_same() {
        let table = bad_values(&options());
        let mut sent = 0;
        for bad in &table {
            let Some(pairs) = bad.text() else { continue };
            let form = RagForm::from_text(pairs.iter().map(|(f, t)| (f.as_str(), t.as_str())));
            let errors = check(&form).expect_err(&bad.sentence);
            assert_eq!(errors, FieldErrors::one(bad.field.as_str(), bad.sentence.as_str()), "{bad:?}");
            sent += 1;
        }
        assert!(sent * 2 > table.len(), "{sent} of {}", table.len());
    }

    #[test]
    fn all_that_is_wrong_is_told_at_once() {
        let form =
            serde_json::json!({ "chunk_size": "x", "chunk_overlap": -1, "top_k": 0, "rerank_model": 3 });
        let form: RagForm = serde_json::from_value(form).unwrap();
        assert_eq!(check(&form).unwrap_err().count(), 4);
    }

    #[test]
    fn what_is_absent_takes_the_value_of_the_base() {
        let base = RagConfig { chunk_size: 700, embedding_dim: Some(384), ..RagConfig::default() };
        let read = |text: &str| {
            let form: RagForm = serde_json::from_str(text).unwrap();
            form.check(&base, &options(), &base)
        };
        assert_eq!(read("{}"), Ok(base.clone()));
        assert_eq!(read(r#"{"top_k":3,"colour":"red"}"#), Ok(RagConfig { top_k: 3, ..base.clone() }));
        assert_eq!(read(r#"{"embedding_dim":null}"#), Ok(RagConfig { embedding_dim: None, ..base.clone() }));
        // Another model comes with its own dimensions.
        let base = RagConfig { embedding_model: "away".into(), embedding_dim: Some(9), ..base };
        let form = RagForm(Map::from_iter([("embedding_model".to_owned(), "all-MiniLM-L6-v2".into())]));
        assert_eq!(form.check(&base, &options(), &base).unwrap().embedding_dim, None);
    }

    #[test]
    fn a_model_that_is_silent_may_stay_but_not_be_chosen() {
        let with = |name: &str, dim| RagConfig {
            embedding_model: name.into(),
            embedding_dim: dim,
            ..RagConfig::default()
        };
        let away = with("away", Some(3));
        assert_eq!(away.validate(&options(), Some(&away)), Ok(()));
        assert_eq!(
            away.validate(&options(), Some(&RagConfig::default())).unwrap_err(),
            FieldErrors::one("embedding_model", "away is unreachable.")
        );
        let other_dim = with("away", Some(4)).validate(&options(), Some(&away)).unwrap_err();
        assert_eq!(other_dim.of("embedding_dim"), ["The dimensions of away are not known now."]);
        // Its server cannot even be asked whether it still has that one.
        let forgotten = with("forgotten", None);
        assert_eq!(forgotten.validate(&options(), Some(&forgotten)), Ok(()));
        let all_answer = RagOptions::new(vec![EmbeddingModel::builtin()]);
        assert!(forgotten.validate(&all_answer, Some(&forgotten)).is_err());
        // Without the operator it never comes back.
        let later = with("later", None);
        assert!(later.validate(&options(), Some(&later)).is_err());
        let keyword = RagConfig { retriever_type: RetrieverType::Keyword, ..later };
        assert_eq!(keyword.validate(&options(), None), Ok(()), "nothing asks the model");
    }

    #[test]
    fn a_question_tries_how_passages_are_found_and_nothing_else() {
        let saved = RagConfig { embedding_model: "gone".into(), chunk_size: 700, ..RagConfig::default() };
        let tried = |body: serde_json::Value| {
            let form: RagForm = serde_json::from_value(body).unwrap();
            form.try_out(&saved, &options())
        };
        let config = tried(serde_json::json!({
            "retriever_type": "graph", "rerank_model": "bm25", "top_k": 3, "chunk_size": 1, "embedding_model": "x"
        }));
        let expected = RagConfig {
            retriever_type: RetrieverType::Graph,
            rerank_enabled: true,
            rerank_model: Some(RerankModel::Bm25),
            top_k: 3,
            ..saved.clone()
        };
        assert_eq!(config, Ok(expected), "what is wrong elsewhere may stay so");
        let off = tried(serde_json::json!({ "rerank_model": null })).unwrap();
        assert!(!off.rerank_enabled);
        let wrong = tried(
            serde_json::json!({ "retriever_type": "magic", "rerank_model": "cross-encoder", "top_k": 0 }),
        );
        assert_eq!(wrong.unwrap_err().count(), 3);
    }

    #[test]
    fn a_box_that_is_not_ticked_is_off() {
        let form = RagForm::from_text([("chunk_size", " 300 "), ("rerank_model", "rrf"), ("other", "x")]);
        let base =
            RagConfig { rerank_enabled: true, rerank_model: Some(RerankModel::Bm25), ..RagConfig::default() };
        let read = form.check(&base, &options(), &base).unwrap();
        assert_eq!(
            (read.rerank_enabled, read.rerank_model, read.chunk_size),
            (false, Some(RerankModel::Rrf), 300)
        );
        let ticked = RagForm::from_text([("rerank_enabled", "on"), ("rerank_model", "")]);
        assert_eq!(ticked.check(&base, &options(), &base).unwrap_err().of("rerank_model"), [NO_RERANK_MODEL]);
    }

    proptest! {
        #[test]
        fn exactly_what_is_within_the_bounds_passes(size in 0u32..6000, overlap in 0u32..1200, top_k in 0u32..60) {
            let config = RagConfig { chunk_size: size, chunk_overlap: overlap, top_k, ..RagConfig::default() };
            let good = (100..=5000).contains(&size) && overlap <= 1000 && overlap < size && (1..=50).contains(&top_k);
            let told = config.validate(&options(), None);
            prop_assert_eq!(told.is_ok(), good, "{:?}", told);
            // Whatever passes reads back from its own form.
            if good {
                prop_assert_eq!(check(&RagForm::from(&config)), Ok(config));
            }
        }
    }
}
