//! A list whose rows stay what they are while others come, go and move.

use crate::view;
use leptos::prelude::*;

/// A row: what it is known by, and how it is made when it is new.
struct Row {
    key: u128,
    make: Box<dyn FnOnce() -> AnyView + Send>,
}

/// Shows each thing that `each` answers by `show`. Like Leptos's `For`, which it stands on, but of one type whatever is
/// shown: what compares the rows before and after is much code, and is here once.
#[component]
pub fn Each<T: Send + 'static>(
    /// The things in their order; tracked.
    each: impl Fn() -> Vec<T> + Send + Sync + 'static,
    /// What a thing is known by, among the others of the list.
    key: fn(&T) -> u128,
    show: fn(T) -> AnyView,
) -> impl IntoView {
    let row = move |thing: T| Row { key: key(&thing), make: Box::new(move || show(thing)) };
    rows(Box::new(move || each().into_iter().map(row).collect()))
}

/// A key out of a number and a text.
pub fn key_of(n: u64, text: &str) -> u128 {
    // FNV-1a: of two rows of one list, the same key is as good as out of the question.
    const PRIME: u128 = 0x0100_0000_0000_0000_0000_013b;
    let start = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d ^ u128::from(n);
    text.bytes().fold(start.wrapping_mul(PRIME), |key, byte| (key ^ u128::from(byte)).wrapping_mul(PRIME))
}

fn rows(each: Box<dyn Fn() -> Vec<Row> + Send + Sync>) -> AnyView {
    view! {
        <For each key=|row| row.key let(row)>
            {(row.make)()}
        </For>
    }
}

#[cfg(test)]
mod tests {
    use super::key_of;

    #[test]
    fn a_key_is_of_both_the_number_and_the_text() {
        let keys = [key_of(0, ""), key_of(1, ""), key_of(0, "a"), key_of(1, "a"), key_of(0, "aa")];
        for (at, key) in keys.iter().enumerate() {
            assert!(!keys[..at].contains(key), "{at}");
        }
        assert_eq!(key_of(7, "step"), key_of(7, "step"));
    }
}
