//! Writes with the log and without it, in turn.

use anyhow::{Context as _, Result, anyhow, bail};
use tokio::signal::ctrl_c;
use tokio_postgres::Client;

use super::drain;
use crate::case::{Case, Requests};
use crate::load;
use crate::measure::Setup;
use crate::pgbench::Writes;
use crate::report::{Latency, LogWrites, Measure};

/// Numbers of connections of the closed loops.
const CONNECTIONS: [usize; 2] = [8, 64];

const NAME: &str = "write-repeat";

const READ_FUNCTION: &str = "SELECT pg_get_functiondef('write_audit_records'::regproc)";

/// Measures, and puts the function back even after an error.
pub(super) async fn measure(setup: &Setup<'_>, report: &mut Vec<LogWrites>) -> Result<()> {
    let row = setup.client.query_one(READ_FUNCTION, &[]).await;
    let logged: String = row.context("read write_audit_records")?.try_get(0)?;
    let unlogged = without_log(&logged)?;
    let measured = tokio::select! {
        measured = in_turn(setup, [&logged, &unlogged], report) => measured,
        _ = ctrl_c() => Err(anyhow!("interrupted")),
    };
    replace(&setup.client, &logged).await.context(
        "put write_audit_records back: apply migrations/functions_1_write.sql before anything else",
    )?;
    measured
}

/// `functions` are those that log and do not.
async fn in_turn(
    setup: &Setup<'_>,
    functions: [&str; 2],
    report: &mut Vec<LogWrites>,
) -> Result<()> {
    let mut measures = Vec::new();
    for connections in CONNECTIONS {
        for (function, how) in functions.into_iter().zip(["logged", "unlogged"]) {
            let name = format!("{NAME}-{how}");
            let case = Case::new(name, Requests::Write(Writes::Repeat));
            let measure = Measure {
                name: case.name.clone(),
                incidents: setup.incidents,
                connections: connections as u64,
                ..Measure::default()
            };
            measures.push((case, connections, function, measure, load::histogram()?));
        }
    }
    for round in 0..setup.rounds {
        let mut order: Vec<_> = measures.iter_mut().collect();
        if round % 2 == 1 {
            order.reverse();
        }
        for (case, connections, function, measure, latencies) in order {
            replace(&setup.client, function).await?;
            drain(&setup.service, &setup.client).await?;
            setup.settle().await;
            let taken = setup.run_service(case, *connections, round, measure);
            latencies
                .add(taken.await?)
                .context("add the latencies up")?;
            eprintln!(
                "bench: round {} of {}: {}, {connections} connections: {:.0}/s",
                round + 1,
                setup.rounds,
                case.name,
                measure.service_per_second.last().unwrap_or(&0.0),
            );
        }
    }
    let mut finished = measures
        .into_iter()
        .map(|(_, _, _, mut measure, latencies)| {
            measure.closed_loop_latency = Some(Latency::new(&latencies));
            measure
        });
    while let Some((logged, unlogged)) = finished.next().zip(finished.next()) {
        report.push(LogWrites {
            connections: logged.connections,
            logged,
            unlogged,
        });
    }
    Ok(())
}

async fn replace(client: &Client, function: &str) -> Result<()> {
    let replaced = client.batch_execute(function).await;
    replaced.context("replace write_audit_records; only its owner may")
}

/// The function without its parts of the log: the pending entries, and the election.
fn without_log(function: &str) -> Result<String> {
    let function = replaced(
        function,
        "WHERE record_id = ANY (inserted_ids)",
        "WHERE false",
    )?;
    replaced(&function, "claim_log_round()", "false")
}

/// A function with one part replaced.
fn replaced(function: &str, part: &str, by: &str) -> Result<String> {
    let mut parts = function.split(part);
    match (parts.next(), parts.next(), parts.next()) {
        (Some(before), Some(after), None) => Ok(format!("{before}{by}{after}")),
        _ => bail!(
            "write_audit_records does not have {part:?} once: apply the migrations, or adapt this \
             benchmark to the function"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: &str = include_str!("../../../../migrations/functions_1_write.sql");

    #[test]
    fn the_function_is_found_and_loses_its_parts_of_the_log_only() {
        let function = SOURCE
            .split("FUNCTION write_audit_records(")
            .nth(1)
            .unwrap();
        let without = without_log(function).unwrap();
        for gone in ["claim_log_round", "ANY (inserted_ids)"] {
            assert!(function.contains(gone), "{gone}");
            assert!(!without.contains(gone), "{gone}");
        }
        for kept in [
            "INSERT INTO audit_records",
            "FROM item WHERE false\n",
            "IF signs_log THEN\n        is_elected := false;\n",
        ] {
            assert!(without.contains(kept), "{kept}\n{without}");
        }
    }

    #[test]
    fn a_function_that_does_not_log_is_refused() {
        let without = without_log("WHERE record_id = ANY (inserted_ids); claim_log_round();");
        let error = without_log(&without.unwrap()).unwrap_err().to_string();
        assert!(error.contains("inserted_ids"), "{error}");
    }
}
