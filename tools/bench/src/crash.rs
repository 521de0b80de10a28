//! `bench crash`: kills the service or the database during writes.

use std::cell::{Cell, RefCell};
use std::ops::Range;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use clap::{Args, ValueEnum};
use futures::future::{join, try_join, try_join_all};
use hdrhistogram::Histogram;
use http::StatusCode;
use nix::sys::signal::Signal;
use tokio::process::Command;
use tokio::time::sleep;

use crate::check::{Acknowledgement, compare};
use crate::client::{Answer, Connection, Request, Service};
use crate::database::Database;
use crate::load::{self, Errors, add_error};
use crate::log;
use crate::postmaster::Postgres;
use crate::record::{Generator, REPORTS_OF_INCIDENT};
use crate::server::Server;

/// The pause before a request is repeated; it doubles each time up to the longest.
const RETRY_PAUSE_MIN: Duration = Duration::from_millis(20);
const RETRY_PAUSE_MAX: Duration = Duration::from_millis(500);

/// The interval of looking at the progress of the writes.
const LOOK_PAUSE: Duration = Duration::from_millis(5);

/// The series of the records that are written.
const SERIES: &str = "crash";

/// The percentage of records that are sent twice at the same time.
const TWICE_PERCENT: u64 = 10;

/// Kills the service or the database during writes, then looks for records that were lost, doubled
/// or half written.
///
/// Ends with 1 if there are any, or if the log is not whole afterwards: checkpoints log what is
/// pending, so the service needs a `log_signing_key`. Every client repeats its record or batch until it
/// gets a 201. Eight records in a row, of all kinds, are about one incident; some requests are sent
/// twice at the same time.
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
    /// The command that starts the service to be killed: a program, the server itself, and its
    /// arguments, separated by spaces, without a shell or quotes.
    #[arg(long, required_if_eq("kill", "service"))]
    service_command: Option<String>,
    /// The file for the service's output.
    #[arg(long, default_value = "/dev/null")]
    service_log: PathBuf,
    /// PostgreSQL's data directory; its owner runs the server.
    #[arg(long, required_if_eq_any([("kill", "postgres"), ("kill", "postgres-restart")]))]
    pg_data: Option<PathBuf>,
    /// The directory of PostgreSQL's programs.
    #[arg(long, required_if_eq_any([("kill", "postgres"), ("kill", "postgres-restart")]))]
    pg_bin: Option<PathBuf>,
    /// The number of kills, spread evenly over the writes.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u64).range(1..=50))]
    kills: u64,
    /// The number of different records.
    #[arg(long, default_value_t = 5_000, value_parser = clap::value_parser!(u64).range(1..=200_000))]
    writes: u64,
    /// Records per request; more than one are sent as a batch, which must be stored as a whole.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=500))]
    batch: u64,
    /// The number of clients.
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=64))]
    connections: u16,
    /// After this time no request is repeated.
    #[arg(long, default_value_t = 180, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    time_limit_seconds: u64,
}

/// What to kill.
#[derive(Clone, Copy, Debug, ValueEnum)]
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
    let mut target = Target::new(options, &service).await?;
    service.require_ready().await?;
    let writes = options.writes.next_multiple_of(REPORTS_OF_INCIDENT);
    let run = Run {
        service,
        generator: Generator::new()?,
        writes,
        batch: options.batch,
        begun: Instant::now(),
        time_limit: Duration::from_secs(options.time_limit_seconds),
        next: Cell::new(0),
        done: Cell::new(0),
        requests: Cell::new(0),
        acknowledged: RefCell::new(vec![None; usize::try_from(writes)?]),
        contradictions: Cell::new(0),
        half_stored: Cell::new(0),
        errors: RefCell::default(),
        latencies: RefCell::new(load::histogram()?),
    };
    let writers = try_join_all((0..options.connections).map(|_| run.write()));
    let (_, kills) = try_join(writers, run.kill(&mut target, options)).await?;
    let elapsed = run.begun.elapsed();

    let client = database.connect().await?;
    log::drain(&run.service, &client).await?;
    let acknowledged = run.acknowledged.take();
    let findings = compare(&client, &run.generator, SERIES, &acknowledged).await?;
    let requests = run.requests.get();
    let errors = run.errors.take();
    let failed: u64 = errors.values().sum();
    println!(
        "Run {}: {writes} records, {} clients, {requests} requests in {:.1} s; {:?} {kills} times. \
         Answered 201: {:.3} %. Without a 201: {errors:?}.",
        run.generator.run,
        options.connections,
        elapsed.as_secs_f64(),
        options.kill,
        100.0 * (1.0 - failed as f64 / requests.max(1) as f64),
    );
    let latencies = run.latencies.borrow();
    let quantile = |quantile| latencies.value_at_quantile(quantile) as f64 / 1_000.0;
    println!(
        "Answers with 201 took p50 {:.1} ms, p95 {:.1} ms, p99 {:.1} ms, max {:.1} ms.\n",
        quantile(0.5),
        quantile(0.95),
        quantile(0.99),
        quantile(1.0)
    );
    println!("| found | count |\n|---|---|");
    let contradictions = run.contradictions.get();
    let half_stored = run.half_stored.get();
    let of_answers = [
        ("answers that contradict each other", contradictions),
        ("batches of which a part had been stored", half_stored),
    ];
    for (what, count) in findings.rows().into_iter().chain(of_answers) {
        println!("| {what} | {count} |");
    }
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
    let is_clean = findings.faults().iter().all(|(_, count)| *count == 0);
    Ok(if is_clean && contradictions == 0 && half_stored == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// What is killed and started again.
enum Target {
    Service(Box<Server>),
    Postgres(Postgres),
    /// Only restarted, which ends its connections.
    Restarted(Postgres),
}

impl Target {
    async fn new(options: &Options, service: &Service) -> Result<Self> {
        if let Kill::Service = options.kill {
            ensure!(
                !service.accepts_connections().await,
                "something listens at {service} already: end it, so that --service-command can \
                 start a service there that may be killed"
            );
            let server = start_service(options, service.clone()).await?;
            return Ok(Self::Service(Box::new(server)));
        }
        let data = options.pg_data.as_deref().context("give --pg-data")?;
        let bin = options.pg_bin.as_deref().context("give --pg-bin")?;
        let server = Postgres::new(data, bin)?;
        Ok(match options.kill {
            Kill::PostgresRestart => Self::Restarted(server),
            _ => Self::Postgres(server),
        })
    }

    /// Kills it, starts it again, and waits until it is ready.
    async fn restart(&mut self, options: &Options) -> Result<()> {
        match self {
            Self::Service(server) => {
                server.end(Signal::SIGKILL).await?;
                **server = start_service(options, server.service.clone()).await?;
                Ok(())
            }
            Self::Postgres(server) => {
                server.kill().await?;
                server.start_again().await
            }
            Self::Restarted(server) => server.start_again().await,
        }
    }
}

async fn start_service(options: &Options, service: Service) -> Result<Server> {
    let words = options.service_command.as_deref().unwrap_or_default();
    let mut words = words.split_whitespace();
    let mut command = Command::new(words.next().context("give --service-command")?);
    command.args(words);
    Server::start(command, service, "/health/live", &options.service_log).await
}

/// The state that the clients and the killer share, on one thread.
struct Run {
    service: Service,
    generator: Generator,
    writes: u64,
    /// Records per request.
    batch: u64,
    begun: Instant,
    time_limit: Duration,
    next: Cell<u64>,
    done: Cell<u64>,
    requests: Cell<u64>,
    acknowledged: RefCell<Vec<Option<Acknowledgement>>>,
    contradictions: Cell<u64>,
    /// Batches of which a part was a replay.
    half_stored: Cell<u64>,
    errors: RefCell<Errors>,
    latencies: RefCell<Histogram<u64>>,
}

impl Run {
    fn is_over(&self) -> bool {
        self.done.get() >= self.writes || self.begun.elapsed() >= self.time_limit
    }

    /// A client: writes the next records until there are none left.
    async fn write(&self) -> Result<()> {
        let mut first = Connection::new(&self.service);
        let mut second = Connection::new(&self.service);
        loop {
            let number = self.next.get();
            if number >= self.writes || self.is_over() {
                return Ok(());
            }
            let end = (number + self.batch).min(self.writes);
            self.next.set(end);
            let request = self.request(number..end)?;
            // Spread over all kinds of records.
            let is_twice = number / self.batch * 37 % 100 < TWICE_PERCENT;
            let answer = self.write_until_acknowledged(&mut first, &request);
            let answers = if is_twice {
                let again = self.write_until_acknowledged(&mut second, &request);
                let (one, other) = join(answer, again).await;
                [one?, other?]
            } else {
                [answer.await?, None]
            };
            let mut answers = answers.into_iter().flatten();
            let Some(answer) = answers.next() else {
                continue;
            };
            if answers.any(|other| other != answer) {
                self.contradictions.set(self.contradictions.get() + 1);
            }
            let first = usize::try_from(number).context("count the writes")?;
            let mut acknowledged = self.acknowledged.borrow_mut();
            for (place, answer) in acknowledged.iter_mut().skip(first).zip(answer) {
                *place = Some(answer);
            }
            self.done.set(self.done.get() + end - number);
        }
    }

    /// The request that writes records: one by itself, or several as a batch.
    fn request(&self, numbers: Range<u64>) -> Result<Request> {
        let records = numbers.map(|number| self.generator.report(SERIES, number));
        let mut records: Vec<_> = records.collect::<Result<_>>()?;
        if self.batch > 1 {
            return Ok(Request::write_batch(&records));
        }
        let (kind, record) = records.pop().context("there is no record to write")?;
        Ok(Request::write(kind, record))
    }

    /// Repeats a request until it is acknowledged; `None` if the time is over.
    async fn write_until_acknowledged(
        &self,
        connection: &mut Connection<'_>,
        request: &Request,
    ) -> Result<Option<Vec<Acknowledgement>>> {
        let mut pause = RETRY_PAUSE_MIN;
        while self.begun.elapsed() < self.time_limit {
            self.requests.set(self.requests.get() + 1);
            let sent = Instant::now();
            let error = match connection.send(request).await {
                Ok(answer) if answer.status == StatusCode::CREATED => {
                    load::record(&mut self.latencies.borrow_mut(), sent.elapsed());
                    return self.acknowledgements(request, &answer).map(Some);
                }
                Ok(answer) if answer.status.is_client_error() => bail!(
                    "the service refuses a record, which sending it again will not change: {answer}"
                ),
                Ok(answer) => answer.status.to_string(),
                Err(failure) => failure.to_string(),
            };
            add_error(&mut self.errors.borrow_mut(), &error, 1);
            sleep(pause).await;
            pause = (pause * 2).min(RETRY_PAUSE_MAX);
        }
        Ok(None)
    }

    fn acknowledgements(&self, request: &Request, answer: &Answer) -> Result<Vec<Acknowledgement>> {
        if !request.is_batch() {
            return Ok(vec![Acknowledgement::read(answer)?]);
        }
        let (records, was_half_stored) = Acknowledgement::read_batch(answer)?;
        let half_stored = self.half_stored.get() + u64::from(was_half_stored);
        self.half_stored.set(half_stored);
        Ok(records)
    }

    /// Kills and restarts the target each time another share of the records is written; returns how
    /// often.
    async fn kill(&self, target: &mut Target, options: &Options) -> Result<u64> {
        let kills = options.kills;
        for kill in 1..=kills {
            while self.done.get() < self.writes * kill / (kills + 1) && !self.is_over() {
                sleep(LOOK_PAUSE).await;
            }
            if self.is_over() {
                return Ok(kill - 1);
            }
            let (done, writes) = (self.done.get(), self.writes);
            eprintln!("bench: kill {kill} of {kills}, {done} of {writes} records acknowledged");
            let killed = Instant::now();
            target.restart(options).await?;
            let seconds = killed.elapsed().as_secs_f64();
            eprintln!("bench: started again after {seconds:.1} s");
        }
        Ok(kills)
    }
}
