//! Every value that a RAG config refuses: what holds the interfaces against one another in the tests.

use super::{
    ChunkingStrategy, ModelState, RagConfig, RagField, RagForm, RagOptions, RerankModel, RetrieverType,
    options::RETRIEVERS,
    validate::{
        CHUNK_OVERLAP, CHUNK_SIZE, NO_BOOL, NO_DIM, NO_RERANK_MODEL, OVERLAP_TOO_LARGE, TOP_K, UNKNOWN_MODEL,
        one_of, whole_number,
    },
};
use serde_json::Value;

/// A value that is refused, and how: for tests that hold the interfaces against one another.
#[derive(Clone, Debug)]
pub struct BadValue {
    /// Where the sentence stands.
    pub field: RagField,
    /// What is put into an otherwise good configuration.
    pub given: Vec<(RagField, Value)>,
    pub sentence: String,
}

impl BadValue {
    /// A good configuration with the bad value in it.
    pub fn body(&self) -> RagForm {
        let mut form = RagForm::from(&RagConfig::default());
        for (field, value) in &self.given {
            form.0.insert(field.as_str().to_owned(), value.clone());
        }
        form
    }

    /// The same as a page sends it; `None` when a page cannot send such a thing.
    pub fn text(&self) -> Option<Vec<(RagField, String)>> {
        let text_of = |value: &Value| match value {
            Value::Null => String::new(),
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        let body = self.body();
        let pairs = RagField::ALL.iter().filter_map(|f| Some((*f, text_of(body.0.get(f.as_str())?))));
        let pairs: Vec<_> = pairs.collect();
        let sent = RagForm::from_text(pairs.iter().map(|(f, t)| (f.as_str(), t.as_str())));
        let means_the_same = self.given.iter().all(|(f, v)| match (sent.0.get(f.as_str()), v) {
            (Some(Value::String(text)), Value::Number(n)) => *text == n.to_string(),
            (Some(sent), given) => sent == given,
            (None, _) => false,
        });
        means_the_same.then_some(pairs)
    }
}

/// Every field with a value beyond each of its bounds, of a wrong type or against a rule, and the sentence for it.
pub fn bad_values(options: &RagOptions) -> Vec<BadValue> {
    let mut all = vec![];
    let mut add = |field: RagField, given: Vec<(RagField, Value)>, sentence: String| {
        all.push(BadValue { field, given, sentence });
    };
    for (field, range) in
        [(RagField::ChunkSize, CHUNK_SIZE), (RagField::ChunkOverlap, CHUNK_OVERLAP), (RagField::TopK, TOP_K)]
    {
        let mut values = vec![
            Value::from(i64::from(*range.start()) - 1),
            Value::from(range.end() + 1),
            Value::from(u64::MAX),
            Value::from(1.5),
            Value::from("many"),
            Value::from(""),
            Value::Null,
            Value::from(true),
        ];
        // A number as a text is a wrong type, whatever number it is.
        values.push(Value::from(range.end().to_string()));
        for value in values {
            add(field, vec![(field, value)], whole_number(&range));
        }
    }
    for overlap in [CHUNK_SIZE.start(), &500] {
        let given = vec![
            (RagField::ChunkSize, Value::from(*CHUNK_SIZE.start())),
            (RagField::ChunkOverlap, Value::from(*overlap)),
        ];
        add(RagField::ChunkOverlap, given, OVERLAP_TOO_LARGE.to_owned());
    }
    for value in [Value::from("no such model"), Value::from(""), Value::Null, Value::from(7)] {
        add(RagField::EmbeddingModel, vec![(RagField::EmbeddingModel, value)], UNKNOWN_MODEL.to_owned());
    }
    for model in options.models.iter().filter(|m| m.state != ModelState::Ready) {
        let given = vec![(RagField::EmbeddingModel, Value::from(model.name.as_str()))];
        add(RagField::EmbeddingModel, given, model.detail.clone());
    }
    let own = RagConfig::default().embedding_model;
    if let Some(dim) = options.model(&own).and_then(|m| m.dim) {
        for value in [Value::from(dim - 1), Value::from(dim + 1), Value::from(0)] {
            let sentence = format!("{own} has {dim} dimensions.");
            add(RagField::EmbeddingDim, vec![(RagField::EmbeddingDim, value)], sentence);
        }
    }
    for value in [Value::from(-1), Value::from(1.5), Value::from("many"), Value::from(true)] {
        add(RagField::EmbeddingDim, vec![(RagField::EmbeddingDim, value)], NO_DIM.to_owned());
    }
    for (field, sentence) in [
        (RagField::RetrieverType, one_of(RetrieverType::ALL)),
        (RagField::ChunkingStrategy, one_of(ChunkingStrategy::ALL)),
    ] {
        for value in [Value::from("magic"), Value::from(""), Value::Null, Value::from(1)] {
            add(field, vec![(field, value)], sentence.clone());
        }
    }
    for (name, _, why) in RETRIEVERS.iter().filter(|row| !row.1) {
        let given = vec![(RagField::RetrieverType, Value::from(name.as_str()))];
        add(RagField::RetrieverType, given, (*why).to_owned());
    }
    for choice in options.rerank_models.iter().filter(|choice| !choice.available) {
        let given = vec![
            (RagField::RerankEnabled, Value::Bool(true)),
            (RagField::RerankModel, Value::from(choice.name.as_str())),
        ];
        add(RagField::RerankModel, given, choice.detail.clone());
    }
    for value in [Value::from("yes"), Value::Null, Value::from(1)] {
        add(RagField::RerankEnabled, vec![(RagField::RerankEnabled, value)], NO_BOOL.to_owned());
    }
    let enabled = (RagField::RerankEnabled, Value::Bool(true));
    add(
        RagField::RerankModel,
        vec![enabled.clone(), (RagField::RerankModel, Value::Null)],
        NO_RERANK_MODEL.to_owned(),
    );
    for value in [Value::from("magic"), Value::from(1)] {
        add(RagField::RerankModel, vec![(RagField::RerankModel, value)], one_of(RerankModel::ALL));
    }
    all
}
