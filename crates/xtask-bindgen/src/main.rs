//! The few options of the `wasm-bindgen` command that the site build (and cargo-leptos) uses, on top of the library
//! that the real command is made of. It is a package of its own because the library takes half a minute to compile,
//! which nobody should wait for who only wants `cargo xtask lint`. Nothing else belongs here.

mod names;

use std::path::{Path, PathBuf};
use std::{fs, process::ExitCode};

use lexopt::prelude::*;
use wasm_bindgen_cli_support::Bindgen;

const USAGE: &str = "wasm-bindgen --target web --out-name NAME --out-dir DIR INPUT.wasm";

type Failure = Box<dyn std::error::Error>;

fn main() -> ExitCode {
    match run(lexopt::Parser::from_env()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            // The library's errors are chains; the outermost sentence alone seldom says what was wrong.
            eprintln!("wasm-bindgen: {failure:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(mut args: lexopt::Parser) -> Result<(), Failure> {
    let (mut input, mut out_dir, mut out_name) = (None::<PathBuf>, None::<PathBuf>, None::<String>);
    let (mut debug, mut keep_debug, mut keep_lld_exports, mut demangle) = (false, false, false, true);
    let mut short_names = false;
    while let Some(arg) = args.next()? {
        match arg {
            Short('V') | Long("version") => {
                println!("wasm-bindgen {}", wasm_bindgen_shared::version());
                return Ok(());
            }
            Long("target") => {
                let target = args.value()?.string()?;
                if target != "web" {
                    return Err(format!("only `--target web` is built here, not `{target}`").into());
                }
            }
            Long("out-dir") => out_dir = Some(args.value()?.into()),
            Long("out-name") => out_name = Some(args.value()?.string()?),
            Long("debug") => debug = true,
            Long("keep-debug") => keep_debug = true,
            Long("keep-lld-exports") => keep_lld_exports = true,
            Long("no-demangle") => demangle = false,
            Long("short-names") => short_names = true,
            Long("no-typescript") => {}
            Value(path) if input.is_none() => input = Some(path.into()),
            other => return Err(other.unexpected().into()),
        }
    }
    let (Some(input), Some(out_dir)) = (input, out_dir) else { return Err(format!("usage: {USAGE}").into()) };

    let mut bindgen = Bindgen::new();
    bindgen
        .input_path(input)
        .web(true)?
        .typescript(false)
        .debug(debug)
        .keep_debug(keep_debug)
        .keep_lld_exports(keep_lld_exports)
        .demangle(demangle);
    if let Some(name) = &out_name {
        bindgen.out_name(name);
    }
    bindgen.generate(&out_dir)?;
    match out_name {
        Some(name) if short_names => shorten(&out_dir, &name),
        None if short_names => Err("`--short-names` needs `--out-name`".into()),
        _ => Ok(()),
    }
}

/// An own option: cargo-leptos, which wants quick builds, does not ask for it.
fn shorten(dir: &Path, name: &str) -> Result<(), Failure> {
    let (wasm, script) = (dir.join(format!("{name}_bg.wasm")), dir.join(format!("{name}.js")));
    let module = format!("./{name}_bg.js");
    let (short, calls) = names::shortened(&fs::read(&wasm)?, &fs::read_to_string(&script)?, &module)?;
    fs::write(wasm, short)?;
    fs::write(script, calls)?;
    Ok(())
}
