//! Counting what passed and what failed, from the reports that the test runners write. Only reading and adding up;
//! nothing here runs a test.

use serde_json::Value;

/// How many checks passed, failed and were skipped.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Tally {
    pub passed: u64,
    pub failed: u64,
    pub skipped: u64,
}

impl Tally {
    pub fn one(passed: bool) -> Self {
        Self { passed: passed.into(), failed: (!passed).into(), skipped: 0 }
    }

    pub fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }

    /// A runner that ended badly without a failed test (it did not compile, it crashed) counts as one failure, so that
    /// nothing which went wrong can be counted as right.
    pub fn with_exit(mut self, succeeded: bool) -> Self {
        if !succeeded && self.failed == 0 {
            self.failed = 1;
        }
        self
    }

    /// All is well only if something ran.
    pub fn is_good(self) -> bool {
        self.failed == 0 && self.passed > 0
    }

    /// The closing line.
    pub fn line(self) -> String {
        let skipped = if self.skipped > 0 { format!(", {} skipped", self.skipped) } else { String::new() };
        format!("{} passed, {} failed{skipped}", self.passed, self.failed)
    }
}

/// The totals of a JUnit file, as nextest writes it. `None` when it is no such file.
pub fn from_junit(xml: &str) -> Option<Tally> {
    let start = xml.find("<testsuites")?;
    let tag = &xml[start..start + xml[start..].find('>')?];
    let number = |name: &str| -> Option<u64> {
        let from = tag.find(&format!(" {name}=\""))? + name.len() + 3;
        tag[from..].split('"').next()?.parse().ok()
    };
    let (tests, failed) = (number("tests")?, number("failures")? + number("errors")?);
    Some(Tally { passed: tests.checked_sub(failed)?, failed, skipped: 0 })
}

/// The totals of `cargo test`: one `test result:` line a test executable.
pub fn from_cargo_test(output: &str) -> Tally {
    let mut tally = Tally::default();
    for line in output.lines().filter_map(|line| line.trim().strip_prefix("test result: ")) {
        let number = |word: &str| -> u64 {
            let words: Vec<&str> = line.split([' ', ';']).filter(|w| !w.is_empty()).collect();
            let at = words.iter().position(|w| *w == word).unwrap_or(0);
            at.checked_sub(1).and_then(|i| words[i].parse().ok()).unwrap_or(0)
        };
        tally.add(Tally { passed: number("passed"), failed: number("failed"), skipped: number("ignored") });
    }
    tally
}

/// The totals of Playwright's JSON report. A flaky test passed only at a second try, so it counts as failed; a run that
/// could not begin has errors and no tests.
pub fn from_playwright(json: &str) -> Option<Tally> {
    let report: Value = serde_json::from_str(json).ok()?;
    let stat = |name: &str| report.get("stats")?.get(name)?.as_u64();
    let errors = report.get("errors").and_then(Value::as_array).map_or(0, |e| e.len() as u64);
    Some(Tally {
        passed: stat("expected")?,
        failed: stat("unexpected")? + stat("flaky")? + errors,
        skipped: stat("skipped")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nextest_totals_are_read_from_its_junit_file() {
        let xml = r#"<?xml version="1.0" encoding="UTF-8"?>
            <testsuites name="nextest-run" tests="12" failures="2" errors="1" uuid="x" time="0.3">
            <testsuite name="domain" tests="5" disabled="0" errors="0" failures="0">"#;
        assert_eq!(from_junit(xml), Some(Tally { passed: 9, failed: 3, skipped: 0 }));
        assert_eq!(from_junit("no report"), None);
    }

    #[test]
    fn cargo_test_totals_are_added_over_its_executables() {
        let output = "running 2 tests\ntest result: ok. 2 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.0s\n\
                      test result: FAILED. 3 passed; 4 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.0s\n";
        assert_eq!(from_cargo_test(output), Tally { passed: 5, failed: 4, skipped: 1 });
    }

    #[test]
    fn a_flaky_browser_test_is_a_failed_one() {
        let json = r#"{"errors": [], "stats": {"expected": 3, "unexpected": 1, "flaky": 1, "skipped": 2}}"#;
        assert_eq!(from_playwright(json), Some(Tally { passed: 3, failed: 2, skipped: 2 }));
    }

    #[test]
    fn a_browser_run_that_could_not_begin_is_a_failure() {
        let json = r#"{"errors": [{"message": "no"}], "stats": {"expected": 0, "unexpected": 0, "flaky": 0, "skipped": 0}}"#;
        assert!(!from_playwright(json).expect("a report").is_good());
    }

    #[test]
    fn a_bad_exit_without_a_failed_test_counts_as_a_failure() {
        let clean = Tally { passed: 4, ..Tally::default() };
        assert_eq!(clean.with_exit(true).failed, 0);
        assert_eq!(clean.with_exit(false).failed, 1);
        let failed = Tally { failed: 2, ..clean };
        assert_eq!(failed.with_exit(false).failed, 2);
    }

    #[test]
    fn nothing_that_ran_is_not_a_success() {
        assert!(!Tally::default().is_good());
        assert!(Tally::one(true).is_good());
        assert!(!Tally::one(false).is_good());
    }

    #[test]
    fn the_closing_line_counts_and_mentions_what_was_skipped() {
        assert_eq!(Tally { passed: 7, failed: 0, skipped: 0 }.line(), "7 passed, 0 failed");
        assert_eq!(Tally { passed: 7, failed: 1, skipped: 2 }.line(), "7 passed, 1 failed, 2 skipped");
    }
}
