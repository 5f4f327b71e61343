//! Effects of one kind. The code that starts an effect and runs it again is compiled for each closure anew; behind a box
//! it is there once, and every visitor downloads it.

use leptos::prelude::Effect;

/// Runs after the page is on screen, and again whenever something that it read changes; in the browser only.
pub fn effect(run: impl FnMut() + 'static) {
    start(Box::new(run));
}

/// The same, for what has to know what it answered the time before.
pub fn effect_after<T: 'static>(mut run: impl FnMut(Option<T>) -> T + 'static) {
    let mut before = None;
    effect(move || {
        let now = run(before.take());
        before = Some(now);
    });
}

fn start(run: Box<dyn FnMut()>) {
    Effect::new(run);
}
