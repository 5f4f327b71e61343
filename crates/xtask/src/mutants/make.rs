//! Which mistakes may be made in a file: a comparison or a connective turned round, a bound moved by one, a count that falls
//! instead of rising, a word turned into its opposite, a statement left out, a move taken from or added to a table.

use std::fmt;
use std::path::{Path, PathBuf};

/// One mistake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mutant {
    pub file: PathBuf,
    /// From 0.
    line: usize,
    before: String,
    after: String,
}

impl Mutant {
    /// The file with the mistake in it.
    pub fn text_in(&self, text: &str) -> String {
        let mut lines: Vec<&str> = text.split('\n').collect();
        if let Some(line) = lines.get_mut(self.line) {
            *line = &self.after;
        }
        lines.join("\n")
    }
}

impl fmt::Display for Mutant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = format!("{}:{}", self.file.display(), self.line + 1);
        write!(f, "{place}: `{}` became `{}`", self.before.trim(), self.after.trim())
    }
}

/// What stands for what. With the spaces around them they are no parts of other signs.
const TURNED: [(&str, &str); 20] = [
    (" == ", " != "),
    (" != ", " == "),
    (" && ", " || "),
    (" || ", " && "),
    (" < ", " <= "),
    (" <= ", " < "),
    (" > ", " >= "),
    (" >= ", " > "),
    (" += ", " -= "),
    (" -= ", " += "),
    ("if !", "if "),
    ("(!", "("),
    (".is_some()", ".is_none()"),
    (".is_none()", ".is_some()"),
    (".is_some_and(", ".is_none_or("),
    ("saturating_sub(", "saturating_add("),
    (" true", " false"),
    (" false", " true"),
    (".any(", ".all("),
    (".all(", ".any("),
];

/// All mistakes of a file, up to its own tests.
pub fn all_in(file: &Path, text: &str) -> Vec<Mutant> {
    let mut all = Vec::new();
    let mut table: Option<Vec<String>> = None;
    let lines: Vec<&str> = text.split('\n').collect();
    for (n, line) in lines.iter().enumerate() {
        let code = line.trim();
        if code.starts_with("#[cfg(test)]") {
            break;
        }
        if code.starts_with("moves!(") {
            table = Some(members(&lines[n + 1..]));
            continue;
        }
        if code == "});" {
            table = None;
        }
        let is_code = !(code.is_empty()
            || code.starts_with("//")
            || code.starts_with('#')
            || code.starts_with("use ")
            || code.starts_with("macro_rules!"));
        if !is_code {
            continue;
        }
        let mut add = |after: String| {
            all.push(Mutant { file: file.to_owned(), line: n, before: (*line).to_owned(), after });
        };
        match &table {
            Some(members) => moves(line, members).into_iter().for_each(&mut add),
            None => {
                for (from, to) in TURNED {
                    for (at, _) in line.match_indices(from) {
                        add(format!("{}{to}{}", &line[..at], &line[at + from.len()..]));
                    }
                }
                if is_statement(code) {
                    add(String::new());
                }
            }
        }
    }
    all
}

/// The statuses that a table begins its lines with.
fn members(lines: &[&str]) -> Vec<String> {
    let table = lines.iter().take_while(|line| line.trim() != "});");
    table.filter_map(|line| Some(line.split_once(" => [")?.0.trim().to_owned())).collect()
}

/// A line of a table without each of its moves, and with each that it does not have.
fn moves(line: &str, members: &[String]) -> Vec<String> {
    let Some((head, rest)) = line.split_once(" => [") else { return Vec::new() };
    let Some((list, tail)) = rest.split_once(']') else { return Vec::new() };
    let there: Vec<&str> = list.split(',').map(str::trim).filter(|name| !name.is_empty()).collect();
    let made = |list: Vec<&str>| format!("{head} => [{}]{tail}", list.join(", "));
    let without = |left_out: &str| there.iter().copied().filter(|name| *name != left_out).collect();
    let mut all: Vec<String> = there.iter().map(|name| made(without(name))).collect();
    for other in members.iter().filter(|other| !there.contains(&other.as_str())) {
        all.push(made(there.iter().copied().chain([other.as_str()]).collect()));
    }
    all
}

/// A statement on one line that does something by itself: a call, or an assignment.
fn is_statement(code: &str) -> bool {
    let Some(inner) = code.strip_suffix(';') else { return false };
    let is_other = ["let ", "return", "use ", "pub ", "const ", "break", "continue", "}", ")"];
    !is_other.iter().any(|start| inner.starts_with(start)) && (inner.contains('(') || inner.contains(" = "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn afters(text: &str) -> Vec<String> {
        all_in(Path::new("a.rs"), text).into_iter().map(|mutant| mutant.after.trim().to_owned()).collect()
    }

    #[test]
    fn comparisons_connectives_and_statements_are_turned_round_or_left_out() {
        assert_eq!(afters("    if a == b && !c {"), ["if a != b && !c {", "if a == b || !c {"]);
        assert_eq!(afters("    job.status = next;"), [""]);
        assert_eq!(afters("    m.failed += 1;"), ["m.failed -= 1;"]);
        assert_eq!(afters("// a == b\nuse a::b;\n#[cfg(test)]\n    a == b"), [""; 0]);
        assert!(afters("    let a: Vec<u8> = b;").is_empty(), "nothing of a type is turned");
    }

    #[test]
    fn each_move_of_a_table_is_taken_and_each_other_one_added() {
        let table = "moves!(Status, \"The job\" {\n    A => [B],\n    B => [],\n});\nlet x = a == b;";
        assert_eq!(afters(table), ["A => [],", "A => [B, A],", "B => [A],", "B => [B],", "let x = a != b;"]);
    }

    #[test]
    fn a_mistake_is_made_in_its_line_and_told_with_its_place() {
        let text = "one\n    a == b\nthree";
        let all = all_in(Path::new("a.rs"), text);
        assert_eq!(all[0].text_in(text), "one\n    a != b\nthree");
        assert_eq!(all[0].to_string(), "a.rs:2: `a == b` became `a != b`");
    }
}
