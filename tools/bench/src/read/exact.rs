//! Exact counts and searches by SQL that reads everything, without the service's indexes.

use std::collections::{BTreeSet, HashMap};

use anyhow::{Context as _, Result};
use dataset::Model;
use incidents::Filter;
use tokio_postgres::Client;

use super::statement::written;

/// The results of a search that are compared.
pub(crate) const RESULTS: i64 = incidents::FOUND_DEFAULT;

/// The SQL condition of a filter, which is `asked.filter` as JSON.
fn conditions(filter: &Filter) -> String {
    let mut conditions = vec!["true".to_owned()];
    for (name, _) in filter.parameters() {
        let value = format!("filter ->> '{name}'");
        conditions.push(match name {
            "severity" => format!("lower(alert_severity) = lower({value})"),
            "target_type" => format!("lower(target_type) = lower({value})"),
            "status" => format!("execution_status = {value}"),
            "action_type" => format!("{value} = ANY (action_types)"),
            "action_history_id" => format!("action_history_id = ({value})::bigint"),
            "since" => format!("opened_at >= ({value})::timestamptz"),
            "until" => format!("opened_at <= ({value})::timestamptz"),
            name => format!("{name} = {value}"),
        });
    }
    conditions.join(" AND ")
}

/// SQL for the incidents that pass a filter, the first parameter.
fn passing(filter: &Filter) -> String {
    format!(
        "(SELECT id FROM incidents, (SELECT $1::text::jsonb AS filter) AS asked WHERE {}) AS passing",
        conditions(filter)
    )
}

/// Counts the incidents that pass a filter.
pub(crate) async fn count(client: &Client, filter: &Filter) -> Result<i64> {
    let statement = format!("SELECT count(*) FROM {}", passing(filter));
    client
        .query_one(&statement, &[&written(filter)?])
        .await
        .and_then(|row| row.try_get(0))
        .context("count the incidents that pass a filter")
}

/// Exact searches with some filters, which compare all texts of a model. Nothing may be written
/// meanwhile.
pub(crate) struct ExactSearch<'a> {
    client: &'a Client,
    model: Model,
}

/// The results of an exact search.
#[derive(Debug, Default)]
pub(crate) struct Exact {
    /// The best similarities per filter, the best first. Filters are numbered.
    pub(crate) best: HashMap<i32, Vec<f64>>,
    /// The similarities of the requested incidents.
    pub(crate) of: HashMap<i64, f64>,
}

impl<'a> ExactSearch<'a> {
    /// Copies the model's vectors without their padding, and for each text and filter up to [`RESULTS`]
    /// incidents that pass. That is enough: incidents with the same text are equally similar.
    pub(crate) async fn prepare(
        client: &'a Client,
        model: Model,
        filters: &[&Filter],
    ) -> Result<Self> {
        client
            .batch_execute(
                "SET work_mem = '256MB'; SET statement_timeout = 0; \
                 CREATE TEMP TABLE texts (id bigint, embedding sparsevec); \
                 ALTER TABLE texts ALTER embedding SET STORAGE PLAIN; \
                 CREATE TEMP TABLE candidates \
                     (filter integer, embedding_id bigint, incident_id bigint)",
            )
            .await
            .context("make temporary tables for the exact search")?;
        let copy = "INSERT INTO texts SELECT id, embedding::sparsevec FROM embeddings \
            WHERE model = $1 AND vector_norm(embedding) > 0";
        let copied = client.execute(copy, &[&model.name()]).await;
        copied.context("copy the vectors")?;
        for (number, filter) in (0_i32..).zip(filters) {
            let statement = format!(
                "INSERT INTO candidates SELECT $2::integer, embedding_id, incident_id FROM ( \
                     SELECT embedding_id, incident_id, \
                         dense_rank() OVER (PARTITION BY embedding_id ORDER BY incident_id) AS place \
                     FROM incident_records JOIN {} ON passing.id = incident_id) AS placed \
                 WHERE place <= {RESULTS} GROUP BY embedding_id, incident_id",
                passing(filter)
            );
            let noted = client
                .execute(&statement, &[&written(filter)?, &number])
                .await;
            noted.context("note the incidents of each text")?;
        }
        let analyzed = client.batch_execute("ANALYZE texts, candidates").await;
        analyzed.context("analyze the temporary tables")?;
        Ok(Self { client, model })
    }

    /// Searches with every filter; also returns the similarities of some incidents.
    pub(crate) async fn search(&self, text: &str, asked: &[i64]) -> Result<Exact> {
        let statement = format!(
            "WITH compared AS MATERIALIZED ( \
                 SELECT id, least(greatest(1 - (embedding <=> query), 0), 1) AS similarity \
                 FROM texts, (SELECT read_embedding($1)::sparsevec AS query) AS sought) \
             SELECT filter, NULL::bigint, similarity FROM ( \
                 SELECT filter, max(similarity) AS similarity, row_number() \
                     OVER (PARTITION BY filter ORDER BY max(similarity) DESC) AS place \
                 FROM candidates JOIN compared ON compared.id = embedding_id \
                 WHERE similarity > 0 GROUP BY filter, incident_id) AS placed \
             WHERE place <= {RESULTS} \
             UNION ALL \
             SELECT NULL, incident_id, max(similarity) \
             FROM incident_records JOIN compared ON compared.id = embedding_id \
             WHERE incident_id = ANY ($2) GROUP BY incident_id \
             ORDER BY 3 DESC"
        );
        let vector = self.model.embed(text)?.vector.to_text();
        let rows = self
            .client
            .query(&statement, &[&vector, &asked])
            .await
            .context("search exactly")?;
        let mut exact = Exact::default();
        for row in rows {
            let similarity = row.try_get(2)?;
            if let Some(filter) = row.try_get(0)? {
                exact.best.entry(filter).or_default().push(similarity);
            } else {
                exact.of.insert(row.try_get(1)?, similarity);
            }
        }
        Ok(exact)
    }

    /// Those of some incidents that pass a filter.
    pub(crate) async fn passing(&self, filter: &Filter, ids: &[i64]) -> Result<BTreeSet<i64>> {
        let statement = format!("SELECT id FROM {} WHERE id = ANY ($2)", passing(filter));
        let rows = self
            .client
            .query(&statement, &[&written(filter)?, &ids])
            .await;
        let rows = rows.context("look at the incidents that were found")?;
        rows.iter().map(|row| Ok(row.try_get(0)?)).collect()
    }
}
