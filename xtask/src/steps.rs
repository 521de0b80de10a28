//! Progress output: a line per step with its time, and a table at the end. A terminal shows a
//! spinner with the step's latest news; a pipe or CI log gets plain lines.

use std::cell::{Cell, RefCell};
use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

/// Interval between news lines without a terminal.
const PLAIN_NEWS_EVERY: Duration = Duration::from_secs(10);

const NAME_WIDTH: usize = 11;

/// Prints a line. Ignores a closed pipe: what was started must still be stopped in order.
pub(crate) fn tell(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// The steps of one command, in order.
pub(crate) struct Steps {
    started: Instant,
    done: Vec<Done>,
}

struct Done {
    name: &'static str,
    result: String,
    took: Duration,
}

impl Steps {
    pub(crate) fn new() -> Self {
        Self {
            started: Instant::now(),
            done: Vec::new(),
        }
    }

    /// Starts a step whose commands report through [`Step::say`].
    pub(crate) fn begin(&self, name: &'static str) -> Step {
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::new_spinner();
            if let Ok(style) =
                ProgressStyle::with_template("{spinner} {prefix:11} {wide_msg} {elapsed}")
            {
                bar.set_style(style);
            }
            bar.set_prefix(name);
            bar.enable_steady_tick(Duration::from_millis(100));
            bar
        });
        if bar.is_none() {
            tell(&format!("  {name:NAME_WIDTH$} ..."));
        }
        Step::new(name, bar)
    }

    /// Starts a step whose commands write to the terminal themselves.
    pub(crate) fn begin_live(&self, name: &'static str, what: &str) -> Step {
        tell(&format!("\n> {name}: {what}"));
        Step::new(name, None)
    }

    /// Ends a successful step; `result` is its outcome in a few words.
    pub(crate) fn end(&mut self, step: Step, result: impl Into<String>) {
        let result = result.into();
        let took = step.started.elapsed();
        step.close("✓", &result);
        self.done.push(Done {
            name: step.name,
            result,
            took,
        });
    }

    pub(crate) fn elapsed(&self) -> String {
        seconds(self.started.elapsed())
    }

    /// A table of the steps' seconds and the time since the start.
    pub(crate) fn table(&self) -> String {
        let mut table = String::new();
        for done in &self.done {
            table.push_str(&format!(
                "  {:NAME_WIDTH$} {:>8}  {}\n",
                done.name,
                seconds(done.took),
                done.result
            ));
        }
        table.push_str(&format!("  {:NAME_WIDTH$} {:>8}", "total", self.elapsed()));
        table
    }
}

/// A running step. Dropped without [`Steps::end`], it failed or was interrupted.
pub(crate) struct Step {
    name: &'static str,
    started: Instant,
    bar: Option<ProgressBar>,
    last_news: Cell<Instant>,
    notes: RefCell<Vec<String>>,
    closed: Cell<bool>,
}

impl Step {
    fn new(name: &'static str, bar: Option<ProgressBar>) -> Self {
        let now = Instant::now();
        Self {
            name,
            started: now,
            bar,
            last_news: Cell::new(now),
            notes: RefCell::new(Vec::new()),
            closed: Cell::new(false),
        }
    }

    /// Shows what the step is doing, until the next news.
    pub(crate) fn say(&self, news: &str) {
        let news = news.trim();
        if news.is_empty() {
            return;
        }
        if let Some(bar) = &self.bar {
            bar.set_message(news.to_owned());
        } else if self.last_news.get().elapsed() >= PLAIN_NEWS_EVERY {
            self.last_news.set(Instant::now());
            tell(&format!(
                "  {:NAME_WIDTH$} {news} ({})",
                self.name,
                seconds(self.started.elapsed())
            ));
        }
    }

    /// Adds a line that is shown when the step ends.
    pub(crate) fn note(&self, text: impl Into<String>) {
        self.notes.borrow_mut().push(text.into());
    }

    fn close(&self, mark: &str, result: &str) {
        self.closed.set(true);
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        let took = seconds(self.started.elapsed());
        let line = format!("{mark} {:NAME_WIDTH$} {took:>8}  {result}", self.name);
        tell(line.trim_end());
        for note in self.notes.borrow().iter() {
            tell(&format!("  {:NAME_WIDTH$} {:8}  {note}", "", ""));
        }
    }
}

impl Drop for Step {
    fn drop(&mut self) {
        if !self.closed.get() {
            self.close("✗", "");
        }
    }
}

fn seconds(duration: Duration) -> String {
    format!("{:.1} s", duration.as_secs_f64())
}
