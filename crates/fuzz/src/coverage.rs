//! The same targets for libFuzzer, which changes what it has by what new code it reached. `cargo xtask fuzz` compiles and
//! calls this; by itself it does not link, since what it links with counts the branches that the compiler has to mark.
//!
//! Its own words come by the environment, since the command line is libFuzzer's:
//!
//! - `INSIGHTHUB_FUZZ_PREPARE=FOLDER`: the seeds of each target go into `FOLDER/NAME/seeds` and its words into
//!   `FOLDER/NAME/words`; a line says its name, how long an input may be, and `bounded` where its reader may break down; and that is all.
//! - `INSIGHTHUB_FUZZ_TARGET=NAME`: what is tried.
//! - `INSIGHTHUB_FUZZ_WRONG=FOLDER`: where a wrong answer of a reader that may break down is kept, which libFuzzer, told to
//!   pass over the breakdowns, does not tell from those.

#![no_main]
#![allow(unsafe_code, reason = "the macro exports what libFuzzer calls, by its names")]

use fuzz::{May, Target};
use libfuzzer_sys::fuzz_target;
use std::{
    collections::hash_map::DefaultHasher,
    env, fs,
    hash::{Hash, Hasher},
    io,
    panic::{self, AssertUnwindSafe},
    path::{Path, PathBuf},
    process,
    sync::OnceLock,
};

static TARGET: OnceLock<&'static Target> = OnceLock::new();

fuzz_target!(init: begin(), |data: &[u8]| {
    attempt(data);
});

/// Before libFuzzer reads its command line.
fn begin() {
    if let Some(folder) = env::var_os("INSIGHTHUB_FUZZ_PREPARE") {
        match prepare(Path::new(&folder)) {
            Ok(()) => process::exit(0),
            Err(why) => end(&format!("{}: {why}", Path::new(&folder).display())),
        }
    }
    let name = env::var("INSIGHTHUB_FUZZ_TARGET").unwrap_or_default();
    let Some(target) = fuzz::target(&name) else { end(&format!("there is no target `{name}`")) };
    if target.may != May::Nothing {
        // By now libFuzzer's own has been set, which ends the process at the first panic.
        panic::set_hook(Box::new(|_| {}));
    }
    TARGET.get_or_init(|| target);
}

fn end(why: &str) -> ! {
    eprintln!("{why}");
    process::exit(1);
}

fn prepare(folder: &Path) -> io::Result<()> {
    for target in fuzz::targets() {
        let own = folder.join(target.name);
        let seeds = own.join("seeds");
        fs::create_dir_all(&seeds)?;
        for seed in target.seeds() {
            fs::write(seeds.join(name_of(&seed)), &seed)?;
        }
        fs::write(own.join("words"), target.dictionary())?;
        println!(
            "{} {}{}",
            target.name,
            fuzz::LONGEST,
            if target.may == May::Break { " bounded" } else { "" }
        );
    }
    Ok(())
}

/// The same for the same bytes.
fn name_of(bytes: &[u8]) -> String {
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}

fn attempt(data: &[u8]) {
    let Some(target) = TARGET.get() else { return };
    let outcome = if target.may != May::Nothing {
        panic::catch_unwind(AssertUnwindSafe(|| (target.run)(data))).unwrap_or(Ok(false))
    } else {
        (target.run)(data)
    };
    let Err(why) = outcome else { return };
    eprintln!("{}: a wrong answer: {why}", target.name);
    if target.may == May::Break
        && let Some(folder) = env::var_os("INSIGHTHUB_FUZZ_WRONG")
    {
        let place = PathBuf::from(folder).join(format!("wrong-{}", name_of(data)));
        if let Err(why) = fs::write(&place, data) {
            eprintln!("{}: {why}", place.display());
        }
    }
    process::abort();
}
