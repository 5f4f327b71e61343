//! `cargo xtask chaos`: what must hold however much goes wrong. Each course is a bench executable that plays its own
//! server, ends with its own line, and ends with an error when the line says `fail`. How long it goes on, and by which
//! seed, is said on the command line; CI runs a short form of each.

use measure::postgres::Postgres;

use crate::bench;
use crate::postgres;
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
    /// On several servers, and so on a PostgreSQL; it brings its RabbitMQ by itself.
    several: bool,
}

const COURSES: [Course; 6] = [
    Course {
        name: "fuzz",
        about: "S6: readers, chunkers and parsers (reading process, crawled sites, wires), on changed bytes",
        package: "fuzz",
        target: "fuzz",
        several: false,
    },
    Course {
        name: "requests",
        about: "S6: requests, uploads and frames that nobody would send, to a real server",
        package: "server",
        target: "requests",
        several: false,
    },
    Course {
        name: "kill",
        about: "R1: the server killed at random while jobs are paused, resumed, cancelled, retried; each job audited",
        package: "server",
        target: "r1",
        several: false,
    },
    Course {
        name: "kill-several",
        about: "R1: the same on two servers that serve people and two that work: any of them is killed",
        package: "server",
        target: "r1",
        several: true,
    },
    Course {
        name: "reconnects",
        about: "R2: links reset, half-open, stalled, overrun, of a new epoch; client store = database each time",
        package: "server",
        target: "r2",
        several: false,
    },
    Course {
        name: "reconnects-several",
        about: "R2: the same on two servers that serve people, which are killed as well, and two that work",
        package: "server",
        target: "r2",
        several: true,
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
        let list: Vec<String> = COURSES.iter().map(|c| format!("  {:18} {}", c.name, c.about)).collect();
        let asked = options.name.as_deref().unwrap_or_default();
        return Err(Problem::new(format!("there is no chaos `{asked}`; there is\n{}", list.join("\n"))));
    }
    let mut tally = Tally::default();
    // One for all that want it.
    let mut database = None;
    for course in chosen {
        let outcome = run(project, &toolchain, course, options, &mut database);
        tally.add(Tally::one(outcome.is_ok()));
        if let Err(problem) = outcome {
            shell::say(format!("chaos {}: {problem}", course.name));
        }
    }
    Ok(tally)
}

fn run(
    project: &Project,
    toolchain: &Toolchain,
    course: &Course,
    options: &Options,
    database: &mut Option<Postgres>,
) -> Done {
    shell::say(format!("{}: {}", course.name, course.about));
    let executable = bench::executable(toolchain, course.package, course.target, options.smoke)?;
    let mut command = Command::new(&executable.path);
    executable.tell(&mut command);
    command.env("INSIGHTHUB_MODELS_DIR", project.models());
    if options.smoke {
        command.arg("--smoke");
    }
    if course.several {
        let database = match database {
            Some(database) => database,
            None => database.insert(postgres::start(project)?),
        };
        command.arg("--several").env("INSIGHTHUB_BENCH_POSTGRES_URL", database.url());
    }
    for (name, number) in [("--count", options.count), ("--seed", options.seed)] {
        if let Some(number) = number {
            command.args([name, &number.to_string()]);
        }
    }
    shell::run(&mut command)
}
