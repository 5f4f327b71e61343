//! Running other programs, and telling the person what takes so long. Which programs, and why, is the business of the
//! other modules.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::num::NonZero;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use crate::problem::{Doing, Done, Problem};

/// Prints a line of the command's own, apart from the output of the programs it runs.
pub fn say(line: impl AsRef<str>) {
    println!("xtask: {}", line.as_ref());
}

/// Announces a slow step, does it, and prints how long it took.
pub fn timed<T>(what: &str, step: impl FnOnce() -> Done<T>) -> Done<T> {
    say(format!("{what} …"));
    let begun = Instant::now();
    let outcome = step();
    let mark = if outcome.is_ok() { "done" } else { "failed" };
    say(format!("{what}: {mark} in {}", duration(begun.elapsed())));
    outcome
}

/// `0.4 s`, `12 s`, `3 min 05 s`.
pub fn duration(d: Duration) -> String {
    let seconds = d.as_secs();
    match seconds {
        0..10 => format!("{:.1} s", d.as_secs_f64()),
        10..60 => format!("{seconds} s"),
        _ => format!("{} min {:02} s", seconds / 60, seconds % 60),
    }
}

/// Runs a program whose output the person should see, and fails when it fails.
pub fn run(command: &mut Command) -> Done {
    let status = status(command)?;
    if status.success() {
        Ok(())
    } else {
        Err(Problem::new(format!("`{}` {}", line(command), ended(status))))
    }
}

/// Runs a program whose output the person should see, and answers how it ended.
pub fn status(command: &mut Command) -> Done<ExitStatus> {
    command.stdin(Stdio::null()).status().doing(|| format!("cannot start `{}`", line(command)))
}

/// Runs a program for what it prints on standard output.
pub fn capture(command: &mut Command) -> Done<String> {
    let output =
        command.stdin(Stdio::null()).output().doing(|| format!("cannot start `{}`", line(command)))?;
    captured(command, &output)
}

/// The same, ended after `limit` with all that it has started: for a program that waits for others.
pub fn capture_within(command: &mut Command, limit: Duration) -> Done<String> {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
    let child = command.spawn().doing(|| format!("cannot start `{}`", line(command)))?;
    let group = child.id();
    let (told, heard) = mpsc::channel();
    thread::spawn(move || told.send(child.wait_with_output()));
    let Ok(output) = heard.recv_timeout(limit) else {
        run(Command::new("kill").args(["-KILL", "--", &format!("-{group}")]))?;
        return Err(Problem::new(format!("`{}` had not finished after {}", line(command), duration(limit))));
    };
    captured(command, &output.doing(|| format!("cannot read what `{}` says", line(command)))?)
}

fn captured(command: &Command, output: &Output) -> Done<String> {
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    } else {
        let said = String::from_utf8_lossy(&output.stderr);
        Err(Problem::new(format!("`{}` {}\n{}", line(command), ended(output.status), tail(&said, 20))))
    }
}

/// Runs a talkative program with its output in a file; only when it fails are the last lines shown.
pub fn logged(command: &mut Command, log: &Path) -> Done {
    logged_within(command, log, Duration::from_secs(3600))
}

/// The same, ended after `limit`: for a program that may wait for a network which never answers.
pub fn logged_within(command: &mut Command, log: &Path, limit: Duration) -> Done {
    make_parent(log)?;
    let file = File::create(log).doing(|| format!("cannot write {}", log.display()))?;
    let again = file.try_clone().doing(|| format!("cannot write {}", log.display()))?;
    command.stdin(Stdio::null()).stdout(file).stderr(again);
    let mut child = command.spawn().doing(|| format!("cannot start `{}`", line(command)))?;
    let Some(status) = wait_within(&mut child, limit)? else {
        return Err(Problem::new(format!("`{}` had not finished after {}", line(command), duration(limit))));
    };
    if status.success() {
        return Ok(());
    }
    let said = fs::read_to_string(log).unwrap_or_default();
    Err(Problem::new(format!(
        "`{}` {} (all of its output: {})\n{}",
        line(command),
        ended(status),
        log.display(),
        tail(&said, 20)
    )))
}

/// Waits for a child, and ends it when the limit has passed; `None` then.
pub fn wait_within(child: &mut Child, limit: Duration) -> Done<Option<ExitStatus>> {
    let begun = Instant::now();
    loop {
        if let Some(status) = child.try_wait().doing(|| "cannot wait for a child".to_owned())? {
            return Ok(Some(status));
        }
        if begun.elapsed() >= limit {
            child.kill().doing(|| "cannot end a child".to_owned())?;
            child.wait().doing(|| "cannot wait for a child".to_owned())?;
            return Ok(None);
        }
        thread::sleep(Duration::from_millis(20));
    }
}

/// The command as one would type it.
pub fn line(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(OsStr::to_string_lossy).collect::<Vec<_>>().join(" ")
}

fn ended(status: ExitStatus) -> String {
    match status.code() {
        Some(code) => format!("ended with code {code}"),
        None => "was ended by a signal".to_owned(),
    }
}

/// The last `count` lines.
fn tail(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}

/// The first program of that name on PATH.
pub fn find_program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|dir| dir.join(name)).find(|file| file.is_file())
}

/// Makes the folder that a file is about to be written into.
pub fn make_parent(file: &Path) -> Done {
    match file.parent() {
        Some(dir) => make_dir(dir),
        None => Ok(()),
    }
}

pub fn make_dir(dir: &Path) -> Done {
    fs::create_dir_all(dir).doing(|| format!("cannot make the folder {}", dir.display()))
}

/// Removes a folder and all in it; one that is not there is fine.
pub fn remove_dir(dir: &Path) -> Done {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(Problem::new(format!("cannot remove {}: {error}", dir.display())))
        }
        _ => Ok(()),
    }
}

pub fn read(file: &Path) -> Done<Vec<u8>> {
    fs::read(file).doing(|| format!("cannot read {}", file.display()))
}

pub fn write(file: &Path, bytes: impl AsRef<[u8]>) -> Done {
    make_parent(file)?;
    fs::write(file, bytes).doing(|| format!("cannot write {}", file.display()))
}

/// Copies a folder with all in it. Files that are there already are overwritten.
pub fn copy_dir(from: &Path, to: &Path) -> Done {
    make_dir(to)?;
    for file in files_under(from)? {
        let place = to.join(file.strip_prefix(from).unwrap_or(&file));
        make_parent(&place)?;
        fs::copy(&file, &place).doing(|| format!("cannot copy {} to {}", file.display(), place.display()))?;
    }
    Ok(())
}

/// All files below a folder, sorted, so that a digest of them does not depend on the file system's order. Installed
/// packages are skipped: their lock file stands for them. A folder that is not there holds no files.
pub fn files_under(dir: &Path) -> Done<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut open = vec![dir.to_path_buf()];
    while let Some(dir) = open.pop() {
        let entries = match fs::read_dir(&dir) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(error) => return Err(Problem::new(format!("cannot list {}: {error}", dir.display()))),
        };
        for entry in entries {
            let path = entry.doing(|| format!("cannot list {}", dir.display()))?.path();
            if !path.is_dir() {
                found.push(path);
            } else if path.file_name() != Some(OsStr::new("node_modules")) {
                open.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

/// The files below a folder whose names end with an extension, sorted.
pub fn files_with(dir: &Path, extension: &str) -> Done<Vec<PathBuf>> {
    let mut found = files_under(dir)?;
    found.retain(|file| file.extension() == Some(OsStr::new(extension)));
    Ok(found)
}

/// Does something with each of them, so many at once as there are cores; the first problem that somebody had.
pub fn side_by_side<T: Sync>(all: &[T], work: impl Fn(&T) -> Done + Sync) -> Done {
    let next = AtomicUsize::new(0);
    let worker = || {
        while let Some(one) = all.get(next.fetch_add(1, Ordering::Relaxed)) {
            if let Err(problem) = work(one) {
                // What has not begun is left alone.
                next.store(all.len(), Ordering::Relaxed);
                return Err(problem);
            }
        }
        Ok(())
    };
    let cores = thread::available_parallelism().map_or(1, NonZero::get);
    thread::scope(|scope| {
        let workers: Vec<_> = (0..cores).map(|_| scope.spawn(worker)).collect();
        workers.into_iter().try_for_each(|worker| {
            worker.join().unwrap_or_else(|_| Err(Problem::new("a worker of this command broke down")))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_as_people_say_them() {
        assert_eq!(duration(Duration::from_millis(420)), "0.4 s");
        assert_eq!(duration(Duration::from_secs(59)), "59 s");
        assert_eq!(duration(Duration::from_secs(185)), "3 min 05 s");
    }

    #[test]
    fn the_tail_of_a_short_text_is_the_text() {
        assert_eq!(tail("a\nb", 20), "a\nb");
        assert_eq!(tail("a\nb\nc", 2), "b\nc");
    }

    #[test]
    fn a_program_that_hangs_is_ended_at_its_limit() {
        let dir = tempfile::tempdir().expect("a folder");
        let outcome = logged_within(
            Command::new("sleep").arg("30"),
            &dir.path().join("log"),
            Duration::from_millis(50),
        );
        assert!(outcome.expect_err("it cannot finish").to_string().contains("had not finished"));
    }

    #[test]
    fn a_program_whose_children_hold_its_output_is_ended_with_them() {
        let begun = Instant::now();
        let mut shell = Command::new("sh");
        shell.args(["-c", "sleep 30 & echo done"]);
        let outcome = capture_within(&mut shell, Duration::from_millis(50));
        assert!(outcome.expect_err("its child goes on").to_string().contains("had not finished"));
        assert!(begun.elapsed() < Duration::from_secs(20));
        let mut quick = Command::new("echo");
        assert_eq!(capture_within(quick.arg("done"), Duration::from_secs(20)).expect("it ends"), "done");
    }

    #[test]
    fn work_side_by_side_is_done_once_for_each_and_ends_with_a_problem() {
        let all: Vec<usize> = (0..100).collect();
        let done: Vec<_> = all.iter().map(|_| AtomicUsize::new(0)).collect();
        let count = |n: &usize| {
            done[*n].fetch_add(1, Ordering::Relaxed);
            Ok(())
        };
        side_by_side(&all, count).expect("no problem");
        assert!(done.iter().all(|n| n.load(Ordering::Relaxed) == 1));
        let refuse = |n: &usize| if *n == 7 { Err(Problem::new("seven")) } else { Ok(()) };
        assert_eq!(side_by_side(&all, refuse).expect_err("a problem").to_string(), "seven");
        assert!(side_by_side(&[], refuse).is_ok());
    }

    #[test]
    fn files_are_listed_in_order_and_without_installed_packages() {
        let dir = tempfile::tempdir().expect("a folder");
        for name in ["b.css", "a/z.css", "node_modules/x/index.js"] {
            write(&dir.path().join(name), "x").expect("written");
        }
        let found = files_under(dir.path()).expect("listed");
        assert_eq!(found, [dir.path().join("a/z.css"), dir.path().join("b.css")]);
    }
}
