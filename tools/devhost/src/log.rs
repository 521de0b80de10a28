//! The log of the components' stdout and stderr and of the host's own messages.

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

/// Maximum bytes of one guest write.
const WRITE_BYTES_MAX: usize = 64 * 1024;

/// Destination of the log.
#[derive(Debug, Clone, Default)]
pub enum LogSink {
    /// Standard error of this process.
    #[default]
    Stderr,
    /// A file, opened for appending.
    File(PathBuf),
    /// Memory, read by [`crate::Host::log`].
    Memory,
}

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

    pub(crate) fn host(&self, message: impl Display) {
        self.write(format!("devhost: {message}\n").as_bytes());
    }

    pub(crate) fn contents(&self) -> String {
        match &*lock(&self.0) {
            Open::Memory(bytes) => String::from_utf8_lossy(bytes).into_owned(),
            _ => String::new(),
        }
    }

    fn write(&self, bytes: &[u8]) {
        // An unwritable log must not fail the request.
        _ = match &mut *lock(&self.0) {
            Open::Stderr => io::stderr().write_all(bytes),
            Open::File(file) => file.write_all(bytes),
            Open::Memory(buffer) => buffer.write_all(bytes),
        };
    }
}

#[derive(Clone)]
pub(crate) struct Output(Arc<Mutex<Lines>>);

/// Passes on whole lines, so that lines of concurrent requests do not mix.
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
