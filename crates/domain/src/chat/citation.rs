//! Citations in an answer: `[2]`, or `[1, 3]`, or `【2】`, as language models write them. They are found while the answer
//! streams, and each is checked against the sources: what names none is taken out, so a number that is shown always leads
//! somewhere. In code nothing is a citation, and neither is what is escaped.

/// Longer than a list of numbers nobody holds text back.
const LONGEST: usize = 40;

/// What comes out.
#[derive(Debug, PartialEq, Eq)]
pub enum Found {
    Text(String),
    /// From 1, one of the sources.
    Citation(usize),
}

/// Reads an answer piece by piece.
pub struct Citations {
    sources: usize,
    /// What may yet become a citation: a space, and what begins with a bracket.
    held: String,
    /// Backticks that came just now, whose end is not known.
    ticks: usize,
    /// In code that was opened by so many of them; 0: not in code.
    code: usize,
    escaped: bool,
    line_is_empty: bool,
    out: Vec<Found>,
}

impl Citations {
    pub fn new(sources: usize) -> Self {
        Self {
            sources,
            held: String::new(),
            ticks: 0,
            code: 0,
            escaped: false,
            line_is_empty: true,
            out: vec![],
        }
    }

    /// The next piece; answers what is known by now.
    pub fn push(&mut self, piece: &str) -> Vec<Found> {
        piece.chars().for_each(|c| self.take(c));
        std::mem::take(&mut self.out)
    }

    /// Nothing more comes.
    pub fn finish(&mut self) -> Vec<Found> {
        self.end_ticks();
        self.let_go();
        std::mem::take(&mut self.out)
    }

    fn take(&mut self, c: char) {
        if c == '`' && !self.escaped {
            self.let_go();
            self.ticks += 1;
            self.text(c);
            return;
        }
        self.end_ticks();
        if c == '\n' {
            // Code within a line ends with its paragraph.
            if self.line_is_empty && self.code < 3 {
                self.code = 0;
            }
            self.line_is_empty = true;
        } else if !c.is_whitespace() {
            self.line_is_empty = false;
        }
        let (escaped, in_code) = (std::mem::take(&mut self.escaped), self.code > 0);
        if in_code || escaped {
            self.let_go();
            self.text(c);
            return;
        }
        match c {
            ' ' if self.held.trim().is_empty() => {
                self.let_go();
                self.held.push(c);
            }
            '[' | '【' => {
                if !self.held.trim().is_empty() {
                    self.let_go();
                }
                self.held.push(c);
            }
            ']' | '】' if !self.held.trim().is_empty() => {
                self.held.push(c);
                self.close();
            }
            _ if !self.held.trim().is_empty() && self.may_go_on(c) => self.held.push(c),
            _ => {
                self.let_go();
                self.escaped = c == '\\';
                self.text(c);
            }
        }
    }

    fn may_go_on(&self, c: char) -> bool {
        let is_wide = self.held.trim_start().starts_with('【');
        let fits = c.is_ascii_digit() || matches!(c, ',' | ' ' | ';') || (is_wide && c != '\n');
        fits && self.held.chars().count() < LONGEST
    }

    fn end_ticks(&mut self) {
        match (std::mem::take(&mut self.ticks), self.code) {
            (0, _) => {}
            (opening, 0) => self.code = opening,
            (closing, opened) if closing == opened || (opened >= 3 && closing > opened) => self.code = 0,
            _ => {}
        }
    }

    /// What was held is text after all.
    fn let_go(&mut self) {
        if !self.held.is_empty() {
            let held = std::mem::take(&mut self.held);
            held.chars().for_each(|c| self.text(c));
        }
    }

    fn text(&mut self, c: char) {
        match self.out.last_mut() {
            Some(Found::Text(text)) => text.push(c),
            _ => self.out.push(Found::Text(c.to_string())),
        }
    }

    /// What is held is whole.
    fn close(&mut self) {
        let held = std::mem::take(&mut self.held);
        let inner = held.trim_start().trim_matches(['[', ']', '【', '】']);
        // "2†source" and "2:0†file.txt" of some models.
        let inner =
            if held.contains('【') { inner.split(['†', ':']).next().unwrap_or_default() } else { inner };
        let numbers: Option<Vec<usize>> =
            inner.split([',', ';']).map(|part| part.trim().parse().ok().filter(|n| *n < 1_000)).collect();
        let Some(numbers) = numbers.filter(|numbers| !numbers.is_empty()) else {
            held.chars().for_each(|c| self.text(c));
            return;
        };
        let known: Vec<usize> = numbers.into_iter().filter(|n| (1..=self.sources).contains(n)).collect();
        if !known.is_empty() && held.starts_with(' ') {
            self.text(' ');
        }
        self.out.extend(known.into_iter().map(Found::Citation));
    }
}

/// As it is written in an answer.
pub fn written(found: Vec<Found>) -> String {
    let mut out = String::new();
    for found in found {
        match found {
            Found::Text(text) => out.push_str(&text),
            Found::Citation(n) => out.push_str(&format!("[{n}]")),
        }
    }
    out
}

/// The whole of an answer.
pub fn read(answer: &str, sources: usize) -> Vec<Found> {
    let mut reader = Citations::new(sources);
    let mut found = reader.push(answer);
    found.extend(reader.finish());
    found
}

/// Numbers of the sources that an answer names, ascending, each once.
pub fn cited(answer: &str, sources: usize) -> Vec<usize> {
    let mut numbers: Vec<usize> = read(answer, sources)
        .into_iter()
        .filter_map(|found| match found {
            Found::Citation(n) => Some(n),
            Found::Text(_) => None,
        })
        .collect();
    numbers.sort_unstable();
    numbers.dedup();
    numbers
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn cleaned(text: &str) -> String {
        written(read(text, 3))
    }

    #[test]
    fn what_names_a_source_stays_and_what_names_none_goes() {
        for (said, kept) in [
            ("On the quay [1].", "On the quay [1]."),
            ("On the quay[1][2].", "On the quay[1][2]."),
            ("On the quay [1, 3].", "On the quay [1][3]."),
            ("On the quay [1,9].", "On the quay [1]."),
            ("On the quay [9].", "On the quay."),
            ("On the quay [0][99].", "On the quay."),
            ("On the quay 【2†source】.", "On the quay [2]."),
            ("On the quay 【8:1†a.txt】.", "On the quay."),
            ("[note] and [12a] and [] stay", "[note] and [12a] and [] stay"),
            ("an open [1", "an open [1"),
            ("in `a[9]` and\n```\nb[8]\n```\nnot [8].", "in `a[9]` and\n```\nb[8]\n```\nnot."),
            ("escaped \\[9] stays", "escaped \\[9] stays"),
            ("a ` alone [9]\n\nand [1]", "a ` alone [9]\n\nand [1]"),
        ] {
            assert_eq!(cleaned(said), kept, "{said}");
        }
    }

    #[test]
    fn the_sources_that_are_named_are_known() {
        assert_eq!(cited("b [3], a [1][3], `x[2]`, \\[2], [7]", 3), [1, 3]);
    }

    proptest! {
        #[test]
        fn how_an_answer_is_cut_into_pieces_changes_nothing(
            text in "[a \\[\\]0-9,`\\\\\n【】†]{0,60}", cuts in prop::collection::vec(0_usize..60, 0..6)
        ) {
            let chars: Vec<char> = text.chars().collect();
            let mut places: Vec<usize> = cuts.into_iter().map(|c| c.min(chars.len())).collect();
            places.extend([0, chars.len()]);
            places.sort_unstable();
            let mut reader = Citations::new(3);
            let mut out = String::new();
            for pair in places.windows(2) {
                let piece: String = chars[pair[0]..pair[1]].iter().collect();
                out.push_str(&written(reader.push(&piece)));
            }
            out.push_str(&written(reader.finish()));
            prop_assert_eq!(out, cleaned(&text));
        }
    }
}
