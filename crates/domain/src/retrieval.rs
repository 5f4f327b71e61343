//! Trying a workspace's retrieval with questions of which somebody knows where the answer stands.

use crate::{
    ids::{CaseId, DocumentId, WorkspaceId},
    rag::{RerankModel, RetrieverType},
    resource::{SearchHit, Warning},
    timestamp::Timestamp,
};
use serde::{Deserialize, Serialize};

/// A question with what has to be found for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RetrievalCase {
    pub id: CaseId,
    pub workspace_id: WorkspaceId,
    pub question: String,
    pub document_id: DocumentId,
    /// Of that document, as it was when the case was made.
    pub filename: String,
    /// `null`: any passage of the document will do.
    pub passage: Option<CasePassage>,
    pub created_at: Timestamp,
}

/// A passage by its place in the document's text, so that it is still meant after the text was cut in another way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CasePassage {
    pub char_start: u64,
    pub char_end: u64,
    /// How it begins.
    pub excerpt: String,
}

impl RetrievalCase {
    /// Whether a hit is what has to be found: of the document, and with half of the shorter of the two passages in common.
    pub fn is_found_by(&self, hit: &SearchHit) -> bool {
        if hit.document.id != self.document_id {
            return false;
        }
        let Some(passage) = &self.passage else { return true };
        let start = passage.char_start.max(hit.chunk.char_start);
        let common = passage.char_end.min(hit.chunk.char_end).saturating_sub(start);
        let shorter = (passage.char_end - passage.char_start.min(passage.char_end))
            .min(hit.chunk.char_end.saturating_sub(hit.chunk.char_start));
        2 * common >= shorter.max(1)
    }

    /// The place, from 1, of the first hit that is what has to be found.
    pub fn rank_in(&self, hits: &[SearchHit]) -> Option<u32> {
        (1..).zip(hits).find(|(_, hit)| self.is_found_by(hit)).map(|(rank, _)| rank)
    }
}

/// What became of one case.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CaseResult {
    pub case: RetrievalCase,
    /// What has to be found is among the passages.
    pub passed: bool,
    /// Its place, from 1.
    pub rank: Option<u32>,
}

/// All cases of a workspace, tried in one way.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CaseRun {
    pub retriever_type: RetrieverType,
    /// `null`: in the order of the retriever.
    pub rerank_model: Option<RerankModel>,
    pub top_k: u32,
    pub results: Vec<CaseResult>,
    pub passed: u32,
    /// The share of the cases that passed: recall at `top_k`; `null` without any.
    pub recall: Option<f64>,
    /// The mean of 1/rank over all cases, 0 for those that failed; `null` without any.
    pub mrr: Option<f64>,
    /// What went otherwise than asked for, each once.
    pub warnings: Vec<Warning>,
}

impl CaseRun {
    pub fn new(
        (retriever_type, rerank_model, top_k): (RetrieverType, Option<RerankModel>, u32),
        ranked: Vec<(RetrievalCase, Option<u32>)>,
        warnings: Vec<Warning>,
    ) -> Self {
        let of = ranked.len() as f64;
        let found: Vec<u32> = ranked.iter().filter_map(|(_, rank)| *rank).collect();
        let share = |sum: f64| (of > 0.0).then(|| sum / of);
        Self {
            retriever_type,
            rerank_model,
            top_k,
            passed: u32::try_from(found.len()).unwrap_or(u32::MAX),
            recall: share(found.len() as f64),
            mrr: share(found.iter().map(|rank| 1.0 / f64::from(*rank)).sum()),
            results: ranked
                .into_iter()
                .map(|(case, rank)| CaseResult { case, passed: rank.is_some(), rank })
                .collect(),
            warnings,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        ids::ChunkId,
        resource::{Chunk, DocumentRef, Scores},
    };
    use uuid::Uuid;

    fn hit(document: u128, chars: std::ops::Range<u64>) -> SearchHit {
        let document_id = DocumentId::new(Uuid::from_u128(document));
        SearchHit {
            chunk: Chunk {
                version: 1,
                id: ChunkId::new(Uuid::from_u128(9)),
                document_id,
                ordinal: 0,
                text: String::new(),
                page: None,
                heading: None,
                char_start: chars.start,
                char_end: chars.end,
                token_count: 1,
                enabled: true,
                edited: false,
            },
            document: DocumentRef { id: document_id, filename: String::new(), mime_type: String::new() },
            score: 1.0,
            scores: Scores::default(),
        }
    }

    fn case(chars: Option<std::ops::Range<u64>>) -> RetrievalCase {
        RetrievalCase {
            id: CaseId::new(Uuid::from_u128(1)),
            workspace_id: WorkspaceId::new(Uuid::from_u128(2)),
            question: "?".into(),
            document_id: DocumentId::new(Uuid::from_u128(3)),
            filename: "a.txt".into(),
            passage: chars.map(|c| CasePassage {
                char_start: c.start,
                char_end: c.end,
                excerpt: String::new(),
            }),
            created_at: Timestamp::default(),
        }
    }

    #[test]
    fn a_passage_is_found_by_half_of_it_and_a_document_by_any_of_its_passages() {
        let passage = case(Some(100..200));
        for (chars, found) in [
            (100..200, true),
            (150..400, true),
            (151..400, false),
            (0..1_000, true),
            (160..170, true),
            (200..300, false),
        ] {
            assert_eq!(passage.is_found_by(&hit(3, chars.clone())), found, "{chars:?}");
        }
        assert!(!passage.is_found_by(&hit(4, 100..200)), "of another document");
        assert!(case(None).is_found_by(&hit(3, 7..8)));
        assert_eq!(passage.rank_in(&[hit(4, 0..9), hit(3, 0..9), hit(3, 90..190)]), Some(3));
        assert_eq!(passage.rank_in(&[]), None);
    }

    #[test]
    fn a_run_counts_what_passed_and_how_far_up() {
        let how = (RetrieverType::Vector, None, 5);
        let run =
            CaseRun::new(how, vec![(case(None), Some(1)), (case(None), Some(4)), (case(None), None)], vec![]);
        assert_eq!(run.passed, 2);
        assert!((run.recall.unwrap() - 2.0 / 3.0).abs() < 1e-9);
        assert!((run.mrr.unwrap() - 1.25 / 3.0).abs() < 1e-9);
        let none = CaseRun::new(how, vec![], vec![]);
        assert_eq!((none.recall, none.mrr, none.passed), (None, None, 0));
    }
}
