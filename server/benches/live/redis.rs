//! Redis, on a core of its own, with everything on the disk before it answers.

use measure::{Failure, peer};
use std::{path::Path, process::Stdio};
use tokio::process::{Child, Command};

/// The peer's store, which answers when what it was told is on the disk, as our database does.
pub struct Redis {
    port: u16,
    child: Child,
}

impl Redis {
    pub fn is_there() -> bool {
        let asked = |mut command: std::process::Command| {
            let asked = command.arg("--version").stdout(Stdio::null()).stderr(Stdio::null());
            asked.status().is_ok_and(|status| status.success())
        };
        Self::program().is_ok_and(asked)
    }

    /// The system's, or else Debian's, unpacked into the cache.
    fn program() -> Result<std::process::Command, Failure> {
        let name = "redis-server";
        let mut there = std::process::Command::new(name);
        if there.arg("--version").stdout(Stdio::null()).status().is_ok() {
            return Ok(peer::on_core(0, name));
        }
        let home = peer::cache().join("bench/redis");
        let root = peer::debian(&home, &["redis-tools", "libjemalloc2", "liblzf1"])?;
        // One program for everything, which is what its name says.
        let program = home.join(name);
        if !program.exists() {
            std::fs::copy(root.join("usr/bin/redis-check-rdb"), &program)?;
        }
        let mut libraries = vec![];
        for folder in std::fs::read_dir(root.join("usr/lib"))? {
            libraries.push(folder?.path());
        }
        let mut command = peer::on_core(0, program);
        command.env("LD_LIBRARY_PATH", std::env::join_paths(libraries)?);
        Ok(command)
    }

    /// With its data in that folder; `None` where there is none to be had.
    pub async fn start(dir: &Path) -> Result<Option<Self>, Failure> {
        if !Self::is_there() {
            return Ok(None);
        }
        let port = std::net::TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
        let mut command = Self::program()?;
        command
            .args(["--bind", "127.0.0.1", "--port", &port.to_string(), "--save", ""])
            .args(["--appendonly", "yes", "--appendfsync", "always", "--dir"])
            .arg(dir)
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        let child = Command::from(command).kill_on_drop(true).spawn()?;
        Ok(Some(Self { port, child }))
    }

    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Ends it, and waits until it is gone.
    pub async fn stop(&mut self) -> Result<(), Failure> {
        Ok(self.child.kill().await?)
    }
}
