//! How fast incidents are listed, beside what PostgreSQL itself does with the same statement.

use std::time::Duration;

use anyhow::{Context as _, Result};
use http::StatusCode;
use incidents::{Count, ListQuery, TOTAL_BOUND};
use serde::Serialize;
use tokio_postgres::Client;

use super::case::{Case, LIST, Sort, query};
use super::exact;
use super::pages::{Shown, ask};
use super::statement;
use crate::client::{Call, Connection, Service};
use crate::cpu::Meter;
use crate::load::{self, Load};
use crate::pgbench::{PgBench, Script};
use crate::report::{Measured, Round};
use crate::rounds::take_all;

/// A request that is measured.
#[derive(Debug, Serialize)]
pub(crate) struct Listed {
    /// The case.
    pub(crate) name: String,
    /// The request.
    pub(crate) path: String,
    /// How many incidents it answered before the measurement.
    pub(crate) rows: usize,
    /// How many it said there are.
    pub(crate) total: Option<Total>,
    /// What it should have said: they were counted one by one.
    pub(crate) expected: Option<Total>,
    #[serde(skip)]
    script: Script,
}

/// How many incidents pass a filter, `eq` or `gte`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Total {
    /// So many.
    pub(crate) total: i64,
    /// Or more.
    pub(crate) relation: String,
}

impl Total {
    /// The total of so many incidents.
    fn expected(query: &ListQuery, counted: i64) -> Option<Self> {
        let total = |total, relation: &str| Self {
            total,
            relation: relation.to_owned(),
        };
        match query.count {
            Count::None => None,
            Count::Bounded if counted > TOTAL_BOUND => Some(total(TOTAL_BOUND, "gte")),
            Count::Bounded | Count::Exact => Some(total(counted, "eq")),
        }
    }
}

impl Listed {
    /// Whether the answer is missing, or its total wrong.
    pub(crate) fn is_wrong(&self) -> bool {
        self.rows == 0 || self.total != self.expected
    }
}

/// Makes the requests and sends each of them once, so that what is measured is known to be right.
pub(crate) async fn prepare(
    service: &Service,
    client: &Client,
    cases: &[Case],
) -> Result<Vec<Listed>> {
    let mut connection = Connection::new(service);
    let mut prepared = Vec::new();
    for case in cases {
        let query = query(&case.parameters);
        let asked = statement::parse(&query)?;
        let (path, script, expected) = match case.sort {
            Sort::Incident(id) => (format!("{LIST}/{id}"), statement::incident(id)?, None),
            Sort::List | Sort::Search => {
                let counted = exact::count(client, &asked.filter).await?;
                let path = format!("{LIST}{}{query}", if query.is_empty() { "" } else { "?" });
                (
                    path,
                    statement::list(&asked)?,
                    Total::expected(&asked, counted),
                )
            }
        };
        // An error is not the end of all that is measured.
        let shown = ask(&mut connection, path.clone()).await;
        let Shown {
            id,
            data,
            pagination,
        } = shown.unwrap_or_else(|error| {
            eprintln!("bench: {error:#}");
            Shown::default()
        });
        let total = pagination.total.zip(pagination.total_relation);
        prepared.push(Listed {
            name: case.name.clone(),
            path,
            rows: data.len() + usize::from(id.is_some()),
            total: total.map(|(total, relation)| Total { total, relation }),
            expected,
            script,
        });
    }
    Ok(prepared)
}

/// How it is measured.
pub(crate) struct Lists<'a> {
    /// Whom.
    pub(crate) service: &'a Service,
    /// Beside whom.
    pub(crate) pgbench: Option<&'a PgBench<'a>>,
    /// Who used how much of the processors.
    pub(crate) meter: &'a Meter,
    /// How many connections send at once.
    pub(crate) connections: usize,
    /// How long each measure runs, in each round.
    pub(crate) duration: Duration,
    /// How often each is taken.
    pub(crate) rounds: u64,
}

impl Lists<'_> {
    /// Measures all of them, each through the service and then by pgbench, if there is one.
    pub(crate) async fn measure(&self, listed: &[Listed]) -> Result<Vec<Measured>> {
        let sides = if self.pgbench.is_some() { 2 } else { 1 };
        let names = listed.iter().flat_map(|listed| {
            let names = [listed.name.clone(), format!("pgbench-{}", listed.name)];
            names.into_iter().take(sides)
        });
        let mut measures = take_all(names.collect(), self.rounds, async |place, round| {
            let listed = listed.get(place / sides).context("find a request")?;
            match self.pgbench.filter(|_| place % sides == 1) {
                Some(pgbench) => self.take_pgbench(pgbench, listed, round).await,
                None => self.take(listed).await,
            }
        })
        .await?;
        for pair in measures.chunks_mut(2) {
            if let (2, [service, pgbench]) = (sides, pair) {
                service.compare(pgbench);
            }
        }
        Ok(measures)
    }

    async fn take_pgbench(
        &self,
        pgbench: &PgBench<'_>,
        listed: &Listed,
        round: u64,
    ) -> Result<Round> {
        let before = self.meter.read()?;
        let outcome = pgbench.run(&listed.script, self.duration, round).await?;
        let used = self.meter.read()?.since(&before);
        Ok(Round::of_pgbench(&outcome, &used))
    }

    async fn take(&self, listed: &Listed) -> Result<Round> {
        let before = self.meter.read()?;
        let call = Call::get(listed.path.clone());
        let outcome = load::run(&Load {
            service: self.service,
            connections: self.connections,
            duration: self.duration,
            requests_max: u64::MAX,
            call: &|_| Ok(call.clone()),
            fault: &|answer| answer.fault_unless(StatusCode::OK),
        })
        .await?;
        let used = self.meter.read()?.since(&before);
        Ok(Round::of_load(&outcome, Some(&used)))
    }
}
