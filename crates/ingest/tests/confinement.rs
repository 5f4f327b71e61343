//! The reading process tries what it must not be able to do.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends here")]
#![cfg(target_os = "linux")]

use ingest::extract::{ExtractCode, ExtractError, ExtractedText, Extractor, FileKind, Limits};
use std::{
    io::{BufRead, BufReader, Read},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

const PROGRAM: &str = env!("CARGO_BIN_EXE_extract_child");

async fn probe(what: &str, limits: Limits) -> Result<ExtractedText, ExtractError> {
    Extractor::with_arguments(PROGRAM, ["probe", what], limits)
        .extract_bytes(b"x", FileKind::Text, |_| {})
        .await
}

async fn found(what: &str) -> String {
    probe(what, Limits::default()).await.unwrap_or_else(|e| panic!("{what}: {e:?}")).text
}

const REFUSED: &str = "Err(\"Some(1)\")";

#[tokio::test]
async fn there_is_no_network() {
    assert_eq!(found("network").await, format!("probe {REFUSED} {REFUSED} {REFUSED} "));
}

#[tokio::test]
async fn no_file_is_opened_written_or_removed() {
    assert_eq!(found("files").await, format!("probe {REFUSED} {REFUSED} {REFUSED} "));
}

#[tokio::test]
async fn no_program_and_no_thread_is_started() {
    assert!(found("program").await.starts_with("probe Err("));
    assert!(found("thread").await.starts_with("probe Err("));
}

#[tokio::test]
async fn the_environment_is_empty() {
    assert!(std::env::vars().count() > 0, "this process has one");
    assert_eq!(found("environment").await, "probe ");
}

#[test]
fn descriptors_that_a_parent_left_open_are_closed() {
    // A shell opens 7 without the mark that closes it in a child; the probe must not find it.
    let args = "--kind text --parent 0";
    let script = format!("exec 7</etc/passwd; exec '{PROGRAM}' probe inherited {args}");
    let out = Command::new("/bin/sh").args(["-c", &script]).stdin(Stdio::null()).output().unwrap();
    let out = String::from_utf8_lossy(&out.stdout).into_owned();
    assert!(out.ends_with("probe "), "{out}");
}

#[tokio::test]
async fn memory_is_bounded() {
    let error = probe("memory", Limits { memory_base: 64 << 20, ..Limits::default() }).await.unwrap_err();
    assert_eq!(error.code, ExtractCode::OutOfMemory, "{error:?}");
    let most =
        nix::sys::resource::getrusage(nix::sys::resource::UsageWho::RUSAGE_CHILDREN).unwrap().max_rss();
    assert!(most < 160 * 1024, "{most} KB were used");
}

#[tokio::test]
async fn cpu_time_is_bounded() {
    let limits = Limits { cpu_base: 1, cpu_per_megabyte: 0, ..Limits::default() };
    let error = probe("spin", limits).await.unwrap_err();
    assert_eq!(error.code, ExtractCode::TookTooLong, "{error:?}");
}

#[tokio::test]
async fn cpu_time_is_bounded_even_when_every_step_is_quick() {
    let limits = Limits { cpu_base: 2, cpu_per_megabyte: 0, cpu_per_page: 1, ..Limits::default() };
    let error = probe("spin-in-steps", limits).await.unwrap_err();
    assert_eq!(error.code, ExtractCode::TookTooLong, "{error:?}");
}

#[tokio::test]
async fn work_that_gets_nowhere_is_ended_long_before_all_time_is_used() {
    let most = Limits { cpu_base: 60, cpu_stalled: 1, ..Limits::default() };
    let before = used();
    let error = probe("spin", most).await.unwrap_err();
    assert_eq!(error.code, ExtractCode::TookTooLong, "{error:?}");
    assert!(used() - before < 10.0, "{} s", used() - before);
    // What comes further again and again is let go on, to its end.
    let done = probe("work-in-shares", most).await.unwrap();
    assert_eq!(done.text, "probe done");
    assert!(used() - before > 4.0, "it had more than any single share");
}

/// CPU seconds of all children so far.
fn used() -> f64 {
    let usage = nix::sys::resource::getrusage(nix::sys::resource::UsageWho::RUSAGE_CHILDREN).unwrap();
    [usage.user_time(), usage.system_time()]
        .iter()
        .map(|t| t.tv_sec() as f64 + t.tv_usec() as f64 / 1e6)
        .sum()
}

#[tokio::test]
async fn a_process_that_hangs_is_ended() {
    let limits =
        Limits { wall: Duration::from_millis(500), wall_per_cpu_second: Duration::ZERO, ..Limits::default() };
    let error = probe("hang", limits).await.unwrap_err();
    assert_eq!(error.code, ExtractCode::TookTooLong, "{error:?}");
    assert!(error.retryable);
}

#[tokio::test]
async fn a_flood_of_output_is_cut_off() {
    let error = probe("flood", Limits::default()).await.unwrap_err();
    assert_eq!(error.code, ExtractCode::Crashed, "{error:?}");
}

#[tokio::test]
async fn a_crash_and_an_endless_recursion_are_one_error_each() {
    for what in ["crash", "overflow"] {
        let error = probe(what, Limits::default()).await.unwrap_err();
        assert_eq!(error.code, ExtractCode::Crashed, "{what}: {error:?}");
        assert!(error.technical.unwrap().contains("signal"), "{what}");
    }
}

/// Whether a process runs; a dead one that nobody has waited for counts as gone.
fn runs(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| {
        !stat.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with(['Z', 'X']))
    })
}

/// Waits until it does not, and fails when that takes unreasonably long.
fn wait_until_gone(pid: u32) {
    let begun = Instant::now();
    while runs(pid) {
        assert!(begun.elapsed() < Duration::from_secs(20), "process {pid} is still there");
        std::thread::yield_now();
    }
}

/// The children of this process that run the probe.
fn children() -> Vec<u32> {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    tasks
        .filter_map(|t| std::fs::read_to_string(t.unwrap().path().join("children")).ok())
        .flat_map(|c| c.split_whitespace().map(|p| p.parse().unwrap()).collect::<Vec<u32>>())
        .collect()
}

#[tokio::test]
async fn dropping_the_future_ends_the_process() {
    let extractor = Extractor::with_arguments(PROGRAM, ["probe", "hang"], Limits::default());
    let (said, mut heard) = tokio::sync::mpsc::unbounded_channel();
    let task = tokio::spawn(async move {
        extractor
            .extract_bytes(b"x", FileKind::Text, move |p| {
                let _ = said.send(p);
            })
            .await
    });
    heard.recv().await.expect("it began");
    let pid = children()[0];
    assert!(runs(pid));
    task.abort();
    assert!(task.await.unwrap_err().is_cancelled());
    wait_until_gone(pid);
}

#[test]
fn the_process_dies_with_its_parent() {
    // The shell is the parent; it prints the child's number and waits. The child has its parent's number from it.
    let script = format!("'{PROGRAM}' probe hang --kind text --parent $$ <&0 & echo pid $!; wait");
    let mut shell = Command::new("/bin/sh")
        .args(["-c", &script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut out = BufReader::new(shell.stdout.take().unwrap());
    let (mut pid, mut began) = (None, false);
    // The number and the first frame come in either order.
    while pid.is_none() || !began {
        let mut line = String::new();
        if out.read_line(&mut line).unwrap() == 0 {
            let mut why = String::new();
            shell.stderr.take().unwrap().read_to_string(&mut why).unwrap();
            panic!("it ended: {why}");
        }
        match line.strip_prefix("pid ") {
            Some(number) => pid = Some(number.trim().parse().unwrap()),
            None => began |= line.contains("progress"),
        }
    }
    let pid = pid.unwrap();
    assert!(runs(pid));
    shell.kill().unwrap();
    shell.wait().unwrap();
    wait_until_gone(pid);
}

#[test]
fn a_process_whose_parent_is_already_gone_does_not_begin() {
    let out = Command::new(PROGRAM)
        .args(["extract", "--kind", "text", "--parent", "1"])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert_eq!(out.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&out.stdout).contains("reader_unavailable"));
}
