//! The row under the pointer stays where it is when others come in above it: somebody may be about to click on it.

use crate::{document::caught, effect::effect};
use leptos::{ev, prelude::*, web_sys};
use std::cell::RefCell;

/// The rows of the lists that do so: of documents, of jobs, and of failures.
const ROWS: &str = "[data-document-id], tr[data-job-id], .error-group";

/// The pointer over the list, and the row under it with the place where that stood. There may be none: the rows come a moment
/// after a leap.
#[derive(Clone)]
struct Pointed {
    at: (i32, i32),
    row: Option<(web_sys::Element, f64)>,
}

impl Pointed {
    fn at((x, y): (i32, i32)) -> Self {
        let under = document().element_from_point(x as f32, y as f32);
        let row = under.and_then(|under| under.closest(ROWS).ok()?);
        let stands = |row: web_sys::Element| {
            let top = row.get_bounding_client_rect().top();
            (row, top)
        };
        Self { at: (x, y), row: row.map(stands) }
    }

    fn has_row(&self) -> bool {
        self.row.as_ref().is_some_and(|(row, _)| row.is_connected())
    }
}

thread_local! {
    // A browser's page has one thread and one pointer. On the server, where threads take turns with a page, it stays empty.
    static POINTED: RefCell<Option<Pointed>> = const { RefCell::new(None) };
}

/// The pointer moves over the list.
pub fn pointer_moves(ev: &ev::PointerEvent) {
    if ev.pointer_type() == "mouse" {
        POINTED.set(Some(Pointed::at((ev.client_x(), ev.client_y()))));
    }
}

pub fn pointer_leaves() {
    POINTED.set(None);
}

/// Looks which row is under the pointer, where none was there until now.
pub fn look_under_pointer() {
    let place = POINTED.with_borrow(|pointed| pointed.as_ref().filter(|p| !p.has_row()).map(|p| p.at));
    if let Some(place) = place {
        POINTED.set(Some(Pointed::at(place)));
    }
}

/// Keeps the row under the pointer where it is when rows come or go above it. `changes` reads what the list goes by, and
/// answers whether the person brings something in by hand: that may push the row.
pub fn keep_in_place(changes: impl Fn() -> bool + 'static) {
    // The page was scrolled from here, which the browser tells a frame later; other rows may have come by then.
    let ours = StoredValue::new(false);
    effect(move || {
        // The pointer stays, and another row comes below it.
        caught("scroll", move |_| {
            if ours.try_update_value(std::mem::take).unwrap_or_default() {
                return;
            }
            let place = POINTED.with_borrow(|pointed| pointed.as_ref().map(|p| p.at));
            POINTED.set(place.map(Pointed::at));
        });
    });
    effect(move || {
        let own = changes();
        // The rows are in the page by then, and nothing was drawn yet.
        request_animation_frame(move || {
            look_under_pointer();
            let Some(Pointed { at, row: Some((row, stood)) }) = POINTED.with_borrow(Clone::clone) else {
                return;
            };
            let top = row.get_bounding_client_rect().top();
            let moved = (top - stood).abs() >= 1.0;
            if moved && !own {
                ours.try_set_value(true);
                scroll_by(&row, top - stood);
            }
            POINTED.set(Some(Pointed { at, row: Some((row, if own { top } else { stood })) }));
        });
    });
}

/// Scrolls whatever it is that scrolls around the row.
fn scroll_by(row: &web_sys::Element, by: f64) {
    let mut around = row.parent_element();
    while let Some(element) = around {
        if element.scroll_height() > element.client_height() + 1 && scrolls(&element) {
            element.set_scroll_top(element.scroll_top() + by.round() as i32);
            return;
        }
        around = element.parent_element();
    }
    window().scroll_by_with_x_and_y(0.0, by);
}

fn scrolls(element: &web_sys::Element) -> bool {
    let style = window().get_computed_style(element).ok().flatten();
    let overflow = style.and_then(|s| s.get_property_value("overflow-y").ok());
    matches!(overflow.as_deref(), Some("auto" | "scroll"))
}
