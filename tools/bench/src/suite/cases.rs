//! The cases that `bench report` measures.

use anyhow::{Context as _, Result, anyhow};
use dataset::Model;
use incidents::SearchQuery;
use tokio_postgres::Client;

use crate::case::{Case, Requests};
use crate::pgbench::{Script, Writes, write_script};
use crate::read::{LIST, SEARCH, loaded_ids, query_string, statement, texts};
use crate::record::Generator;

/// How many single incidents are read in turn, about.
const INCIDENTS_READ: i64 = 1_000;

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
pub(super) async fn reads(client: &Client) -> Result<Vec<Case>> {
    let Some((first, last)) = loaded_ids(client).await? else {
        eprintln!("bench: there are no incidents to read, reads are left out");
        return Ok(Vec::new());
    };
    let step = (last - first) / INCIDENTS_READ + 1;
    let rows = client
        .query(
            "SELECT id FROM generate_series($1::bigint, $2, $3) AS id JOIN incidents USING (id)",
            &[&first, &last, &step],
        )
        .await
        .context("look for incidents by id")?;
    let found: Vec<i64> = rows
        .iter()
        .map(|row| row.try_get(0))
        .collect::<Result<_, _>>()?;
    // Replays use up ids, and pgbench would read incidents that do not exist.
    let get_script = if found.len() as i64 == (last - first) / step + 1 {
        Some(statement::any_incident(first, step, found.len())?)
    } else {
        eprintln!("bench: some ids have no incident, get has no efficiency");
        None
    };
    let incidents = found.iter().map(|id| format!("{LIST}/{id}")).collect();
    let list_script = statement::list(&statement::parse("")?)?;
    let (mut paths, mut searches) = (Vec::new(), Vec::new());
    for text in texts::draw(client, TEXTS_SOUGHT).await? {
        let query = query_string(&[("q", text.text.clone())]);
        let search = SearchQuery::parse(&query)
            .map_err(|violations| anyhow!("{query:?} is refused: {violations:?}"))?;
        searches.push((search, Model::Local.embed(&text.text)?));
        paths.push(format!("{SEARCH}?{query}"));
    }
    let search_script = statement::any_search(&searches)?;
    Ok(vec![
        Case::read("list", vec![LIST.to_owned()], Some(list_script)).at(100),
        Case::read("get", incidents, get_script).at(200),
        Case::read("search", paths, Some(search_script)).at(5),
    ])
}

/// The host's own cost: a component that does nothing, and one that runs `SELECT 1`.
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
