//! The passages of a run over a document, in memory: what is left to do with them, and where the same words are already.

use super::{State, documents::chunk_of};
use domain::{Chunk, ChunkId, Document, DocumentId, DocumentStatus, graph::Mention, ingest::NewChunk};
use services::ports::{Alike, Claim, Unread, UnreadPassage};
use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
};

impl State {
    /// Those without a vector whose words a passage with one has already: the two.
    pub(super) fn known_passages(&self, claim: &Claim, limit: u32) -> Vec<(ChunkId, ChunkId)> {
        let model = claim.rag_config.fingerprint(true).model;
        let theirs = self.findable(claim.workspace_id, Some(&model));
        let known = |c: &NewChunk| {
            let same = theirs.iter().filter(|(_, old)| old.content_hash == c.content_hash && old.id != c.id);
            same.map(|(_, old)| old.id).filter(|id| self.vectors.contains_key(id)).min()
        };
        let left = self.chunks_of_run(claim.document_id).iter().filter(|c| !self.vectors.contains_key(&c.id));
        left.filter_map(|c| Some((c.id, known(c)?))).take(limit as usize).collect()
    }

    /// The document that this one is a new form of, and its version: itself, or the newest of its name.
    pub(super) fn namesake(&self, claim: &Claim) -> Option<(DocumentId, u32)> {
        let own = self.documents.get(&claim.document_id).map(|row| &row.state);
        if let Some(own) = own.filter(|s| s.live > 0 && s.document.next_version == Some(claim.version)) {
            return Some((claim.document_id, own.document.version));
        }
        let alike = |d: &&Document| {
            d.workspace_id == claim.workspace_id
                && d.filename == claim.filename
                && d.id != claim.document_id
                && d.status == DocumentStatus::Ready
        };
        let found = self.documents.values().filter(|row| row.state.live > 0).map(|row| &row.state.document);
        found.filter(alike).max_by_key(|d| (d.created_at, d.id)).map(|d| (d.id, d.version))
    }

    /// The document that has most of the same passages.
    pub(super) fn most_alike(&self, claim: &Claim) -> Option<Alike> {
        let mine = self.chunks_of_run(claim.document_id);
        let mut shared: BTreeMap<DocumentId, BTreeSet<u32>> = BTreeMap::new();
        for (document, old) in self.findable(claim.workspace_id, None) {
            let same = mine.iter().filter(|c| c.content_hash == old.content_hash).map(|c| c.ordinal);
            shared.entry(document).or_default().extend(same);
        }
        shared.remove(&claim.document_id);
        let most = shared
            .into_iter()
            .filter(|(_, all)| !all.is_empty())
            .max_by_key(|(id, all)| (all.len(), Reverse(*id)));
        most.and_then(|(document_id, all)| {
            let filename = self.documents.get(&document_id)?.state.document.filename.clone();
            Some(Alike { document_id, filename, shared: all.len() as u64 })
        })
    }

    /// Those without a vector.
    pub(super) fn left_to_embed(&self, document: DocumentId, limit: u32) -> Vec<Chunk> {
        let left = self.chunks_of_run(document).iter().filter(|c| !self.vectors.contains_key(&c.id));
        let version = self.documents.get(&document).map_or(1, |row| row.state.run_version());
        left.take(limit as usize).map(|c| chunk_of(document, version, c)).collect()
    }

    /// Those that no language model was asked about.
    pub(super) fn left_to_read(&self, document: DocumentId, limit: u32) -> Unread {
        let all = self.chunks_of_run(document);
        let asked = |id: &ChunkId| self.asked.get(id).copied();
        let version = self.documents.get(&document).map_or(1, |row| row.state.run_version());
        let passage = |c: &NewChunk| {
            let mut known: Vec<&Mention> = c.graph.mentions.iter().collect();
            known.sort_by_key(|m| (m.times, m.entity.as_str()));
            let known = known.into_iter().map(|m| (m.surface.clone(), m.entity.clone())).collect();
            UnreadPassage { chunk: chunk_of(document, version, c), known }
        };
        let left = all.iter().filter(|c| asked(&c.id).is_none()).take(limit as usize);
        Unread {
            passages: left.map(passage).collect(),
            all: all.len() as u64,
            asked: all.iter().filter(|c| asked(&c.id).is_some()).count() as u64,
            in_vain: all.iter().filter(|c| asked(&c.id) == Some(false)).count() as u64,
        }
    }
}
