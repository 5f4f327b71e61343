//! `cargo xtask chaos`: what must hold however much goes wrong. Each course is a bench executable that plays its own
//! server, ends with its own line, and ends with an error when the line says `fail`. How long it goes on, and by which
//! seed, is said on the command line; CI runs a short form of each.

use crate::bench;
use crate::problem::{Done, Problem};
use crate::project::Project;
use crate::shell;
use crate::tally::Tally;
use crate::toolchain::{self, Toolchain};
use std::process::Command;

struct Course {
    /// As `chaos NAME` has it.
    name: &'static str,
    about: &'static str,
    package: &'static str,
    target: &'static str,
}

const COURSES: [Course; 4] = [
    Course {
        name: "fuzz",
        about: "S6: readers, chunkers and parsers (reading process, crawled sites, wires), on changed bytes",
        package: "fuzz",
        target: "fuzz",
    },
    Course {
        name: "requests",
        about: "S6: requests, uploads and frames that nobody would send, to a real server",
        package: "server",
        target: "requests",
    },
    Course {
        name: "kill",
        about: "R1: the server killed at random while jobs are paused, resumed, cancelled, retried; each job audited",
        package: "server",
        target: "r1",
    },
    Course {
        name: "reconnects",
        about: "R2: links reset, half-open, stalled, overrun, of a new epoch; client store = database each time",
        package: "server",
        target: "r2",
    },
];

#[derive(Default)]
pub struct Options {
    pub name: Option<String>,
    pub count: Option<u64>,
    pub seed: Option<u64>,
    /// A short run in the profile of the tests.
    pub smoke: bool,
}

pub fn chaos(project: &Project, options: &Options) -> Done<Tally> {
    let toolchain = toolchain::ensure(project)?;
    crate::model::ensure(project)?;
    let wanted = |course: &&Course| options.name.as_ref().is_none_or(|asked| asked == course.name);
    let chosen: Vec<&Course> = COURSES.iter().filter(wanted).collect();
    if chosen.is_empty() {
        let list: Vec<String> = COURSES.iter().map(|c| format!("  {:12} {}", c.name, c.about)).collect();
        let asked = options.name.as_deref().unwrap_or_default();
        return Err(Problem::new(format!("there is no chaos `{asked}`; there is\n{}", list.join("\n"))));
    }
    let mut tally = Tally::default();
    for course in chosen {
        let outcome = run(project, &toolchain, course, options);
        tally.add(Tally::one(outcome.is_ok()));
        if let Err(problem) = outcome {
            shell::say(format!("chaos {}: {problem}", course.name));
        }
    }
    Ok(tally)
}

fn run(project: &Project, toolchain: &Toolchain, course: &Course, options: &Options) -> Done {
    shell::say(format!("{}: {}", course.name, course.about));
    let executable = bench::executable(toolchain, course.package, course.target, options.smoke)?;
    let mut command = Command::new(&executable.path);
    executable.tell(&mut command);
    command.env("INSIGHTHUB_MODELS_DIR", project.models());
    if options.smoke {
        command.arg("--smoke");
    }
    for (name, number) in [("--count", options.count), ("--seed", options.seed)] {
        if let Some(number) = number {
            command.args([name, &number.to_string()]);
        }
    }
    shell::run(&mut command)
}
