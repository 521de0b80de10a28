//! Reads of the log, and rounds, which a read of the checkpoint runs.

use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use tlog::{TILE_WIDTH, TilePath};

use super::{CHECKPOINT, state};
use crate::client::{Connection, Request};
use crate::load::{self, Errors, add_error};
use crate::measure::Setup;
use crate::report::{Latency, LogRead, LogRounds};
use crate::rng::Rng;

/// Entries that are pending when rounds are measured.
const PENDING: [i64; 4] = [1, 500, 5_000, 50_000];

/// Adds entries as long as real ones.
const FILL: &str = "\
    INSERT INTO log_pending (record_id, entry) \
    SELECT id, format( \
        '{\"commitment\":\"%s\",\"id\":%s,\"kind\":\"remediation\",\"month\":\"2026-01\",\
         \"recorded_at\":\"%s\",\"version\":1}', \
        encode(sha256(convert_to(id::text, 'UTF8')), 'base64'), id, log_time(now())) \
    FROM (SELECT nextval('audit_record_ids') AS id FROM generate_series(1, $1::bigint)) AS made_up";

/// Measures proofs, tiles and entries of random leaves, one after the other.
pub(super) async fn measure(
    setup: &Setup<'_>,
    count: u32,
    report: &mut Vec<LogRead>,
) -> Result<()> {
    let (_, size) = state(&setup.client).await?;
    let leaves = u64::try_from(size)?;
    let mut rng = Rng::new(&setup.generator.run);
    let drawn = (0..count).map(|_| i64::try_from(rng.below(leaves.max(1))));
    let drawn: Vec<i64> = drawn.collect::<Result<_, _>>()?;
    let rows = setup
        .client
        .query(
            "SELECT record_id FROM log_entries \
             WHERE leaf_index = ANY ($1) AND record_id IS NOT NULL ORDER BY random()",
            &[&drawn],
        )
        .await
        .context("draw records of the log")?;
    let proofs = rows.iter().map(|row| {
        let id: i64 = row.try_get(0)?;
        Ok(format!("/api/v1/audit/records/{id}/proof"))
    });
    let mut paths = vec![("proof", proofs.collect::<Result<Vec<_>>>()?)];
    let full_tiles = leaves / TILE_WIDTH;
    for (name, level) in [("tile", Some(0)), ("entries", None)] {
        let tile = |index| TilePath {
            level,
            index,
            width: TILE_WIDTH,
        };
        let count = if full_tiles > 0 { count } else { 0 };
        let tiles = (0..count).map(|_| format!("/log/v1/tile/{}", tile(rng.below(full_tiles))));
        paths.push((name, tiles.collect()));
    }
    for (name, paths) in paths {
        let mut connection = Connection::new(&setup.service);
        let (mut latencies, mut errors) = (load::histogram()?, Errors::new());
        for path in paths {
            let request = Request::get(path);
            let sent = Instant::now();
            let fault = match connection.send(&request).await {
                Ok(answer) => request.fault(&answer),
                Err(failure) => Some(failure.to_owned()),
            };
            match fault {
                Some(fault) => add_error(&mut errors, &fault, 1),
                None => load::record(&mut latencies, sent.elapsed()),
            }
        }
        report.push(LogRead {
            name: name.to_owned(),
            leaves,
            requests: latencies.len(),
            latency: Latency::new(&latencies),
            errors,
        });
    }
    Ok(())
}

/// Measures how long a checkpoint takes while so many made-up entries are pending. The database
/// must be disposable.
pub(super) async fn measure_rounds(
    setup: &Setup<'_>,
    pending_max: i64,
    report: &mut Vec<LogRounds>,
) -> Result<()> {
    ensure!(
        setup.is_disposable,
        "made-up entries would spoil the database"
    );
    for pending in PENDING
        .into_iter()
        .filter(|pending| *pending <= pending_max)
    {
        let mut milliseconds = Vec::new();
        for _ in 0..setup.rounds {
            let filled = setup.client.execute(FILL, &[&pending]).await;
            filled.context("add made-up entries")?;
            setup.settle().await;
            let sent = Instant::now();
            let answer = setup.service.send(&Request::get(CHECKPOINT)).await;
            let taken = sent.elapsed();
            let (is_pending, _) = state(&setup.client).await?;
            ensure!(
                answer.is_ok() && !is_pending,
                "{pending} pending entries are not logged by one checkpoint: {answer:?}"
            );
            milliseconds.push(taken.as_secs_f64() * 1e3);
        }
        eprintln!("bench: {pending} pending entries: {milliseconds:.0?} ms");
        report.push(LogRounds {
            pending: u64::try_from(pending)?,
            milliseconds,
        });
    }
    Ok(())
}
