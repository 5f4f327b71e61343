//! `cargo xtask mutants`: R5. One small mistake after the other is made in the rules of the state machines, in a copy of the
//! project, and the tests of `domain` have to fail. What does not compile is no mutant. The last line says how many were
//! killed; those that were not are told with their places. `--count N` takes so many of them, drawn by `--seed`.

mod make;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use measure::dice::Dice;

use crate::problem::{Doing, Done, Problem};
use crate::project::Project;
use crate::shell;
use crate::toolchain;
use make::Mutant;

/// Where the rules stand, below `crates/domain/src`: a file, or all of a folder.
const RULES: [&str; 11] = [
    "status.rs",
    "reducer.rs",
    "ingest/advance.rs",
    "ingest/control",
    "ingest/fixed_step.rs",
    "ingest/interrupt.rs",
    "ingest/model_away.rs",
    "ingest/retry_later.rs",
    "ingest/stall.rs",
    "ingest/turn.rs",
    "ingest/version.rs",
];
/// Of those that compile, at least this share has to be killed.
const GOAL: f64 = 0.9;
/// A mistake may make a test go on for ever.
const PATIENCE: Duration = Duration::from_secs(300);

#[derive(Default)]
pub struct Options {
    pub count: Option<usize>,
    pub seed: Option<u64>,
}

pub fn mutants(project: &Project, options: &Options) -> Done<bool> {
    let toolchain = toolchain::ensure(project)?;
    let home = project.cache.join("mutants");
    let copy = home.join("project");
    copy_project(project, &copy)?;
    let mut cargo = |what: &[&str]| {
        let mut cargo = toolchain.cargo();
        // Dependencies are compiled once; the mistakes stay among themselves.
        cargo.current_dir(&copy).env("CARGO_TARGET_DIR", home.join("target")).args(what);
        cargo.args(["--package", "domain", "--quiet"]).stdin(Stdio::null()).stdout(Stdio::null());
        cargo
    };
    shell::timed("the tests without any mistake", || {
        match shell::status(&mut cargo(&["test"]))?.success() {
            true => Ok(()),
            false => Err(Problem::new("the tests of domain fail by themselves")),
        }
    })?;
    let all = chosen(project, options)?;
    shell::say(format!("{} mistakes", all.len()));
    let (mut killed, mut survived, mut none) = (0, Vec::new(), 0);
    for (n, mutant) in all.iter().enumerate() {
        let file = copy.join(&mutant.file);
        let before = shell::read(&file)?;
        shell::write(&file, mutant.text_in(&String::from_utf8_lossy(&before)))?;
        let fate = fate(&mut cargo);
        shell::write(&file, before)?;
        match fate? {
            Fate::NoMutant => none += 1,
            Fate::Killed => killed += 1,
            Fate::Survived => {
                shell::say(format!("survived: {mutant}"));
                survived.push(mutant);
            }
        }
        if (n + 1) % 20 == 0 {
            shell::say(format!("{} of {}, {} survived", n + 1, all.len(), survived.len()));
        }
    }
    let mutants = killed + survived.len();
    let share = killed as f64 / mutants.max(1) as f64;
    let verdict = if share >= GOAL { "pass" } else { "short" };
    println!(
        "R5: mutants={mutants} killed={killed} survived={} uncompiled={none} share={share:.3} goal=>={GOAL} {verdict}",
        survived.len()
    );
    Ok(mutants > 0)
}

enum Fate {
    /// It does not compile.
    NoMutant,
    Killed,
    Survived,
}

fn fate(cargo: &mut impl FnMut(&[&str]) -> Command) -> Done<Fate> {
    let mut compile = cargo(&["test", "--no-run"]);
    if !shell::status(compile.stderr(Stdio::null()))?.success() {
        return Ok(Fate::NoMutant);
    }
    let mut run = cargo(&["test"]);
    let mut tests =
        run.stderr(Stdio::null()).spawn().doing(|| format!("cannot start `{}`", shell::line(&run)))?;
    // Tests that go on for ever have noticed as well.
    let ended = shell::wait_within(&mut tests, PATIENCE)?;
    Ok(if ended.is_some_and(|status| status.success()) { Fate::Survived } else { Fate::Killed })
}

fn chosen(project: &Project, options: &Options) -> Done<Vec<Mutant>> {
    let mut all = Vec::new();
    let source = project.root.join("crates/domain/src");
    for rule in RULES {
        let place = source.join(rule);
        let files = if place.is_dir() { shell::files_with(&place, "rs")? } else { vec![place] };
        for file in files {
            let text = String::from_utf8_lossy(&shell::read(&file)?).into_owned();
            let name = file.strip_prefix(&project.root).unwrap_or(&file).to_owned();
            all.extend(make::all_in(&name, &text));
        }
    }
    let mut dice = Dice::new(options.seed.unwrap_or(1));
    let wanted = options.count.unwrap_or(all.len()).min(all.len());
    while all.len() > wanted {
        all.swap_remove(dice.below(all.len() as u64) as usize);
    }
    Ok(all)
}

/// What git knows of the project, and what stands there now.
fn copy_project(project: &Project, to: &Path) -> Done {
    let mut git = Command::new("git");
    git.current_dir(&project.root).args(["ls-files", "--cached", "--others", "--exclude-standard"]);
    for name in shell::capture(&mut git)?.lines().map(PathBuf::from) {
        let (from, to) = (project.root.join(&name), to.join(&name));
        if !from.is_file() {
            continue;
        }
        let bytes = shell::read(&from)?;
        // What is as it was stays untouched, or everything would be compiled anew.
        if std::fs::read(&to).is_ok_and(|there| there == bytes) {
            continue;
        }
        shell::make_parent(&to)?;
        shell::write(&to, bytes)?;
    }
    Ok(())
}
