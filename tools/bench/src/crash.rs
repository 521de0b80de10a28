//! `bench crash`: kills the service or the database during writes.

use std::cell::{Cell, RefCell};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use chrono::Utc;
use clap::{Args, ValueEnum};
use futures::future::{join, try_join, try_join_all};
use hdrhistogram::Histogram;
use http::StatusCode;
use tokio::time::sleep;

use crate::check::{Acknowledgement, compare};
use crate::client::{Connection, Request, Service};
use crate::crash_target::{Postgres, ServiceProcess};
use crate::database::Database;
use crate::load::{self, Errors, add_error};
use crate::record::{Generator, REPORTS_OF_INCIDENT, new_run_id, parse_run_id};

/// The pause before a request is repeated; it doubles each time up to the longest.
const RETRY_PAUSE_MIN: Duration = Duration::from_millis(20);
const RETRY_PAUSE_MAX: Duration = Duration::from_millis(500);

/// The interval of looking at the progress of the writes.
const LOOK_PAUSE: Duration = Duration::from_millis(5);

/// The series of the records that are written.
const SERIES: &str = "crash";

/// Kills the service or the database during writes, then looks for records that were lost, doubled
/// or half written.
///
/// Ends with 1 if there are any. Every client repeats its record until it gets a 201. Eight records
/// in a row, of all kinds, are about one incident; some are sent twice at the same time.
#[derive(Args)]
pub(crate) struct Options {
    /// What to kill.
    #[arg(long, value_enum)]
    kill: Kill,
    /// The service.
    #[arg(long, default_value = "http://127.0.0.1:8080")]
    url: String,
    /// The service's database: postgres://USER:PASSWORD@127.0.0.1:5432/DATABASE.
    #[arg(long, env = "DATABASE_URL", hide_env_values = true)]
    database_url: String,
    /// The command that starts the service: a program and its arguments, separated by spaces,
    /// without a shell or quotes. It must be the server itself. Needed to kill the service; else
    /// one that is running is used.
    #[arg(long, required_if_eq("kill", "service"))]
    service_command: Option<String>,
    /// The file for the service's output [default: none].
    #[arg(long)]
    service_log: Option<PathBuf>,
    /// PostgreSQL's data directory; its owner runs the server.
    #[arg(long, required_if_eq_any([("kill", "postgres"), ("kill", "postgres-restart")]))]
    pg_data: Option<PathBuf>,
    /// The directory of PostgreSQL's programs.
    #[arg(long, required_if_eq_any([("kill", "postgres"), ("kill", "postgres-restart")]))]
    pg_bin: Option<PathBuf>,
    /// The number of kills, spread evenly over the writes or --seconds.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u64).range(1..=50))]
    kills: u64,
    /// The number of different records.
    #[arg(long, default_value_t = 5_000, value_parser = clap::value_parser!(u64).range(1..=200_000))]
    writes: u64,
    /// Write for so long instead, at most --writes.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: Option<u64>,
    /// The number of clients.
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=64))]
    connections: u16,
    /// The percentage of records that are sent twice at the same time.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(0..=100))]
    twice_percent: u64,
    /// After this time no request is repeated.
    #[arg(long, default_value_t = 180, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    time_limit_seconds: u64,
    /// The seed of the records.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The run's name, part of the records' names: lower-case letters and digits [default:
    /// from the clock].
    #[arg(long, value_parser = parse_run_id)]
    run_id: Option<String>,
}

/// What to kill.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Kill {
    Service,
    Postgres,
    /// A clean restart of PostgreSQL, which ends its connections.
    PostgresRestart,
}

/// Runs the command.
pub(crate) async fn run(options: &Options) -> Result<ExitCode> {
    let service = Service::parse(&options.url)?;
    let database = Database::parse(&options.database_url)?;
    let mut process = match &options.service_command {
        Some(command) => {
            eprintln!("bench: starting the service");
            let log = options.service_log.as_deref();
            Some(ServiceProcess::start(command, log, &service).await?)
        }
        None => None,
    };
    service.require_ready().await?;
    let mut target = match options.kill {
        Kill::Service => Target::Service(
            process
                .as_mut()
                .context("give --service-command, so that the service may be killed")?,
        ),
        Kill::Postgres | Kill::PostgresRestart => {
            let data = options.pg_data.as_deref().context("give --pg-data")?;
            let bin = options.pg_bin.as_deref().context("give --pg-bin")?;
            let server = Postgres::new(data, bin)?;
            match options.kill {
                Kill::PostgresRestart => Target::Restarted(server),
                _ => Target::Postgres(server),
            }
        }
    };
    let run_id = options.run_id.clone().unwrap_or_else(new_run_id);
    let writes = options.writes.next_multiple_of(REPORTS_OF_INCIDENT);
    let count = usize::try_from(writes).context("count the writes")?;
    let run = Run {
        service,
        generator: Generator::new(options.seed, &run_id, Utc::now()),
        writes,
        duration: options.seconds.map(Duration::from_secs),
        twice_percent: options.twice_percent,
        begun: Instant::now(),
        time_limit: Duration::from_secs(options.time_limit_seconds),
        next: Cell::new(0),
        done: Cell::new(0),
        requests: Cell::new(0),
        acknowledged: RefCell::new(vec![None; count]),
        contradictions: Cell::new(0),
        errors: RefCell::default(),
        latencies: RefCell::new(load::histogram()?),
    };
    let writers = try_join_all((0..options.connections).map(|_| run.write()));
    let (_, kills) = try_join(writers, run.kill(&mut target, options.kills)).await?;
    let elapsed = run.begun.elapsed();

    let client = database.connect().await?;
    let mut acknowledged = run.acknowledged.take();
    // With --seconds, not all were sent.
    acknowledged.truncate(usize::try_from(run.next.get()).context("count the writes")?);
    let findings = compare(&client, &run.generator, SERIES, &acknowledged).await?;
    let requests = run.requests.get();
    let errors = run.errors.take();
    let failed: u64 = errors.values().sum();
    let errors = errors
        .iter()
        .map(|(error, count)| format!("{error} x {count}"));
    let errors: Vec<_> = errors.collect();
    println!(
        "Run {run_id}, seed {}: {} records, {} clients, {requests} requests in {:.1} s; {:?} \
         {kills} times. Answered 201: {:.3} %. Without a 201: {}.",
        options.seed,
        acknowledged.len(),
        options.connections,
        elapsed.as_secs_f64(),
        options.kill,
        100.0 * (1.0 - failed as f64 / requests.max(1) as f64),
        errors.join(", "),
    );
    let latencies = run.latencies.borrow();
    let quantile = |quantile| latencies.value_at_quantile(quantile) as f64 / 1_000.0;
    println!(
        "Answers with 201 took p50 {:.1} ms, p95 {:.1} ms, p99 {:.1} ms, max {:.1} ms.\n",
        quantile(0.5),
        quantile(0.95),
        quantile(0.99),
        latencies.max() as f64 / 1_000.0
    );
    println!("| found | count |\n|---|---|");
    for (what, count) in findings.rows() {
        println!("| {what} | {count} |");
    }
    println!(
        "| answers that contradict each other | {} |",
        run.contradictions.get()
    );
    ensure!(
        findings.unacknowledged == 0,
        "{} records had no 201 within {} s: look at the service's log, or give the machine more \
         time with --time-limit-seconds",
        findings.unacknowledged,
        options.time_limit_seconds
    );
    ensure!(
        kills == options.kills,
        "the writes were over after {kills} of {} kills: give more --writes",
        options.kills
    );
    Ok(if findings.is_clean() && run.contradictions.get() == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// The process to kill and start again.
enum Target<'a> {
    Service(&'a mut ServiceProcess),
    Postgres(Postgres),
    Restarted(Postgres),
}

impl Target<'_> {
    async fn kill(&mut self) -> Result<()> {
        match self {
            Self::Service(process) => process.kill().await,
            Self::Postgres(server) => server.kill().await,
            Self::Restarted(_) => Ok(()),
        }
    }

    async fn start_again(&mut self) -> Result<()> {
        match self {
            Self::Service(process) => process.start_again().await,
            Self::Postgres(server) | Self::Restarted(server) => server.start_again().await,
        }
    }
}

/// The state that the clients and the killer share, on one thread.
struct Run {
    service: Service,
    generator: Generator,
    writes: u64,
    duration: Option<Duration>,
    twice_percent: u64,
    begun: Instant,
    time_limit: Duration,
    next: Cell<u64>,
    done: Cell<u64>,
    requests: Cell<u64>,
    acknowledged: RefCell<Vec<Option<Acknowledgement>>>,
    contradictions: Cell<u64>,
    errors: RefCell<Errors>,
    latencies: RefCell<Histogram<u64>>,
}

impl Run {
    fn is_over(&self) -> bool {
        let elapsed = self.begun.elapsed();
        // All records of an incident are written.
        let is_whole = self.next.get().is_multiple_of(REPORTS_OF_INCIDENT);
        let is_time_up = self.duration.is_some_and(|duration| elapsed >= duration) && is_whole;
        self.done.get() >= self.writes || is_time_up || elapsed >= self.time_limit
    }

    /// Whether this part of the writes, or of their time, is over.
    fn has_come_to(&self, part: u64, parts: u64) -> bool {
        match self.duration {
            Some(duration) => {
                self.begun.elapsed().as_secs_f64() * parts as f64
                    >= duration.as_secs_f64() * part as f64
            }
            None => self.done.get() >= self.writes * part / parts,
        }
    }

    /// A client: writes the next record until there is none left.
    async fn write(&self) -> Result<()> {
        let mut first = Connection::new(&self.service);
        let mut second = Connection::new(&self.service);
        loop {
            let number = self.next.get();
            if number >= self.writes || self.is_over() {
                return Ok(());
            }
            self.next.set(number + 1);
            let request = {
                let (kind, record) = self.generator.report(SERIES, number)?;
                Request::write(kind, record)
            };
            // Spread over all kinds of records.
            let is_twice = number * 37 % 100 < self.twice_percent;
            let answers = if is_twice {
                let both = join(
                    self.write_until_acknowledged(&mut first, &request),
                    self.write_until_acknowledged(&mut second, &request),
                );
                let (one, other) = both.await;
                [one?, other?]
            } else {
                [
                    self.write_until_acknowledged(&mut first, &request).await?,
                    None,
                ]
            };
            let mut answers = answers.into_iter().flatten();
            let Some(answer) = answers.next() else {
                continue;
            };
            if answers.any(|other| other != answer) {
                self.contradictions.set(self.contradictions.get() + 1);
            }
            let index = usize::try_from(number).context("count the writes")?;
            if let Some(place) = self.acknowledged.borrow_mut().get_mut(index) {
                *place = Some(answer);
            }
            self.done.set(self.done.get() + 1);
        }
    }

    /// Repeats a record until it is acknowledged; `None` if the time is over.
    async fn write_until_acknowledged(
        &self,
        connection: &mut Connection<'_>,
        request: &Request,
    ) -> Result<Option<Acknowledgement>> {
        let mut pause = RETRY_PAUSE_MIN;
        loop {
            if self.begun.elapsed() >= self.time_limit {
                return Ok(None);
            }
            self.requests.set(self.requests.get() + 1);
            let sent = Instant::now();
            let error = match connection.send(request).await {
                Ok(answer) if answer.status == StatusCode::CREATED => {
                    load::record(&mut self.latencies.borrow_mut(), sent.elapsed());
                    return Acknowledgement::read(&answer).map(Some);
                }
                Ok(answer) if answer.status.is_client_error() => bail!(
                    "the service refuses a record, which sending it again will not change: {} {}",
                    answer.status,
                    String::from_utf8_lossy(&answer.body)
                ),
                Ok(answer) => answer.status.to_string(),
                Err(failure) => failure.to_string(),
            };
            add_error(&mut self.errors.borrow_mut(), &error, 1);
            sleep(pause).await;
            pause = (pause * 2).min(RETRY_PAUSE_MAX);
        }
    }

    /// Kills and restarts the target each time another share of the records is written; returns how
    /// often.
    async fn kill(&self, target: &mut Target<'_>, kills: u64) -> Result<u64> {
        for kill in 1..=kills {
            while !self.has_come_to(kill, kills + 1) {
                if self.is_over() {
                    return Ok(kill - 1);
                }
                sleep(LOOK_PAUSE).await;
            }
            if self.is_over() {
                return Ok(kill - 1);
            }
            eprintln!(
                "bench: kill {kill} of {kills}, {} of {} records acknowledged",
                self.done.get(),
                self.writes
            );
            let killed = Instant::now();
            target.kill().await?;
            target.start_again().await?;
            eprintln!(
                "bench: started again after {:.1} s",
                killed.elapsed().as_secs_f64()
            );
        }
        Ok(kills)
    }
}
