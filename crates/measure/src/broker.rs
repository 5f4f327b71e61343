//! A RabbitMQ for a run: the system's own, or Debian's packages unpacked into the cache. It listens on a free loopback
//! port, keeps its data in a folder of its own, needs no rights, and is gone when the run ends, however that ends.

use crate::{
    Failure,
    peer::{cache, debian},
    process::{ended_with_us, signal, spawn},
    room::{free_port, remove_left_over},
};
use std::{
    fs,
    io::{Read, Write},
    net::{Ipv4Addr, TcpStream},
    os::unix::{fs::PermissionsExt, process::CommandExt},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    thread,
    time::{Duration, Instant},
};

/// The broker and those parts of Erlang that it wants. What else the package asks for serves an installed one.
const PACKAGES: [&str; 19] = [
    "rabbitmq-server",
    "erlang-base",
    "erlang-asn1",
    "erlang-crypto",
    "erlang-eldap",
    "erlang-ftp",
    "erlang-inets",
    "erlang-mnesia",
    "erlang-os-mon",
    "erlang-parsetools",
    "erlang-public-key",
    "erlang-runtime-tools",
    "erlang-snmp",
    "erlang-ssl",
    "erlang-syntax-tools",
    "erlang-tftp",
    "erlang-tools",
    "erlang-xmerl",
    "libsctp1",
];
/// A start takes about five seconds of one core.
const PATIENCE: Duration = Duration::from_secs(120);
const PREFIX: &str = "insighthub-rabbitmq-";

/// A running broker; dropping it stops it and removes its data.
pub struct Broker {
    dir: PathBuf,
    root: PathBuf,
    port: u16,
    epmd_port: u16,
    dist_port: u16,
    tls: Option<Tls>,
    /// Erlang's register of names. A broker that finds none starts one that outlives it.
    epmd: Option<Child>,
    server: Option<Child>,
}

/// By which a broker also speaks TLS.
struct Tls {
    port: u16,
    certificate: PathBuf,
    key: PathBuf,
}

impl Broker {
    /// # Errors
    /// When there is no broker on this machine and none could be fetched, or it does not start.
    pub fn start() -> Result<Self, Failure> {
        Self::start_with(None)
    }

    /// One that also speaks TLS, with that certificate and its key.
    ///
    /// # Errors
    /// As those of [`start`](Self::start).
    pub fn start_with_tls(certificate: &Path, key: &Path) -> Result<Self, Failure> {
        let (certificate, key) = (certificate.to_owned(), key.to_owned());
        Self::start_with(Some(Tls { port: free_port()?, certificate, key }))
    }

    fn start_with(tls: Option<Tls>) -> Result<Self, Failure> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let root = programs()?;
        remove_left_over(PREFIX);
        let name = format!("{PREFIX}{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::SeqCst));
        let dir = std::env::temp_dir().join(name);
        let (port, epmd_port, dist_port) = (free_port()?, free_port()?, free_port()?);
        let mut broker = Self { dir, root, port, epmd_port, dist_port, tls, epmd: None, server: None };
        broker.furnish()?;
        broker.epmd = Some(broker.start_epmd()?);
        broker.begin()?;
        Ok(broker)
    }

    pub fn url(&self) -> String {
        format!("amqp://guest:guest@127.0.0.1:{}/%2f", self.port)
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its address for those who want TLS, where it speaks that.
    pub fn tls_url(&self) -> Option<String> {
        self.tls.as_ref().map(|tls| format!("amqps://guest:guest@localhost:{}/%2f", tls.port))
    }

    /// Starts it again, on the same port and with what it has kept.
    ///
    /// # Errors
    /// When it does not start.
    pub fn begin(&mut self) -> Result<(), Failure> {
        let output = fs::File::create(self.dir.join("output"))?;
        let also = output.try_clone()?;
        let sbin = newest(&self.root.join("usr/lib/rabbitmq/lib"), "rabbitmq_server-")?.join("sbin");
        let mut command = ended_with_us("TERM", &sbin.join("rabbitmq-server"), None);
        self.surround(&mut command);
        // A group of its own, so that the script and what it starts can be killed together.
        command.process_group(0).stdin(Stdio::null()).stdout(output).stderr(also);
        self.server = Some(spawn(command)?);
        let begun = Instant::now();
        while !self.answers() {
            let ended = self.server.as_mut().map(Child::try_wait).transpose()?.flatten();
            if ended.is_some() || begun.elapsed() > PATIENCE {
                let said = fs::read_to_string(self.dir.join("output")).unwrap_or_default();
                return Err(format!("RabbitMQ did not start\n{said}").into());
            }
            thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    /// Kills it as a power cut would.
    pub fn kill(&mut self) {
        let Some(mut server) = self.server.take() else { return };
        signal("KILL", &format!("-{}", server.id()));
        let _ = server.wait();
        while TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).is_ok() {
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Kills it and removes all that it has kept.
    ///
    /// # Errors
    /// When its data cannot be removed.
    pub fn wipe(&mut self) -> Result<(), Failure> {
        self.kill();
        Ok(fs::remove_dir_all(self.dir.join("data"))?)
    }

    /// Whether it speaks AMQP.
    fn answers(&self) -> bool {
        let asked = || {
            let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port))?;
            stream.set_read_timeout(Some(Duration::from_secs(2)))?;
            stream.write_all(b"AMQP\0\0\x09\x01")?;
            stream.read_exact(&mut [0; 8])
        };
        asked().is_ok()
    }

    fn furnish(&self) -> Result<(), Failure> {
        let bin = self.dir.join("bin");
        fs::create_dir_all(&bin)?;
        fs::create_dir_all(self.dir.join("home"))?;
        // Erlang's own script has the folder of an installed one in it.
        let erlang = self.root.join("usr/lib/erlang");
        let erts = newest(&erlang, "erts-")?.join("bin");
        let script = format!(
            "#!/bin/sh\nROOTDIR='{}'\nBINDIR='{}'\nEMU=beam\nPROGNAME=erl\nexport ROOTDIR BINDIR EMU PROGNAME\n\
             exec \"$BINDIR/erlexec\" \"$@\"\n",
            erlang.display(),
            erts.display()
        );
        fs::write(bin.join("erl"), script)?;
        fs::set_permissions(bin.join("erl"), fs::Permissions::from_mode(0o755))?;
        fs::write(self.dir.join("plugins"), "[].\n")?;
        let mut settings = format!(
            "listeners.tcp.default = 127.0.0.1:{}\nraft.wal_max_size_bytes = 67108864\nlog.console = false\n\
             log.file.level = warning\n",
            self.port
        );
        if let Some(Tls { port, certificate, key }) = &self.tls {
            settings += &format!(
                "listeners.ssl.default = 127.0.0.1:{port}\nssl_options.certfile = {}\nssl_options.keyfile = {}\n\
                 ssl_options.verify = verify_none\nssl_options.fail_if_no_peer_cert = false\n",
                certificate.display(),
                key.display()
            );
        }
        fs::write(self.dir.join("rabbitmq.conf"), settings)?;
        Ok(())
    }

    fn start_epmd(&self) -> Result<Child, Failure> {
        let epmd = newest(&self.root.join("usr/lib/erlang"), "erts-")?.join("bin/epmd");
        let mut command = ended_with_us("KILL", &epmd, None);
        command.args(["-address", "127.0.0.1", "-port", &self.epmd_port.to_string()]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        spawn(command)
    }

    fn surround(&self, command: &mut Command) {
        let path = std::env::var("PATH").unwrap_or_default();
        let path = format!("{}:{}:{path}", self.dir.join("bin").display(), self.bin("usr/lib/erlang/bin"));
        let libraries = format!("usr/lib/{}-linux-gnu", std::env::consts::ARCH);
        command
            .env("PATH", path)
            .env("LD_LIBRARY_PATH", self.bin(&libraries))
            .env("HOME", self.dir.join("home"))
            .env("ERL_EPMD_PORT", self.epmd_port.to_string())
            .env("ERL_EPMD_ADDRESS", "127.0.0.1")
            .env("RABBITMQ_NODENAME", format!("insighthub{}@localhost", self.port))
            .env("RABBITMQ_DIST_PORT", self.dist_port.to_string())
            .env("RABBITMQ_MNESIA_BASE", self.dir.join("data"))
            .env("RABBITMQ_LOG_BASE", self.dir.join("log"))
            .env("RABBITMQ_PID_FILE", self.dir.join("pid"))
            .env("RABBITMQ_ENABLED_PLUGINS_FILE", self.dir.join("plugins"))
            .env("RABBITMQ_CONFIG_FILE", self.dir.join("rabbitmq.conf"))
            .env("RABBITMQ_CONF_ENV_FILE", self.dir.join("none"));
    }

    fn bin(&self, below: &str) -> String {
        self.root.join(below).display().to_string()
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.kill();
        if let Some(mut epmd) = self.epmd.take() {
            let _ = epmd.kill();
            let _ = epmd.wait();
        }
        let _ = fs::remove_dir_all(&self.dir);
    }
}

/// Where `usr/lib/rabbitmq` lies.
fn programs() -> Result<PathBuf, Failure> {
    let whole = |root: &Path| {
        newest(&root.join("usr/lib/rabbitmq/lib"), "rabbitmq_server-").is_ok()
            && newest(&root.join("usr/lib/erlang"), "erts-").is_ok()
    };
    if whole(Path::new("/")) {
        return Ok("/".into());
    }
    let root = debian(&cache().join("rabbitmq"), &PACKAGES).map_err(|e| {
        format!("RabbitMQ is not here ({e}); install it, e.g. `apt-get install rabbitmq-server`")
    })?;
    if whole(&root) { Ok(root) } else { Err("the packages of RabbitMQ are not whole".into()) }
}

/// The folder below `parent` whose name begins so; of several, the last by name.
fn newest(parent: &Path, prefix: &str) -> Result<PathBuf, Failure> {
    let entries = fs::read_dir(parent).map_err(|e| format!("{}: {e}", parent.display()))?;
    let named = entries.flatten().map(|entry| entry.path());
    let of_it = named.filter(|path| {
        path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(prefix)) && path.is_dir()
    });
    Ok(of_it.max().ok_or_else(|| format!("there is no {prefix}… in {}", parent.display()))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_of_several_folders_is_taken() {
        let dir = std::env::temp_dir().join(format!("insighthub-newest-{}", std::process::id()));
        for name in ["erts-13.1.5", "erts-13.2", "bin"] {
            fs::create_dir_all(dir.join(name)).expect("made");
        }
        assert_eq!(newest(&dir, "erts-").expect("one"), dir.join("erts-13.2"));
        assert!(newest(&dir, "rabbitmq_server-").is_err());
        fs::remove_dir_all(dir).expect("removed");
    }
}
