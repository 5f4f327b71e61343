//! The reading process: `insighthub extract --kind pdf …`, a document on standard input, frames on standard output.
//!
//! It opens no path and knows no configuration: everything it needs stands in its arguments.

use super::{
    ExtractCode, ExtractedText, FileKind, csv, html, json, meter,
    office::{docx, xlsx},
    pdf,
    sandbox::{self, Confined, Rights},
    text,
    wire::{self, Frame, Progress},
};
use std::{
    ffi::OsString,
    io::{self, Read, Write},
    panic::{AssertUnwindSafe, catch_unwind},
    process::ExitCode,
};

/// What the parent asks for. The defaults serve a start by hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    pub kind: FileKind,
    pub rights: Rights,
    /// More input than this is refused.
    pub input_bytes: u64,
    /// More text than this is refused.
    pub text_bytes: u64,
}

impl Request {
    /// The arguments that [`Request::parse`] understands.
    pub fn to_args(&self) -> Vec<String> {
        let number = |name: &str, value: u64| [format!("--{name}"), value.to_string()];
        let mut args = vec!["--kind".to_owned(), self.kind.as_str().to_owned()];
        args.extend(number("memory", self.rights.memory));
        args.extend(number("cpu", self.rights.cpu));
        args.extend(number("step-cpu", self.rights.step_cpu));
        args.extend(number("stall-cpu", self.rights.stall_cpu));
        args.extend(number("parent", u64::from(self.rights.parent)));
        args.extend(number("input", self.input_bytes));
        args.extend(number("text", self.text_bytes));
        args
    }

    /// Reads the arguments after `extract`.
    pub fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Self, String> {
        let mut request = Self {
            kind: FileKind::Text,
            rights: Rights { memory: 512 << 20, cpu: 60, step_cpu: 10, stall_cpu: 60, parent: 0 },
            input_bytes: 1 << 30,
            text_bytes: 64 << 20,
        };
        let mut kind = None;
        let mut args = args.into_iter();
        while let Some(name) = args.next() {
            let name = name.to_string_lossy().into_owned();
            let value = args.next().ok_or_else(|| format!("{name} needs a value"))?;
            let value = value.to_str().ok_or_else(|| format!("{name} is not readable"))?;
            let number = || value.parse::<u64>().map_err(|e| format!("{name} {value}: {e}"));
            match name.as_str() {
                "--kind" => kind = Some(value.parse()?),
                "--memory" => request.rights.memory = number()?,
                "--cpu" => request.rights.cpu = number()?,
                "--step-cpu" => request.rights.step_cpu = number()?,
                "--stall-cpu" => request.rights.stall_cpu = number()?,
                "--parent" => {
                    request.rights.parent = value.parse().map_err(|e| format!("{name} {value}: {e}"))?
                }
                "--input" => request.input_bytes = number()?,
                "--text" => request.text_bytes = number()?,
                _ => return Err(format!("unknown argument {name}")),
            }
        }
        request.kind = kind.ok_or("--kind is missing")?;
        Ok(request)
    }
}

/// The whole life of the reading process. `args` are those after `extract`. To be called before the program starts
/// a thread or opens a file. Exit code 0: a result was written; 1: a reason; 2: it could not even begin.
pub fn run_child(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    // A panic is an answer here ("unreadable"), and its report would only fill the parent's log.
    std::panic::set_hook(Box::new(|_| {}));
    let request = match Request::parse(args) {
        Ok(request) => request,
        Err(why) => return fail(ExtractCode::ReaderUnavailable, Some(why), 2),
    };
    let confined = match sandbox::confine(&request.rights) {
        Ok(confined) => confined,
        Err(why) => return fail(ExtractCode::ReaderUnavailable, Some(why.to_string()), 2),
    };
    meter::start(confined);
    let result = catch_unwind(AssertUnwindSafe(|| {
        let bytes = input(request.input_bytes)?;
        read(bytes, &request, &confined)
    }));
    match result {
        Ok(Ok(text)) => match wire::send_result(&mut io::stdout().lock(), text) {
            Ok(()) => ExitCode::SUCCESS,
            Err(_) => ExitCode::from(2),
        },
        Ok(Err(code)) => fail(code, None, 1),
        Err(panic) => fail(ExtractCode::Unreadable, Some(words_of(&*panic)), 1),
    }
}

fn input(most: u64) -> Result<Vec<u8>, ExtractCode> {
    let mut bytes = Vec::new();
    match io::stdin().lock().take(most.saturating_add(1)).read_to_end(&mut bytes) {
        Ok(n) if n as u64 > most => Err(ExtractCode::TooLarge),
        Ok(0) => Err(ExtractCode::EmptyFile),
        Ok(_) => Ok(bytes),
        Err(e) if e.kind() == io::ErrorKind::OutOfMemory => Err(ExtractCode::OutOfMemory),
        Err(_) => Err(ExtractCode::ReaderUnavailable),
    }
}

/// Hands the document to the reader of its kind.
fn read(bytes: Vec<u8>, request: &Request, confined: &Confined) -> Result<ExtractedText, ExtractCode> {
    let max = usize::try_from(request.text_bytes).unwrap_or(usize::MAX);
    let mut result = match request.kind {
        FileKind::Pdf => {
            let mut page_done = |done, total| {
                confined.step();
                // Without a reader on the other end there is nobody to work for.
                if wire::send(&mut io::stdout().lock(), &Frame::Progress(Progress { done, total })).is_err() {
                    std::process::exit(2);
                }
            };
            pdf::read(&bytes, max, &mut page_done)?
        }
        FileKind::Docx => docx::read(&bytes, max)?,
        FileKind::Xlsx => xlsx::read(&bytes, max)?,
        FileKind::Csv => csv::read(&bytes, max)?,
        FileKind::Json => json::read(&bytes, max)?,
        FileKind::Html => html::read(&bytes)?,
        FileKind::Markdown => text::read_markdown(&bytes)?,
        FileKind::Text => text::read_text(&bytes)?,
    };
    // No text has a zero in it, and databases refuse one. A space is as long, so that no place moves.
    if result.text.contains('\0') {
        result.text = result.text.replace('\0', " ");
    }
    meter::stage();
    result.compose();
    if result.text.len() > max {
        return Err(ExtractCode::TooLargeInside);
    }
    if result.is_blank() { Err(ExtractCode::NoText) } else { Ok(result) }
}

fn fail(code: ExtractCode, technical: Option<String>, exit: u8) -> ExitCode {
    let mut out = io::stdout().lock();
    let told = wire::send(&mut out, &Frame::Failed { code, technical }).and_then(|()| out.flush());
    ExitCode::from(if told.is_ok() { exit } else { 2 })
}

fn words_of(panic: &(dyn std::any::Any + Send)) -> String {
    let words = panic
        .downcast_ref::<&str>()
        .map(|s| (*s).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_default();
    format!("panic: {}", words.chars().take(200).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arguments_read_back_as_they_were_written() {
        let request = Request {
            kind: FileKind::Html,
            rights: Rights { memory: 1, cpu: 2, step_cpu: 3, stall_cpu: 7, parent: 4 },
            input_bytes: 5,
            text_bytes: 6,
        };
        let args = request.to_args().into_iter().map(OsString::from);
        assert_eq!(Request::parse(args), Ok(request));
    }

    #[test]
    fn wrong_arguments_are_named() {
        let parse = |args: &[&str]| Request::parse(args.iter().map(OsString::from)).unwrap_err();
        assert_eq!(parse(&[]), "--kind is missing");
        assert_eq!(parse(&["--kind"]), "--kind needs a value");
        assert_eq!(parse(&["--kind", "pdf", "--colour", "red"]), "unknown argument --colour");
        assert!(parse(&["--cpu", "many", "--kind", "pdf"]).starts_with("--cpu many"));
    }
}
