//! `cargo xtask fuzz`: the targets of `crates/fuzz` under libFuzzer, which keeps what reached new code and goes on from
//! that. Only the compiler's own marks of branches are asked for and no sanitizer, so the stable compiler does; the rest
//! is as `cargo fuzz` has it. What was reached is kept from one run to the next, and so is what went wrong:
//!
//!     <cache>/fuzz/TARGET/seeds    the samples; written anew by each run
//!     <cache>/fuzz/TARGET/corpus   what reached new code
//!     <cache>/fuzz/TARGET/found    what crashed, took too long, wanted too much memory, or got a wrong answer
//!     <cache>/fuzz/TARGET/broken   what broke a library of somebody else's, which its reading process is there for

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::problem::{Doing, Done, Problem};
use crate::project::Project;
use crate::shell;
use crate::tally::Tally;
use crate::toolchain::{self, Toolchain};

const PROGRAM: &str = "fuzz-coverage";

/// For the targets and all that they stand on, but not for build scripts and macros, which link without libFuzzer.
const FLAGS: [&str; 9] = [
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    // The table of places and that of counters have to stay equally long, which not every linker that leaves out dead
    // code sees to.
    "-Clink-dead-code",
    // Else nothing is inlined from one crate into another.
    "-Ccodegen-units=1",
    // Sums that overflow are found too.
    "-Cdebug-assertions",
    "--cfg=fuzzing",
];

/// Seconds for one input. Readers have a budget of seconds in their own process.
const TIMEOUT: &str = "-timeout=20";
const MEMORY: &str = "-rss_limit_mb=2048";
/// For what comes before and after the time that was asked for: reading the corpus, merging what processes have found.
const BESIDES: Duration = Duration::from_secs(900);

pub struct Options {
    /// One target; all when absent.
    pub name: Option<String>,
    /// Of each target.
    pub seconds: u64,
    /// This input alone.
    pub replay: Option<PathBuf>,
}

impl Default for Options {
    fn default() -> Self {
        Self { name: None, seconds: 60, replay: None }
    }
}

pub fn fuzz(project: &Project, options: &Options) -> Done<Tally> {
    let toolchain = toolchain::ensure(project)?;
    let program = build(project, &toolchain)?;
    let targets = prepare(project, &program)?;
    let wanted =
        |target: &&Target| options.name.as_ref().is_none_or(|asked| asked == "all" || *asked == target.name);
    let chosen: Vec<&Target> = targets.iter().filter(wanted).collect();
    if chosen.is_empty() {
        let list: Vec<&str> = targets.iter().map(|target| target.name.as_str()).collect();
        let asked = options.name.as_deref().unwrap_or_default();
        return Err(Problem::new(format!("there is no target `{asked}`; there are {}", list.join(", "))));
    }
    if let Some(input) = &options.replay {
        let [target] = chosen.as_slice() else {
            return Err(Problem::new("--replay wants the name of its target"));
        };
        shell::run(target.command(&program).args([TIMEOUT, MEMORY]).arg(input))?;
        return Ok(Tally::one(true));
    }
    shell::say(format!(
        "{} targets, {} s each, as many at once as there are cores",
        chosen.len(),
        options.seconds
    ));
    let runs = Mutex::new(Vec::new());
    shell::side_by_side(&chosen, |target| {
        let run = target.run(project, &program, options.seconds);
        shell::say(format!("{} has ended", target.name));
        runs.lock().unwrap_or_else(PoisonError::into_inner).push((target.name.as_str(), run));
        Ok(())
    })?;
    let mut runs = runs.into_inner().unwrap_or_else(PoisonError::into_inner);
    runs.sort_by_key(|(name, _)| *name);
    let (mut tally, mut lines) = (Tally::default(), Vec::new());
    for (name, run) in runs {
        match run {
            Ok(run) => {
                tally.add(Tally::one(run.is_good()));
                run.explain(name);
                lines.push(run.line(name));
            }
            Err(problem) => {
                tally.add(Tally::one(false));
                lines.push(format!("fuzz {name}: {problem}"));
            }
        }
    }
    println!();
    for line in lines {
        println!("{line}");
    }
    Ok(tally)
}

/// Compiles into a folder of its own, since nothing of it can be of use to anything else.
fn build(project: &Project, toolchain: &Toolchain) -> Done<PathBuf> {
    let host = host(toolchain)?;
    let folder = project.target.join("fuzz");
    let mut cargo = toolchain.cargo();
    cargo
        .args(["build", "--release", "--package", "fuzz", "--bin", PROGRAM, "--features", "coverage"])
        // With a target that is named, cargo keeps its flags from build scripts, although it is this machine.
        .args(["--target", &host])
        .env("CARGO_TARGET_DIR", &folder)
        .env(variable_of_flags(&host), FLAGS.join(" "))
        // These would go before it.
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_ENCODED_RUSTFLAGS");
    shell::timed("compiling the targets with their branches marked", || {
        shell::run(&mut cargo)
            .map_err(|problem| problem.hint("libFuzzer is C++ and wants a compiler, e.g. `g++`"))
    })?;
    Ok(folder.join(host).join("release").join(PROGRAM))
}

fn host(toolchain: &Toolchain) -> Done<String> {
    let mut rustc = Command::new("rustc");
    rustc.arg("-vV");
    toolchain.environment(&mut rustc);
    let said = shell::capture(&mut rustc)?;
    let host = host_in(&said).ok_or_else(|| Problem::new("rustc does not say what it compiles for"))?;
    Ok(host.to_owned())
}

fn host_in(said: &str) -> Option<&str> {
    said.lines().find_map(|line| line.strip_prefix("host: "))
}

/// By which cargo takes the flags of one target.
fn variable_of_flags(host: &str) -> String {
    format!("CARGO_TARGET_{}_RUSTFLAGS", host.to_uppercase().replace(['-', '.'], "_"))
}

/// Lets the program write its samples, and tell what it has.
fn prepare(project: &Project, program: &Path) -> Done<Vec<Target>> {
    let home = project.cache.join("fuzz");
    let mut command = Command::new(program);
    command
        .env("INSIGHTHUB_FUZZ_PREPARE", &home)
        // It knows one clone by itself, which may be another.
        .env("CARGO_MANIFEST_DIR", project.root.join("crates/fuzz"));
    let said = shell::timed("writing the samples", || shell::capture(&mut command))?;
    let target = |line: &str| {
        Target::of(line, &home).ok_or_else(|| Problem::new(format!("`{}` says: {line}", program.display())))
    };
    said.lines().map(target).collect()
}

struct Target {
    name: String,
    /// Of an input, in bytes.
    longest: u64,
    /// It may break down, and its process with it: that is passed over, and only a wrong answer counts.
    is_bounded: bool,
    own: PathBuf,
}

impl Target {
    /// From a line of the program.
    fn of(line: &str, home: &Path) -> Option<Self> {
        let mut words = line.split_whitespace();
        let (name, longest) = (words.next()?, words.next()?.parse().ok()?);
        let is_bounded = match words.next() {
            None => false,
            Some("bounded") => true,
            Some(_) => return None,
        };
        Some(Self { name: name.to_owned(), longest, is_bounded, own: home.join(name) })
    }

    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.env("INSIGHTHUB_FUZZ_TARGET", &self.name);
        command
    }

    fn run(&self, project: &Project, program: &Path, seconds: u64) -> Done<Run> {
        let [corpus, found, broken, new] =
            ["corpus", "found", "broken", "new"].map(|name| self.own.join(name));
        shell::remove_dir(&new)?;
        for folder in [&corpus, &found, &broken, &new] {
            shell::make_dir(folder)?;
        }
        let log = project.log(&format!("fuzz-{}", self.name));
        let mut command = self.command(program);
        command
            .arg(&corpus)
            .arg(self.own.join("seeds"))
            .arg(flag("-dict=", &self.own.join("words")))
            .args([TIMEOUT, MEMORY, "-print_final_stats=1"])
            .args([format!("-max_len={}", self.longest), format!("-max_total_time={seconds}")]);
        if self.is_bounded {
            // Processes of its own, which may end as they like.
            command.args(["-fork=1", "-ignore_crashes=1", "-ignore_timeouts=1", "-ignore_ooms=1"]);
            command.env("INSIGHTHUB_FUZZ_WRONG", &new);
        }
        // libFuzzer puts the name of a file right behind it.
        let beside = if self.is_bounded { &broken } else { &new };
        command.arg(flag("-artifact_prefix=", &beside.join("")));
        let ended = shell::logged_within(&mut command, &log, Duration::from_secs(seconds) + BESIDES);
        let counts = Counts::of(&String::from_utf8_lossy(&shell::read(&log)?));
        let kept = keep(&new, &found)?;
        // Of processes that may break down, the end of the last one says nothing.
        let problem = ended.err().filter(|_| !self.is_bounded || counts.executions == 0);
        Ok(Run { counts, kept, problem, log })
    }
}

fn flag(name: &str, path: &Path) -> OsString {
    let mut flag = OsString::from(name);
    flag.push(path);
    flag
}

/// Puts what is new beside what was found before.
fn keep(new: &Path, found: &Path) -> Done<Vec<PathBuf>> {
    let mut kept = Vec::new();
    for file in shell::files_under(new)? {
        let place = found.join(file.file_name().unwrap_or_default());
        fs::rename(&file, &place)
            .doing(|| format!("cannot move {} to {}", file.display(), place.display()))?;
        kept.push(place);
    }
    Ok(kept)
}

/// How it went with one target.
struct Run {
    counts: Counts,
    /// The inputs that something went wrong with.
    kept: Vec<PathBuf>,
    problem: Option<Problem>,
    log: PathBuf,
}

impl Run {
    fn is_good(&self) -> bool {
        self.crashes() == 0 && self.counts.executions > 0
    }

    /// What ended it and left no input counts as well.
    fn crashes(&self) -> usize {
        self.kept.len().max(self.problem.iter().len())
    }

    /// What went wrong, and how to have it again.
    fn explain(&self, name: &str) {
        if self.is_good() {
            return;
        }
        match &self.problem {
            Some(problem) => shell::say(format!("fuzz {name}: {problem}")),
            None => shell::say(format!("fuzz {name}: see {}", self.log.display())),
        }
        for input in &self.kept {
            shell::say(format!("  again: cargo xtask fuzz {name} --replay {}", input.display()));
        }
    }

    /// The closing line.
    fn line(&self, name: &str) -> String {
        let Counts { executions, edges, breakdowns } = self.counts;
        let contained = if breakdowns > 0 {
            format!(", {breakdowns} breakdowns that a reading process contains")
        } else {
            String::new()
        };
        let verdict = if self.is_good() { "pass" } else { "fail" };
        format!(
            "fuzz {name}: executions={executions} edges={edges} crashes={}{contained} {verdict}",
            self.crashes()
        )
    }
}

/// What libFuzzer says of its work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Counts {
    executions: u64,
    /// Places between branches that something reached, of those that are marked.
    edges: u64,
    /// Processes that ended by memory, by time or by themselves, where that is passed over.
    breakdowns: u64,
}

impl Counts {
    /// From its last words. A line of its progress begins with `#` and the number of inputs that were tried.
    fn of(said: &str) -> Self {
        let mut counts = Self::default();
        for line in said.lines() {
            if let Some(units) = line.strip_prefix("stat::number_of_executed_units:") {
                counts.executions = units.trim().parse().unwrap_or(counts.executions);
            }
            let Some(rest) = line.strip_prefix('#') else { continue };
            let Some(executions) = leading_number(rest) else { continue };
            counts.executions = executions;
            counts.edges = number_behind(rest, "cov: ").unwrap_or(counts.edges);
            if let Some((_, ended)) = rest.split_once("oom/timeout/crash: ") {
                let ended = ended.split_whitespace().next().unwrap_or_default();
                counts.breakdowns = ended.split('/').filter_map(|n| n.parse::<u64>().ok()).sum();
            }
        }
        counts
    }
}

fn number_behind(line: &str, word: &str) -> Option<u64> {
    leading_number(line.split_once(word)?.1)
}

fn leading_number(text: &str) -> Option<u64> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    text[..end].parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_counts_of_a_run_are_its_last_ones() {
        let said = "INFO: Loaded 1 modules   (9 inline 8-bit counters): 9 [0x1, 0x9),\n\
                    #2\tINITED cov: 96 ft: 97 corp: 1/1b exec/s: 0 rss: 33Mb\n\
                    #1024\tNEW    cov: 120 ft: 240 corp: 9/80b lim: 4 exec/s: 512 rss: 34Mb L: 4/4 MS: 1 InsertByte-\n\
                    #4096\tDONE   cov: 131 ft: 300 corp: 12/99b lim: 40 exec/s: 1365 rss: 35Mb\n\
                    Done 4096 runs in 3 second(s)\n\
                    stat::number_of_executed_units: 4096\n";
        assert_eq!(Counts::of(said), Counts { executions: 4096, edges: 131, breakdowns: 0 });
        assert_eq!(Counts::of("no word of libFuzzer\n#include"), Counts::default());
    }

    #[test]
    fn a_crash_has_come_further_than_the_last_line_of_progress() {
        let said = "#1024\tNEW    cov: 120 ft: 240 corp: 9/80b lim: 4 exec/s: 512 rss: 34Mb\n\
                    thread '<unnamed>' panicked at src/lib.rs:1:1:\n\
                    ==7== ERROR: libFuzzer: deadly signal\n\
                    stat::number_of_executed_units: 1311\n";
        assert_eq!(Counts::of(said), Counts { executions: 1311, edges: 120, breakdowns: 0 });
    }

    #[test]
    fn processes_that_broke_down_are_counted_together() {
        let said = "INFO: -fork=1: fuzzing in separate process(s)\n\
                    #900: cov: 700 ft: 900 corp: 30 exec/s: 450 oom/timeout/crash: 0/0/0 time: 3s job: 1 dft_time: 0\n\
                    #2100: cov: 812 ft: 1300 corp: 41 exec/s: 400 oom/timeout/crash: 1/2/10 time: 7s job: 2 dft_time: 0\n";
        assert_eq!(Counts::of(said), Counts { executions: 2100, edges: 812, breakdowns: 13 });
    }

    #[test]
    fn a_target_is_told_in_one_line() {
        let home = Path::new("/cache/fuzz");
        let target = Target::of("csv 131072", home).expect("a target");
        assert_eq!((target.name.as_str(), target.longest, target.is_bounded), ("csv", 131_072, false));
        assert_eq!(target.own, home.join("csv"));
        assert!(Target::of("pdf 131072 bounded", home).is_some_and(|target| target.is_bounded));
        for wrong in ["", "csv", "csv long", "csv 1 other"] {
            assert!(Target::of(wrong, home).is_none(), "{wrong:?}");
        }
    }

    #[test]
    fn what_was_found_is_kept_and_makes_a_run_fail() {
        let dir = tempfile::tempdir().expect("a folder");
        let (new, found) = (dir.path().join("new"), dir.path().join("found"));
        shell::write(&new.join("crash-1"), "x").expect("written");
        shell::write(&found.join("crash-0"), "y").expect("written");
        let kept = keep(&new, &found).expect("kept");
        assert_eq!(kept, [found.join("crash-1")]);
        assert!(kept[0].is_file() && found.join("crash-0").is_file());
        let counts = Counts { executions: 10, edges: 5, breakdowns: 2 };
        let run = |kept, problem| Run { counts, kept, problem, log: PathBuf::new() };
        assert_eq!(
            run(vec![], None).line("pdf"),
            "fuzz pdf: executions=10 edges=5 crashes=0, 2 breakdowns that a reading process contains pass"
        );
        assert!(run(kept, Some(Problem::new("it crashed"))).line("pdf").contains(" crashes=1"));
        assert!(!run(vec![], Some(Problem::new("it did not start"))).is_good());
        assert!(!Run { counts: Counts::default(), ..run(vec![], None) }.is_good(), "nothing was tried");
    }

    #[test]
    fn flags_go_to_the_machine_that_the_compiler_names() {
        let said = "rustc 1.95.0 (59807616e 2026-04-14)\nbinary: rustc\nhost: x86_64-unknown-linux-gnu\nrelease: 1.95.0";
        let host = host_in(said).expect("a host");
        assert_eq!(variable_of_flags(host), "CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUSTFLAGS");
        assert_eq!(host_in("nothing"), None);
        // The variable is parted at its blanks.
        assert!(FLAGS.iter().all(|flag| !flag.contains(' ')));
    }
}
