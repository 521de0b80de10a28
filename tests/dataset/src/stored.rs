//! What the service makes of an incident's records: read by its own code, and the texts named by
//! its own recipes.

use anyhow::{Context as _, Result, anyhow};
use chrono::{DateTime, TimeDelta, Utc};
use embedding::{EmbeddedText, EmbeddingRequest, Model};
use records::{
    AiAnalysis, Common, Content, Execution, Kind, Record, Remediation, Severity, Workflow,
};

use crate::{CLUSTER, Report};

/// How long after what it reports a record is stored.
const STORED_AFTER: TimeDelta = TimeDelta::milliseconds(120);

/// The records of one incident, at most one of each kind.
#[derive(Debug, Default)]
pub(crate) struct Incident {
    pub(crate) remediation: Option<Stored<Remediation>>,
    pub(crate) analysis: Option<Stored<AiAnalysis>>,
    pub(crate) workflow: Option<Stored<Workflow>>,
    pub(crate) execution: Option<Stored<Execution>>,
}

/// A record and the embedding of its text.
#[derive(Debug)]
pub(crate) struct Stored<K> {
    pub(crate) record: Record<K>,
    pub(crate) embedding: EmbeddingRequest,
}

/// What the tables take from a record, whatever its kind.
#[derive(Clone, Copy, Debug)]
pub(crate) struct View<'a> {
    pub(crate) kind: &'static str,
    pub(crate) common: &'a Common,
    pub(crate) content: &'a Content,
    pub(crate) cluster: &'a str,
    pub(crate) severity: Option<&'static str>,
    pub(crate) embedding: &'a EmbeddingRequest,
    pub(crate) request: Option<&'a str>,
    /// Namespace, type and name.
    pub(crate) target: Option<[&'a str; 3]>,
    pub(crate) signal_type: Option<&'a str>,
    pub(crate) root_cause: Option<&'a str>,
}

impl Incident {
    /// Reads an incident's records as the service does.
    pub(crate) fn read(reports: &[Report]) -> Result<Self> {
        let mut incident = Self::default();
        for report in reports {
            match report.kind {
                Remediation::NAME => incident.remediation = Some(read(report)?),
                AiAnalysis::NAME => incident.analysis = Some(read(report)?),
                Workflow::NAME => incident.workflow = Some(read(report)?),
                _ => incident.execution = Some(read(report)?),
            }
        }
        Ok(incident)
    }

    /// Its records, in the order in which their objects are made.
    pub(crate) fn views(&self) -> impl Iterator<Item = View<'_>> {
        let remediation = self.remediation.as_ref().map(|stored| {
            let kind = &stored.record.kind;
            View {
                severity: kind.severity.map(severity_name),
                request: Some(&stored.record.common.name),
                target: Some([&kind.target_namespace, &kind.target_type, &kind.target_name]),
                signal_type: Some(&kind.signal_type),
                ..stored.view()
            }
        });
        let analysis = self.analysis.as_ref().map(|stored| {
            let kind = &stored.record.kind;
            View {
                request: Some(&kind.remediation_request_ref),
                signal_type: kind.signal_type.as_deref(),
                root_cause: kind.root_cause.as_deref(),
                ..stored.view()
            }
        });
        let workflow = self.workflow.as_ref().map(|stored| View {
            request: Some(&stored.record.kind.remediation_request_ref),
            ..stored.view()
        });
        let execution = self.execution.as_ref().map(|stored| {
            let kind = &stored.record.kind;
            View {
                target: Some([&kind.target_namespace, &kind.target_type, &kind.target_name]),
                ..stored.view()
            }
        });
        [remediation, analysis, workflow, execution]
            .into_iter()
            .flatten()
    }

    /// Cluster, namespace, type and name of its target.
    pub(crate) fn target(&self) -> Result<[&str; 4]> {
        let stored = self.remediation.as_ref();
        let record = &stored
            .context("every made-up incident has a remediation")?
            .record;
        let kind = &record.kind;
        Ok([
            &record.cluster,
            &kind.target_namespace,
            &kind.target_type,
            &kind.target_name,
        ])
    }
}

impl<K: Kind> Stored<K> {
    fn view(&self) -> View<'_> {
        View {
            kind: K::NAME,
            common: &self.record.common,
            content: &self.record.content,
            cluster: &self.record.cluster,
            severity: None,
            embedding: &self.embedding,
            request: None,
            target: None,
            signal_type: None,
            root_cause: None,
        }
    }
}

impl View<'_> {
    /// When the service would have stored it: soon after the last that it reports.
    pub(crate) fn recorded_at(&self) -> DateTime<Utc> {
        let times = [self.common.started_at, self.common.completed_at];
        let last = times
            .into_iter()
            .flatten()
            .fold(self.common.created_at, DateTime::max);
        last.with_timezone(&Utc) + STORED_AFTER
    }
}

fn read<K: Kind + EmbeddedText>(report: &Report) -> Result<Stored<K>> {
    let body = serde_json::to_vec(&report.record).context("write a record as JSON")?;
    let record = Record::<K>::parse(&body, CLUSTER).map_err(|rejection| {
        anyhow!(
            "a made-up {} is not valid, change `reports.rs`: {:?}",
            report.kind,
            rejection.violations
        )
    })?;
    let embedding = EmbeddingRequest::new(Model::Local, record.kind.embedded_text());
    Ok(Stored { record, embedding })
}

fn severity_name(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical => "critical",
        Severity::High => "high",
        Severity::Medium => "medium",
        Severity::Low => "low",
    }
}
