//! The host's log: what components write to stdout and stderr, line by line as they wrote
//! it, and what the host itself has to say.

use crate::lock;
use bytes::Bytes;
use std::fmt::Display;
use std::io::{self, Write};
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use tokio::io::AsyncWrite;
use wasmtime_wasi::async_trait;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamResult};

/// How much a guest may write at once, in bytes.
const WRITE_BYTES_MAX: usize = 64 * 1024;

/// Where the log goes.
#[derive(Debug, Clone, Default)]
pub enum LogSink {
    /// The standard error of this process.
    #[default]
    Stderr,
    /// A file, which is appended to.
    File(PathBuf),
    /// Memory, to be read with [`crate::Host::log`].
    Memory,
}

/// An open log.
#[derive(Clone)]
pub(crate) struct Log(Arc<Mutex<Open>>);

enum Open {
    Stderr,
    File(std::fs::File),
    Memory(Vec<u8>),
}

impl Log {
    pub(crate) fn open(sink: &LogSink) -> io::Result<Self> {
        let open = match sink {
            LogSink::Stderr => Open::Stderr,
            LogSink::File(path) => Open::File(
                std::fs::File::options()
                    .create(true)
                    .append(true)
                    .open(path)?,
            ),
            LogSink::Memory => Open::Memory(Vec::new()),
        };
        Ok(Self(Arc::new(Mutex::new(open))))
    }

    /// Writes a message of the host's.
    pub(crate) fn host(&self, message: impl Display) {
        self.write(format!("devhost: {message}\n").as_bytes());
    }

    /// What was written, if the log is in memory.
    pub(crate) fn contents(&self) -> String {
        match &*lock(&self.0) {
            Open::Memory(bytes) => String::from_utf8_lossy(bytes).into_owned(),
            _ => String::new(),
        }
    }

    fn write(&self, bytes: &[u8]) {
        // A log that cannot be written must not fail the request.
        _ = match &mut *lock(&self.0) {
            Open::Stderr => io::stderr().write_all(bytes),
            Open::File(file) => file.write_all(bytes),
            Open::Memory(buffer) => buffer.write_all(bytes),
        };
    }
}

/// A component's stdout or stderr for one request.
#[derive(Clone)]
pub(crate) struct Output(Arc<Mutex<Lines>>);

/// Passes on whole lines, so that those of requests that run at once do not mix.
struct Lines {
    log: Log,
    partial: Vec<u8>,
}

impl Lines {
    fn push(&mut self, bytes: &[u8]) {
        match bytes.iter().rposition(|byte| *byte == b'\n') {
            Some(end) => {
                let (whole, rest) = bytes.split_at(end + 1);
                self.partial.extend_from_slice(whole);
                self.log.write(&self.partial);
                self.partial.clear();
                self.partial.extend_from_slice(rest);
            }
            None => self.partial.extend_from_slice(bytes),
        }
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        if !self.partial.is_empty() {
            self.push(b"\n");
        }
    }
}

impl Output {
    pub(crate) fn new(log: &Log) -> Self {
        Self(Arc::new(Mutex::new(Lines {
            log: log.clone(),
            partial: Vec::new(),
        })))
    }
}

impl IsTerminal for Output {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Output {
    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }

    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(self.clone())
    }
}

#[async_trait]
impl Pollable for Output {
    async fn ready(&mut self) {}
}

impl OutputStream for Output {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        lock(&self.0).push(&bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(WRITE_BYTES_MAX)
    }
}

impl AsyncWrite for Output {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        lock(&self.0).push(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_two_outputs_do_not_mix_and_the_last_needs_no_end() {
        let log = Log::open(&LogSink::Memory).unwrap();
        let (one, two) = (Output::new(&log), Output::new(&log));
        lock(&one.0).push(b"a");
        lock(&two.0).push(b"1\n2");
        lock(&one.0).push(b"b\nc");
        drop(one);
        drop(two);
        assert_eq!(log.contents(), "1\nab\nc\n2\n");
    }
}
