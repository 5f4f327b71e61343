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
use crate::{apt, packages, shell};

/// A Python package (Apache-2.0) that carries PostgreSQL with pgvector.
const WHEEL: &str = "pgserver==0.1.4";
/// Where it lies in the cache, and what of it is wanted. The programs find the others from where they are themselves.
const CARRIED: &str = "pgserver-0.1.4";
const FOLDERS: [&str; 4] =
    ["pgserver/pginstall/bin/", "pgserver/pginstall/lib/", "pgserver/pginstall/share/", "pgserver.libs/"];

const PREFIX: &str = "insighthub-postgres-";

/// A running server; dropping it stops it and removes its data.
pub struct Postgres {
    child: Child,
    dir: PathBuf,
    /// The folder of its programs.
    bin: PathBuf,
    port: u16,
    pgvector: bool,
}

/// The programs of a PostgreSQL.
struct Programs {
    bin: PathBuf,
    pgvector: bool,
    /// The folder with all of it, where it is the one of the Python package.
    carried: Option<PathBuf>,
}

impl Postgres {
    /// Starts a server as most people have it, for measuring. Installs PostgreSQL when it is missing and that is possible.
    pub fn start(project: &Project) -> Done<Self> {
        Self::of(project, ordinary(project)?)
    }

    /// Starts one for tests: with pgvector, where one can be had.
    pub fn for_tests(project: &Project) -> Done<Self> {
        Self::of(project, with_pgvector(project).map_or_else(|| ordinary(project), Ok)?)
    }

    fn of(project: &Project, programs: Programs) -> Done<Self> {
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
            let bin = programs.within_reach(user.as_deref(), &dir)?;
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
            let mut postgres =
                Self { child, dir: dir.clone(), bin: bin.clone(), port, pgvector: programs.pgvector };
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

    pub fn has_pgvector(&self) -> bool {
        self.pgvector
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

impl Programs {
    fn of_the_system(bin: PathBuf) -> Self {
        Self { pgvector: has_pgvector(&bin), bin, carried: None }
    }

    /// The folder of the programs where that user may run them: root's cache is closed to others, so what lies there is
    /// copied into the folder of the run.
    fn within_reach(&self, user: Option<&str>, dir: &Path) -> Done<PathBuf> {
        let (Some(user), Some(carried)) = (user, &self.carried) else { return Ok(self.bin.clone()) };
        let mut tried = as_user(Some(user), &self.bin.join("postgres"));
        if shell::capture(tried.arg("--version").current_dir(dir)).is_ok() {
            return Ok(self.bin.clone());
        }
        let copy = dir.join("programs");
        shell::copy_dir(carried, &copy)?;
        shell::run(Command::new("chown").arg("-R").arg(user).arg(&copy))?;
        let within = self.bin.strip_prefix(carried).doing(|| "the programs lie elsewhere".to_owned())?;
        Ok(copy.join(within))
    }
}

/// The system's own, installing it when it is missing and that is possible.
fn ordinary(project: &Project) -> Done<Programs> {
    if let Some(bin) = installed() {
        return Ok(Programs::of_the_system(bin));
    }
    if apt::available() {
        apt::install(project, &["postgresql"])?;
    }
    if let Some(bin) = installed() {
        return Ok(Programs::of_the_system(bin));
    }
    carried(project).map_err(|why| {
        Problem::new(format!(
            "PostgreSQL (initdb, postgres) is not here, and the tests need one of 14 or newer\nwith pip: {why}"
        ))
        .hint("install PostgreSQL, e.g. `apt-get install postgresql` or `brew install postgresql`")
    })
}

/// The system's own where pgvector was installed for it, else that of the Python package.
fn with_pgvector(project: &Project) -> Option<Programs> {
    let system = installed().map(Programs::of_the_system).filter(|programs| programs.pgvector);
    system.or_else(|| {
        carried(project)
            .map_err(|why| shell::say(format!("no PostgreSQL with pgvector can be had here: {why}")))
            .ok()
    })
}

/// The one of the Python package, where there is one for this machine.
fn carried(project: &Project) -> Done<Programs> {
    let place = project.cache.join(CARRIED);
    let bin = place.join("pgserver/pginstall/bin");
    if !whole(&bin) {
        shell::timed("fetching a PostgreSQL with pgvector (11 MB)", || {
            packages::folders_from_wheel(project, WHEEL, &FOLDERS, &place)
        })?;
    }
    // Both kinds: with the client's library, and without.
    for program in ["postgres", "initdb"] {
        shell::capture(Command::new(bin.join(program)).arg("--version"))?;
    }
    Ok(Programs { bin, pgvector: true, carried: Some(place) })
}

/// Whether pgvector was installed for the PostgreSQL with these programs.
fn has_pgvector(bin: &Path) -> bool {
    let told = shell::capture(Command::new(bin.join("pg_config")).arg("--sharedir")).ok().map(PathBuf::from);
    // Debian keeps it apart from the programs, under the number of the version, and has `pg_config` in another package.
    let version = bin.parent().and_then(Path::file_name);
    let debian = version.map(|version| Path::new("/usr/share/postgresql").join(version));
    let mut folders = told.into_iter().chain(debian);
    folders.any(|folder| folder.join("extension/vector.control").is_file())
}

/// The folder with `initdb` and `postgres`. Debian keeps it off PATH.
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
