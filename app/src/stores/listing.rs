//! Which documents of a workspace are on screen, newest first, and where the next ones begin.

use super::shelf::set_if_new;
use domain::{Document, DocumentId, Timestamp};
use leptos::prelude::*;

/// Place of a document in its list: the newest comes first, as the server lists them.
pub type Place = (Timestamp, DocumentId);

pub fn place(document: &Document) -> Place {
    (document.created_at, document.id)
}

#[derive(Clone, Debug, Default)]
pub struct Listing {
    places: Vec<Place>,
    /// The ids, for whoever shows them.
    pub ids: ArcRwSignal<Vec<DocumentId>>,
    /// Opaque start of the next part; `None` when all are here.
    pub next: ArcRwSignal<Option<String>>,
}

impl Listing {
    /// Adds a part that the server listed, and notes where the next begins.
    pub fn extend(&mut self, places: impl Iterator<Item = Place>, next: Option<String>) {
        self.places.extend(places);
        self.settle();
        set_if_new(&self.next, next);
    }

    /// A document that came by itself: it is listed unless it lies beyond what was read so far.
    pub fn add(&mut self, place: Place) {
        let beyond =
            self.next.with_untracked(Option::is_some) && self.places.last().is_some_and(|last| place < *last);
        // In its place at once: sorting all of a long list for each newcomer would be felt.
        let at = self.places.partition_point(|listed| *listed > place);
        if !beyond && self.places.get(at) != Some(&place) {
            self.places.insert(at, place);
            self.ids.update(|ids| ids.insert(at, place.1));
        }
    }

    pub fn remove(&mut self, id: DocumentId) {
        if let Some(at) = self.places.iter().position(|(_, listed)| *listed == id) {
            self.places.remove(at);
            self.ids.update(|ids| {
                ids.remove(at);
            });
        }
    }

    pub fn clear(&mut self) {
        self.places.clear();
        self.settle();
        set_if_new(&self.next, None);
    }

    fn settle(&mut self) {
        self.places.sort_unstable_by(|a, b| b.cmp(a));
        self.places.dedup();
        set_if_new(&self.ids, self.places.iter().map(|(_, id)| *id).collect());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(n: i64) -> Place {
        let id = format!("00000000-0000-0000-0000-{n:012}").parse().expect("an id");
        (Timestamp::from_micros(n), id)
    }

    fn shown(listing: &Listing) -> Vec<i64> {
        let id_of = |n: &i64| at(*n).1;
        let all: Vec<i64> = (0..100).collect();
        let place = |id: &DocumentId| all.iter().copied().find(|n| id_of(n) == *id).expect("listed");
        listing.ids.get_untracked().iter().map(place).collect()
    }

    #[test]
    fn parts_and_newcomers_stand_newest_first_and_once_each() {
        let mut listing = Listing::default();
        listing.extend([at(9), at(8)].into_iter(), Some("8".into()));
        listing.add(at(10));
        listing.add(at(9));
        assert_eq!(shown(&listing), [10, 9, 8]);
        listing.remove(at(77).1);
        assert_eq!(shown(&listing), [10, 9, 8]);
        listing.extend([at(8), at(7)].into_iter(), None);
        assert_eq!(shown(&listing), [10, 9, 8, 7]);
        listing.remove(at(9).1);
        assert_eq!(shown(&listing), [10, 8, 7]);
    }

    #[test]
    fn an_older_document_is_listed_only_when_all_are_here() {
        let mut listing = Listing::default();
        listing.extend([at(9)].into_iter(), Some("9".into()));
        listing.add(at(3));
        assert_eq!(shown(&listing), [9]);
        listing.extend([at(5)].into_iter(), None);
        listing.add(at(3));
        assert_eq!(shown(&listing), [9, 5, 3]);
    }
}
