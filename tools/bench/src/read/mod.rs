//! `bench read`: the speed of lists, outcomes and searches, the recall of searches, and disk use.

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
use clap::Args;
use futures::future::try_join;
use tokio_postgres::Client;
use url::form_urlencoded::Serializer;

use self::exact::ExactSearch;
pub(crate) use self::values::LOADED;
use crate::case::{Case, Requests};
use crate::client::Service;
use crate::cpu::Meter;
use crate::database::{Database, process_of};
use crate::machine::{entries, new_report};
use crate::measure::Setup;
use crate::pgbench::Writes;
use crate::record::Generator;
use crate::report::{DiskUse, Latency, Measure, Mode, Report, markdown};

/// The path of incidents.
pub(crate) const LIST: &str = "/api/v1/incidents";

/// The path of searches.
pub(crate) const SEARCH: &str = "/api/v1/incidents/search";

/// The connections of the writes beside searches: enough even if answers take a tenth of a second.
const WRITE_CONNECTIONS: usize = 32;

/// Time before each measurement that does not count.
const WARM_UP: Duration = Duration::from_secs(1);

/// The path of outcomes.
pub(crate) const OUTCOMES: &str = "/api/v1/outcomes";

/// The query part of a URL.
pub(crate) fn query_string(parameters: &[(impl AsRef<str>, String)]) -> String {
    Serializer::new(String::new())
        .extend_pairs(parameters)
        .finish()
}

/// The first and the last id of the incidents that no benchmark wrote.
pub(crate) async fn loaded_ids(client: &Client) -> Result<Option<(i64, i64)>> {
    let statement = format!("SELECT min(id), max(id) FROM incidents WHERE {LOADED}");
    let row = client.query_one(&statement, &[]).await;
    let row = row.context("read the ids of the incidents")?;
    let (first, last): (Option<i64>, Option<i64>) = (row.try_get(0)?, row.try_get(1)?);
    Ok(first.zip(last))
}

/// Measures how fast and how well incidents are read, in a database that `bench load` filled.
///
/// Needs a running service and the URL of its database, both on this machine; the URL's user must
/// be allowed to read everything. Each case is one request, sent again and again, so its data is in
/// memory. The values to filter by are chosen from the database, and totals are checked.
///
/// Searches are compared with exact ones, made by SQL that reads every vector, and then measured
/// alone and while new records arrive at a constant rate. Those records stay: use a database that
/// nobody needs, or --writes-per-second 0. The service must embed with the local model, or with
/// that of tests/fakes/embedder; else searches are left out.
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
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=20))]
    rounds: u32,
    /// The number of texts to search for. No incident has every second one.
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    queries: u64,
    /// Records that arrive per second during the searches.
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(0..=5_000))]
    writes_per_second: u32,
    /// The program pgbench, to compare lists with the service's statements.
    #[arg(long)]
    pgbench: Option<PathBuf>,
    /// The process id of the service, to measure its CPU time.
    #[arg(long)]
    host_pid: Option<u32>,
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
    let mut report = new_report(Mode::Read, &client).await?;
    report.is_running_service = true;
    let counted = client.query_one("SELECT count(*) FROM incidents", &[]);
    let counted: i64 = counted.await.context("count the incidents")?.try_get(0)?;
    let incidents = u64::try_from(counted)?;
    report.disk = DiskUse::new(dataset::sizes(&client).await?, incidents);
    eprintln!("bench: choosing the values to ask for");
    values::count(&client).await?;
    let (lists, checks) = cases::lists(&service, &client).await?;
    report.lists = checks;
    let generator = Generator::new()?;
    let mut setup = Setup {
        meter: Meter::new(options.host_pid, None, process_of(&client).await?)?,
        service,
        client,
        database,
        is_disposable: false,
        incidents,
        generator: &generator,
        pgbench: options.pgbench.as_deref(),
        rounds: usize::try_from(options.rounds)?,
        warm_up: WARM_UP,
        duration: Duration::from_secs(options.seconds),
    };
    report.settings = entries([
        ("rounds", options.rounds.into()),
        ("seconds", options.seconds.into()),
        ("queries", options.queries.into()),
        ("writes_per_second", options.writes_per_second.into()),
    ]);
    let connections = usize::from(options.connections);
    report.measures = setup.measure(&lists, &[connections]).await?;
    let searches = measure_searches(options.queries, &setup, connections, &mut report).await?;
    // The writes beside the searches change the lists, and so come last.
    if options.writes_per_second > 0 {
        setup.duration *= options.rounds;
        for case in &searches {
            beside_writes(&setup, case, connections, options, &mut report).await?;
        }
    }
    println!("{}", markdown(&report));
    if let Some(path) = &options.json {
        report.write(path)?;
    }
    Ok(match report.error_count() {
        0 => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    })
}

/// Measures the searches and their recall; returns the cases.
async fn measure_searches(
    queries: u64,
    setup: &Setup<'_>,
    connections: usize,
    report: &mut Report,
) -> Result<Vec<Case>> {
    let Some(model) = recall::find_model(&setup.service).await? else {
        return Ok(Vec::new());
    };
    let named = ("model".to_owned(), model.name().into());
    report.settings.extend([named]);
    let searches = cases::searches(&setup.client).await?;
    eprintln!("bench: preparing the exact search");
    let queries = texts::draw(&setup.client, queries).await?;
    let filters: Vec<_> = searches
        .iter()
        .map(|one| &one.query.nearest.filter)
        .collect();
    let exact = ExactSearch::prepare(&setup.client, model, &filters).await?;
    report.recall = recall::measure(&setup.service, &exact, &searches, &queries).await?;
    let cases = searches.iter().map(|search| {
        let paths = queries.iter().map(|query| search.path(&query.text));
        Case::read(search.name.as_str(), paths.collect(), None)
    });
    let cases: Vec<Case> = cases.collect();
    let measures = setup.measure(&cases, &[connections]).await?;
    report.measures.extend(measures);
    Ok(cases)
}

/// A closed loop of searches beside writes at a constant rate. Their CPU times cannot be told apart.
async fn beside_writes(
    setup: &Setup<'_>,
    case: &Case,
    connections: usize,
    options: &Options,
    report: &mut Report,
) -> Result<()> {
    let writes = Case::new(
        format!("writes-beside-{}", case.name),
        Requests::Write(Writes::Incidents),
    );
    let mut measure = Measure::default();
    setup.settle().await;
    let (latencies, writes) = try_join(
        setup.run_service(case, connections, 0, &mut measure),
        setup.at_rate(
            &writes,
            "rate",
            options.writes_per_second,
            WRITE_CONNECTIONS,
        ),
    )
    .await?;
    report.at_rate.push(writes);
    report.measures.push(Measure {
        name: format!("{}-beside-writes", case.name),
        incidents: setup.incidents,
        connections: connections as u64,
        service_per_second: measure.service_per_second,
        errors: measure.errors,
        closed_loop_latency: Some(Latency::new(&latencies)),
        ..Measure::default()
    });
    Ok(())
}
