//! The incidents that the model is fitted to and measured on, as `data/` has them.

use anyhow::{Context as _, Result};
use serde::Deserialize;

/// Incidents that the model is fitted to.
pub(crate) const TRAINING: &str = include_str!("../data/training.jsonl");
/// Incidents on which choices between models were made.
pub(crate) const TUNING: &str = include_str!("../data/tuning.jsonl");
/// Incidents that no choice depends on.
pub(crate) const UNSEEN: &str = include_str!("../data/unseen.jsonl");

/// An incident, and what somebody asks who looks for it.
#[derive(Deserialize)]
pub(crate) struct Incident {
    signal: String,
    root_cause: String,
    action: String,
    /// Two questions in other words.
    pub(crate) questions: [String; 2],
}

impl Incident {
    /// The whole incident.
    pub(crate) fn text(&self) -> String {
        let Self {
            signal,
            root_cause,
            action,
            ..
        } = self;
        format!("{signal}\n{root_cause}\n{action}")
    }

    /// The incident, its parts as records have them, and its questions.
    pub(crate) fn texts(&self) -> Vec<String> {
        let Self {
            signal,
            root_cause,
            action,
            questions,
        } = self;
        let mut texts = vec![
            self.text(),
            format!("{root_cause}\n{action}"),
            signal.clone(),
            root_cause.clone(),
            action.clone(),
        ];
        texts.extend(questions.clone());
        texts
    }
}

/// Reads incidents, one per line.
pub(crate) fn read(lines: &str) -> Result<Vec<Incident>> {
    let incidents = lines.lines().zip(1..).map(|(line, number)| {
        serde_json::from_str(line).with_context(|| format!("read the incident of line {number}"))
    });
    incidents.collect()
}
