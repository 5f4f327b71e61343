//! Steps: the finer stages of a document (or of a chat turn) and the percentages that clients of the older status API
//! expect. A worker of somebody's own may report a step we do not know; it is carried as it is.

use crate::status::PhaseName;
use serde::{Deserialize, Serialize};
use std::{convert::Infallible, fmt, str::FromStr};

macro_rules! steps {
    ($($(#[$doc:meta])* $variant:ident = $text:literal),+ $(,)?) => {
        /// One stage, named as the status APIs name it.
        #[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(from = "String", into = "String")]
        pub enum Step {
            $($(#[$doc])* $variant,)+
            /// A name from outside.
            Other(String),
        }

        impl Step {
            /// The steps that we know.
            pub const KNOWN: &'static [Step] = &[$(Step::$variant),+];

            pub fn as_str(&self) -> &str {
                match self { $(Step::$variant => $text,)+ Step::Other(name) => name }
            }
        }

        impl From<&str> for Step {
            fn from(s: &str) -> Self {
                match s { $($text => Step::$variant,)+ other => Step::Other(other.to_owned()) }
            }
        }
    };
}

steps! {
    // Upload
    Validating = "validating",
    ExtractingText = "extracting_text",
    ChunkingText = "chunking_text",
    CreatingEmbeddings = "creating_embeddings",
    StoringMetadata = "storing_metadata",
    Finished = "finished",
    // Crawl
    Initializing = "initializing",
    Crawling = "crawling",
    ProcessingContent = "processing_content",
    // Chat
    RetrievingContext = "retrieving_context",
    SelectingModel = "selecting_model",
    GeneratingResponse = "generating_response",
    StoringResponse = "storing_response",
    // The friendly keys
    InitializingStreaming = "initializing_streaming",
    DuplicateCheck = "duplicate_check",
    FieldDetection = "field_detection",
    PlatformDetection = "platform_detection",
    DocumentClassification = "document_classification",
    StartingTransaction = "starting_transaction",
    Storing = "storing",
    Extracting = "extracting",
    ProcessingDecision = "processing_decision",
    DuplicateFound = "duplicate_found",
    NearDuplicateFound = "near_duplicate_found",
    ContentDuplicateFound = "content_duplicate_found",
    DeltaAnalysisComplete = "delta_analysis_complete",
    EntityResolution = "entity_resolution",
    Classification = "classification",
    Enrichment = "enrichment",
    Complete = "complete",
    Error = "error",
}

impl Step {
    /// The fixed percentage of an upload or crawl step, as the older status API reports it; `None` for steps that have none.
    pub fn percent(&self) -> Option<u8> {
        Some(match self {
            Step::Validating | Step::Initializing => 10,
            Step::ExtractingText | Step::Crawling => 25,
            Step::ChunkingText | Step::ProcessingContent => 50,
            Step::CreatingEmbeddings => 75,
            Step::StoringMetadata => 95,
            Step::Finished => 100,
            _ => return None,
        })
    }

    /// The phase that the step belongs to; `None` for chat steps, the two ends and foreign names.
    pub fn phase(&self) -> Option<PhaseName> {
        Some(match self {
            Step::Validating
            | Step::ExtractingText
            | Step::Initializing
            | Step::Crawling
            | Step::InitializingStreaming
            | Step::DuplicateCheck
            | Step::DuplicateFound
            | Step::NearDuplicateFound
            | Step::ContentDuplicateFound
            | Step::DocumentClassification
            | Step::PlatformDetection
            | Step::FieldDetection
            | Step::DeltaAnalysisComplete
            | Step::StartingTransaction
            | Step::Storing
            | Step::Extracting
            | Step::ProcessingDecision => PhaseName::Loading,
            Step::ChunkingText | Step::ProcessingContent => PhaseName::Chunking,
            Step::CreatingEmbeddings => PhaseName::Embedding,
            Step::StoringMetadata | Step::Classification | Step::EntityResolution | Step::Enrichment => {
                PhaseName::Indexing
            }
            _ => return None,
        })
    }
}

impl From<String> for Step {
    fn from(s: String) -> Self {
        Step::from(s.as_str())
    }
}

impl From<Step> for String {
    fn from(s: Step) -> Self {
        s.as_str().to_owned()
    }
}

/// Any text: the known names are not all that there are.
#[cfg(feature = "openapi")]
impl utoipa::PartialSchema for Step {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
        use utoipa::openapi::schema::{ObjectBuilder, Type};
        ObjectBuilder::new().schema_type(Type::String).examples(Self::KNOWN.iter().map(Self::as_str)).into()
    }
}

#[cfg(feature = "openapi")]
impl utoipa::ToSchema for Step {}

impl FromStr for Step {
    type Err = Infallible;

    fn from_str(s: &str) -> Result<Self, Infallible> {
        Ok(Step::from(s))
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_upload_steps_have_the_agreed_percentages_in_rising_order() {
        let steps = [
            "validating",
            "extracting_text",
            "chunking_text",
            "creating_embeddings",
            "storing_metadata",
            "finished",
        ];
        let percents: Vec<_> = steps.iter().map(|s| Step::from(*s).percent()).collect();
        assert_eq!(percents, [Some(10), Some(25), Some(50), Some(75), Some(95), Some(100)]);
    }

    #[test]
    fn a_foreign_step_keeps_its_name() {
        let step: Step = serde_json::from_str("\"reticulating_splines\"").unwrap();
        assert_eq!(step, Step::Other("reticulating_splines".into()));
        assert_eq!(serde_json::to_string(&step).unwrap(), "\"reticulating_splines\"");
        assert_eq!(step.percent(), None);
    }

    #[test]
    fn every_known_step_reads_back() {
        for step in Step::KNOWN {
            assert_eq!(&Step::from(step.as_str()), step);
        }
    }
}
