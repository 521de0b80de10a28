//! Says on a terminal how far a check is.

use std::io::{IsTerminal as _, stderr};
use std::time::{Duration, Instant};

const EVERY: Duration = Duration::from_secs(2);

pub(crate) struct Progress {
    begun: Instant,
    last: Instant,
    is_terminal: bool,
}

impl Progress {
    pub(crate) fn begin() -> Self {
        let now = Instant::now();
        Self {
            begun: now,
            last: now,
            is_terminal: stderr().is_terminal(),
        }
    }

    pub(crate) fn show(&mut self, done: u64, all: u64) {
        if self.is_terminal && self.last.elapsed() >= EVERY {
            self.last = Instant::now();
            eprintln!("{done} of {all} leaves, {:.0} per second", self.rate(done));
        }
    }

    pub(crate) fn seconds(&self) -> f64 {
        self.begun.elapsed().as_secs_f64()
    }

    pub(crate) fn rate(&self, leaves: u64) -> f64 {
        leaves as f64 / self.seconds().max(f64::EPSILON)
    }
}
