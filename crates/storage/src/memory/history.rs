//! The event log as a history, in memory.

use super::{Kept, Log, MemoryStore};
use crate::history::{begin, limit, page_of};
use async_trait::async_trait;
use domain::{ActorKind, DocumentId, Event, HistoryEntry, Timestamp, UserId, resource::Page};
use services::ports::{History, HistoryOf, HistoryQuery, StoreError};
use std::collections::BTreeSet;

fn belongs(kept: &Kept, of: HistoryOf) -> bool {
    match of {
        HistoryOf::Document(id) => kept.about.document == Some(id),
        HistoryOf::Job(id) => kept.about.job == Some(id),
        HistoryOf::Workspace(id) => kept.about.workspace == Some(id),
    }
}

fn entry(kept: &Kept) -> HistoryEntry {
    let frame: serde_json::Value = serde_json::from_slice(&kept.event.frame).unwrap_or_default();
    HistoryEntry {
        seq: kept.event.seq,
        at: kept.event.at,
        event: kept.event.name.to_owned(),
        from: kept.from.map(str::to_owned),
        to: kept.to.map(str::to_owned),
        actor: Some(kept.actor.clone()),
        data: frame["data"].clone(),
    }
}

impl Log {
    /// Old progress that turned no status and that something later about the same thing supersedes.
    fn superseded(&self, before: Timestamp) -> Vec<u64> {
        let (mut later, mut found) = (BTreeSet::new(), vec![]);
        for (seq, kept) in self.kept.iter().rev() {
            let stays = !kept.event.progress || kept.from != kept.to || kept.event.at >= before;
            // What a person did to a workspace (a new name, a pause) turns no status and is no progress of its work.
            let stays = stays || kept.event.name == "workspace_status" && kept.actor.kind == ActorKind::User;
            if !later.insert(&kept.entity) && !stays {
                found.push(*seq);
            }
        }
        found
    }

    /// Whether somebody brought the document back that was deleted at that seq.
    fn is_back(&self, id: DocumentId, seq: u64) -> bool {
        self.kept.range(seq..).any(|(_, kept)| {
            kept.about.document == Some(id) && matches!(kept.event.event(), Some(Event::DocumentStatus(_)))
        })
    }

    /// All about what was deleted before that moment.
    fn gone(&self, before: Timestamp) -> Vec<u64> {
        let mut found = BTreeSet::new();
        for kept in self.kept.values().filter(|kept| kept.event.at < before) {
            let of = match kept.event.event() {
                Some(Event::DocumentDeleted(d)) if self.is_back(d.id, kept.event.seq) => continue,
                Some(Event::DocumentDeleted(d)) => HistoryOf::Document(d.id),
                Some(Event::WorkspaceDeleted(w)) => HistoryOf::Workspace(w.id),
                _ => continue,
            };
            let about = self.kept.range(..=kept.event.seq).filter(|(_, kept)| belongs(kept, of));
            found.extend(about.map(|(seq, _)| *seq));
        }
        found.into_iter().collect()
    }
}

#[async_trait]
impl History for MemoryStore {
    async fn history(
        &self,
        user: UserId,
        of: HistoryOf,
        query: HistoryQuery,
    ) -> Result<Page<HistoryEntry>, StoreError> {
        let from = begin(&query)?;
        let state = self.lock();
        let kept = state.logs.get(&user).into_iter().flat_map(|log| log.kept.values());
        let mut kept: Vec<&Kept> = kept
            .filter(|kept| belongs(kept, of) && (!query.transitions || kept.from != kept.to))
            .filter(|kept| kept.event.name != "conversation_changed")
            .filter(|kept| {
                let seq = kept.event.seq as i64;
                if query.newest_first { seq < from } else { seq > from }
            })
            .collect();
        if query.newest_first {
            kept.reverse();
        }
        Ok(page_of(kept.into_iter().take(limit(&query) as usize + 1).map(entry).collect(), &query))
    }

    async fn forget_events(&self, before: Timestamp, limit: u32) -> Result<usize, StoreError> {
        let mut state = self.lock();
        let mut removed = 0;
        for log in state.logs.values_mut() {
            let mut seqs = log.superseded(before);
            if seqs.is_empty() {
                seqs = log.gone(before);
                seqs.truncate(limit as usize);
                log.floor = log.floor.max(seqs.last().copied().unwrap_or_default());
            }
            for seq in seqs.into_iter().take(limit as usize) {
                log.kept.remove(&seq);
                removed += 1;
            }
        }
        Ok(removed)
    }
}
