//! One PostgreSQL for a run (`measure::postgres`), installed or fetched first where it is missing and that is possible.

use measure::Failure;
use measure::postgres::{Postgres, Programs};

use crate::problem::{Done, Problem};
use crate::project::Project;
use crate::{apt, packages, shell};

/// A Python package (Apache-2.0) that carries PostgreSQL with pgvector.
const WHEEL: &str = "pgserver==0.1.4";
/// Where it lies in the cache, and what of it is wanted. The programs find the others from where they are themselves.
const CARRIED: &str = "pgserver-0.1.4";
const BIN: &str = "pgserver/pginstall/bin";
const FOLDERS: [&str; 4] =
    ["pgserver/pginstall/bin/", "pgserver/pginstall/lib/", "pgserver/pginstall/share/", "pgserver.libs/"];

/// Starts a server as most people have it, for measuring.
pub fn start(project: &Project) -> Done<Postgres> {
    begin(&ordinary(project)?, Postgres::of)
}

/// Starts one that is measured with pgvector, where one can be had.
pub fn with_pgvector(project: &Project) -> Done<Postgres> {
    begin(&of_tests(project)?, Postgres::of)
}

/// Starts one for tests: with pgvector, where one can be had. Those that crash a server have their own.
pub fn for_tests(project: &Project) -> Done<Postgres> {
    begin(&of_tests(project)?, Postgres::hasty)
}

fn begin(programs: &Programs, how: fn(&Programs) -> Result<Postgres, Failure>) -> Done<Postgres> {
    shell::timed("starting PostgreSQL for the tests", || {
        how(programs).map_err(|why| Problem::new(why.to_string()))
    })
}

/// With pgvector, where that can be had.
fn of_tests(project: &Project) -> Done<Programs> {
    // Tests that crash a server of their own take the system's.
    let ordinary = ordinary(project)?;
    if ordinary.has_pgvector() {
        return Ok(ordinary);
    }
    let carried = carried(project);
    if let Err(why) = &carried {
        shell::say(format!("no PostgreSQL with pgvector can be had here: {why}"));
    }
    Ok(carried.unwrap_or(ordinary))
}

/// The system's own, installing it when it is missing and that is possible.
fn ordinary(project: &Project) -> Done<Programs> {
    if Programs::installed().is_none() && apt::available() {
        apt::install(project, &["postgresql"])?;
    }
    Programs::installed().ok_or_else(|| {
        Problem::new("PostgreSQL (initdb, postgres) is not here, and the tests need one of 14 or newer")
            .hint("install PostgreSQL, e.g. `apt-get install postgresql` or `brew install postgresql`")
    })
}

/// The one of the Python package, where there is one for this machine.
fn carried(project: &Project) -> Done<Programs> {
    let place = project.cache.join(CARRIED);
    if Programs::carried(&place, BIN).is_none() {
        shell::timed("fetching a PostgreSQL with pgvector (11 MB)", || {
            packages::folders_from_wheel(project, WHEEL, &FOLDERS, &place)
        })?;
    }
    let programs = Programs::carried(&place, BIN)
        .ok_or_else(|| Problem::new(format!("{WHEEL} does not carry what was expected")))?;
    // Both kinds: with the client's library, and without.
    for program in ["postgres", "initdb"] {
        shell::capture(std::process::Command::new(programs.bin().join(program)).arg("--version"))?;
    }
    Ok(programs)
}
