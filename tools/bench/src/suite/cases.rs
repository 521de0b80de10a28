//! The cases that `bench report` measures.

use anyhow::{Context as _, Result, anyhow};
use dataset::Model;
use incidents::SearchQuery;
use tokio_postgres::Client;

use crate::case::{Case, Requests};
use crate::pgbench::{Script, Writes, write_script};
use crate::read::{LIST, LOADED, SEARCH, query_string, statement, texts};
use crate::record::Generator;

/// How many single incidents are read in turn.
const INCIDENTS_READ: u64 = 1_000;

/// How many texts are searched for in turn.
const TEXTS_SOUGHT: u64 = 20;

/// Writes. The rates are the service level: 500 a second and replica.
pub(super) fn writes(generator: &Generator) -> Result<Vec<Case>> {
    let case = |name: &str, writes, rate_per_second| -> Result<Case> {
        Ok(Case {
            name: name.to_owned(),
            requests: Requests::Write(writes),
            script: write_script(writes, generator)?,
            rate_per_second,
        })
    };
    Ok(vec![
        case("write-repeat", Writes::Repeat, Some(500))?,
        case("write-fresh", Writes::Fresh, Some(500))?,
        case("write-mixed", Writes::Mixed, None)?,
        case("write-reports", Writes::Reports, None)?,
    ])
}

/// Reads of the incidents that no benchmark wrote; none if there are no such incidents.
pub(super) async fn reads(client: &Client, seed: u64) -> Result<Vec<Case>> {
    let range = client
        .query_one(
            &format!("SELECT min(id), max(id) FROM incidents WHERE {LOADED}"),
            &[],
        )
        .await
        .context("read the ids of the incidents")?;
    let (Some(first), Some(last)) = (
        range.try_get::<_, Option<i64>>(0)?,
        range.try_get::<_, Option<i64>>(1)?,
    ) else {
        eprintln!("bench: there are no incidents to read, reads are left out");
        return Ok(Vec::new());
    };
    let step = last.abs_diff(first) / INCIDENTS_READ + 1;
    let drawn: Vec<i64> = (0..INCIDENTS_READ)
        .map(|number| first.saturating_add_unsigned(number * step))
        .filter(|id| *id <= last)
        .collect();
    let rows = client
        .query(
            "SELECT id FROM incidents WHERE id = ANY ($1::bigint[])",
            &[&drawn],
        )
        .await
        .context("look for incidents by id")?;
    let found: Vec<i64> = rows
        .iter()
        .map(|row| row.try_get(0))
        .collect::<Result<_, _>>()?;
    // Replays use up ids, and pgbench would read incidents that do not exist.
    let get_script = if found.len() == drawn.len() {
        Some(statement::any_incident(first, step, drawn.len())?)
    } else {
        eprintln!("bench: some ids have no incident, get has no efficiency");
        None
    };
    let incidents = found.iter().map(|id| format!("{LIST}/{id}")).collect();
    let (searches, search_script) = searches(client, seed).await?;
    let list_script = statement::list(&statement::parse("")?)?;
    Ok(vec![
        read("list", vec![LIST.to_owned()], Some(list_script), Some(100)),
        read("get", incidents, get_script, Some(200)),
        read("search", searches, Some(search_script), Some(5)),
    ])
}

fn read(
    name: &str,
    paths: Vec<String>,
    script: Option<Script>,
    rate_per_second: Option<u32>,
) -> Case {
    Case {
        name: name.to_owned(),
        requests: Requests::Read(paths),
        script,
        rate_per_second,
    }
}

async fn searches(client: &Client, seed: u64) -> Result<(Vec<String>, Script)> {
    let mut paths = Vec::new();
    let mut searches = Vec::new();
    for text in texts::draw(client, TEXTS_SOUGHT, seed).await? {
        let query = query_string(&[("q", text.text.clone())]);
        let search = SearchQuery::parse(&query)
            .map_err(|violations| anyhow!("{query:?} is refused: {violations:?}"))?;
        searches.push((search, Model::Local.embed(&text.text)?));
        paths.push(format!("{SEARCH}?{query}"));
    }
    Ok((paths, statement::any_search(&searches)?))
}

/// The host's own cost: a component that does nothing, and one that runs `SELECT 1`.
pub(super) fn baseline() -> Vec<Case> {
    let select_1 = Script {
        text: "SELECT 1;\n".to_owned(),
        variables: Vec::new(),
    };
    vec![
        read("empty", vec!["/empty".to_owned()], None, None),
        read(
            "select-1",
            vec!["/select-1".to_owned()],
            Some(select_1),
            None,
        ),
    ]
}
