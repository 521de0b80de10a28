//! `bench read`: how fast incidents are listed and found, how well they are found, and what all
//! of it takes on disk.

pub(crate) mod case;
mod exact;
mod groups;
mod lists;
mod pages;
mod recall;
mod report;
mod search;
pub(crate) mod statement;
pub(crate) mod texts;
pub(crate) mod values;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use chrono::{SecondsFormat, Utc};
use clap::Args;
use tokio_postgres::Client;

use self::case::{Case, Sort};
use self::exact::ExactSearch;
use self::lists::Lists;
use self::pages::Pages;
use self::recall::Search;
use self::report::Report;
use self::search::Searches;
use self::values::Values;
use crate::client::{Service, require_ready};
use crate::cpu::Meter;
use crate::database::{Database, process_of};
use crate::disk::Disk;
use crate::machine::Surroundings;
use crate::pgbench::{self, PgBench};
use crate::record::Generator;
use crate::report::hand_out;
use crate::run_id::{parse_run_id, run_id_from_clock};

/// The size of the original payload of a remediation that is written beside the searches.
const PAYLOAD_BYTES: usize = 200;

/// Measures how fast and how well incidents are read, of a database that `bench load` filled.
///
/// Needs a running service and the URL of its database, both on this machine; the URL's user must
/// be allowed to read everything. Lists are measured beside pgbench, which carries out the
/// service's own statement with the same parameters. Each case is one request, sent again and
/// again: what it reads is in memory. Values to filter by are chosen from the database. Before
/// it is measured each total is compared with a count.
///
/// Searches are first compared with exact ones, made by SQL that reads every vector, and then
/// measured, alone and while new records arrive at a constant rate. Those records stay there: use
/// a database of which nothing is kept, or --writes-per-second 0. The service must embed with the
/// model that is built in, or with the stand-in's (tests/fakes/embedder).
///
/// Ends with 1 when a request failed, or a total or a result was wrong.
#[derive(Args)]
pub(crate) struct Options {
    /// The service.
    #[arg(long, default_value = "http://127.0.0.1:8080")]
    url: String,
    /// The service's database: postgres://USER:PASSWORD@127.0.0.1:5432/DATABASE.
    #[arg(long, env = "DATABASE_URL", hide_env_values = true)]
    database_url: String,
    /// How many connections send at once.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=64))]
    connections: u16,
    /// How long each measure runs, in each round.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: u64,
    /// How often every measure is taken, one after the other; every second time backwards.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=20))]
    rounds: u64,
    /// What is measured: names of cases, or what they begin with [default: everything].
    #[arg(long, value_delimiter = ',')]
    cases: Vec<String>,
    /// How many texts are searched for. Every second one is not one that an incident has.
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    queries: u64,
    /// How many records arrive in a second during the searches.
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(0..=5_000))]
    writes_per_second: u32,
    /// The program pgbench [default: beside an embedded PostgreSQL under .data, or on PATH].
    #[arg(long)]
    pgbench: Option<PathBuf>,
    /// Measure lists without pgbench beside them.
    #[arg(long, conflicts_with = "pgbench")]
    no_pgbench: bool,
    /// The process id of the service, to measure its CPU time.
    #[arg(long)]
    host_pid: Option<u32>,
    /// What the texts to search for and the records are made from.
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
    require_ready(&service).await?;
    let client = database.connect().await?;
    let begun_at = Utc::now();
    let surroundings = Surroundings::read(&client).await?;
    let run_id = options.run_id.clone().unwrap_or_else(run_id_from_clock);
    eprintln!("bench: choosing what is asked for");
    let values = Values::read(&client).await?;
    let disk = Disk::new(dataset::sizes(&client).await?, values.incidents);
    let pages = Pages::find(&service).await?;
    let cases = case::choose(case::all(&values, &pages), &options.cases)?;
    let (searched, listed): (Vec<Case>, Vec<Case>) = cases
        .into_iter()
        .partition(|case| case.sort == Sort::Search);
    let pgbench = if listed.is_empty() || options.no_pgbench {
        None
    } else {
        let program = pgbench::find(options.pgbench.as_deref())?;
        let connections = usize::from(options.connections);
        Some(PgBench::new(program, &database, connections)?)
    };
    let bench = Bench {
        options,
        meter: Meter::new(options.host_pid, None, process_of(&client).await?)?,
        generator: Generator::new(options.seed, &run_id, begun_at, PAYLOAD_BYTES),
        service,
        client,
    };
    let report = Report {
        date: begun_at.to_rfc3339_opts(SecondsFormat::Secs, true),
        run_id,
        seed: options.seed,
        connections: options.connections,
        seconds: options.seconds,
        rounds: options.rounds,
        writes_per_second: options.writes_per_second,
        surroundings,
        // The writes beside the searches change what is listed.
        lists: bench.list(&listed, pgbench.as_ref()).await?,
        searches: bench.search(searched).await?,
        disk,
    };
    hand_out(&report.to_markdown(), &report, options.json.as_deref())?;
    Ok(if report.error_count() == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

struct Bench<'a> {
    options: &'a Options,
    service: Service,
    client: Client,
    meter: Meter,
    generator: Generator,
}

impl Bench<'_> {
    async fn list(&self, cases: &[Case], pgbench: Option<&PgBench<'_>>) -> Result<report::Lists> {
        let requests = lists::prepare(&self.service, &self.client, cases).await?;
        let lists = Lists {
            service: &self.service,
            pgbench,
            meter: &self.meter,
            connections: usize::from(self.options.connections),
            duration: Duration::from_secs(self.options.seconds),
            rounds: self.options.rounds,
        };
        let measures = lists.measure(&requests).await?;
        Ok(report::Lists { requests, measures })
    }

    async fn search(&self, cases: Vec<Case>) -> Result<report::Searches> {
        if cases.is_empty() {
            return Ok(report::Searches::default());
        }
        let searches = cases.into_iter().map(Search::new);
        let searches: Vec<Search> = searches.collect::<Result<_>>()?;
        let model = recall::find_model(&self.service).await?;
        eprintln!("bench: preparing the exact search");
        let (count, seed) = (self.options.queries, self.options.seed);
        let queries = texts::draw(&self.client, count, seed).await?;
        let filters: Vec<_> = searches.iter().map(|search| &search.read.filter).collect();
        let exact = ExactSearch::prepare(&self.client, model, &filters).await?;
        let recall = recall::measure(&self.service, &exact, &searches, &queries).await?;
        let measured = Searches {
            service: &self.service,
            meter: &self.meter,
            generator: &self.generator,
            writes_per_second: self.options.writes_per_second,
            connections: usize::from(self.options.connections),
            duration: Duration::from_secs(self.options.seconds),
            rounds: self.options.rounds,
        };
        Ok(report::Searches {
            model: model.name(),
            queries: queries.len(),
            recall,
            measures: measured.measure(&searches, &queries).await?,
        })
    }
}
