//! A server for a measurement: started, asked for its address, and gone when it is dropped.

use crate::Failure;
use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
};

pub struct Server {
    child: Child,
    /// `http://127.0.0.1:PORT`.
    pub base: String,
}

impl Server {
    /// Waits until it listens.
    ///
    /// # Errors
    /// When it does not start, or ends at once.
    pub fn start(command: &mut Command) -> Result<Self, Failure> {
        let mut child = command.stdout(Stdio::piped()).spawn()?;
        let out = child.stdout.take().ok_or("the server has no output")?;
        let mut server = Self { child, base: String::new() };
        let line = BufReader::new(out).lines().next().ok_or("the server ended at once")??;
        server.base = line.strip_prefix("listening on ").ok_or("the server told no address")?.to_owned();
        Ok(server)
    }

    /// Stops it as its operator would, and waits for its end.
    ///
    /// # Errors
    /// When it cannot be told to.
    pub fn stop(mut self) -> Result<(), Failure> {
        let told = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status()?;
        let ended = self.child.wait()?;
        if told.success() && ended.success() {
            Ok(())
        } else {
            Err(format!("the server ended with {ended}").into())
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
