//! `bench log`: what the tamper-evident log costs, and how soon and how fast it proves a record.

mod age;
mod reads;
mod writes;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use clap::Args;
use http::StatusCode;
use tokio_postgres::Client;

use crate::client::{Request, Service};
use crate::cpu::Meter;
use crate::database::{Database, process_of};
use crate::machine::{entries, new_report};
use crate::measure::Setup;
use crate::record::Generator;
use crate::report::{LogDisk, LogReport, Mode, Report, markdown};

/// Signs the log and answers with its checkpoint.
const CHECKPOINT: &str = "/log/v1/checkpoint";

/// Time before each measurement that does not count.
const WARM_UP: Duration = Duration::from_secs(2);

/// Measures the tamper-evident log of a running service.
///
/// Needs the service, with a `log_signing_key`, and the URL of its database, whose user must own it,
/// both on this machine. First logs everything that is pending: with a million incidents that takes
/// minutes.
///
/// Writes are measured with the log and without it: without it, PostgreSQL's function
/// `write_audit_records` is replaced for the time by itself without its parts of the log. Rounds are
/// measured with made-up entries. Both spoil the database, and are left out without --throw-away.
///
/// Ends with 1 if a request failed.
#[derive(Args)]
pub(crate) struct Options {
    /// The service.
    #[arg(long, default_value = "http://127.0.0.1:8080")]
    url: String,
    /// The service's database: postgres://USER:PASSWORD@127.0.0.1:5432/DATABASE.
    #[arg(long, env = "DATABASE_URL", hide_env_values = true)]
    database_url: String,
    /// Nobody needs the database: records without an entry and made-up entries may stay in it.
    #[arg(long)]
    throw_away: bool,
    /// Measurements of each case; every second round is reversed.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=20))]
    rounds: u32,
    /// The length of each measurement with and without the log.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: u64,
    /// The length of each measurement of ages.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(2..=600))]
    age_seconds: u64,
    /// The process id of the service, to measure its CPU time.
    #[arg(long)]
    host_pid: Option<u32>,
    /// The process id of Redis, to measure its CPU time.
    #[arg(long)]
    redis_pid: Option<u32>,
    /// Also write the report as JSON, to this file.
    #[arg(long)]
    json: Option<PathBuf>,
}

/// A part of the measurement.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Part {
    /// Writes with and without the log.
    Writes,
    /// From when a record is stored until a checkpoint covers it.
    Ages,
    /// Proofs, tiles and entries.
    Reads,
    /// Rounds with many pending entries.
    Rounds,
}

impl Part {
    pub(crate) const ALL: [Self; 4] = [Self::Writes, Self::Ages, Self::Reads, Self::Rounds];
}

/// How much is measured.
pub(crate) struct Extent {
    /// The length of a measurement of ages.
    pub(crate) ages: Duration,
    /// Divides all rates.
    pub(crate) rate_divisor: u32,
    /// The most entries that are made pending at once.
    pub(crate) pending_max: i64,
    /// Reads of each kind.
    pub(crate) reads: u32,
}

impl Extent {
    /// What is measured unless the time is short.
    pub(crate) fn full(ages: Duration) -> Self {
        Self {
            ages,
            rate_divisor: 1,
            pending_max: 50_000,
            reads: 2_000,
        }
    }
}

/// Runs the command.
pub(crate) async fn run(options: &Options) -> Result<ExitCode> {
    let parts: &[Part] = if options.throw_away {
        &Part::ALL
    } else {
        &[Part::Ages, Part::Reads]
    };
    let service = Service::parse(&options.url)?;
    let database = Database::parse(&options.database_url)?;
    service.require_ready().await?;
    let client = database.connect().await?;
    let mut report = new_report(Mode::Log, &client).await?;
    report.is_running_service = true;
    report.settings = entries([
        ("rounds", options.rounds.into()),
        ("seconds", options.seconds.into()),
        ("age_seconds", options.age_seconds.into()),
    ]);
    let counted = client.query_one("SELECT count(*) FROM incidents", &[]);
    let counted: i64 = counted.await.context("count the incidents")?.try_get(0)?;
    let generator = Generator::new()?;
    let process = process_of(&client).await?;
    let mut setup = Setup {
        meter: Meter::new(options.host_pid, options.redis_pid, process)?,
        service,
        client,
        database,
        is_disposable: options.throw_away,
        incidents: u64::try_from(counted)?,
        generator: &generator,
        pgbench: None,
        rounds: usize::try_from(options.rounds)?,
        warm_up: WARM_UP,
        duration: Duration::from_secs(options.seconds),
    };
    let extent = Extent::full(Duration::from_secs(options.age_seconds));
    let measured = measure(&mut setup, parts, &extent, &mut report).await;
    // What was measured before an error is worth keeping.
    println!("{}", markdown(&report));
    if let Some(path) = &options.json {
        report.write(path)?;
    }
    measured?;
    Ok(match report.error_count() {
        0 => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    })
}

/// Measures parts, after everything that is pending was logged.
pub(crate) async fn measure(
    setup: &mut Setup<'_>,
    parts: &[Part],
    extent: &Extent,
    report: &mut Report,
) -> Result<()> {
    eprintln!("bench: logging what is pending");
    drain(&setup.service, &setup.client).await?;
    let mut log = LogReport {
        incidents: setup.incidents,
        ..LogReport::default()
    };
    let measured = measure_parts(setup, parts, extent, &mut log).await;
    report.log.push(log);
    measured
}

async fn measure_parts(
    setup: &mut Setup<'_>,
    parts: &[Part],
    extent: &Extent,
    log: &mut LogReport,
) -> Result<()> {
    if parts.contains(&Part::Writes) {
        writes::measure(setup, &mut log.writes).await?;
    }
    if parts.contains(&Part::Ages) {
        setup.duration = extent.ages;
        age::measure(setup, extent.rate_divisor, &mut log.ages).await?;
    }
    drain(&setup.service, &setup.client).await?;
    log.disk = disk(&setup.client).await?;
    if parts.contains(&Part::Reads) {
        reads::measure(setup, extent.reads, &mut log.reads).await?;
    }
    if parts.contains(&Part::Rounds) {
        reads::measure_rounds(setup, extent.pending_max, &mut log.rounds).await?;
    }
    Ok(())
}

/// Logs what is pending.
pub(crate) async fn drain(service: &Service, client: &Client) -> Result<()> {
    log_up_to(service, client, i64::MAX).await
}

/// Logs what is pending, until the log has so many leaves. Each checkpoint logs a part of it.
pub(crate) async fn log_up_to(service: &Service, client: &Client, leaves: i64) -> Result<()> {
    let (mut is_pending, mut size) = state(client).await?;
    while is_pending && size < leaves {
        let answer = service.send(&Request::get(CHECKPOINT)).await;
        let before = size;
        (is_pending, size) = state(client).await?;
        if is_pending && size == before {
            match answer {
                Ok(answer) if answer.status == StatusCode::OK => {
                    bail!("a checkpoint leaves entries pending: look at the service's log")
                }
                Ok(answer) => bail!(
                    "the service at {service} does not sign the log, look at its log_signing_key: \
                     {answer}"
                ),
                Err(failure) => bail!("{CHECKPOINT} is not answered: {failure}"),
            }
        }
    }
    Ok(())
}

/// Whether entries are pending, and the size of the log.
async fn state(client: &Client) -> Result<(bool, i64)> {
    let row = client
        .query_one(
            "SELECT EXISTS (SELECT FROM log_pending), size FROM log_head",
            &[],
        )
        .await
        .context("read the state of the log")?;
    Ok((row.try_get(0)?, row.try_get(1)?))
}

/// What the log takes on disk; nothing is pending.
async fn disk(client: &Client) -> Result<Vec<LogDisk>> {
    let rows = client
        .query(
            "SELECT name, pg_total_relation_size(name::regclass), size \
             FROM log_head, unnest('{log_entries,log_tiles,log_pending}'::text[]) AS name",
            &[],
        )
        .await
        .context("read the sizes of the log's tables")?;
    rows.iter()
        .map(|row| {
            let (bytes, leaves): (i64, i64) = (row.try_get(1)?, row.try_get(2)?);
            Ok(LogDisk {
                name: row.try_get(0)?,
                bytes,
                leaves,
                bytes_per_leaf: bytes as f64 / leaves.max(1) as f64,
            })
        })
        .collect()
}
