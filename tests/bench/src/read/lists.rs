//! How fast incidents are listed, beside what PostgreSQL itself does with the same statement.

use std::time::Duration;

use anyhow::{Context as _, Result};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use tokio_postgres::Client;

use super::case::{Case, Choice, LIST, query};
use super::exact;
use super::pages::{Page, ask};
use super::statement;
use crate::client::{Call, Connection, Service};
use crate::cpu::Meter;
use crate::load::{self, Load};
use crate::pgbench::{PgBench, Script};
use crate::report::{Measured, Round};
use crate::rounds::{Measure, name_of, take_all};

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
    pub(crate) total: Option<i64>,
    /// How many there are, counted one by one.
    pub(crate) counted: Option<i64>,
    #[serde(skip)]
    case: Case,
    #[serde(skip)]
    script: Script,
}

impl Listed {
    fn new(case: Case, path: String, script: Script) -> Self {
        Self {
            name: name_of(&case),
            path,
            rows: 0,
            total: None,
            counted: None,
            case,
            script,
        }
    }

    /// Whether the answer is missing, or its total wrong.
    pub(crate) fn is_wrong(&self) -> bool {
        self.total != self.counted || self.case == Case::Incident && self.rows == 0
    }
}

/// What is answered: only a list has a total.
#[derive(Deserialize)]
#[serde(untagged)]
enum Shown {
    Page(Page),
    Incident {
        #[serde(rename = "id")]
        _id: i64,
    },
}

/// Makes the requests and sends each of them once, so that what is measured is known to be right.
pub(crate) async fn prepare(
    service: &Service,
    client: &Client,
    cases: &[Case],
    choice: &Choice,
) -> Result<Vec<Listed>> {
    let mut connection = Connection::new(service);
    let mut prepared = Vec::new();
    for (case, parameters) in choice.parameters(cases) {
        let mut listed = if case == Case::Incident {
            let id = choice.values.incident_id;
            Listed::new(case, format!("{LIST}/{id}"), statement::incident(id)?)
        } else {
            let query = query(&parameters);
            let asked = statement::parse(&query)?;
            let path = format!("{LIST}{}{query}", if query.is_empty() { "" } else { "?" });
            Listed {
                counted: Some(exact::count(client, &asked.filter).await?),
                ..Listed::new(case, path, statement::list(&asked)?)
            }
        };
        // An error is not the end of all that is measured.
        match ask::<Shown>(&mut connection, listed.path.clone()).await {
            Ok(Shown::Page(page)) => {
                listed.rows = page.data.len();
                listed.total = Some(page.pagination.total);
            }
            Ok(Shown::Incident { .. }) => listed.rows = 1,
            Err(error) => eprintln!("bench: {error:#}"),
        }
        prepared.push(listed);
    }
    Ok(prepared)
}

/// A case, sent to the service or carried out by pgbench.
#[derive(Clone, Copy, PartialEq)]
struct Side {
    case: Case,
    is_pgbench: bool,
}

impl Measure for Side {
    fn name(self) -> String {
        let name = name_of(&self.case);
        if self.is_pgbench {
            format!("pgbench-{name}")
        } else {
            name
        }
    }

    fn counterpart(self) -> Option<Self> {
        (!self.is_pgbench).then_some(Self {
            is_pgbench: true,
            ..self
        })
    }
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
    /// Measures all of them.
    pub(crate) async fn measure(&self, listed: &[Listed]) -> Result<Vec<Measured>> {
        let side = |is_pgbench| {
            move |listed: &Listed| Side {
                case: listed.case,
                is_pgbench,
            }
        };
        let mut sides = Vec::new();
        for listed in listed {
            sides.push(side(false)(listed));
            sides.extend(self.pgbench.map(|_| side(true)(listed)));
        }
        take_all(&sides, self.rounds, async |side, round| {
            let listed = listed.iter().find(|listed| listed.case == side.case);
            let listed = listed.context("find the request of a case")?;
            self.take(listed, side.is_pgbench, round).await
        })
        .await
    }

    async fn take(&self, listed: &Listed, is_pgbench: bool, round: u64) -> Result<Round> {
        let before = self.meter.read()?;
        if is_pgbench {
            let pgbench = self.pgbench.context("pgbench was not found")?;
            let outcome = pgbench.run(&listed.script, self.duration, round).await?;
            let used = self.meter.read()?.since(&before);
            return Ok(Round::of_pgbench(&outcome, &used));
        }
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
