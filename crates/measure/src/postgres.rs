//! A PostgreSQL for a run: on a free loopback port, in a folder of its own, with fsync on as in production unless it is a hasty
//! one, and gone when the run ends, however it ends. It has to be on the machine already.

use crate::{
    Failure,
    process::{ended_with_us, said, signal, spawn},
    room::{free_port, remove_left_over},
};
use std::{
    fs,
    net::{Ipv4Addr, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    thread,
    time::{Duration, Instant},
};

/// A start takes a second; after a crash it reads its log first.
const PATIENCE: Duration = Duration::from_secs(60);
const PREFIX: &str = "insighthub-postgres-";

/// The programs of a PostgreSQL.
#[derive(Clone, Debug)]
pub struct Programs {
    bin: PathBuf,
    /// The folder with all of it, where it was brought along instead of installed.
    carried: Option<PathBuf>,
}

/// A running server; dropping it stops it and removes its data.
pub struct Postgres {
    dir: PathBuf,
    /// The folder of its programs.
    bin: PathBuf,
    pgvector: bool,
    /// Whether a commit waits for the disk.
    fsync: bool,
    port: u16,
    /// PostgreSQL refuses to run as root, so root lends it to a user who owns nothing else that matters here.
    user: Option<&'static str>,
    server: Option<Child>,
}

impl Postgres {
    /// The one that is installed.
    ///
    /// # Errors
    /// When there is none on this machine, or it does not start.
    pub fn start() -> Result<Self, Failure> {
        let installed = Programs::installed().ok_or(
            "PostgreSQL (initdb, postgres) is not here; install it, e.g. `apt-get install postgresql`",
        )?;
        Self::of(&installed)
    }

    /// # Errors
    /// When it does not start.
    pub fn of(programs: &Programs) -> Result<Self, Failure> {
        Self::new(programs, true)
    }

    /// One that leaves it to the system when to write: for tests that make hundreds of databases in it, crash none and measure
    /// nothing. What it has committed outlives a server of ours that is killed all the same.
    ///
    /// # Errors
    /// When it does not start.
    pub fn hasty(programs: &Programs) -> Result<Self, Failure> {
        Self::new(programs, false)
    }

    fn new(programs: &Programs, fsync: bool) -> Result<Self, Failure> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        remove_left_over(PREFIX);
        let name = format!("{PREFIX}{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::SeqCst));
        let dir = std::env::temp_dir().join(name);
        if dir.exists() {
            fs::remove_dir_all(&dir)?;
        }
        fs::create_dir_all(&dir)?;
        // From here on, whatever goes wrong, the folder goes with it.
        let mut postgres = Self {
            dir,
            bin: programs.bin.clone(),
            pgvector: programs.has_pgvector(),
            fsync,
            port: free_port()?,
            user: None,
            server: None,
        };
        postgres.furnish(programs)?;
        postgres.begin()?;
        Ok(postgres)
    }

    pub fn url(&self) -> String {
        format!("postgres://postgres@127.0.0.1:{}/postgres", self.port)
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn bin(&self) -> &Path {
        &self.bin
    }

    pub fn has_pgvector(&self) -> bool {
        self.pgvector
    }

    fn furnish(&mut self, programs: &Programs) -> Result<(), Failure> {
        if said(Command::new("id").arg("-u")).is_some_and(|uid| uid == "0") {
            let user = unprivileged()?;
            if !Command::new("chown").arg(user).arg(&self.dir).status()?.success() {
                return Err(format!("{} cannot be lent to {user}", self.dir.display()).into());
            }
            self.user = Some(user);
            self.bin = programs.within_reach(user, &self.dir)?;
        }
        let mut initdb = ended_with_us("KILL", &self.bin.join("initdb"), self.user);
        initdb.args([
            "--username=postgres",
            "--auth=trust",
            "--encoding=UTF8",
            "--locale=C",
            "--no-sync",
            "--pgdata",
        ]);
        let made = initdb.arg(self.data()).current_dir(&self.dir).stdin(Stdio::null()).output()?;
        if made.status.success() {
            Ok(())
        } else {
            Err(format!("initdb failed\n{}", String::from_utf8_lossy(&made.stderr)).into())
        }
    }

    /// Starts it again, on the same port and with what it has kept.
    ///
    /// # Errors
    /// When it does not start.
    pub fn begin(&mut self) -> Result<(), Failure> {
        let output = fs::File::create(self.output())?;
        let also = output.try_clone()?;
        let mut command = ended_with_us("INT", &self.bin.join("postgres"), self.user);
        command.current_dir(&self.dir).arg("-D").arg(self.data()).arg("-k").arg(&self.dir);
        command.args(["-p", &self.port.to_string()]);
        // What commits is measured and crashed against as in production.
        command.args(["-c", if self.fsync { "fsync=on" } else { "fsync=off" }]);
        // A server of ours has about 13 connections, and as many tests run at once as the machine has cores and half as many
        // more.
        for setting in ["listen_addresses=127.0.0.1", "max_connections=500", "log_min_messages=warning"] {
            command.args(["-c", setting]);
        }
        command.stdin(Stdio::null()).stdout(output).stderr(also);
        self.server = Some(spawn(command)?);
        let begun = Instant::now();
        while !self.answers() {
            let ended = self.server.as_mut().map(Child::try_wait).transpose()?.flatten();
            if ended.is_some() || begun.elapsed() > PATIENCE {
                let words = fs::read_to_string(self.output()).unwrap_or_default();
                return Err(format!("PostgreSQL did not start\n{words}").into());
            }
            thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    /// Ends it as a crash does: nothing is written out, nobody is waited for, and its next start recovers from its log. All its
    /// processes are gone then, so that it may start at once.
    pub fn kill(&mut self) {
        // PostgreSQL's immediate shutdown. SIGKILL would leave processes behind that keep the next start away.
        self.end("QUIT");
    }

    fn end(&mut self, how: &str) {
        let Some(mut server) = self.server.take() else { return };
        signal(how, &server.id().to_string());
        if ended_within(&mut server, Duration::from_secs(20)).is_none() {
            let _ = server.kill();
            let _ = server.wait();
        }
    }

    fn answers(&self) -> bool {
        let mut asked = Command::new(self.bin.join("pg_isready"));
        asked.args(["--quiet", "--host=127.0.0.1", "--port", &self.port.to_string()]);
        TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).is_ok()
            && asked.stdin(Stdio::null()).status().is_ok_and(|status| status.success())
    }

    fn data(&self) -> PathBuf {
        self.dir.join("data")
    }

    fn output(&self) -> PathBuf {
        self.dir.join("output")
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // PostgreSQL's fast shutdown: it rolls back and leaves no shared memory behind.
        self.end("INT");
        let _ = fs::remove_dir_all(&self.dir);
    }
}

fn ended_within(child: &mut Child, limit: Duration) -> Option<ExitStatus> {
    let begun = Instant::now();
    loop {
        if let Ok(Some(status)) = child.try_wait() {
            return Some(status);
        }
        if begun.elapsed() > limit {
            return None;
        }
        thread::sleep(Duration::from_millis(10));
    }
}

impl Programs {
    /// Those of the system, where there are any. Debian keeps them off PATH.
    pub fn installed() -> Option<Self> {
        let debian = newest_version(Path::new("/usr/lib/postgresql")).map(|dir| dir.join("bin"));
        let on_path = || {
            let path = std::env::var_os("PATH")?;
            let file =
                std::env::split_paths(&path).map(|dir| dir.join("initdb")).find(|file| file.is_file())?;
            file.canonicalize().ok()?.parent().map(PathBuf::from)
        };
        let bin = debian.filter(|bin| whole(bin)).or_else(|| on_path().filter(|bin| whole(bin)))?;
        Some(Self { bin, carried: None })
    }

    /// Those in a folder with all that they need, which find the rest from where they are themselves; `None` when they are
    /// not all there.
    pub fn carried(folder: &Path, bin: &str) -> Option<Self> {
        let bin = folder.join(bin);
        whole(&bin).then(|| Self { bin, carried: Some(folder.to_owned()) })
    }

    pub fn bin(&self) -> &Path {
        &self.bin
    }

    /// Whether pgvector was installed for them.
    pub fn has_pgvector(&self) -> bool {
        let told = said(Command::new(self.bin.join("pg_config")).arg("--sharedir")).map(PathBuf::from);
        // Debian keeps it apart from the programs, under the number of the version, and has `pg_config` in another package.
        let version = self.bin.parent().and_then(Path::file_name);
        let debian = version.map(|version| Path::new("/usr/share/postgresql").join(version));
        let beside = self.bin.parent().map(|place| place.join("share/postgresql"));
        let mut folders = told.into_iter().chain(debian).chain(beside);
        folders.any(|folder| folder.join("extension/vector.control").is_file())
    }

    /// The folder of the programs where that user may run them: root's folders are closed to others, so what was brought
    /// along into one is copied into the folder of the run.
    fn within_reach(&self, user: &str, dir: &Path) -> Result<PathBuf, Failure> {
        let Some(carried) = &self.carried else { return Ok(self.bin.clone()) };
        // Both kinds: where a program may be run though its folder is closed, the libraries beside it are out of reach.
        let runs = |program: &str| {
            let mut tried = ended_with_us("KILL", &self.bin.join(program), Some(user));
            said(tried.arg("--version").current_dir(dir)).is_some()
        };
        if ["postgres", "initdb"].into_iter().all(runs) {
            return Ok(self.bin.clone());
        }
        let copy = dir.join("programs");
        let copied = Command::new("cp").arg("-R").arg(carried).arg(&copy).status()?.success();
        if !copied || !Command::new("chown").arg("-R").arg(user).arg(&copy).status()?.success() {
            return Err(format!("{} cannot be lent to {user}", carried.display()).into());
        }
        Ok(copy.join(self.bin.strip_prefix(carried)?))
    }
}

fn whole(bin: &Path) -> bool {
    ["initdb", "postgres", "pg_isready"].iter().all(|name| bin.join(name).is_file())
}

/// The newest of the version folders that Debian puts side by side (`/usr/lib/postgresql/15`, `…/16`).
fn newest_version(parent: &Path) -> Option<PathBuf> {
    let dirs = fs::read_dir(parent).ok()?.filter_map(|entry| {
        let entry = entry.ok()?;
        Some((entry.file_name().to_str()?.parse::<u32>().ok()?, entry.path()))
    });
    dirs.max().map(|(_, path)| path)
}

/// A user to lend the server to: Debian's package makes one; `nobody` is everywhere.
fn unprivileged() -> Result<&'static str, Failure> {
    let there = |user: &&str| said(Command::new("id").args(["-u", user])).is_some();
    Ok(["postgres", "nobody"].into_iter().find(there).ok_or(
        "PostgreSQL does not run as root, and there is no user `postgres` or `nobody` to lend it to",
    )?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_ten_is_newer_than_version_nine() {
        let dir = std::env::temp_dir().join(format!("insighthub-versions-{}", std::process::id()));
        for name in ["9", "10", "common"] {
            fs::create_dir_all(dir.join(name)).expect("made");
        }
        assert_eq!(newest_version(&dir), Some(dir.join("10")));
        assert_eq!(newest_version(&dir.join("none")), None);
        fs::remove_dir_all(dir).expect("removed");
    }
}
