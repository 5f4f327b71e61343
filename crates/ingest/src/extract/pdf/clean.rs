//! What a page's raw text needs before people and models read it: ligatures taken apart, words joined that a line end
//! cut in two, and no runs of blank lines.

use std::collections::HashSet;

/// The words of a document, in lower case, to tell a hyphen that a typesetter put at a line end from one that belongs
/// to the word.
pub struct Words {
    whole: HashSet<String>,
}

impl Words {
    pub fn of<'a>(pages: impl Iterator<Item = &'a String>) -> Self {
        let mut whole = HashSet::new();
        for page in pages {
            for line in page.lines() {
                let line = line.trim_end();
                for word in line.split(|c: char| !(c.is_alphabetic() || is_hyphen(c))) {
                    // A word at a line end that ends with a hyphen is the question, not an answer.
                    if word.len() > 1 && !word.ends_with(is_hyphen) {
                        whole.insert(word.to_lowercase().replace('\u{2010}', "-"));
                    }
                }
            }
        }
        Self { whole }
    }

    fn knows(&self, word: &str) -> bool {
        self.whole.contains(&word.to_lowercase())
    }
}

fn is_hyphen(c: char) -> bool {
    matches!(c, '-' | '\u{2010}')
}

/// One page, cleaned. Lines stay lines.
pub fn page(raw: &str, words: &Words) -> String {
    let mut lines: Vec<String> = Vec::new();
    for line in raw.lines() {
        lines.push(plain(line));
    }
    let mut out = String::with_capacity(raw.len());
    let mut blank = true;
    let mut i = 0;
    while i < lines.len() {
        let line = &lines[i];
        if line.is_empty() {
            if !blank {
                out.push('\n');
            }
            blank = true;
            i += 1;
            continue;
        }
        blank = false;
        // The line after a hyphen may be one blank line away: some files set lines far apart.
        let next = (i + 1..lines.len().min(i + 3)).find(|n| !lines[*n].is_empty());
        match next.and_then(|n| joined(line, &lines[n], words).map(|j| (n, j))) {
            Some((n, (head, tail))) => {
                // The rest of the word is pulled up; what follows it stays on its own line.
                out.push_str(&head);
                let rest = lines[n][tail..].trim_start().to_owned();
                lines[n] = rest;
                out.push('\n');
                i += 1;
                if lines[n].is_empty() {
                    lines.remove(n);
                }
            }
            None => {
                out.push_str(line);
                out.push('\n');
                i += 1;
            }
        }
    }
    out.truncate(out.trim_end().len());
    out
}

/// A line whose last word goes on in the next one: the line with the whole word, and how many bytes of the next line
/// it took.
fn joined(line: &str, next: &str, words: &Words) -> Option<(String, usize)> {
    let stem_line = line.strip_suffix(is_hyphen)?;
    let stem_at = stem_line
        .rfind(|c: char| !(c.is_alphabetic() || is_hyphen(c)))
        .map_or(0, |p| p + stem_line[p..].chars().next().map_or(1, char::len_utf8));
    let stem = &stem_line[stem_at..];
    let tail_len = next.find(|c: char| !(c.is_alphabetic() || is_hyphen(c))).unwrap_or(next.len());
    let tail = next[..tail_len].trim_end_matches(is_hyphen);
    let safe = stem.chars().count() >= 2
        && stem.chars().last().is_some_and(char::is_lowercase)
        && tail.chars().count() >= 2
        && tail.starts_with(char::is_lowercase);
    if !safe {
        return None;
    }
    // Punctuation that clings to the word moves with it.
    let after = &next[tail_len..];
    let cling: usize = after.chars().take_while(|c| !c.is_whitespace()).map(char::len_utf8).sum();
    let whole = &next[..tail_len + cling];
    let whole_word = format!("{stem}{tail}");
    let compound = format!("{stem}-{tail}");
    let keep_hyphen = words.knows(&compound) && !words.knows(&whole_word);
    let glue = if keep_hyphen { "-" } else { "" };
    Some((format!("{}{stem}{glue}{whole}", &stem_line[..stem_at]), whole.len()))
}

/// One line: ligatures taken apart, odd spaces made plain, invisible characters dropped.
fn plain(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    let mut space = false;
    for c in line.chars() {
        let text = match c {
            'ﬀ' => "ff",
            'ﬁ' => "fi",
            'ﬂ' => "fl",
            'ﬃ' => "ffi",
            'ﬄ' => "ffl",
            'ﬅ' | 'ﬆ' => "st",
            // Soft hyphen: a place where a word may be cut, and at the end of a line, where it was.
            '\u{ad}' => "\u{ad}",
            c if c.is_whitespace() => {
                space = true;
                continue;
            }
            // Private use, zero width and the mark of an unknown glyph say nothing.
            '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{feff}' => continue,
            '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' => continue,
            '\u{e000}'..='\u{f8ff}' | '\u{fffe}' | '\u{ffff}' => continue,
            c if c.is_control() => continue,
            c => {
                if space && !out.is_empty() {
                    out.push(' ');
                }
                space = false;
                out.push(c);
                continue;
            }
        };
        if space && !out.is_empty() {
            out.push(' ');
        }
        space = false;
        out.push_str(text);
    }
    let cut_here = out.ends_with('\u{ad}');
    let mut out = out.replace('\u{ad}', "");
    if cut_here {
        out.push('-');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cleaned(raw: &str) -> String {
        let raw = raw.to_owned();
        page(&raw, &Words::of(std::iter::once(&raw)))
    }

    #[test]
    fn ligatures_spaces_and_blank_lines_become_plain() {
        assert_eq!(cleaned("\n\n  ﬁne   ﬂow \u{a0}x\n\n\n\nnext\u{200b}\n\n"), "fine flow x\n\nnext");
    }

    #[test]
    fn a_word_cut_at_a_line_end_is_joined() {
        assert_eq!(cleaned("an exam-\nple, and more"), "an example,\nand more");
        assert_eq!(cleaned("soft hy\u{ad}\nphen here"), "soft hyphen\nhere");
        assert_eq!(cleaned("the last exam-\nple"), "the last example");
    }

    #[test]
    fn a_hyphen_that_belongs_to_the_word_stays() {
        let page = "A well-known fact. It is well-\nknown, indeed.";
        assert!(cleaned(page).ends_with("It is well-known,\nindeed."), "{}", cleaned(page));
    }

    #[test]
    fn names_numbers_and_dashes_are_left_alone() {
        for page in ["Smith-\nJones", "1990-\n95", "an aside -\nhere", "X-\nray", "--\nopt"] {
            assert_eq!(cleaned(page), page);
        }
    }
}
