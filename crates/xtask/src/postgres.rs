//! One PostgreSQL for a test run: on a free loopback port, in a folder of its own, with fsync on as in production, and
//! gone when the run ends, however it ends.

use std::fs;
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use measure::room;

use crate::problem::{Doing, Done, Problem};
use crate::project::Project;
use crate::{apt, shell};

const PREFIX: &str = "insighthub-postgres-";

/// A running server; dropping it stops it and removes its data.
pub struct Postgres {
    child: Child,
    dir: PathBuf,
    /// The folder of its programs.
    bin: PathBuf,
    port: u16,
}

impl Postgres {
    /// Starts a server, installing PostgreSQL when it is missing and that is possible.
    pub fn start(project: &Project) -> Done<Self> {
        let bin = binaries(project)?;
        room::remove_left_over(PREFIX);
        let dir = std::env::temp_dir().join(format!("{PREFIX}{}", std::process::id()));
        shell::timed("starting PostgreSQL for the tests", || {
            shell::remove_dir(&dir)?;
            shell::make_dir(&dir)?;
            // PostgreSQL refuses to run as root, so root lends it to a user who owns nothing else that matters here.
            let user = if apt::is_root() { Some(unprivileged()?) } else { None };
            if let Some(user) = &user {
                shell::run(Command::new("chown").arg(user).arg(&dir))?;
            }
            let data = dir.join("data");
            let mut initdb = as_user(user.as_deref(), &bin.join("initdb"));
            initdb.args([
                "--username=postgres",
                "--auth=trust",
                "--encoding=UTF8",
                "--locale=C",
                "--no-sync",
                "--pgdata",
            ]);
            shell::logged(initdb.arg(&data).current_dir(&dir), &project.log("initdb"))?;

            let port = room::free_port().doing(|| "cannot open a port".to_owned())?;
            let log = fs::File::create(project.log("postgres"))
                .doing(|| "cannot write PostgreSQL's log".to_owned())?;
            let also = log.try_clone().doing(|| "cannot write PostgreSQL's log".to_owned())?;
            let mut server = as_user(user.as_deref(), &bin.join("postgres"));
            server.current_dir(&dir).arg("-D").arg(&data).arg("-k").arg(&dir).args(["-p", &port.to_string()]);
            // fsync stays on: what commits is measured and crashed against as in production.
            for setting in
                ["listen_addresses=127.0.0.1", "fsync=on", "max_connections=200", "log_min_messages=warning"]
            {
                server.args(["-c", setting]);
            }
            let child = server
                .stdin(Stdio::null())
                .stdout(log)
                .stderr(also)
                .spawn()
                .doing(|| format!("cannot start `{}`", shell::line(&server)))?;
            let mut postgres = Self { child, dir: dir.clone(), bin: bin.clone(), port };
            postgres.wait_until_ready(&project.log("postgres"))?;
            Ok(postgres)
        })
    }

    pub fn url(&self) -> String {
        format!("postgres://postgres@127.0.0.1:{}/postgres", self.port)
    }

    pub fn bin(&self) -> &Path {
        &self.bin
    }

    fn wait_until_ready(&mut self, log: &Path) -> Done {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().doing(|| "cannot wait for PostgreSQL".to_owned())? {
                let said = fs::read_to_string(log).unwrap_or_default();
                return Err(Problem::new(format!("PostgreSQL did not start ({status})\n{said}")));
            }
            let mut asked = Command::new(self.bin.join("pg_isready"));
            asked.args(["--quiet", "--host=127.0.0.1", "--port", &self.port.to_string()]);
            if TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).is_ok()
                && shell::status(&mut asked)?.success()
            {
                return Ok(());
            }
            if begun.elapsed() > Duration::from_secs(60) {
                return Err(Problem::new("PostgreSQL was not ready after 60 s")
                    .hint(format!("see {}", log.display())));
            }
            thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // SIGINT is PostgreSQL's fast shutdown: it rolls back and leaves no shared memory behind.
        // The shell's own `kill`: the program of that name is not on every minimal system.
        let _ = Command::new("sh").args(["-c", "kill -INT \"$0\"", &self.child.id().to_string()]).status();
        if !matches!(shell::wait_within(&mut self.child, Duration::from_secs(20)), Ok(Some(_))) {
            shell::say("PostgreSQL did not stop by itself and was killed");
        }
        let _ = shell::remove_dir(&self.dir);
    }
}

/// The folder with `initdb` and `postgres`. Debian keeps it off PATH.
fn binaries(project: &Project) -> Done<PathBuf> {
    if let Some(bin) = installed() {
        return Ok(bin);
    }
    if apt::available() {
        apt::install(project, &["postgresql"])?;
    }
    installed().ok_or_else(|| {
        Problem::new("PostgreSQL (initdb, postgres) is not here, and the tests need one of 14 or newer")
            .hint("install PostgreSQL, e.g. `apt-get install postgresql` or `brew install postgresql`")
    })
}

fn installed() -> Option<PathBuf> {
    let debian = apt::newest_version_dir(Path::new("/usr/lib/postgresql")).map(|dir| dir.join("bin"));
    let on_path = || {
        shell::find_program("initdb").and_then(|file| file.canonicalize().ok()?.parent().map(PathBuf::from))
    };
    debian.filter(|bin| whole(bin)).or_else(|| on_path().filter(|bin| whole(bin)))
}

fn whole(bin: &Path) -> bool {
    ["initdb", "postgres", "pg_isready"].iter().all(|name| bin.join(name).is_file())
}

/// A user to lend the server to: Debian's package makes one; `nobody` is everywhere.
fn unprivileged() -> Done<String> {
    ["postgres", "nobody"]
        .into_iter()
        .find(|user| shell::capture(Command::new("id").args(["-u", user])).is_ok())
        .map(str::to_owned)
        .ok_or_else(|| {
            Problem::new("PostgreSQL does not run as root, and there is no user `postgres` or `nobody`")
        })
}

/// The program as that user. `setpriv` replaces itself, so the child is the program, and where it exists the kernel
/// stops the server as soon as this process is gone, even by SIGKILL.
fn as_user(user: Option<&str>, program: &Path) -> Command {
    if shell::find_program("setpriv").is_none() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "INT"]);
    if let Some(user) = user {
        command.args(["--reuid", user, "--regid", user_group(user).as_str(), "--clear-groups"]);
    }
    command.arg("--").arg(program);
    command
}

fn user_group(user: &str) -> String {
    shell::capture(Command::new("id").args(["-g", user])).unwrap_or_else(|_| user.to_owned())
}
