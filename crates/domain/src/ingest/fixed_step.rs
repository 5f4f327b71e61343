//! The step of a document as older clients know it: one of the six of an upload, or of a crawled page, each with its fixed
//! percentage. Computed from what the document says of itself, so that it never falls within an attempt.

use super::{crawl::SOURCE, *};

/// The fixed steps before the last one, in their order.
const OF_UPLOAD: &[Step] = &[
    Step::Validating,
    Step::ExtractingText,
    Step::ChunkingText,
    Step::CreatingEmbeddings,
    Step::StoringMetadata,
];
const OF_PAGE: &[Step] = &[
    Step::Initializing,
    Step::Crawling,
    Step::ProcessingContent,
    Step::CreatingEmbeddings,
    Step::StoringMetadata,
];

/// Name in a document's metadata: the length of its text, once a worker of this server has read it.
pub(super) const CHARACTERS: &str = "characters";

/// The highest of the fixed steps that the attempt has reached. What a friendly step tells in between, and a step that is
/// begun anew after a stop, takes nothing back.
pub fn fixed_step(d: &Document) -> Step {
    if d.status == DocumentStatus::Ready {
        return Step::Finished;
    }
    let said = d.step.as_ref().and_then(Step::percent).unwrap_or(0);
    let reached = said.max(if is_read_here(d) { reached_here(d) } else { reached_outside(d) });
    if let Some(step) = d.step.as_ref().filter(|step| step.percent() == Some(reached)) {
        return step.clone();
    }
    let steps = if d.metadata.get(SOURCE).is_some() { OF_PAGE } else { OF_UPLOAD };
    let highest = steps.iter().rev().find(|step| step.percent().is_some_and(|p| p <= reached));
    highest.unwrap_or(&steps[0]).clone()
}

/// Whether a worker of this server has the text. One of somebody's own counts by the fixed percentages instead, and says
/// steps that the pipeline here does not have.
fn is_read_here(d: &Document) -> bool {
    d.metadata.get(CHARACTERS).is_some() && !matches!(d.step, Some(Step::Other(_)))
}

/// Percent of the highest fixed step, by where the pipeline says its friendly steps, and by how far the document is.
fn reached_here(d: &Document) -> u8 {
    let is_past = |progress: f64| d.progress >= progress - 1e-6;
    let by_step = match d.step {
        Some(Step::NearDuplicateFound | Step::Classification | Step::EntityResolution) => 50,
        // It is said while the text is cut, and of a language model that reads what was embedded before.
        Some(Step::Enrichment) if is_past(progress::of_document(PhaseName::Indexing, 0, 0)) => 75,
        Some(Step::Enrichment) => 50,
        _ => 0,
    };
    let by_progress = if is_past(progress::at_step(&Step::StoringMetadata)) {
        95
    } else if is_past(progress::at_step(&Step::ChunkingText)) {
        50
    } else if is_past(progress::at_step(&Step::ExtractingText)) {
        25
    } else {
        0
    };
    by_step.max(by_progress)
}

/// Percent that a worker of somebody's own has come to: its own steps have none, but it says how far it is.
fn reached_outside(d: &Document) -> u8 {
    // A file that is being read for the second time after a stop; whoever reports this step has at least its percentage.
    let is_read_again = matches!(d.step, Some(Step::Validating | Step::Initializing))
        && d.progress >= progress::at_step(&Step::ExtractingText) - 1e-6
        && d.progress < 10.0;
    if is_read_again { 25 } else { d.progress.clamp(0.0, 99.0) as u8 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resource::CANCELLED;
    use uuid::Uuid;

    fn new() -> (JobState, DocumentState) {
        let upload = Upload {
            id: DocumentId::new(Uuid::from_u128(3)),
            filename: "a.csv".into(),
            mime_type: "text/csv".into(),
            size_bytes: 9,
            content_hash: "00".into(),
        };
        let ids = (UserId::new(Uuid::from_u128(1)), WorkspaceId::new(Uuid::from_u128(2)));
        let job = JobId::new(Uuid::from_u128(4));
        let now = Timestamp::default();
        let (job, mut documents, _) =
            create(job, JobKind::Upload, ids.0, ids.1, &[upload], &RagConfig::default(), now);
        (job, documents.remove(0))
    }

    fn chunk(n: u128) -> NewChunk {
        NewChunk {
            id: ChunkId::new(Uuid::from_u128(n)),
            ordinal: 0,
            text: "one".into(),
            content_hash: "00".into(),
            page: None,
            heading: None,
            char_start: 0,
            char_end: 3,
            token_count: 1,
            enabled: true,
            cut_hash: None,
            graph: ChunkGraph::default(),
        }
    }

    fn step(step: Step) -> Checkpoint {
        Checkpoint::Step { step, facts: Facts::default() }
    }

    fn loaded() -> Checkpoint {
        Checkpoint::Loaded { pages: None, characters: 3, title: None, warnings: vec![] }
    }

    /// What a poller is told after each piece of work, from the first on.
    fn told(work: Vec<Checkpoint>) -> Vec<u8> {
        let (mut job, mut doc) = new();
        start(&mut job, &mut doc, Timestamp::default()).expect("it starts");
        let tell = |checkpoint: Checkpoint| {
            let now = Timestamp::default();
            advance(&mut job, &mut doc, &checkpoint, &RagConfig::default(), now).expect("in order");
            fixed_step(&doc.document).percent().expect("a fixed step")
        };
        work.into_iter().map(tell).collect()
    }

    #[test]
    fn what_is_said_of_a_table_takes_nothing_back() {
        let work = vec![
            step(Step::Validating),
            step(Step::ExtractingText),
            loaded(),
            step(Step::PlatformDetection),
            step(Step::FieldDetection),
            step(Step::DeltaAnalysisComplete),
            step(Step::ChunkingText),
        ];
        assert_eq!(told(work), [10, 25, 25, 25, 25, 25, 50]);
    }

    #[test]
    fn neither_does_a_near_duplicate_nor_the_graph() {
        let with = DocumentId::new(Uuid::from_u128(9));
        let work = vec![
            step(Step::Validating),
            step(Step::ExtractingText),
            loaded(),
            step(Step::DocumentClassification),
            step(Step::ChunkingText),
            step(Step::Classification),
            step(Step::EntityResolution),
            step(Step::Enrichment),
            Checkpoint::Chunked { chunks: vec![chunk(5)] },
            Checkpoint::Compared { with, filename: "b.csv".into(), shared: 1 },
            step(Step::CreatingEmbeddings),
            Checkpoint::Embedded { vectors: vec![(chunk(5).id, vec![1.0])] },
            step(Step::Enrichment),
            step(Step::StoringMetadata),
            // After a stop, what a language model has yet to read comes once more.
            step(Step::Enrichment),
            step(Step::StoringMetadata),
            Checkpoint::Indexed,
        ];
        let expected = [10, 25, 25, 25, 50, 50, 50, 50, 50, 50, 75, 75, 75, 95, 95, 95, 100];
        assert_eq!(told(work), expected);
    }

    #[test]
    fn a_file_that_is_read_again_after_a_stop_stays_where_it_was() {
        let work = vec![
            step(Step::Validating),
            step(Step::ExtractingText),
            step(Step::Validating),
            step(Step::ExtractingText),
            loaded(),
            step(Step::ChunkingText),
            // What was read could not be found again.
            step(Step::ExtractingText),
        ];
        assert_eq!(told(work), [10, 25, 25, 25, 25, 50, 50]);
    }

    #[test]
    fn a_worker_with_steps_of_its_own_is_where_it_says() {
        let (_, mut doc) = new();
        let d = &mut doc.document;
        d.status = DocumentStatus::Processing;
        d.step = Some(Step::Other("reticulating_splines".into()));
        let all = [
            (0.0, "validating"),
            (12.0, "validating"),
            (25.0, "extracting_text"),
            (60.5, "chunking_text"),
            (94.9, "creating_embeddings"),
            (100.0, "storing_metadata"),
        ];
        for (progress, expected) in all {
            d.progress = progress;
            assert_eq!(fixed_step(d).as_str(), expected, "{progress}");
            // Whatever else it tells of the document.
            d.metadata = serde_json::json!({ "characters": 9 });
            assert_eq!(fixed_step(d).as_str(), expected, "{progress}");
            d.metadata = serde_json::json!({});
        }
    }

    #[test]
    fn a_worker_that_says_the_first_step_is_not_taken_to_read_again() {
        let (_, mut doc) = new();
        let d = &mut doc.document;
        d.status = DocumentStatus::Processing;
        (d.step, d.progress) = (Some(Step::Validating), 10.0);
        assert_eq!(fixed_step(d), Step::Validating);
    }

    #[test]
    fn a_page_is_told_by_the_steps_of_a_crawl_from_the_beginning() {
        let (_, mut doc) = new();
        let d = &mut doc.document;
        d.metadata = serde_json::json!({ SOURCE: "https://example.org/" });
        assert_eq!(fixed_step(d), Step::Initializing);
        d.status = DocumentStatus::Processing;
        d.metadata = serde_json::json!({ SOURCE: "https://example.org/", CHARACTERS: 9 });
        d.progress = progress::of_document(PhaseName::Chunking, 0, 0);
        d.step = Some(Step::DocumentClassification);
        assert_eq!(fixed_step(d), Step::Crawling);
        d.step = Some(Step::ProcessingContent);
        assert_eq!(fixed_step(d), Step::ProcessingContent);
    }

    #[test]
    fn one_that_failed_stays_where_it_came_to() {
        let (_, mut doc) = new();
        let d = &mut doc.document;
        d.status = DocumentStatus::Failed;
        d.error_code = Some(CANCELLED.into());
        d.step = Some(Step::CreatingEmbeddings);
        assert_eq!(fixed_step(d), Step::CreatingEmbeddings);
    }
}
