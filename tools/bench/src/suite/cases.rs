//! The cases that `bench report` measures.

use anyhow::{Context as _, Result, anyhow};
use dataset::Model;
use incidents::SearchQuery;
use tokio_postgres::Client;

use crate::case::{Case, Requests};
use crate::pgbench::{Script, Writes, bare_script, rows_script, write_script};
use crate::read::{LIST, LOADED, OUTCOMES, SEARCH, loaded_ids, query_string, statement, texts};
use crate::record::Generator;

/// How many single incidents are read in turn, about.
const INCIDENTS_READ: i64 = 1_000;

/// How many texts are searched for in turn.
const TEXTS_SOUGHT: u64 = 20;

/// Writes. The rates are the service level: 500 a second and replica.
pub(super) fn writes(generator: &Generator) -> Result<Vec<Case>> {
    let case = |name: &str, writes, rate_per_second| -> Result<Case> {
        Ok(Case {
            script: write_script(writes, generator)?,
            rate_per_second,
            ..Case::new(name, Requests::Write(writes))
        })
    };
    Ok(vec![
        Case {
            bare: Some(bare_script(1, generator)?),
            rows: Some(rows_script(generator)?),
            ..case("write-repeat", Writes::Repeat, Some(500))?
        },
        case("write-fresh", Writes::Fresh, Some(500))?,
        case("write-mixed", Writes::Mixed, None)?,
        case("write-reports", Writes::Reports, None)?,
    ])
}

/// The paths of incidents between two ids, and how far apart their ids are.
async fn incident_paths(client: &Client, first: i64, last: i64) -> Result<(Vec<String>, i64)> {
    let step = (last - first) / INCIDENTS_READ + 1;
    let rows = client
        .query(
            "SELECT id FROM generate_series($1::bigint, $2, $3) AS id JOIN incidents USING (id)",
            &[&first, &last, &step],
        )
        .await
        .context("look for incidents by id")?;
    let paths = rows.iter().map(|row| {
        let id: i64 = row.try_get(0)?;
        Ok(format!("{LIST}/{id}"))
    });
    Ok((paths.collect::<Result<_>>()?, step))
}

/// Reads of the incidents that no benchmark wrote; none if there are no such incidents.
pub(super) async fn reads(client: &Client) -> Result<Vec<Case>> {
    let Some((first, last)) = loaded_ids(client).await? else {
        eprintln!("bench: there are no incidents to read, reads are left out");
        return Ok(Vec::new());
    };
    let (incidents, step) = incident_paths(client, first, last).await?;
    // Replays use up ids, and pgbench would read incidents that do not exist.
    let get_script = if incidents.len() as i64 == (last - first) / step + 1 {
        Some(statement::any_incident(first, step, incidents.len())?)
    } else {
        eprintln!("bench: some ids have no incident, get has no efficiency");
        None
    };
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

/// Outcomes, of all incidents and of the most common namespace, and the incidents like one: their
/// latencies at a constant rate. `bench read` compares them with pgbench.
pub(super) async fn outcomes(client: &Client) -> Result<Vec<Case>> {
    let Some((first, last)) = loaded_ids(client).await? else {
        return Ok(Vec::new());
    };
    let (incidents, _) = incident_paths(client, first, last).await?;
    let similar = incidents.iter().map(|path| format!("{path}/similar"));
    let similar = Case::read("similar", similar.collect(), None).at(5);
    let all = Case::read("outcomes", vec![OUTCOMES.to_owned()], None).at(5);
    let mut cases = vec![all, similar];
    let statement = format!(
        "SELECT namespace FROM incidents WHERE {LOADED} AND namespace <> '' \
         GROUP BY namespace ORDER BY count(*) DESC, namespace LIMIT 1"
    );
    let row = client.query_opt(&statement, &[]).await;
    if let Some(row) = row.context("find the most common namespace")? {
        let query = query_string(&[("namespace", row.try_get(0)?)]);
        let path = format!("{OUTCOMES}?{query}");
        cases.push(Case::read("outcomes-namespace", vec![path], None).at(5));
    }
    Ok(cases)
}

/// The host's own cost: a component that does nothing, and one that runs `SELECT 1`.
pub(super) fn baseline() -> Vec<Case> {
    let select_1 = Script {
        text: "SELECT 1;\n".to_owned(),
        variables: Vec::new(),
        is_prepared: false,
    };
    vec![
        Case::read("empty", vec!["/empty".to_owned()], None),
        Case::read("select-1", vec!["/select-1".to_owned()], Some(select_1)),
    ]
}
