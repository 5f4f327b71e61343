//! Servers of other people's making that are started for a run: they end with the process that started them, however that
//! ends.

use crate::Failure;
use std::{
    io,
    path::Path,
    process::{Child, Command, Stdio},
    sync::{Mutex, OnceLock, PoisonError, mpsc},
    thread,
};

/// The program, as that user where one is named, which gets that signal from the kernel as soon as this process is gone, even
/// by SIGKILL, where that can be had. `setpriv` replaces itself, so the child is the program.
pub(crate) fn ended_with_us(signal: &str, program: &Path, user: Option<&str>) -> Command {
    let mut probe = Command::new("setpriv");
    probe.args(["--pdeathsig", signal, "true"]).stdout(Stdio::null()).stderr(Stdio::null());
    if !probe.status().is_ok_and(|status| status.success()) {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", signal]);
    if let Some(user) = user {
        let group = said(Command::new("id").args(["-g", user])).unwrap_or_else(|| user.to_owned());
        command.args(["--reuid", user, "--regid", &group, "--clear-groups"]);
    }
    command.arg("--").arg(program);
    command
}

/// What a program says that ends well.
pub(crate) fn said(command: &mut Command) -> Option<String> {
    let output = command.stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Sends a signal to a process, or with a hyphen before its number to a group of them. By the shell's own `kill`: the program
/// of that name is not on every minimal system.
pub(crate) fn signal(name: &str, whom: &str) {
    let script = format!("kill -{name} {whom}");
    // Who is gone already needs none.
    let _ = Command::new("sh").args(["-c", &script]).stderr(Stdio::null()).status();
}

/// Starts the program from a thread that lives as long as this process: for the kernel the end of the thread that started a
/// program is the end of its parent, and threads of a test's pool come and go.
pub(crate) fn spawn(command: Command) -> Result<Child, Failure> {
    type Order = (Command, mpsc::Sender<io::Result<Child>>);
    static STARTER: OnceLock<Mutex<mpsc::Sender<Order>>> = OnceLock::new();
    let starter = STARTER.get_or_init(|| {
        let (orders, queue) = mpsc::channel::<Order>();
        thread::spawn(move || {
            for (mut command, reply) in queue {
                // Whoever asked is gone only when the process ends.
                let _ = reply.send(command.spawn());
            }
        });
        Mutex::new(orders)
    });
    let (reply, answer) = mpsc::channel();
    let orders = starter.lock().unwrap_or_else(PoisonError::into_inner);
    orders.send((command, reply)).map_err(|_| "the thread that starts programs is gone")?;
    drop(orders);
    Ok(answer.recv()??)
}
