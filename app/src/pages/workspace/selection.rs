//! Which documents of the table are selected: some by hand, or all that match.

use domain::{Document, DocumentId, DocumentStatus, resource::Counts};
use leptos::prelude::*;

/// What is meant.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Chosen {
    #[default]
    Nothing,
    These(Vec<DocumentId>),
    /// Also those that are not on the page; of that status, where one is named.
    All(Option<DocumentStatus>),
}

impl Chosen {
    fn has(&self, id: DocumentId, status: DocumentStatus) -> bool {
        match self {
            Chosen::Nothing => false,
            Chosen::These(ids) => ids.contains(&id),
            Chosen::All(wanted) => wanted.is_none_or(|wanted| wanted == status),
        }
    }

    /// How many that are; `counts` are the workspace's.
    pub fn number(&self, counts: &Counts) -> u64 {
        match self {
            Chosen::Nothing => 0,
            Chosen::These(ids) => ids.len() as u64,
            Chosen::All(None) => counts.documents,
            Chosen::All(Some(DocumentStatus::Ready)) => counts.ready,
            Chosen::All(Some(DocumentStatus::Failed)) => counts.failed,
            Chosen::All(Some(_)) => counts.processing,
        }
    }

    fn toggled(self, id: DocumentId, is_on: bool, listed: impl FnOnce() -> Vec<DocumentId>) -> Self {
        let mut ids = match self {
            Chosen::Nothing => vec![],
            Chosen::These(ids) => ids,
            // One that is left out of all leaves those that are on the page.
            Chosen::All(_) => listed(),
        };
        ids.retain(|other| *other != id);
        if is_on {
            ids.push(id);
        }
        if ids.is_empty() { Chosen::Nothing } else { Chosen::These(ids) }
    }
}

/// The selection of a table; given to its rows through the context.
#[derive(Clone, Copy)]
pub struct Selection(RwSignal<Chosen>);

impl Selection {
    pub fn provide() -> Self {
        let selection = Self(RwSignal::new(Chosen::default()));
        provide_context(selection);
        selection
    }

    pub fn get(self) -> Chosen {
        self.0.get()
    }

    pub fn set(self, chosen: Chosen) {
        self.0.set(chosen);
    }

    pub fn is_empty(self) -> bool {
        self.0.with(|chosen| *chosen == Chosen::Nothing)
    }

    pub fn has(self, document: Option<&Document>) -> bool {
        document.is_some_and(|d| self.0.with(|chosen| chosen.has(d.id, d.status)))
    }

    /// `listed`: those on the page that are selected.
    pub fn toggle(self, id: DocumentId, is_on: bool, listed: impl FnOnce() -> Vec<DocumentId>) {
        // Who lists them asks this very selection.
        let chosen = self.0.get_untracked();
        self.0.set(chosen.toggled(id, is_on, listed));
    }

    /// What is not there any more is not selected either.
    pub fn keep(self, is_there: impl Fn(DocumentId) -> bool) {
        let stale = self.0.with_untracked(
            |chosen| matches!(chosen, Chosen::These(ids) if ids.iter().any(|id| !is_there(*id))),
        );
        if stale {
            self.0.update(|chosen| {
                if let Chosen::These(ids) = chosen {
                    ids.retain(|id| is_there(*id));
                    if ids.is_empty() {
                        *chosen = Chosen::Nothing;
                    }
                }
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::id;

    #[test]
    fn a_selection_is_of_some_or_of_all_that_match() {
        let (a, b, c): (DocumentId, DocumentId, DocumentId) = (id(1), id(2), id(3));
        let counts = Counts { documents: 37, ready: 30, failed: 3, processing: 4, ..Counts::default() };
        let some = Chosen::Nothing.toggled(a, true, Vec::new).toggled(b, true, Vec::new);
        assert_eq!(some, Chosen::These(vec![a, b]));
        assert_eq!(some.number(&counts), 2);
        assert!(some.has(a, DocumentStatus::Ready) && !some.has(c, DocumentStatus::Ready));
        assert_eq!(some.toggled(a, false, Vec::new).toggled(b, false, Vec::new), Chosen::Nothing);

        let failed = Chosen::All(Some(DocumentStatus::Failed));
        assert_eq!((Chosen::All(None).number(&counts), failed.number(&counts)), (37, 3));
        assert!(failed.has(c, DocumentStatus::Failed) && !failed.has(c, DocumentStatus::Ready));
        assert_eq!(failed.toggled(b, false, || vec![a, b]), Chosen::These(vec![a]));
    }
}
