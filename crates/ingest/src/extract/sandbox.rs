//! The rights that the reading process gives up before it looks at a document.
//!
//! On Linux: no descriptor but the standard three and no new one (so no file is opened), no system call outside a
//! short list (so no socket, no program, no second process), bounded memory, CPU time and output, no core dump, first
//! in line for the kernel's out-of-memory killer, and death with the parent. If one of these cannot be had, nothing is
//! read. On other Unix systems there is no such filter and no parent-death signal; the limits and the closed
//! descriptors remain, and the parent still ends the process when it gives up on it.

use nix::{
    errno::Errno,
    sys::resource::{Resource, getrlimit, setrlimit},
};
use std::{fmt, fs};

/// What the process may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rights {
    /// Bytes of memory beyond what the process has when it starts.
    pub memory: u64,
    /// Seconds of CPU time in all.
    pub cpu: u64,
    /// Seconds of CPU time between two calls of [`Confined::step`].
    pub step_cpu: u64,
    /// Seconds of CPU time until the first step, and after each [`Confined::share`].
    pub stall_cpu: u64,
    /// The process that must be the parent; 0 for none (started by hand).
    pub parent: u32,
}

/// Why the process would not go on.
#[derive(Debug)]
pub struct NotConfined {
    what: &'static str,
    why: String,
}

impl fmt::Display for NotConfined {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.what, self.why)
    }
}

impl std::error::Error for NotConfined {}

fn failed<E: fmt::Display>(what: &'static str) -> impl FnOnce(E) -> NotConfined {
    move |why| NotConfined { what, why: why.to_string() }
}

/// Proof that the process is confined, and its CPU clock.
#[derive(Clone, Copy, Debug)]
pub struct Confined {
    cpu: u64,
    step_cpu: u64,
    stall_cpu: u64,
}

/// Gives the rights up, for good. To be called first thing, while the process has one thread.
pub fn confine(rights: &Rights) -> Result<Confined, NotConfined> {
    die_with_parent(rights.parent)?;
    close_descriptors()?;
    // Best effort: needs no privilege on an ordinary system, and without it only fairness suffers.
    let _ = fs::write("/proc/self/oom_score_adj", "1000");

    limit("core", Resource::RLIMIT_CORE, 0)?;
    // Writing to a pipe is not bounded by it; creating or growing a file is.
    limit("file size", Resource::RLIMIT_FSIZE, 0)?;
    let confined = Confined { cpu: rights.cpu, step_cpu: rights.step_cpu, stall_cpu: rights.stall_cpu };
    limit_cpu(confined.first_deadline(), rights.cpu + 1)?;
    // The address space counts the program itself, which may be large; data counts what is really asked for.
    limit("data", Resource::RLIMIT_DATA, rights.memory.saturating_add(data_now()))?;
    limit("address space", Resource::RLIMIT_AS, rights.memory.saturating_add(address_space_now()))?;
    limit("descriptors", Resource::RLIMIT_NOFILE, 3)?;
    filter_system_calls()?;
    Ok(confined)
}

impl Confined {
    fn first_deadline(&self) -> u64 {
        // Before the first step the whole file is parsed, which for a large one takes longer than a page.
        self.stall_cpu.min(self.cpu)
    }

    /// Says that work has come a step further (a page): the next one has a fresh share of CPU time. A process that
    /// uses it up is ended by the kernel, whatever it is doing.
    pub fn step(&self) {
        self.allow(self.step_cpu);
    }

    /// Says that work got somewhere that is not counted in steps: it has a fresh share, as large as the first.
    pub fn share(&self) {
        self.allow(self.stall_cpu);
    }

    fn allow(&self, seconds: u64) {
        let deadline = used_cpu_seconds().saturating_add(seconds).saturating_add(1).min(self.cpu);
        // It could be set at the start, so it can be set now; if not, the earlier one stands.
        let _ = limit_cpu(deadline, self.cpu + 1);
    }
}

fn limit(what: &'static str, resource: Resource, value: u64) -> Result<(), NotConfined> {
    let value = value as nix::sys::resource::rlim_t;
    // A limit that was lower already stays: it cannot be raised.
    let (_, hard) = getrlimit(resource).map_err(failed(what))?;
    let value = value.min(hard);
    match setrlimit(resource, value, value) {
        Ok(()) => Ok(()),
        // macOS refuses some of them.
        Err(Errno::EINVAL) if !cfg!(target_os = "linux") => Ok(()),
        Err(e) => Err(failed(what)(e)),
    }
}

fn limit_cpu(soft: u64, hard: u64) -> Result<(), NotConfined> {
    let (_, most) = getrlimit(Resource::RLIMIT_CPU).map_err(failed("cpu"))?;
    let hard = (hard as nix::sys::resource::rlim_t).min(most);
    let soft = (soft as nix::sys::resource::rlim_t).min(hard);
    setrlimit(Resource::RLIMIT_CPU, soft, hard).map_err(failed("cpu"))
}

fn used_cpu_seconds() -> u64 {
    nix::time::clock_gettime(nix::time::ClockId::CLOCK_PROCESS_CPUTIME_ID)
        .map_or(0, |t| u64::try_from(t.tv_sec()).unwrap_or(0))
}

/// Closes what a careless parent (or its parent) left open.
fn close_descriptors() -> Result<(), NotConfined> {
    let open: Vec<i32> =
        match fs::read_dir(if cfg!(target_os = "linux") { "/proc/self/fd" } else { "/dev/fd" }) {
            Ok(entries) => entries.filter_map(|e| e.ok()?.file_name().to_str()?.parse().ok()).collect(),
            // Without /proc: more than any server of ours leaves behind.
            Err(_) => (3..4096).collect(),
        };
    for fd in open.into_iter().filter(|fd| *fd > 2) {
        match nix::unistd::close(fd) {
            // The listing's own descriptor is among them and closed by now.
            Ok(()) | Err(Errno::EBADF) => {}
            Err(e) => return Err(failed("descriptors")(e)),
        }
    }
    Ok(())
}

#[cfg(target_os = "linux")]
fn die_with_parent(parent: u32) -> Result<(), NotConfined> {
    if parent == 0 {
        return Ok(());
    }
    nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGKILL)
        .map_err(failed("parent-death signal"))?;
    // It may have died before the signal was asked for.
    if nix::unistd::getppid().as_raw().unsigned_abs() == parent {
        Ok(())
    } else {
        Err(failed("parent")("it has gone"))
    }
}

#[cfg(not(target_os = "linux"))]
fn die_with_parent(_: u32) -> Result<(), NotConfined> {
    Ok(())
}

/// Kilobytes in a line of `/proc/self/status`, in bytes; 0 where there is no such file.
fn status_bytes(field: &str) -> u64 {
    fs::read_to_string("/proc/self/status")
        .ok()
        .and_then(|s| {
            let line = s.lines().find_map(|l| l.strip_prefix(field)?.strip_prefix(':'))?;
            line.split_whitespace().next()?.parse::<u64>().ok()
        })
        .map_or(0, |kb| kb * 1024)
}

fn address_space_now() -> u64 {
    status_bytes("VmSize")
}

fn data_now() -> u64 {
    status_bytes("VmData")
}

#[cfg(target_os = "linux")]
#[allow(clippy::useless_conversion, reason = "a long is shorter on 32-bit machines")]
fn filter_system_calls() -> Result<(), NotConfined> {
    use seccompiler::{
        BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
        SeccompRule, TargetArch,
    };
    use std::collections::BTreeMap;

    const WHAT: &str = "system call filter";
    // Memory, its own three descriptors, clocks, and a clean end. What is not here fails with "not permitted": a C
    // library that tries something new then takes its second way, and a document that tries something gets nothing.
    let allowed = [
        libc::SYS_read,
        libc::SYS_readv,
        libc::SYS_write,
        libc::SYS_writev,
        libc::SYS_lseek,
        libc::SYS_fstat,
        libc::SYS_close,
        libc::SYS_brk,
        libc::SYS_mmap,
        libc::SYS_munmap,
        libc::SYS_mremap,
        libc::SYS_mprotect,
        libc::SYS_madvise,
        libc::SYS_futex,
        libc::SYS_clock_gettime,
        libc::SYS_clock_nanosleep,
        libc::SYS_nanosleep,
        libc::SYS_restart_syscall,
        libc::SYS_getrandom,
        libc::SYS_getrusage,
        libc::SYS_getpid,
        libc::SYS_gettid,
        libc::SYS_sched_yield,
        libc::SYS_rt_sigaction,
        libc::SYS_rt_sigprocmask,
        libc::SYS_rt_sigreturn,
        libc::SYS_sigaltstack,
        libc::SYS_exit,
        libc::SYS_exit_group,
    ];
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> =
        allowed.iter().map(|n| (i64::from(*n), Vec::new())).collect();
    let itself = std::process::id();
    let first_argument = |value: u64| -> Result<Vec<SeccompRule>, NotConfined> {
        let condition = SeccompCondition::new(0, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, value)
            .map_err(failed(WHAT))?;
        Ok(vec![SeccompRule::new(vec![condition]).map_err(failed(WHAT))?])
    };
    // Its own limits, downwards; and a signal to itself, which is how `abort` ends a process.
    let mut own_limits = first_argument(0)?;
    own_limits.extend(first_argument(u64::from(itself))?);
    rules.insert(i64::from(libc::SYS_prlimit64), own_limits);
    rules.insert(i64::from(libc::SYS_tgkill), first_argument(u64::from(itself))?);

    let arch = TargetArch::try_from(std::env::consts::ARCH).map_err(failed(WHAT))?;
    let filter = SeccompFilter::new(
        rules,
        SeccompAction::Errno(libc::EPERM.unsigned_abs()),
        SeccompAction::Allow,
        arch,
    )
    .map_err(failed(WHAT))?;
    let program = BpfProgram::try_from(filter).map_err(failed(WHAT))?;
    seccompiler::apply_filter_all_threads(&program).map_err(failed(WHAT))
}

#[cfg(not(target_os = "linux"))]
fn filter_system_calls() -> Result<(), NotConfined> {
    Ok(())
}
