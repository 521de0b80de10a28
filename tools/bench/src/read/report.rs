//! What was measured, as Markdown for people and JSON for programs.

use std::fmt::Write as _;

use serde::Serialize;

use super::lists::{Listed, Total};
use super::recall::{Recall, Share};
use crate::disk::Disk;
use crate::machine::Surroundings;
use crate::report::{LEGEND, Measured, error_count, table};

/// A whole run.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    /// When it began, RFC 3339.
    pub(crate) date: String,
    /// Its name.
    pub(crate) run_id: String,
    /// What the queries and the records were made from.
    pub(crate) seed: u64,
    /// How many connections each measure used.
    pub(crate) connections: u16,
    /// How long each measure ran, per round.
    pub(crate) seconds: u64,
    /// How often each measure was taken.
    pub(crate) rounds: u64,
    /// How many records arrived in a second during the searches.
    pub(crate) writes_per_second: u32,
    /// Where and with what.
    pub(crate) surroundings: Surroundings,
    /// The lists.
    pub(crate) lists: Lists,
    /// The searches.
    pub(crate) searches: Searches,
    /// What the tables and indexes took before the searches.
    pub(crate) disk: Disk,
}

/// What came of the lists.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Lists {
    /// Their requests.
    pub(crate) requests: Vec<Listed>,
    /// Their measures.
    pub(crate) measures: Vec<Measured>,
}

/// What came of the searches.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Searches {
    /// The model that embedded them.
    pub(crate) model: String,
    /// How many texts were searched for.
    pub(crate) queries: usize,
    /// How well they find.
    pub(crate) recall: Vec<Recall>,
    /// Their measures, and those of the writes beside them.
    pub(crate) measures: Vec<Measured>,
}

impl Report {
    /// How many errors there were: failed requests, wrong totals and wrong results.
    pub(crate) fn error_count(&self) -> u64 {
        let wrong_totals = self
            .lists
            .requests
            .iter()
            .filter(|listed| listed.is_wrong());
        let wrong_results: u64 = self
            .searches
            .recall
            .iter()
            .map(|recall| recall.wrong + recall.failed)
            .sum();
        error_count(&self.lists.measures)
            + error_count(&self.searches.measures)
            + wrong_totals.count() as u64
            + wrong_results
    }

    /// The report as Markdown.
    pub(crate) fn to_markdown(&self) -> String {
        let mut text = format!(
            "{} on {}; {} incidents, {} connections, {} s a measure, {} rounds, run {}, seed {}.\n",
            self.date,
            self.surroundings,
            self.disk.incidents,
            self.connections,
            self.seconds,
            self.rounds,
            self.run_id,
            self.seed,
        );
        // Writing to a String cannot fail.
        if !self.lists.requests.is_empty() {
            let (requests, measures) = (self.lists.to_markdown(), table(&self.lists.measures));
            let _ = write!(text, "\n## Lists\n\n{requests}\n{measures}");
        }
        if !self.searches.recall.is_empty() {
            let (recall, measures) = (self.searches.to_markdown(), table(&self.searches.measures));
            let _ = write!(
                text,
                "\n## Search\n\nSearches for {} texts with the model {}, compared with exact ones. Of incidents that are \
                 equally similar any is right. Understated results are more similar than is said, \
                 by a text that was missed; wrong ones are less similar, or do not pass the \
                 filter.\n\n{recall}\nMeasured alone and beside writes: {} records \
                 arrive in a second, of which the latency counts from when each was due.\n\n\
                 {measures}",
                self.searches.queries, self.searches.model, self.writes_per_second
            );
        }
        let _ = write!(text, "\n{LEGEND}\n## Disk\n\n{}", self.disk.to_markdown());
        text
    }
}

impl Lists {
    fn to_markdown(&self) -> String {
        let mut text =
            "| case | incidents | on the page | request |\n|---|---:|---:|---|\n".to_owned();
        for listed in &self.requests {
            let shown = |total: &Option<Total>| match total {
                None => "-".to_owned(),
                Some(Total { total, relation }) if relation == "eq" => total.to_string(),
                Some(Total { total, .. }) => format!("{total} or more"),
            };
            let mut total = shown(&listed.total);
            if listed.is_wrong() {
                let _ = write!(total, ", WRONG: {}", shown(&listed.expected));
            }
            // Writing to a String cannot fail.
            let _ = writeln!(
                text,
                "| {} | {total} | {} | `{}` |",
                listed.name, listed.rows, listed.path
            );
        }
        text
    }
}

impl Searches {
    fn to_markdown(&self) -> String {
        let mut text = "| case | request | recall@10 | of stored texts | of altered texts \
            | to be found | queries not complete | understated | wrong | failed |\n\
            |---|---|---:|---:|---:|---:|---:|---:|---:|---:|\n"
            .to_owned();
        let ratio = |share: Share| {
            let ratio = share.ratio();
            ratio.map_or("-".to_owned(), |ratio| format!("{ratio:.4}"))
        };
        for recall in &self.recall {
            // Writing to a String cannot fail.
            let _ = writeln!(
                text,
                "| {} | `{}` | {} | {} | {} | {} | {} | {} | {} | {} |",
                recall.name,
                recall.request,
                ratio(recall.all()),
                ratio(recall.verbatim),
                ratio(recall.altered),
                recall.all().expected,
                recall.incomplete.len(),
                recall.understated,
                recall.wrong,
                recall.failed,
            );
        }
        text
    }
}
