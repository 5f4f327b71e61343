//! P10: what Chromium fetches for a page when it has nothing yet. Measured in the browser, by what came over the wire
//! with its headers, from the real server with the site that visitors get.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use measure::report;
use serde_json::Value;

use super::{count, profile};
use crate::problem::{Doing, Done, Problem};
use crate::project::Project;
use crate::toolchain::Toolchain;
use crate::{browser, server, shell};

pub const NAME: &str = "P10";
pub const ABOUT: &str = "bytes that Chromium fetches cold, for each kind of page";

/// Goals in bytes: the page's name in the script's report, and its limit. A font is counted apart.
const PAGES: [(&str, u64); 6] = [
    ("signin", 40_000),
    ("home", 260_000),
    ("workspace", 260_000),
    ("document", 260_000),
    ("settings", 260_000),
    ("rag", 260_000),
];

pub fn measure(project: &Project, toolchain: &Toolchain, smoke: bool) -> Done<Vec<String>> {
    shell::say(format!("{NAME}: {ABOUT}"));
    let chromium = browser::ensure(project)?;
    server::build_profile(project, toolchain, profile(smoke))?;
    let server = Server::start(project, smoke)?;
    let mut node = Command::new("node");
    node.current_dir(project.end2end()).arg("bench/p10.mjs").arg(server.url());
    if let Some(chromium) = chromium {
        node.env("INSIGHTHUB_CHROMIUM", chromium);
    }
    let said = shell::capture(&mut node)?;
    let report: Value = serde_json::from_str(said.lines().last().unwrap_or_default())
        .doing(|| format!("the script's last line is no report: {said}"))?;
    PAGES
        .iter()
        .map(|(page, goal)| {
            let part = report
                .get(page)
                .ok_or_else(|| Problem::new(format!("the report lacks the page `{page}`")))?;
            for request in part.get("requests").and_then(Value::as_array).into_iter().flatten() {
                let text = |key: &str| request.get(key).and_then(Value::as_str).unwrap_or_default();
                shell::say(format!(
                    "  {page}: {:>8} {:4} {}",
                    count(request, "bytes")?,
                    text("encoding"),
                    text("url")
                ));
            }
            let font = count(part, "font")?;
            shell::say(format!("  {page}: {font} bytes of fonts besides"));
            Ok(report::size_line(&format!("{NAME}-{page}"), count(part, "bytes")?, *goal))
        })
        .collect()
}

/// A server with an empty database of its own, gone when dropped.
struct Server {
    child: Child,
    dir: std::path::PathBuf,
    port: u16,
}

impl Server {
    fn start(project: &Project, smoke: bool) -> Done<Self> {
        let port = measure::room::free_port().doing(|| "cannot open a port".to_owned())?;
        let dir = std::env::temp_dir().join(format!("insighthub-bench-{}", std::process::id()));
        shell::remove_dir(&dir)?;
        shell::make_dir(&dir)?;
        let log =
            std::fs::File::create(project.log("bench-server")).doing(|| "cannot write a log".to_owned())?;
        let also = log.try_clone().doing(|| "cannot write a log".to_owned())?;
        let child = Command::new(project.server(profile(smoke)))
            .arg("serve")
            .current_dir(&dir)
            .env("INSIGHTHUB_ADDR", format!("127.0.0.1:{port}"))
            .env("INSIGHTHUB_DATA_DIR", dir.join("data"))
            .env("INSIGHTHUB_MODELS_DIR", project.models())
            .env_remove("LD_LIBRARY_PATH")
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(also)
            .spawn()
            .doing(|| "cannot start the server".to_owned())?;
        let mut server = Self { child, dir, port };
        let begun = Instant::now();
        while !server.is_ready() {
            if let Some(status) = server.child.try_wait().doing(|| "cannot wait for the server".to_owned())? {
                return Err(Problem::new(format!(
                    "the server ended ({status}); see {}",
                    project.log("bench-server").display()
                )));
            }
            if begun.elapsed() > Duration::from_secs(60) {
                return Err(Problem::new("the server was not ready after 60 s"));
            }
            thread::sleep(Duration::from_millis(50));
        }
        Ok(server)
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    fn is_ready(&self) -> bool {
        let ask = || -> std::io::Result<String> {
            let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port))?;
            stream.set_read_timeout(Some(Duration::from_secs(5)))?;
            stream
                .write_all(b"GET /health/ready HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer)?;
            Ok(answer)
        };
        ask().is_ok_and(|answer| answer.starts_with("HTTP/1.1 200"))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = shell::remove_dir(&self.dir);
    }
}
