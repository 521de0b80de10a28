//! What the user sees of the work: one line per step with the time it took, and a table at
//! the end. On a terminal a step that runs has a spinner with its latest news; elsewhere
//! (a pipe, a CI log) there are plain lines, and news at most every few seconds.

use std::cell::{Cell, RefCell};
use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

/// How often a step that takes long says something where there is no terminal.
const PLAIN_NEWS_EVERY: Duration = Duration::from_secs(10);

/// The width of the column of step names.
const NAME_WIDTH: usize = 11;

/// Prints a line about the work itself. A reader that went away is not an error: what was
/// started must still be stopped in order.
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
    /// The clock starts here.
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

    /// Ends a step that worked; `result` says in a few words what came of it.
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

    /// The time since the command started.
    pub(crate) fn elapsed(&self) -> String {
        seconds(self.started.elapsed())
    }

    /// Every step with its seconds, and their sum: the time from the start to now.
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

/// A step that runs. Dropped without [`Steps::end`], it failed or was interrupted.
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

    /// What the step is doing: passing news, replaced by the next.
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

    /// Something the user should still see when the step is over.
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
