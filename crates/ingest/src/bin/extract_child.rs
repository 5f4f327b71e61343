//! The reading process on its own, for the tests of this crate: `extract …` is what the server's binary does, and
//! `probe WHAT …` confines itself in the same way and then tries what it must not be able to do.

use ingest::extract::{
    child::Request,
    run_child, sandbox,
    wire::{self, Frame, Progress},
};
use std::{ffi::OsString, io::Write, process::ExitCode};

fn main() -> ExitCode {
    let mut args = std::env::args_os().skip(1);
    match args.next().and_then(|a| a.into_string().ok()).as_deref() {
        Some("extract") => run_child(args),
        Some("probe") => {
            let what = args.next().and_then(|a| a.into_string().ok()).unwrap_or_default();
            probe(&what, args.collect())
        }
        _ => {
            eprintln!("usage: extract_child extract|probe …");
            ExitCode::from(2)
        }
    }
}

fn probe(what: &str, args: Vec<OsString>) -> ExitCode {
    let request = match Request::parse(args) {
        Ok(request) => request,
        Err(why) => {
            eprintln!("{why}");
            return ExitCode::from(2);
        }
    };
    // Seen before the rights go: the environment and what was inherited.
    let environment: Vec<String> = std::env::vars().map(|(k, _)| k).collect();
    let confined = match sandbox::confine(&request.rights) {
        Ok(confined) => confined,
        Err(why) => {
            eprintln!("{why}");
            return ExitCode::from(2);
        }
    };
    let error = |e: std::io::Error| format!("{:?}", e.raw_os_error());
    let found = match what {
        "environment" => environment.join(","),
        "network" => [
            std::net::TcpStream::connect(("127.0.0.1", 9)).map(drop).map_err(error),
            std::net::UdpSocket::bind(("127.0.0.1", 0)).map(drop).map_err(error),
            std::os::unix::net::UnixStream::pair().map(drop).map_err(error),
        ]
        .iter()
        .map(|r| format!("{r:?} "))
        .collect(),
        "files" => [
            std::fs::File::open("/etc/passwd").map(drop).map_err(error),
            std::fs::write("/tmp/insighthub-probe", "x").map_err(error),
            std::fs::remove_file("/tmp/insighthub-probe").map_err(error),
        ]
        .iter()
        .map(|r| format!("{r:?} "))
        .collect(),
        "program" => {
            format!("{:?}", std::process::Command::new("/bin/true").spawn().map(drop).map_err(error))
        }
        "thread" => format!("{:?}", std::thread::Builder::new().spawn(|| {}).map(drop).map_err(error)),
        "inherited" => {
            // Closing succeeds on what is open, and nothing should be.
            (3..64).filter(|fd| nix::unistd::close(*fd).is_ok()).map(|fd| format!("{fd} ")).collect()
        }
        "memory" => {
            let mut kept = Vec::new();
            loop {
                kept.push(vec![1u8; 1 << 20]);
                std::hint::black_box(&kept);
            }
        }
        "spin" => loop {
            std::hint::spin_loop();
        },
        // Each page is quick; there is no end to them.
        "spin-in-steps" => loop {
            (0..100_000).for_each(|_| std::hint::spin_loop());
            confined.step();
        },
        // Four seconds of work, of which each piece is short.
        "work-in-shares" => {
            let used = || nix::time::clock_gettime(nix::time::ClockId::CLOCK_PROCESS_CPUTIME_ID);
            while used().is_ok_and(|t| t.tv_sec() < 4) {
                (0..100_000).for_each(|_| std::hint::spin_loop());
                confined.share();
            }
            "done".to_owned()
        }
        "hang" => {
            let _ = wire::send(&mut std::io::stdout(), &Frame::Progress(Progress { done: 1, total: 2 }));
            loop {
                std::thread::sleep(std::time::Duration::from_secs(1));
            }
        }
        "flood" => loop {
            if std::io::stdout().write_all(&[b'x'; 65536]).is_err() {
                return ExitCode::from(2);
            }
        },
        "overflow" => deep(0).to_string(),
        "crash" => std::process::abort(),
        _ => return ExitCode::from(2),
    };
    // Found things travel as the title of an ordinary result.
    let result = ingest::extract::ExtractedText {
        text: format!("probe {found}"),
        ..ingest::extract::ExtractedText::default()
    };
    match wire::send_result(&mut std::io::stdout(), result) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::from(2),
    }
}

/// Recursion without end, which no optimiser turns into a loop.
fn deep(n: u64) -> u64 {
    let local = std::hint::black_box([n; 64]);
    if local[0] == u64::MAX { 0 } else { deep(n + 1) + std::hint::black_box(local)[1] }
}
