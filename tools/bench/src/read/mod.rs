//! `bench read`: the speed of lists and searches, the recall of searches, and disk use.

mod cases;
mod exact;
mod recall;
pub(crate) mod statement;
pub(crate) mod texts;
mod values;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result};
use chrono::Utc;
use clap::Args;
use futures::future::try_join;
use serde_json::json;
use url::form_urlencoded::Serializer;

use self::cases::Search;
use self::exact::ExactSearch;
use self::texts::Query;
pub(crate) use self::values::LOADED;
use self::values::Values;
use crate::case::{Case, Requests};
use crate::client::{Request, Service};
use crate::cpu::Meter;
use crate::database::{Database, process_of};
use crate::load::{self, add_errors};
use crate::machine::new_report;
use crate::measure::Setup;
use crate::pgbench;
use crate::record::{Generator, new_run_id, parse_run_id};
use crate::report::{AtRate, DiskUse, Latency, Measure, Mode, Report, markdown};

/// The path of incidents.
pub(crate) const LIST: &str = "/api/v1/incidents";

/// The path of searches.
pub(crate) const SEARCH: &str = "/api/v1/incidents/search";

/// The connections of the writes beside searches: enough even if answers take a tenth of a second.
const WRITE_CONNECTIONS: usize = 32;

/// Time before each measurement that does not count.
const WARM_UP: Duration = Duration::from_secs(1);

/// The query part of a URL.
pub(crate) fn query_string(parameters: &[(&'static str, String)]) -> String {
    Serializer::new(String::new())
        .extend_pairs(parameters)
        .finish()
}

/// Measures how fast and how well incidents are read, in a database that `bench load` filled.
///
/// Needs a running service and the URL of its database, both on this machine; the URL's user must
/// be allowed to read everything. Lists are compared with pgbench, which runs the service's
/// statement with the same parameters. Each case is one request, sent again and again, so its data
/// is in memory. The values to filter by are chosen from the database, and totals are checked.
///
/// Searches are compared with exact ones, made by SQL that reads every vector, and then measured
/// alone and while new records arrive at a constant rate. Those records stay: use a database that
/// nobody needs, or --writes-per-second 0. The service must embed with the local model, or with
/// that of tests/fakes/embedder.
///
/// Ends with 1 if a request failed, or a total or a result was wrong.
#[derive(Args)]
pub(crate) struct Options {
    /// The service.
    #[arg(long, default_value = "http://127.0.0.1:8080")]
    url: String,
    /// The service's database: postgres://USER:PASSWORD@127.0.0.1:5432/DATABASE.
    #[arg(long, env = "DATABASE_URL", hide_env_values = true)]
    database_url: String,
    /// Connections that send at the same time.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=64))]
    connections: u16,
    /// The length of each measurement.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: u64,
    /// Measurements of each case; every second round is reversed.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=20))]
    rounds: u64,
    /// Names of cases, or their starts [default: all cases].
    #[arg(long, value_delimiter = ',')]
    cases: Vec<String>,
    /// The number of texts to search for. No incident has every second one.
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    queries: u64,
    /// Records that arrive per second during the searches.
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(0..=5_000))]
    writes_per_second: u32,
    /// The program pgbench [default: beside an embedded PostgreSQL under .data, or on PATH].
    #[arg(long)]
    pgbench: Option<PathBuf>,
    /// Measure lists without pgbench.
    #[arg(long, conflicts_with = "pgbench")]
    no_pgbench: bool,
    /// The process id of the service, to measure its CPU time.
    #[arg(long)]
    host_pid: Option<u32>,
    /// The seed of the texts and the records.
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

/// Runs the command.
pub(crate) async fn run(options: &Options) -> Result<ExitCode> {
    let service = Service::parse(&options.url)?;
    let database = Database::parse(&options.database_url)?;
    service.require_ready().await?;
    let client = database.connect().await?;
    let begun_at = Utc::now();
    let mut report = new_report(Mode::Read, begun_at, &client).await?;
    report.is_running_service = true;
    let run_id = options.run_id.clone().unwrap_or_else(new_run_id);
    eprintln!("bench: choosing the values to ask for");
    let values = Values::read(&client).await?;
    let incidents = u64::try_from(values.incidents).unwrap_or(0);
    report.disk = DiskUse::new(dataset::sizes(&client).await?, incidents);
    let (lists, checks) = cases::lists(&service, &client, &values, &options.cases).await?;
    report.lists = checks;
    let searches = cases::searches(&values, &options.cases)?;
    cases::check_wanted(&options.cases, &lists, &searches)?;
    let pgbench = match options.no_pgbench || lists.is_empty() {
        true => None,
        false => Some(pgbench::find(options.pgbench.as_deref())?),
    };
    let generator = Generator::new(options.seed, &run_id, begun_at);
    let setup = Setup {
        meter: Meter::new(options.host_pid, None, process_of(&client).await?)?,
        service,
        client,
        database,
        is_disposable: false,
        incidents,
        generator: &generator,
        pgbench: pgbench.as_deref(),
        rounds: usize::try_from(options.rounds)?,
        warm_up: WARM_UP,
        duration: Duration::from_secs(options.seconds),
    };
    for (name, value) in [
        ("run", json!(run_id)),
        ("seed", json!(options.seed)),
        ("rounds", json!(options.rounds)),
        ("seconds", json!(options.seconds)),
        ("queries", json!(options.queries)),
        ("writes_per_second", json!(options.writes_per_second)),
    ] {
        report.settings.insert(name.to_owned(), value);
    }
    let connections = usize::from(options.connections);
    report.measures = setup.measure(&lists, &[connections]).await?;
    // The writes beside the searches change the lists, and so come last.
    measure_searches(options, &setup, &searches, connections, &mut report).await?;
    println!("{}", markdown(&report));
    if let Some(path) = &options.json {
        report.write(path)?;
    }
    Ok(match report.error_count() {
        0 => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    })
}

async fn measure_searches(
    options: &Options,
    setup: &Setup<'_>,
    searches: &[Search],
    connections: usize,
    report: &mut Report,
) -> Result<()> {
    if searches.is_empty() {
        return Ok(());
    }
    let model = recall::find_model(&setup.service).await?;
    report
        .settings
        .insert("model".to_owned(), json!(model.name()));
    eprintln!("bench: preparing the exact search");
    let queries = texts::draw(&setup.client, options.queries, options.seed).await?;
    let filters: Vec<_> = searches.iter().map(|one| &one.query.filter).collect();
    let exact = ExactSearch::prepare(&setup.client, model, &filters).await?;
    report.recall = recall::measure(&setup.service, &exact, searches, &queries).await?;
    let cases: Vec<Case> = searches.iter().map(|one| case(one, &queries)).collect();
    report
        .measures
        .extend(setup.measure(&cases, &[connections]).await?);
    if options.writes_per_second > 0 {
        for case in &cases {
            let rate = options.writes_per_second;
            let (measure, writes) = beside_writes(setup, case, connections, rate).await?;
            report.measures.push(measure);
            report.at_rate.push(writes);
        }
    }
    Ok(())
}

fn case(search: &Search, queries: &[Query]) -> Case {
    let paths = queries.iter().map(|query| search.path(&query.text));
    Case {
        name: search.name.clone(),
        requests: Requests::Read(paths.collect()),
        script: None,
        rate_per_second: None,
    }
}

/// A closed loop of searches beside writes at a constant rate. Their CPU times cannot be told apart.
async fn beside_writes(
    setup: &Setup<'_>,
    case: &Case,
    connections: usize,
    per_second: u32,
) -> Result<(Measure, AtRate)> {
    let mut measure = Measure {
        name: format!("{}-beside-writes", case.name),
        incidents: setup.incidents,
        connections: connections as u64,
        ..Measure::default()
    };
    let mut latencies = load::histogram()?;
    let mut writes = load::Outcome::new()?;
    for round in 0..setup.rounds {
        setup.settle().await;
        let series = format!("{}-{round}", case.name);
        let search = |number| case.requests.make(setup.generator, &series, number);
        let write = |number| {
            let (kind, record) = setup.generator.report(&series, number)?;
            Ok(Request::write(kind, record))
        };
        let searching = setup.load(connections, &search);
        let writing = setup.load(WRITE_CONNECTIONS, &write);
        let (searched, written) = try_join(
            load::run_closed_loop(&searching),
            load::run_at_rate(&writing, per_second),
        )
        .await?;
        let rate = searched.answered() as f64 / setup.duration.as_secs_f64();
        eprintln!("bench: {}: {rate:.0}/s", measure.name);
        measure.service_per_second.push(rate);
        add_errors(&mut measure.errors, searched.errors);
        let added = latencies.add(searched.latencies);
        added.context("add the latencies up")?;
        writes.add(written)?;
    }
    measure.closed_loop_latency = Some(Latency::new(&latencies));
    let at_rate = AtRate {
        name: format!("writes-beside-{}", case.name),
        incidents: setup.incidents,
        connections: WRITE_CONNECTIONS as u64,
        per_second: per_second.into(),
        requests: writes.answered() + writes.errors.values().sum::<u64>(),
        latency: Latency::new(&writes.latencies),
        errors: writes.errors,
    };
    Ok((measure, at_rate))
}
