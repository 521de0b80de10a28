//! `bench write`: how fast records are written.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use chrono::{SecondsFormat, Utc};
use clap::{Args, ValueEnum};
use http::StatusCode;
use serde::Serialize;
use tokio_postgres::Client;

use crate::client::{Answer, Call, Service, require_ready};
use crate::cpu::Meter;
use crate::database::{Database, process_of};
use crate::load::{self, Load};
use crate::machine::Surroundings;
use crate::pgbench::{self, PgBench, Sort, WriteScripts};
use crate::record::{ALERTS, Generator, RecordKind, known_alert};
use crate::report::{LEGEND, Measured, Round, error_count, hand_out, table};
use crate::rounds::{self, name_of, take_all};

/// How many records are sent again and again.
const REPLAYED_RECORDS: u64 = 1_000;

/// How many of a hundred records of [`Measure::WriteMixedText`] have a text seen before.
const MIXED_KNOWN_PERCENT: u64 = 40;

/// How long setting up may take: a thousand and some writes.
const SETTING_UP_MAX: Duration = Duration::from_secs(120);

/// Measures how fast the service writes, beside what PostgreSQL does with the same statement.
///
/// Needs a running service and the URL of its database, both on this machine. The records
/// stay there: use a database of which nothing is kept.
#[derive(Args)]
pub(crate) struct Options {
    /// The service.
    #[arg(long, default_value = "http://127.0.0.1:8080")]
    url: String,
    /// The service's database: postgres://USER:PASSWORD@127.0.0.1:5432/DATABASE.
    #[arg(long, env = "DATABASE_URL", hide_env_values = true)]
    database_url: String,
    /// The kind of record that is written.
    #[arg(long, value_enum, default_value = "remediation")]
    kind: RecordKind,
    /// The size of a remediation's original payload, up to 65,536 bytes.
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(0..=65_536))]
    payload_bytes: u32,
    /// How many connections send at once.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=64))]
    connections: u16,
    /// How long each measure runs, in each round.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: u64,
    /// How often every measure is taken, one after the other; every second time backwards.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=20))]
    rounds: u64,
    /// What is measured [default: everything].
    #[arg(long, value_enum, value_delimiter = ',')]
    measures: Vec<Measure>,
    /// No more requests than this in one measure of one round.
    #[arg(long, default_value_t = 1_000_000)]
    requests_max: u64,
    /// The program pgbench [default: beside an embedded PostgreSQL under .data, or on PATH].
    /// Not needed where --measures leaves all of its measures out.
    #[arg(long)]
    pgbench: Option<PathBuf>,
    /// The process id of the service, to measure its CPU time.
    #[arg(long)]
    host_pid: Option<u32>,
    /// What the records are made from.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The run's name, part of the records' names: lower-case letters and digits [default:
    /// from the clock].
    #[arg(long, value_parser = parse_run_id)]
    run_id: Option<String>,
    /// Also write the report as JSON, to this file.
    #[arg(long)]
    json: Option<PathBuf>,
}

/// One thing to measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Measure {
    /// New records whose text was seen before.
    WriteKnownText,
    /// The same without the service.
    PgbenchKnownText,
    /// New records of new texts.
    WriteFreshText,
    /// The same without the service.
    PgbenchFreshText,
    /// New records, of which 40 of 100 have a text that was seen before.
    WriteMixedText,
    /// The same 1,000 records again.
    WriteReplay,
    /// The same without the service.
    PgbenchReplay,
    /// A path that no route has: what the host does at most.
    FloorFallback,
    /// The readiness check: two tiny statements.
    FloorReady,
}

impl rounds::Measure for Measure {
    fn name(self) -> String {
        name_of(&self)
    }

    fn counterpart(self) -> Option<Self> {
        match self {
            Self::WriteKnownText => Some(Self::PgbenchKnownText),
            Self::WriteFreshText => Some(Self::PgbenchFreshText),
            Self::WriteReplay => Some(Self::PgbenchReplay),
            _ => None,
        }
    }
}

impl Measure {
    fn pgbench_sort(self) -> Option<Sort> {
        match self {
            Self::PgbenchKnownText => Some(Sort::KnownText),
            Self::PgbenchFreshText => Some(Sort::FreshText),
            Self::PgbenchReplay => Some(Sort::Replay),
            _ => None,
        }
    }
}

/// A run's name must fit into names of Kubernetes objects and SQL patterns.
pub(crate) fn parse_run_id(text: &str) -> Result<String> {
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    ensure!(
        (1..=40).contains(&text.len()) && text.bytes().all(is_plain),
        "a run's name is 1 to 40 lower-case letters and digits"
    );
    Ok(text.to_owned())
}

/// The run's name, if it was given none.
pub(crate) fn run_id_from_clock() -> String {
    format!("{:x}", Utc::now().timestamp_millis())
}

/// A whole run.
#[derive(Debug, Serialize)]
struct Report {
    /// When it began, RFC 3339.
    date: String,
    /// Its name.
    run_id: String,
    /// What the records were made from.
    seed: u64,
    /// The kind of record that was written.
    kind: RecordKind,
    /// The size of a remediation's original payload.
    payload_bytes: usize,
    /// How many connections each measure used.
    connections: usize,
    /// How long each measure ran, per round.
    seconds: u64,
    /// How often each measure was taken.
    rounds: u64,
    /// Where and with what.
    surroundings: Surroundings,
    /// The measures.
    measures: Vec<Measured>,
}

impl Report {
    fn to_markdown(&self) -> String {
        format!(
            "{} on {}; {:?} records, payload {} bytes, {} connections, {} s a measure, {} rounds, \
             run {}, seed {}.\n\n{}\n{LEGEND}",
            self.date,
            self.surroundings,
            self.kind,
            self.payload_bytes,
            self.connections,
            self.seconds,
            self.rounds,
            self.run_id,
            self.seed,
            table(&self.measures),
        )
    }
}

struct Bench<'a> {
    options: &'a Options,
    service: Service,
    generator: Generator,
    meter: Meter,
    pgbench: Option<(PgBench<'a>, WriteScripts)>,
}

/// Runs the command.
pub(crate) async fn run(options: &Options) -> Result<ExitCode> {
    let service = Service::parse(&options.url)?;
    let database = Database::parse(&options.database_url)?;
    let measures = if options.measures.is_empty() {
        Measure::value_variants().to_vec()
    } else {
        options.measures.clone()
    };
    let program = if measures
        .iter()
        .any(|measure| measure.pgbench_sort().is_some())
    {
        Some(pgbench::find(options.pgbench.as_deref())?)
    } else {
        None
    };
    require_ready(&service).await?;
    let client = database.connect().await?;
    let begun_at = Utc::now();
    let run_id = options.run_id.clone().unwrap_or_else(run_id_from_clock);
    let payload_bytes = usize::try_from(options.payload_bytes).context("read --payload-bytes")?;
    let generator = Generator::new(options.seed, &run_id, begun_at, payload_bytes);
    let surroundings = Surroundings::read(&client).await?;
    let mut bench = Bench {
        options,
        service,
        generator,
        meter: Meter::new(options.host_pid, process_of(&client).await?)?,
        pgbench: None,
    };
    bench.set_up().await?;
    if let Some(program) = program {
        let pgbench = PgBench::new(program, &database, usize::from(options.connections))?;
        let model = stored_model(&client).await?;
        let scripts = WriteScripts::new(&bench.generator, options.kind, &model)?;
        let replayed = scripts.of_replayed();
        pgbench.run_times(&replayed, REPLAYED_RECORDS).await?;
        bench.pgbench = Some((pgbench, scripts));
    }
    let report = Report {
        date: begun_at.to_rfc3339_opts(SecondsFormat::Secs, true),
        run_id,
        seed: options.seed,
        kind: options.kind,
        payload_bytes,
        connections: usize::from(options.connections),
        seconds: options.seconds,
        rounds: options.rounds,
        surroundings,
        measures: take_all(&measures, options.rounds, async |measure, round| {
            bench.measure(measure, round).await
        })
        .await?,
    };
    hand_out(&report.to_markdown(), &report, options.json.as_deref())?;
    Ok(if error_count(&report.measures) == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

impl Bench<'_> {
    /// Writes the texts that are to be known, and the records that are to be sent again.
    async fn set_up(&self) -> Result<()> {
        eprintln!("bench: writing what is to be there before");
        let known = |number| self.write("setup", number, known_alert(number));
        let replayed = |number| self.write("replay", number, known_alert(number));
        for (count, call) in [
            (ALERTS.len() as u64, &known as &dyn Fn(u64) -> Result<Call>),
            (REPLAYED_RECORDS, &replayed),
        ] {
            let outcome = load::run(&Load {
                service: &self.service,
                connections: usize::from(self.options.connections),
                duration: SETTING_UP_MAX,
                requests_max: count,
                call,
                fault: &|answer| answer.fault_unless(StatusCode::CREATED),
            })
            .await?;
            if outcome.answered != count {
                bail!(
                    "{} of {count} records could be written before the measurement ({}); look at \
                     the service's log",
                    outcome.answered,
                    outcome.errors
                );
            }
        }
        Ok(())
    }

    async fn measure(&self, measure: Measure, round: u64) -> Result<Round> {
        let before = self.meter.read()?;
        if let Some(sort) = measure.pgbench_sort() {
            let (pgbench, scripts) = self.pgbench.as_ref().context("pgbench was not found")?;
            let seed = self.options.seed.wrapping_add(round);
            let duration = Duration::from_secs(self.options.seconds);
            let script = scripts.of(sort, REPLAYED_RECORDS);
            let outcome = pgbench.run(&script, duration, seed).await?;
            let used = self.meter.read()?.since(&before);
            return Ok(Round::of_pgbench(&outcome, &used));
        }
        let sort = format!("{}-{round}", name_of(&measure));
        let call = |number| match measure {
            Measure::WriteFreshText => {
                self.write(&sort, number, &self.generator.fresh_text(&sort, number))
            }
            Measure::WriteMixedText => {
                let is_seen_before = number % 100 < MIXED_KNOWN_PERCENT;
                if is_seen_before {
                    self.write(&sort, number, known_alert(number))
                } else {
                    self.write(&sort, number, &self.generator.fresh_text(&sort, number))
                }
            }
            Measure::WriteReplay => {
                let number = number % REPLAYED_RECORDS;
                self.write("replay", number, known_alert(number))
            }
            Measure::FloorFallback => Ok(Call::get("/no-such-path")),
            Measure::FloorReady => Ok(Call::get("/health/ready")),
            _ => self.write(&sort, number, known_alert(number)),
        };
        let fault = |answer: &Answer| match measure {
            Measure::FloorFallback => answer.fault_unless(StatusCode::NOT_FOUND),
            Measure::FloorReady => answer.fault_unless(StatusCode::OK),
            _ => answer.fault_unless(StatusCode::CREATED).or_else(|| {
                match (answer.is_replayed, measure == Measure::WriteReplay) {
                    (true, false) => Some("201 for a replay, though the record is new".to_owned()),
                    (false, true) => Some("201 for a new record, though replayed".to_owned()),
                    _ => None,
                }
            }),
        };
        let outcome = load::run(&Load {
            service: &self.service,
            connections: usize::from(self.options.connections),
            duration: Duration::from_secs(self.options.seconds),
            requests_max: self.options.requests_max,
            call: &call,
            fault: &fault,
        })
        .await?;
        let used = self.meter.read()?.since(&before);
        Ok(Round::of_load(&outcome, Some(&used)))
    }

    fn write(&self, sort: &str, number: u64, alert: &str) -> Result<Call> {
        let kind = self.options.kind;
        let record = self.generator.record(kind, sort, number, alert)?;
        Ok(Call::write(kind, record))
    }
}

/// The name under which the service stores its vectors.
async fn stored_model(client: &Client) -> Result<String> {
    client
        .query_one(
            "SELECT model FROM embeddings WHERE text_hash = sha256(convert_to($1, 'UTF8')) \
             ORDER BY id DESC LIMIT 1",
            &[&known_alert(0)],
        )
        .await
        .and_then(|row| row.try_get(0))
        .context(
            "find the vector that the service just stored; is --database-url the service's \
             database?",
        )
}
