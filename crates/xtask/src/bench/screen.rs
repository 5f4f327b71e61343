//! The benches of the screen: Chromium, by Playwright, on a workspace's page of the real server while an outside worker
//! reports changes. P4's other half is how soon the page has a change, P11 how it answers a person meanwhile. The server
//! and whoever makes the changes have one core, Chromium the other.

use std::path::{Path, PathBuf};
use std::process::Command;

use measure::report::{self, Goal};
use measure::server::Server;
use measure::{peer, stats};
use serde_json::Value;

use super::{ROUNDS, profile};
use crate::problem::{Doing, Done, Problem};
use crate::project::Project;
use crate::toolchain::Toolchain;
use crate::{browser, server, shell};

/// What the twin of P11 is made of; fetched by the bench, and no dependency of the product.
const TWIN: [&str; 6] = [
    "react@19.3.1",
    "react-dom@19.3.1",
    "zustand@5.1.0",
    "socket.io@4.8.4",
    "socket.io-client@4.8.4",
    "esbuild@0.28.2",
];

pub struct Bench {
    pub name: &'static str,
    pub about: &'static str,
    measure: fn(&Screen<'_>) -> Done<Vec<String>>,
}

pub const BENCHES: [Bench; 2] = [
    Bench {
        name: "P4-dom",
        about: "a change over its commit to the page in Chromium: p99 <= 50 ms",
        measure: p4,
    },
    Bench {
        name: "P11",
        about: "2,000 rows, 500 changes a second: interactions <= 100 ms, no long task, script of a React twin",
        measure: p11,
    },
];

impl Bench {
    pub fn run(&self, project: &Project, toolchain: &Toolchain, smoke: bool) -> Done<Vec<String>> {
        shell::say(format!("{}: {}", self.name, self.about));
        let chromium = browser::ensure(project)?;
        server::build_profile(project, toolchain, profile(smoke))?;
        let lines = (self.measure)(&Screen { project, chromium, smoke })?;
        let note = if smoke { report::SMOKE } else { "" };
        Ok(lines.into_iter().map(|line| line + note).collect())
    }
}

/// How much is shown and changed: rows, changes a second, and seconds of both parts of a round.
struct Load {
    rows: usize,
    rate: u32,
    warm: u32,
    seconds: u32,
}

const SMOKE: Load = Load { rows: 20, rate: 20, warm: 1, seconds: 2 };

fn p4(screen: &Screen<'_>) -> Done<Vec<String>> {
    let load = if screen.smoke { SMOKE } else { Load { rows: 50, rate: 500, warm: 5, seconds: 20 } };
    let (mut p50, mut p99) = (vec![], vec![]);
    for _ in 0..screen.rounds() {
        let found = screen.ours("p4.mjs", &load)?;
        p50.push(figure(&found, "p50")?);
        p99.push(figure(&found, "p99")?);
        shell::say(format!("  {found}"));
    }
    shell::say(format!("  p50 {:.1} ms", stats::median(&p50)));
    Ok(vec![report::bound_line("P4-dom", "ms", stats::of_ratios(&p99), Goal::AtMost(50.0))])
}

fn p11(screen: &Screen<'_>) -> Done<Vec<String>> {
    let load = if screen.smoke { SMOKE } else { Load { rows: 2_000, rate: 500, warm: 5, seconds: 30 } };
    // A smoke run tries the page of ours alone: the twin's is nothing that could break.
    let twin = if screen.smoke { None } else { Some(Twin::built(screen.project)?) };
    let (mut ours, mut peer) = (vec![], vec![]);
    for turn in 0..screen.rounds() {
        let of_twin = || twin.as_ref().map(|twin| screen.twins(twin, &load)).transpose();
        let (a, b) = if turn % 2 == 0 {
            let a = screen.ours("p11.mjs", &load)?;
            (a, of_twin()?)
        } else {
            let b = of_twin()?;
            (screen.ours("p11.mjs", &load)?, b)
        };
        shell::say(format!("  ours {a}"));
        if let Some(b) = &b {
            shell::say(format!("  twin {b}"));
        }
        ours.push(a);
        peer.extend(b);
    }
    let all = |of: &[Value], key| of.iter().map(|found| figure(found, key)).collect::<Done<Vec<f64>>>();
    let bound = |name, unit, key, most| -> Done<String> {
        Ok(report::bound_line(name, unit, stats::of_ratios(&all(&ours, key)?), Goal::AtMost(most)))
    };
    let mut lines =
        vec![bound("P11-inp", "ms", "inp", 100.0)?, bound("P11-long-tasks", "", "long_tasks", 0.0)?];
    if peer.is_empty() {
        lines.push("P11: the script is compared with a React twin's by a whole run alone".to_owned());
    } else {
        let (ours, peer) = (all(&ours, "scripting")?, all(&peer, "scripting")?);
        lines.push(report::compared("P11", "ms", &ours, &peer, Goal::AtMost(0.5)));
    }
    Ok(lines)
}

fn figure(found: &Value, key: &str) -> Done<f64> {
    found.get(key).and_then(Value::as_f64).ok_or(key).doing(|| format!("the report lacks a number: {found}"))
}

struct Screen<'a> {
    project: &'a Project,
    chromium: Option<PathBuf>,
    smoke: bool,
}

impl Screen<'_> {
    fn rounds(&self) -> usize {
        if self.smoke { 1 } else { ROUNDS }
    }

    /// A round on a server of ours with an empty database, gone afterwards.
    fn ours(&self, script: &str, load: &Load) -> Done<Value> {
        let dir = std::env::temp_dir().join(format!("insighthub-bench-screen-{}", std::process::id()));
        shell::remove_dir(&dir)?;
        shell::make_dir(&dir)?;
        let log = std::fs::File::create(self.project.log("bench-server"))
            .doing(|| "cannot write a log".to_owned())?;
        let mut command = peer::on_core(0, self.project.server(profile(self.smoke)));
        command
            .arg("serve")
            .current_dir(&dir)
            .env("INSIGHTHUB_ADDR", "127.0.0.1:0")
            .env("INSIGHTHUB_DATA_DIR", dir.join("data"))
            .env("INSIGHTHUB_MODELS_DIR", self.project.models())
            .env_remove("LD_LIBRARY_PATH")
            .stderr(log);
        let server = Server::start(&mut command).map_err(|why| Problem::new(why.to_string()))?;
        let found = self.round(script, &server, load, &[]);
        drop(server);
        shell::remove_dir(&dir)?;
        found
    }

    fn twins(&self, twin: &Twin, load: &Load) -> Done<Value> {
        let mut command = peer::on_core(0, "node");
        command
            .arg(self.bench("twin/server.mjs"))
            .args([twin.modules.as_os_str(), twin.bundle.as_os_str()])
            .arg(load.rows.to_string());
        let server = Server::start(&mut command).map_err(|why| Problem::new(why.to_string()))?;
        self.round("p11.mjs", &server, load, &["twin"])
    }

    fn round(&self, script: &str, server: &Server, load: &Load, more: &[&str]) -> Done<Value> {
        let mut node = peer::on_core(1, "node");
        node.current_dir(self.project.end2end()).arg(self.bench(script)).arg(&server.base).args(more).args([
            "--rows".to_owned(),
            load.rows.to_string(),
            "--rate".to_owned(),
            load.rate.to_string(),
            "--warm".to_owned(),
            load.warm.to_string(),
            "--seconds".to_owned(),
            load.seconds.to_string(),
        ]);
        if let Some(chromium) = &self.chromium {
            node.env("INSIGHTHUB_CHROMIUM", chromium);
        }
        let said = shell::capture_within(&mut node, super::limit(self.smoke))?;
        serde_json::from_str(said.lines().last().unwrap_or_default())
            .doing(|| format!("the script's last line is no report: {said}"))
    }

    fn bench(&self, file: &str) -> PathBuf {
        self.project.end2end().join("bench").join(file)
    }
}

/// The twin of P11, made in the cache folder.
struct Twin {
    modules: PathBuf,
    bundle: PathBuf,
}

impl Twin {
    fn built(project: &Project) -> Done<Self> {
        let home = peer::cache().join("bench/react");
        let modules = peer::npm(&home, &TWIN).map_err(|why| Problem::new(why.to_string()))?;
        let bundle = home.join("bundle.js");
        let source = project.end2end().join("bench/twin/app.jsx");
        bundled(&modules, &source, &bundle)?;
        Ok(Self { modules, bundle })
    }
}

fn bundled(modules: &Path, source: &Path, bundle: &Path) -> Done {
    let mut esbuild = Command::new(modules.join(".bin/esbuild"));
    esbuild
        .arg(source)
        .args(["--bundle", "--minify", "--format=esm", "--jsx=automatic", "--log-level=warning"])
        .arg("--define:process.env.NODE_ENV=\"production\"")
        .arg(format!("--outfile={}", bundle.display()))
        // The packages lie in the cache, not above the source.
        .env("NODE_PATH", modules);
    shell::run(&mut esbuild)
}
