//! Finding texts that contain what somebody typed, whatever the case of its letters. `LIKE` and `LOWER` know no letters
//! beyond ASCII on one engine, and those of its locale on the other; classes of two letters are the same on both.

use crate::engine::Engine;

/// That the text of an expression contains what `$place` is bound to, which [`pattern`] makes.
pub(crate) fn condition(engine: Engine, expression: &str, place: u8) -> String {
    match engine {
        Engine::Sqlite => format!("{expression} GLOB ${place}"),
        Engine::Postgres => format!("{expression} ~ ${place}"),
    }
}

/// What a text that contains `words` looks like; every text contains nothing.
pub(crate) fn pattern(engine: Engine, words: &str) -> String {
    let mut pattern = String::with_capacity(words.len() * 4 + 2);
    let anything = if engine == Engine::Sqlite { "*" } else { "" };
    pattern.push_str(anything);
    for c in words.chars() {
        match (cases(c), engine) {
            (Some((lower, upper)), _) => pattern.extend(['[', lower, upper, ']']),
            (None, Engine::Sqlite) if matches!(c, '*' | '?' | '[') => pattern.extend(['[', c, ']']),
            (None, Engine::Postgres) if c.is_ascii_punctuation() => pattern.extend(['\\', c]),
            (None, _) => pattern.push(c),
        }
    }
    pattern.push_str(anything);
    pattern
}

/// The small and the capital letter, where it has both.
fn cases(c: char) -> Option<(char, char)> {
    let single = |mut all: Box<dyn Iterator<Item = char>>| all.next().filter(|_| all.next().is_none());
    let lower = single(Box::new(c.to_lowercase()))?;
    let upper = single(Box::new(c.to_uppercase()))?;
    (lower != upper).then_some((lower, upper))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_have_both_cases_and_signs_stand_for_themselves() {
        assert_eq!(pattern(Engine::Sqlite, "Äß*1"), "*[äÄ]ß[*]1*");
        assert_eq!(pattern(Engine::Postgres, "Äß*1"), "[äÄ]ß\\*1");
        assert_eq!(pattern(Engine::Sqlite, ""), "**");
        assert_eq!(pattern(Engine::Sqlite, "a]b?[%_"), "*[aA]][bB][?][[]%_*");
    }
}
