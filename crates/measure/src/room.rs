//! Room on this machine for a server of a run: a port, and folders that go with the process that made them.

use crate::Failure;
use std::{
    fs,
    net::{Ipv4Addr, TcpListener},
    path::Path,
    process,
    sync::atomic::{AtomicU32, Ordering},
};

/// Ports that Linux gives to nobody who does not name them: its own begin at 32768.
const FIRST: u32 = 20_000;
const MANY: u32 = 12_000;

/// A port that nobody listens on. A server may take long until it does, and may come back to it: meanwhile the system gives it to
/// nobody. Another program that names its ports itself could take it; whoever uses it then says so.
///
/// # Errors
/// When none can be opened.
pub fn free_port() -> Result<u16, Failure> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    for _ in 0..MANY {
        // Processes that run at once begin at different ones.
        let own = process::id().wrapping_mul(37).wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
        let port = u16::try_from(FIRST + own % MANY)?;
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return Ok(port);
        }
    }
    Err("no port is free".into())
}

/// Removes the temporary folders of runs that were killed: behind the prefix their names have the number of a process that
/// is gone, and perhaps more behind a hyphen.
pub fn remove_left_over(prefix: &str) {
    let Ok(entries) = fs::read_dir(std::env::temp_dir()) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let Some(rest) = name.strip_prefix(prefix) else { continue };
        let pid = rest.split_once('-').map_or(rest, |(pid, _)| pid);
        if Path::new("/proc/self").exists() && !Path::new("/proc").join(pid).exists() {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_free_port_can_be_listened_on() {
        let port = free_port().expect("a port");
        assert!(TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok());
    }

    #[test]
    fn what_a_dead_process_left_goes_and_what_a_living_one_has_stays() {
        let prefix = format!("insighthub-left-{}-", std::process::id());
        // No process has that number: it is above the highest that Linux gives.
        let folders = ["4194305", "4194305-2"].map(|pid| std::env::temp_dir().join(format!("{prefix}{pid}")));
        let own = std::env::temp_dir().join(format!("{prefix}{}", std::process::id()));
        for folder in folders.iter().chain([&own]) {
            fs::create_dir_all(folder).expect("made");
        }
        remove_left_over(&prefix);
        assert!(folders.iter().all(|folder| !folder.exists()));
        assert!(own.exists());
        fs::remove_dir_all(own).expect("removed");
    }
}
