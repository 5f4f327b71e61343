//! S6: files, messages, frames, headers and answers of sites that nobody would write. Samples of each kind are changed at
//! random (bits turned, parts cut out, doubled, mixed, words of the format put in) and read by those of the crate's list.
//! None may panic, run for ever, or answer something that its caller may not get.
//!
//!     cargo bench -p fuzz --bench fuzz [-- --count N --seed N --only TARGET | --smoke]
//!
//! Each target runs in a process of its own, so that one that is ended by the system tells at which case. A case can be had
//! again by its number: `--only TARGET --seed N --count 1`. Readers that stand on libraries for PDF and for workbooks may
//! panic inside of those: the reading process answers with a code then. How often that was is told.

use fuzz::{May, Target};
use measure::{Asked, Failure, change, dice::Dice};
use std::{
    fs,
    panic::{AssertUnwindSafe, catch_unwind},
    process::{Command, ExitCode},
    time::{Duration, Instant},
};

/// A case that takes longer than this runs for ever: readers have a budget of seconds in their own process.
const LONG: Duration = Duration::from_secs(20);

fn main() -> ExitCode {
    measure::answer(run)
}

fn run(asked: &Asked) -> Result<String, Failure> {
    let smoke = asked.has("--smoke");
    let count: u64 = asked.number("--count", if smoke { 150 } else { 20_000 })?;
    let seed: u64 = asked.number("--seed", 1)?;
    if let Some(name) = asked.text("--only") {
        let target = fuzz::target(name).ok_or_else(|| format!("there is no target {name}"))?;
        return one(target, count, seed, asked.text("--at"));
    }
    let at = tempfile::NamedTempFile::new()?;
    let (mut bad, mut told) = (vec![], vec![]);
    for target in fuzz::targets() {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["--only", target.name, "--count", &count.to_string(), "--seed", &seed.to_string()]);
        let out = command.arg("--at").arg(at.path()).output()?;
        let said = String::from_utf8_lossy(&out.stdout).trim().to_owned();
        if out.status.success() {
            told.push(said);
        } else {
            let case = fs::read_to_string(at.path()).unwrap_or_default();
            eprintln!(
                "{}: case {case}: {}\n{}",
                target.name,
                out.status,
                String::from_utf8_lossy(&out.stderr)
            );
            bad.push(target.name);
        }
    }
    let verdict = if bad.is_empty() { "pass" } else { "fail" };
    let line = format!(
        "S6: targets={} cases={count} seed={seed} ({}) broken={} goal=0 {verdict}",
        bad.len() + told.len(),
        told.join(", "),
        bad.len()
    );
    if bad.is_empty() { Ok(line) } else { Err(format!("{line}: {}", bad.join(", ")).into()) }
}

/// All cases of one target, each by a seed of its own.
fn one(target: &Target, count: u64, seed: u64, at: Option<&str>) -> Result<String, Failure> {
    let samples = (target.samples)();
    let (mut read, mut caught) = (0, 0);
    if target.may != May::Nothing {
        // What they say of it would fill the log.
        std::panic::set_hook(Box::new(|_| {}));
    }
    for case in seed..seed + count {
        if let Some(at) = at {
            fs::write(at, case.to_string())?;
        }
        let bytes = change::changed(&samples, target.words, &mut Dice::new(case));
        let began = Instant::now();
        match catch_unwind(AssertUnwindSafe(|| (target.run)(&bytes))) {
            Ok(Ok(true)) => read += 1,
            Ok(Ok(false)) => {}
            Ok(Err(why)) => return Err(format!("{}, case {case}: {why}", target.name).into()),
            Err(_) if target.may != May::Nothing => caught += 1,
            Err(_) => return Err(format!("{}, case {case}: it panicked", target.name).into()),
        }
        if began.elapsed() > LONG {
            return Err(format!("{}, case {case}: {:.0?}", target.name, began.elapsed()).into());
        }
    }
    let panics = if caught > 0 { format!(", {caught} answered with a code") } else { String::new() };
    Ok(format!("{} {read} read{panics}", target.name))
}
