//! What is measured, and the statements that pgbench runs beside it.

use std::borrow::Cow;

use anyhow::{Context as _, Result, anyhow};
use dataset::Model;
use incidents::SearchQuery;
use tokio_postgres::Client;
use url::form_urlencoded::Serializer;

use super::requests::Requests;
use crate::pgbench::{Script, Sort, WriteScripts};
use crate::read::case::{LIST, SEARCH};
use crate::read::statement;
use crate::read::texts;
use crate::read::values::LOADED;
use crate::record::Generator;

/// How many single incidents are asked for in turn.
const INCIDENTS_READ: u64 = 1_000;

/// How many texts are searched for in turn.
const TEXTS_SOUGHT: u64 = 20;

/// One thing to measure.
pub(super) struct Case {
    /// What it is called.
    pub(super) name: &'static str,
    /// What is sent to the service.
    pub(super) what: What,
    /// What pgbench does beside it.
    pub(super) script: Option<Script>,
    /// How many a second, where latencies are measured at a constant rate.
    pub(super) rate_per_second: Option<u64>,
}

/// What is sent to the service.
pub(super) enum What {
    /// New records, others each time.
    Write(Sort),
    /// The same reads each time.
    Read(Requests),
}

impl What {
    /// What is sent: the reads, or what `make` makes of the sort of the writes.
    pub(super) fn requests(
        &self,
        make: impl FnOnce(Sort) -> Result<Requests>,
    ) -> Result<Cow<'_, Requests>> {
        match self {
            Self::Write(sort) => make(*sort).map(Cow::Owned),
            Self::Read(requests) => Ok(Cow::Borrowed(requests)),
        }
    }
}

impl Case {
    fn read(name: &'static str, paths: Vec<String>, script: Option<Script>) -> Self {
        Self {
            name,
            what: What::Read(Requests::Get(paths)),
            script,
            rate_per_second: None,
        }
    }

    /// The status that all answers are to have.
    pub(super) fn status(&self) -> u16 {
        match self.what {
            What::Write(_) => 201,
            What::Read(_) => 200,
        }
    }
}

/// The writes.
pub(super) fn writes(generator: &Generator) -> Result<Vec<Case>> {
    let scripts = WriteScripts::new(generator)?;
    let case = |name, sort, rate_per_second| -> Result<Case> {
        Ok(Case {
            name,
            what: What::Write(sort),
            script: scripts.of(sort)?,
            rate_per_second,
        })
    };
    // The service level: 500 a second and replica.
    Ok(vec![
        case("write-repeat", Sort::Repeat, Some(500))?,
        case("write-fresh", Sort::Fresh, Some(500))?,
        case("write-mixed", Sort::Mixed, None)?,
        case("write-reports", Sort::Reports, None)?,
    ])
}

/// The reads of the incidents of a database, but for those that benchmarks wrote; none where there
/// are none.
pub(super) async fn reads(client: &Client, seed: u64) -> Result<Vec<Case>> {
    let range = client
        .query_one(
            &format!("SELECT min(id), max(id) FROM incidents WHERE {LOADED}"),
            &[],
        )
        .await
        .context("ask for the ids of the incidents")?;
    let ids: (Option<i64>, Option<i64>) = (range.try_get(0)?, range.try_get(1)?);
    let (Some(first), Some(last)) = ids else {
        eprintln!("bench: there are no incidents to read, reads are left out");
        return Ok(Vec::new());
    };
    let apart = last.abs_diff(first) / INCIDENTS_READ + 1;
    let drawn: Vec<i64> = (0..INCIDENTS_READ)
        .map(|number| first.saturating_add_unsigned(number * apart))
        .filter(|id| *id <= last)
        .collect();
    let there = client
        .query(
            "SELECT id FROM incidents WHERE id = ANY ($1::bigint[])",
            &[&drawn],
        )
        .await
        .context("look for the incidents of some ids")?;
    // Where records are repeated, ids are used up, and pgbench would ask for those too.
    let script = if there.len() == drawn.len() {
        Some(statement::any_incident(first, apart, drawn.len())?)
    } else {
        eprintln!("bench: ids are missing between those of incidents, get has no efficiency");
        None
    };
    let incidents = there
        .iter()
        .map(|row| Ok(format!("{LIST}/{}", row.try_get::<_, i64>(0)?)))
        .collect::<Result<_>>()?;
    let (searches, search_script) = searches(client, seed).await?;
    Ok(vec![
        Case {
            rate_per_second: Some(100),
            ..Case::read(
                "list",
                vec![LIST.to_owned()],
                Some(statement::list(&statement::parse("")?)?),
            )
        },
        Case {
            rate_per_second: Some(200),
            ..Case::read("get", incidents, script)
        },
        Case {
            rate_per_second: Some(5),
            ..Case::read("search", searches, Some(search_script))
        },
    ])
}

async fn searches(client: &Client, seed: u64) -> Result<(Vec<String>, Script)> {
    let mut paths = Vec::new();
    let mut sought = Vec::new();
    for query in texts::draw(client, TEXTS_SOUGHT, seed).await? {
        let parameters = Serializer::new(String::new())
            .append_pair("q", &query.text)
            .finish();
        let read = SearchQuery::parse(&parameters)
            .map_err(|violations| anyhow!("{parameters:?} is refused: {violations:?}"))?;
        sought.push((read, Model::Local.embed(&query.text)?));
        paths.push(format!("{SEARCH}?{parameters}"));
    }
    Ok((paths, statement::any_search(&sought)?))
}

/// What the host costs alone: a component that does nothing, and one that runs `SELECT 1`.
pub(super) fn baseline() -> Vec<Case> {
    let select_1 = Script {
        text: "SELECT 1;\n".to_owned(),
        variables: Vec::new(),
    };
    vec![
        Case::read("empty", vec!["/empty".to_owned()], None),
        Case::read("select-1", vec!["/select-1".to_owned()], Some(select_1)),
    ]
}
