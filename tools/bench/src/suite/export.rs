//! Reads records page by page, as an export does.

use std::time::Instant;

use anyhow::{Context as _, Result};
use nix::sys::signal::Signal;

use super::Suite;
use super::host::{SERVICE, memory_peak_mib};
use super::plan::Group;
use crate::client::{Connection, Request, Service};
use crate::load::{self, add_error};
use crate::log;
use crate::report::{Export, Latency, Report};

/// Where a walk begins, with the largest pages.
const FIRST_PAGE: &str = "/api/v1/audit/records?limit=1000";

/// How many records are read, if there are so many.
const RECORDS: u64 = 100_000;

impl Suite<'_> {
    /// Reads records page by page, with a host that does nothing else, after another one logged them.
    pub(super) async fn measure_exports(&self, report: &mut Report) -> Result<()> {
        if !self.plan.includes(Group::Read) {
            return Ok(());
        }
        let databases = self.plan.databases.iter();
        for stored in databases.filter(|one| matches!(one.purpose, Group::Read | Group::All)) {
            let host = self.start(SERVICE, &stored.url, None).await?;
            let setup = self.setup(host.as_ref(), stored).await?;
            let leaves = i64::try_from(RECORDS)?;
            log::log_up_to(&setup.service, &setup.client, leaves).await?;
            if let Some(mut host) = host {
                host.end(Signal::SIGTERM).await?;
            }
            let host = self.start(SERVICE, &stored.url, None).await?;
            let setup = self.setup(host.as_ref(), stored).await?;
            let mut export = read(&setup.service).await?;
            export.incidents = stored.incidents;
            if let Some(mut host) = host {
                export.host_peak_mib = memory_peak_mib(host.pid);
                host.end(Signal::SIGTERM).await?;
            }
            eprintln!(
                "bench: export, {} incidents: {} records, {:.0}/s",
                stored.incidents, export.records, export.records_per_second
            );
            report.exports.push(export);
        }
        Ok(())
    }
}

/// Reads the records from the first one on, as lines of JSON.
async fn read(service: &Service) -> Result<Export> {
    let mut connection = Connection::new(service);
    let mut export = Export::default();
    let mut latencies = load::histogram()?;
    let mut next = Some(FIRST_PAGE.to_owned());
    let begun = Instant::now();
    while let Some(path) = next.take()
        && export.records < RECORDS
    {
        let request = Request::get_lines(path);
        let sent = Instant::now();
        let answer = connection.send(&request).await;
        load::record(&mut latencies, sent.elapsed());
        let fault = match &answer {
            Ok(answer) => request.fault(answer),
            Err(failure) => Some((*failure).to_owned()),
        };
        if let Some(fault) = fault {
            add_error(&mut export.errors, &fault, 1);
        } else if let Ok(answer) = answer {
            let lines = answer.body.iter().filter(|byte| **byte == b'\n').count();
            export.records += u64::try_from(lines).context("count the lines of a page")?;
            export.bytes += answer.body.len() as u64;
            next = answer.next_page().map(str::to_owned);
        }
    }
    export.seconds = begun.elapsed().as_secs_f64();
    export.records_per_second = export.records as f64 / export.seconds;
    export.latency = Latency::new(&latencies);
    let nothing = u64::from(export.records == 0);
    add_error(&mut export.errors, "no record was read", nothing);
    Ok(export)
}
