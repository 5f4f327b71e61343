//! Takes a WASM apart at its `#[wasm_split]` functions, before wasm-bindgen sees it: a main part that every page loads,
//! and parts that are fetched when a page wants them. What the `wasm-split` command of the library does, plus the list
//! that the server preloads by; what no browser runs is left out.

mod unused;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{env, fs};

use wasm_split_cli_support::{Options, transform};

const USAGE: &str = "xtask-split INPUT.wasm DIR NAME";

/// The script that fetches the parts, as cargo-leptos names it: the server and the build put a hash of this length into
/// the place of the line.
const LOADER: &str = "./__wasm_split.______________________.js";

type Failure = Box<dyn std::error::Error>;

fn main() -> ExitCode {
    match run(env::args_os().skip(1).map(PathBuf::from).collect()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("xtask-split: {failure:#}");
            ExitCode::FAILURE
        }
    }
}

/// Writes the main part as `NAME.wasm`, the others beside it, the script, and `__wasm_split_manifest.json`.
fn run(args: Vec<PathBuf>) -> Result<(), Failure> {
    let [input, dir, name] = args.as_slice() else { return Err(format!("usage: {USAGE}").into()) };
    split(input, dir, &name.to_string_lossy())
}

fn split(input: &Path, dir: &Path, name: &str) -> Result<(), Failure> {
    let wasm = fs::read(input).map_err(|e| format!("cannot read {}: {e}", input.display()))?;
    let (wasm, emptied) = unused::emptied(&wasm)?;
    if emptied == 0 {
        // A compiler that names functions in another way: the parts are whole, and larger.
        eprintln!("xtask-split: found none of the functions that no browser runs");
    }
    let main = dir.join(format!("{name}.wasm"));
    let script = format!("./{name}.js");
    let mut options = Options::new(&wasm);
    options.output_dir = dir;
    options.main_out_path = &main;
    options.main_module = &script;
    options.link_name = LOADER;
    let made = transform(options)?;
    let list = serde_json::to_string(&made.prefetch_map)?;
    fs::write(dir.join("__wasm_split_manifest.json"), list)?;
    Ok(())
}
