//! The parent's side: starts a reading process for one document, listens with bounds on everything, and makes one
//! error out of every way in which it can go wrong.

use super::{
    ExtractCode, ExtractError, ExtractedText, FileKind,
    child::Request,
    sandbox::Rights,
    wire::{self, Frame, Header, Progress},
};
use nix::{
    sys::signal::{Signal, killpg},
    unistd::Pid,
};
use std::{
    ffi::OsString,
    fs::File,
    io,
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    sync::{
        OnceLock,
        mpsc::{Sender, channel},
    },
    time::Duration,
};
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWriteExt, BufReader},
    process::{Child, ChildStdin, Command},
    runtime::Handle,
    sync::oneshot,
};

/// Bytes of the process's last words that are kept for the log.
const LAST_WORDS: usize = 2048;

/// What one document may cost. Memory and CPU grow with the file, so that a large honest file is read while a small
/// bomb is stopped early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The largest file, in bytes.
    pub input_bytes: u64,
    /// The longest text, in bytes.
    pub text_bytes: u64,
    /// Memory in bytes for the smallest file, …
    pub memory_base: u64,
    /// … more for each byte of the file, …
    pub memory_per_byte: u64,
    /// … and the most for any.
    pub memory_most: u64,
    /// CPU seconds for the smallest file, …
    pub cpu_base: u64,
    /// … more for each megabyte of a file that is mostly compressed (PDF, DOCX, XLSX), …
    pub cpu_per_megabyte: u64,
    /// … or of any kind of text, …
    pub cpu_per_megabyte_of_text: u64,
    /// … and the most for any.
    pub cpu_most: u64,
    /// CPU seconds for one page.
    pub cpu_per_page: u64,
    /// CPU seconds without progress: until something of the file is read, or in a part of the work that nobody can look
    /// into, …
    pub cpu_stalled: u64,
    /// … and one more for so many bytes of the file, since some parts of the work take the whole of it at once.
    pub bytes_per_stalled_second: u64,
    /// Time on the clock, which only ends a process that does not even use its CPU seconds, …
    pub wall: Duration,
    /// … and this much more for each of those, since a busy machine gives them slowly.
    pub wall_per_cpu_second: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            input_bytes: 100 << 20,
            text_bytes: 64 << 20,
            memory_base: 192 << 20,
            memory_per_byte: 5,
            memory_most: 1 << 30,
            cpu_base: 4,
            cpu_per_megabyte: 4,
            cpu_per_megabyte_of_text: 2,
            cpu_most: 240,
            cpu_per_page: 3,
            cpu_stalled: 4,
            bytes_per_stalled_second: 4 << 20,
            wall: Duration::from_secs(60),
            wall_per_cpu_second: Duration::from_secs(4),
        }
    }
}

impl Limits {
    /// For a server that takes files of up to `bytes`: what an operator lets in is also read. The reading process may
    /// then have more memory, as much as such a file needs.
    pub fn for_files(bytes: u64) -> Self {
        let usual = Self::default();
        let input_bytes = usual.input_bytes.max(bytes);
        let needed = usual.memory_base.saturating_add(input_bytes.saturating_mul(usual.memory_per_byte));
        Self { input_bytes, memory_most: usual.memory_most.max(needed), ..usual }
    }

    fn request(&self, kind: FileKind, size: u64) -> Request {
        let memory = self.memory_base.saturating_add(size.saturating_mul(self.memory_per_byte));
        let per_megabyte = match kind {
            FileKind::Pdf | FileKind::Docx | FileKind::Xlsx => self.cpu_per_megabyte,
            FileKind::Html | FileKind::Markdown | FileKind::Text | FileKind::Csv | FileKind::Json => {
                self.cpu_per_megabyte_of_text
            }
        };
        let cpu = self.cpu_base.saturating_add(size.saturating_mul(per_megabyte) >> 20);
        Request {
            kind,
            rights: Rights {
                memory: memory.min(self.memory_most),
                cpu: cpu.min(self.cpu_most).max(1),
                step_cpu: self.cpu_per_page,
                stall_cpu: self
                    .cpu_stalled
                    .saturating_add(size / self.bytes_per_stalled_second.max(1))
                    .max(1),
                parent: std::process::id(),
            },
            input_bytes: self.input_bytes,
            text_bytes: self.text_bytes,
        }
    }

    fn wall_for(&self, cpu: u64) -> Duration {
        self.wall + self.wall_per_cpu_second.saturating_mul(u32::try_from(cpu).unwrap_or(u32::MAX))
    }
}

/// Reads documents, each in a process of its own. How many at a time is the caller's decision.
#[derive(Clone, Debug)]
pub struct Extractor {
    program: PathBuf,
    /// What stands before the request's arguments.
    leading: Vec<OsString>,
    limits: Limits,
}

impl Extractor {
    /// `program extract …` must end in [`run_child`](super::run_child).
    pub fn new(program: impl Into<PathBuf>, limits: Limits) -> Self {
        Self::with_arguments(program, ["extract"], limits)
    }

    /// The running program itself, also when its file has been replaced meanwhile.
    pub fn this_program(limits: Limits) -> io::Result<Self> {
        let itself = Path::new("/proc/self/exe");
        let program = if itself.exists() { itself.to_owned() } else { std::env::current_exe()? };
        Ok(Self::new(program, limits))
    }

    /// As [`new`](Self::new), with other words than `extract` before the request.
    pub fn with_arguments<A: Into<OsString>>(
        program: impl Into<PathBuf>,
        leading: impl IntoIterator<Item = A>,
        limits: Limits,
    ) -> Self {
        Self { program: program.into(), leading: leading.into_iter().map(Into::into).collect(), limits }
    }

    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Reads the document that stands in `file`, from its present position. Dropping the future ends the process.
    pub async fn extract(
        &self,
        file: File,
        kind: FileKind,
        mut progress: impl FnMut(Progress) + Send,
    ) -> Result<ExtractedText, ExtractError> {
        let size = file.metadata().map_err(|e| unavailable(kind, &e))?.len();
        self.run(Input::File(file), size, kind, &mut progress).await
    }

    /// Reads a document that is in memory, such as a page that was just fetched.
    pub async fn extract_bytes(
        &self,
        bytes: impl AsRef<[u8]> + Send,
        kind: FileKind,
        mut progress: impl FnMut(Progress) + Send,
    ) -> Result<ExtractedText, ExtractError> {
        let bytes = bytes.as_ref();
        self.run(Input::Bytes(bytes), bytes.len() as u64, kind, &mut progress).await
    }

    async fn run(
        &self,
        input: Input<'_>,
        size: u64,
        kind: FileKind,
        progress: &mut (dyn FnMut(Progress) + Send),
    ) -> Result<ExtractedText, ExtractError> {
        if size == 0 {
            return Err(ExtractError::of(ExtractCode::EmptyFile, kind));
        }
        if size > self.limits.input_bytes {
            return Err(ExtractError::of(ExtractCode::TooLarge, kind));
        }
        let request = self.limits.request(kind, size);
        let (stdin, bytes) = match input {
            Input::File(file) => (Stdio::from(file), None),
            Input::Bytes(bytes) => (Stdio::piped(), Some(bytes)),
        };
        let mut command = Command::new(&self.program);
        command
            .args(&self.leading)
            .args(request.to_args())
            .env_clear()
            .current_dir("/")
            .stdin(stdin)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true);
        let mut child = spawn(command).await.map_err(|e| unavailable(kind, &e))?;
        let mut group = Group::of(&child);
        let (Some(stdout), Some(stderr)) = (child.stdout.take(), child.stderr.take()) else {
            return Err(ExtractError::of(ExtractCode::ReaderUnavailable, kind).because("no pipes"));
        };
        let feeding = feed(child.stdin.take(), bytes.unwrap_or_default());

        let work = async {
            let mut last_words = Vec::new();
            let (_, heard, ()) = tokio::join!(
                feeding,
                listen(stdout, request.text_bytes, progress),
                drain(stderr, &mut last_words)
            );
            (heard, child.wait().await, last_words)
        };
        let wall = self.limits.wall_for(request.rights.cpu);
        let Ok((heard, status, last_words)) = tokio::time::timeout(wall, work).await else {
            return Err(ExtractError::of(ExtractCode::TookTooLong, kind)
                .because(format!("no answer within {} s", wall.as_secs()))
                .retryable());
        };
        group.ended();
        let status = status.map_err(|e| unavailable(kind, &e))?;
        verdict(heard, status, &last_words, kind)
    }
}

enum Input<'a> {
    File(File),
    Bytes(&'a [u8]),
}

fn unavailable(kind: FileKind, why: &io::Error) -> ExtractError {
    ExtractError::of(ExtractCode::ReaderUnavailable, kind).because(why.to_string())
}

/// What the process said.
enum Heard {
    Text(Box<ExtractedText>),
    Failed(ExtractCode, Option<String>),
    /// It ended, or was cut off, without an answer.
    Nothing,
    /// It said something that no reader says, or too much of it.
    Nonsense(String),
}

/// Writes the document into the pipe. A reader that has heard enough closes it, which is no error.
async fn feed(stdin: Option<ChildStdin>, bytes: &[u8]) {
    if let Some(mut stdin) = stdin {
        let _ = stdin.write_all(bytes).await;
    }
}

async fn listen(
    stdout: impl AsyncRead + Unpin,
    text_bytes: u64,
    progress: &mut (dyn FnMut(Progress) + Send),
) -> Heard {
    let mut reader = BufReader::with_capacity(64 * 1024, stdout);
    let mut line = Vec::new();
    loop {
        line.clear();
        match (&mut reader).take(wire::MAX_LINE as u64).read_until(b'\n', &mut line).await {
            Ok(0) => return Heard::Nothing,
            Ok(_) if line.ends_with(b"\n") => {}
            // Cut off in the middle of a line, by its end or by the bound.
            Ok(n) if n < wire::MAX_LINE => return Heard::Nothing,
            Ok(_) => return Heard::Nonsense("a line without end".to_owned()),
            Err(e) => return Heard::Nonsense(e.to_string()),
        }
        match serde_json::from_slice(&line) {
            Ok(Frame::Progress(p)) => progress(p),
            Ok(Frame::Failed { code, technical }) => return Heard::Failed(code, technical),
            Ok(Frame::Result(header)) => return receive(&mut reader, header, text_bytes).await,
            Err(e) => return Heard::Nonsense(e.to_string()),
        }
    }
}

async fn receive(reader: &mut (impl AsyncRead + Unpin), header: Header, most: u64) -> Heard {
    if header.text_bytes > most {
        return Heard::Nonsense(format!("{} bytes of text", header.text_bytes));
    }
    let mut text = Vec::new();
    // One more than announced: what follows the text would be nonsense too.
    match reader.take(header.text_bytes + 1).read_to_end(&mut text).await {
        Ok(n) if (n as u64) < header.text_bytes => Heard::Nothing,
        Ok(_) => match wire::receive(header, text) {
            Ok(result) => Heard::Text(Box::new(result)),
            Err(why) => Heard::Nonsense(why),
        },
        Err(e) => Heard::Nonsense(e.to_string()),
    }
}

/// Reads to the end, so that the process never waits for room, and keeps the beginning.
async fn drain(mut stderr: impl AsyncRead + Unpin, kept: &mut Vec<u8>) {
    let mut buffer = [0; 1024];
    while let Ok(n) = stderr.read(&mut buffer).await {
        if n == 0 {
            return;
        }
        kept.extend_from_slice(&buffer[..n.min(LAST_WORDS.saturating_sub(kept.len()))]);
    }
}

/// One result from what was heard and how the process ended.
fn verdict(
    heard: Heard,
    status: ExitStatus,
    last_words: &[u8],
    kind: FileKind,
) -> Result<ExtractedText, ExtractError> {
    let last_words = String::from_utf8_lossy(last_words);
    let technical = format!("{status}{}{}", if last_words.is_empty() { "" } else { ": " }, last_words.trim());
    let error = |code| ExtractError::of(code, kind);
    match heard {
        Heard::Text(text) if status.success() => return Ok(*text),
        Heard::Failed(code, why) => {
            let note =
                why.map(|w| w.chars().filter(|c| !c.is_control()).take(300).collect()).unwrap_or(technical);
            return Err(error(code).because(note));
        }
        Heard::Nonsense(why) => {
            return Err(error(ExtractCode::Crashed).because(format!("nonsense from the reader: {why}")));
        }
        Heard::Text(_) | Heard::Nothing => {}
    }
    // How Rust reports that the allocator gave nothing; the process then ends by SIGABRT.
    let starved = last_words.contains("memory allocation of");
    Err(match status.signal().and_then(|s| Signal::try_from(s).ok()) {
        Some(Signal::SIGXCPU) => error(ExtractCode::TookTooLong),
        Some(Signal::SIGABRT) if starved => error(ExtractCode::OutOfMemory),
        // Nobody here sends it to a process that is still listened to: the kernel was short of memory, or the
        // operator ended it.
        Some(Signal::SIGKILL) => error(ExtractCode::OutOfMemory).retryable(),
        Some(Signal::SIGTERM | Signal::SIGINT | Signal::SIGHUP) => error(ExtractCode::ReaderUnavailable),
        _ => error(ExtractCode::Crashed),
    }
    .because(technical))
}

/// Ends the process and whatever it may have started, unless it ended by itself. A confined process on Linux starts
/// nothing; elsewhere this is what bounds it.
struct Group(Option<Pid>);

impl Group {
    fn of(child: &Child) -> Self {
        Self(child.id().and_then(|id| i32::try_from(id).ok()).map(Pid::from_raw))
    }

    /// It has been waited for: its number may belong to someone else now.
    fn ended(&mut self) {
        self.0 = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            // It may be gone already, which is as good.
            let _ = killpg(group, Signal::SIGKILL);
        }
    }
}

type Order = (Command, Handle, oneshot::Sender<io::Result<Child>>);

/// Starts the process from a thread that lives as long as the program does. The parent-death signal follows the
/// starting *thread*, and a runtime's threads may come and go.
async fn spawn(command: Command) -> io::Result<Child> {
    static SPAWNER: OnceLock<Sender<Order>> = OnceLock::new();
    let spawner = SPAWNER.get_or_init(|| {
        let (sender, orders) = channel::<Order>();
        let started = std::thread::Builder::new().name("extract-spawner".to_owned()).spawn(move || {
            for (mut command, runtime, answer) in orders {
                let _inside = runtime.enter();
                // An answer that nobody waits for is a child that is dropped, and so killed.
                let _ = answer.send(command.spawn());
            }
        });
        // Without the thread its receiver is dropped, and every order below is answered with an error.
        drop(started);
        sender
    });
    let (answer, child) = oneshot::channel();
    let gone = || io::Error::other("the thread that starts reading processes is gone");
    spawner.send((command, Handle::current(), answer)).map_err(|_| gone())?;
    child.await.map_err(|_| gone())?
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn hear(bytes: &[u8]) -> Heard {
        listen(bytes, 100, &mut |_| {}).await
    }

    #[tokio::test]
    async fn nonsense_is_not_taken_for_an_answer() {
        assert!(matches!(hear(b"hello\n").await, Heard::Nonsense(_)));
        assert!(matches!(hear(b"{\"result\":{}}\n").await, Heard::Nonsense(_)));
        assert!(matches!(hear(b"").await, Heard::Nothing));
        assert!(matches!(hear(b"{\"progress\":{\"done\":1,").await, Heard::Nothing));
        let header = |n: u64| {
            format!("{{\"result\":{{\"text_bytes\":{n},\"spans\":[],\"title\":null,\"warnings\":[]}}}}\n")
        };
        assert!(matches!(hear(format!("{}abc", header(3)).as_bytes()).await, Heard::Text(_)));
        assert!(matches!(hear(format!("{}ab", header(3)).as_bytes()).await, Heard::Nothing));
        assert!(matches!(hear(format!("{}abcd", header(3)).as_bytes()).await, Heard::Nonsense(_)));
        assert!(matches!(hear(header(101).as_bytes()).await, Heard::Nonsense(_)));
    }

    #[test]
    fn every_way_to_end_has_its_code() {
        let end = |raw: i32, words: &str| {
            verdict(Heard::Nothing, ExitStatus::from_raw(raw), words.as_bytes(), FileKind::Pdf).unwrap_err()
        };
        assert_eq!(end(Signal::SIGXCPU as i32, "").code, ExtractCode::TookTooLong);
        assert_eq!(
            end(Signal::SIGABRT as i32, "memory allocation of 9 bytes failed").code,
            ExtractCode::OutOfMemory
        );
        assert_eq!(end(Signal::SIGABRT as i32, "stack overflow").code, ExtractCode::Crashed);
        assert_eq!(end(Signal::SIGSEGV as i32, "").code, ExtractCode::Crashed);
        assert!(end(Signal::SIGKILL as i32, "").retryable);
        assert_eq!(end(101 << 8, "").code, ExtractCode::Crashed);
        assert!(end(Signal::SIGSEGV as i32, "last words").technical.unwrap().ends_with("last words"));
    }

    #[test]
    fn a_small_file_gets_little_and_a_large_one_more() {
        let limits = Limits::default();
        let small = limits.request(FileKind::Pdf, 1000).rights;
        let large = limits.request(FileKind::Pdf, 90 << 20).rights;
        assert_eq!((small.memory >> 20, small.cpu), (192, 4));
        assert_eq!((large.memory >> 20, large.cpu), (642, 240));
        assert_eq!(limits.request(FileKind::Html, 5 << 20).rights.cpu, 14);
        assert_eq!(limits.request(FileKind::Pdf, u64::MAX).rights.memory, limits.memory_most);
    }

    #[test]
    fn a_server_that_takes_larger_files_reads_them_too() {
        assert_eq!(Limits::for_files(1 << 20), Limits::default());
        let limits = Limits::for_files(400 << 20);
        assert_eq!(limits.input_bytes, 400 << 20);
        assert_eq!(limits.request(FileKind::Pdf, 400 << 20).rights.memory >> 20, 192 + 5 * 400);
    }
}
