//! The rows of the documents. Of a long list only those near the screen are there; empty space of the same height stands
//! for the rest. A row that somebody points at stays where it is when others come in above it.

use super::row::DocumentRow;
use crate::{
    components::Each,
    document::caught,
    effect::effect,
    pages::in_place::{keep_in_place, look_under_pointer, pointer_leaves, pointer_moves},
    upload::Uploads,
    view,
};
use domain::{DocumentId, WorkspaceId};
use leptos::{html, leptos_dom::helpers::AnimationFrameRequestHandle, prelude::*, web_sys};
use std::ops::Range;

/// So many rows are simply there.
const FEW: usize = 150;
/// Rows beyond each edge of the screen that are there too.
const BEYOND: usize = 25;
/// The part that is there moves by so many rows at once.
const STEP: usize = 10;

/// `near_end`: told when the last rows come near the screen.
#[component]
pub fn Rows(id: WorkspaceId, ids: Signal<Vec<DocumentId>>, near_end: Callback<()>) -> impl IntoView {
    let node = NodeRef::<html::Div>::new();
    let (above, below) = (NodeRef::<html::Div>::new(), NodeRef::<html::Div>::new());
    let wanted = RwSignal::new(0..FEW);
    let height = RwSignal::new(0.0f64);
    let range = Memo::new(move |_| clamped(&wanted.get(), ids.with(Vec::len)));
    let shown = Memo::new(move |_| {
        let range = range.get();
        ids.with(|ids| ids.get(range).map(<[_]>::to_vec).unwrap_or_default())
    });
    let look = move || {
        // The last row may have gone, and the list with it, since the frame was asked for.
        let Some((row, seen)) = measured(node.try_get_untracked().flatten()) else { return };
        let len = ids.with_untracked(Vec::len);
        height.set(row);
        let now = around(&seen, len);
        if wanted.get_untracked() != now {
            wanted.set(now);
        }
        if seen.end + BEYOND >= len {
            near_end.run(());
        }
    };
    // Not more than once a frame, whichever part of the page it is that scrolls.
    let asked = StoredValue::new(None::<AnimationFrameRequestHandle>);
    let later = move || {
        if asked.with_value(Option::is_none) {
            let frame = request_animation_frame_with_handle(move || {
                asked.try_set_value(None);
                look();
            });
            asked.set_value(frame.ok());
        }
    };
    effect(move || {
        caught("scroll", move |_| later());
        caught("resize", move |_| later());
    });
    effect(move || {
        ids.track();
        later();
    });
    effect(move || {
        let (range, row) = (range.get(), height.get());
        let len = ids.with(Vec::len);
        set_height(above, range.start as f64 * row);
        set_height(below, len.saturating_sub(range.end) as f64 * row);
        // After a leap there was nothing under the pointer until now.
        request_animation_frame(look_under_pointer);
    });
    keep_row(id, ids);
    let uploads = Uploads::expect().rows(id);
    effect(move || {
        let not_here = range.get().start;
        shown.track();
        uploads.track();
        // The rows are in the page by then.
        request_animation_frame(move || number(node, not_here));
    });
    view! {
        <div
            role="rowgroup"
            node_ref=node
            on:pointermove=move |ev| pointer_moves(&ev)
            on:pointerleave=move |_| pointer_leaves()
        >
            <div aria-hidden="true" node_ref=above></div>
            <Each
                each=move || shown.get()
                key=|id: &DocumentId| id.uuid().as_u128()
                show=|id| view! { <DocumentRow id /> }
            />
            <div aria-hidden="true" node_ref=below></div>
        </div>
    }
}

/// Rows of a list of that length that can be there.
fn clamped(wanted: &Range<usize>, len: usize) -> Range<usize> {
    if len <= FEW {
        return 0..len;
    }
    let end = wanted.end.clamp(1, len);
    wanted.start.min(end - 1)..end
}

/// The rows to have when those can be seen: some more on both sides, in steps.
fn around(seen: &Range<usize>, len: usize) -> Range<usize> {
    let start = seen.start.saturating_sub(BEYOND) / STEP * STEP;
    let end = (seen.end + BEYOND).div_ceil(STEP) * STEP;
    start.min(len)..end.max(start + 1).min(len.max(1))
}

/// The height of a row, and which rows can be seen.
fn measured(node: Option<web_sys::HtmlDivElement>) -> Option<(f64, Range<usize>)> {
    let node = node?;
    let row = node.query_selector("[data-document-id]").ok()??.get_bounding_client_rect().height();
    let tall = window().inner_height().ok()?.as_f64()?;
    let top = node.get_bounding_client_rect().top();
    if row <= 0.0 {
        return None;
    }
    let at = |y: f64| (y / row).max(0.0) as usize;
    Some((row, at(-top)..at(tall - top) + 1))
}

fn set_height(node: NodeRef<html::Div>, height: f64) {
    if let Some(node) = node.get_untracked() {
        // By the object model, which the page's policy allows; a style in the markup it does not.
        let _ = web_sys::HtmlElement::style(&node)
            .set_property("height", &format!("{}px", height.round() as i64));
    }
}

/// Tells each row which one of the whole table it is, since only some of them are there: `not_here` of the documents come
/// before the first that is.
fn number(list: NodeRef<html::Div>, not_here: usize) {
    let Some(list) = list.try_get_untracked().flatten() else { return };
    let Ok(Some(table)) = list.closest("[role=table]") else { return };
    let above = number_from(table.first_element_child(), 1);
    number_from(list.first_element_child(), above + not_here);
}

/// Numbers the rows among an element and those after it; answers the next number.
fn number_from(first: Option<web_sys::Element>, mut place: usize) -> usize {
    let mut next = first;
    while let Some(element) = next {
        next = element.next_element_sibling();
        if element.get_attribute("role").as_deref() != Some("row") {
            continue;
        }
        let number = place.to_string();
        if element.get_attribute("aria-rowindex").as_deref() != Some(number.as_str()) {
            let _ = element.set_attribute("aria-rowindex", &number);
        }
        place += 1;
    }
    place
}

/// Keeps the row under the pointer where it is when rows come or go above it. What the person brings in by hand in this
/// tab may push it: that is looked for at the top.
fn keep_row(id: WorkspaceId, ids: Signal<Vec<DocumentId>>) {
    let uploads = Uploads::expect().rows(id);
    let had_uploads = StoredValue::new(false);
    keep_in_place(move || {
        ids.track();
        let has = uploads.with_untracked(|rows| !rows.is_empty());
        had_uploads.try_update_value(|had| std::mem::replace(had, has)).unwrap_or_default() || has
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_list_is_there_and_of_a_long_one_what_is_near() {
        assert_eq!(clamped(&(40..50), 100), 0..100);
        assert_eq!(clamped(&(40..90), 10_000), 40..90);
        assert_eq!(clamped(&(9_000..9_100), 200), 199..200);
        assert_eq!(around(&(0..20), 10_000), 0..50);
        assert_eq!(around(&(503..523), 10_000), 470..550);
        assert_eq!(around(&(9_990..10_010), 10_000), 9_960..10_000);
    }

    #[test]
    fn what_is_seen_is_always_among_what_is_there() {
        for len in [1, 149, 151, 400, 10_000] {
            for first in (0..len).step_by(7) {
                let seen = first..(first + 30).min(len);
                let there = clamped(&around(&seen, len), len);
                assert!(there.start <= seen.start && seen.end <= there.end, "{len} {seen:?} {there:?}");
            }
        }
    }
}
