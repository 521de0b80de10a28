//! What an exact answer would be, by SQL that reads everything and no index of the service's.

use std::collections::HashMap;

use anyhow::{Context as _, Result};
use embedding::{EmbeddingCache, EmbeddingRequest, Model};
use incidents::Filter;
use tokio_postgres::Client;
use tokio_postgres::types::ToSql;

/// How many results of a search are looked at.
pub(crate) const RESULTS: i64 = incidents::FOUND_DEFAULT;

/// Whether an incident passes the filter of the first nine parameters.
const PASSES: &str = "\
    ($1::text IS NULL OR incidents.namespace = $1) \
    AND ($2::text IS NULL OR incidents.cluster = $2) \
    AND ($3::text IS NULL OR incidents.action_type = $3) \
    AND ($4::text IS NULL OR incidents.alert_name = $4) \
    AND ($5::text IS NULL OR incidents.alert_severity = $5) \
    AND ($6::text IS NULL OR incidents.execution_status = $6) \
    AND ($7::text IS NULL OR incidents.correlation_id = $7) \
    AND ($8::timestamptz IS NULL OR incidents.action_timestamp >= $8) \
    AND ($9::timestamptz IS NULL OR incidents.action_timestamp <= $9)";

/// How many incidents pass a filter.
pub(crate) async fn count(client: &Client, filter: &Filter) -> Result<i64> {
    let statement = format!("SELECT count(*) FROM incidents WHERE {PASSES}");
    client
        .query_one(&statement, &parameters(filter))
        .await
        .and_then(|row| row.try_get(0))
        .context("count the incidents that pass a filter")
}

fn parameters(filter: &Filter) -> Vec<&(dyn ToSql + Sync)> {
    vec![
        &filter.namespace,
        &filter.cluster,
        &filter.action_type,
        &filter.alert_name,
        &filter.severity,
        &filter.status,
        &filter.correlation_id,
        &filter.since,
        &filter.until,
    ]
}

/// The exact search, for some filters: of every text that the model embedded the similarity is
/// computed. Nothing may be written meanwhile.
pub(crate) struct ExactSearch<'a> {
    client: &'a Client,
}

/// What the exact search finds.
#[derive(Debug, Default)]
pub(crate) struct Exact {
    /// For each filter, by its number, the similarities of the best ten, the best first.
    pub(crate) best: HashMap<i32, Vec<f64>>,
    /// The similarities of the incidents that were asked for.
    pub(crate) of: HashMap<i64, f64>,
}

impl<'a> ExactSearch<'a> {
    /// Notes of each text, for each filter, [`RESULTS`] incidents that pass. More cannot be among
    /// the best of any query: all incidents of one text are equally similar by it.
    pub(crate) async fn prepare(client: &'a Client, filters: &[&Filter]) -> Result<Self> {
        client
            .batch_execute(
                "SET work_mem = '256MB'; \
                 CREATE TEMP TABLE candidates \
                     (filter integer, embedding_id bigint, incident_id bigint)",
            )
            .await
            .context("make a temporary table for the exact search")?;
        let statement = format!(
            "INSERT INTO candidates SELECT $10::integer, embedding_id, incident_id FROM ( \
                 SELECT embedding_id, incident_id, \
                     dense_rank() OVER (PARTITION BY embedding_id ORDER BY incident_id) AS place \
                 FROM incident_embeddings JOIN incidents ON incidents.id = incident_id \
                 WHERE {PASSES}) AS placed \
             WHERE place <= {RESULTS}"
        );
        for (number, filter) in (0_i32..).zip(filters) {
            let mut parameters = parameters(filter);
            parameters.push(&number);
            let noted = client.execute(&statement, &parameters).await;
            noted.context("note the incidents of each text")?;
        }
        let analyzed = client.batch_execute("ANALYZE candidates").await;
        analyzed.context("analyze the temporary table")?;
        Ok(Self { client })
    }

    /// Searches with every filter, and finds out how similar these incidents are.
    pub(crate) async fn search(&self, text: &str, asked: &[i64]) -> Result<Exact> {
        // The local model needs no cache.
        let embedding = request(text).embed(|| EmbeddingCache::open(std::time::Duration::ZERO));
        let statement = format!(
            "WITH texts AS MATERIALIZED ( \
                 SELECT id, least(greatest(1 - (embedding <=> query), 0), 1) AS similarity \
                 FROM embeddings, read_embedding($2) AS query \
                 WHERE model = $1 AND vector_norm(embedding) > 0) \
             SELECT filter, NULL::bigint, similarity FROM ( \
                 SELECT filter, max(similarity) AS similarity, row_number() \
                     OVER (PARTITION BY filter ORDER BY max(similarity) DESC) AS place \
                 FROM candidates JOIN texts ON texts.id = embedding_id \
                 GROUP BY filter, incident_id) AS placed \
             WHERE place <= {RESULTS} \
             UNION ALL \
             SELECT NULL, incident_id, max(similarity) \
             FROM incident_embeddings JOIN texts ON texts.id = embedding_id \
             WHERE incident_id = ANY ($3) GROUP BY incident_id \
             ORDER BY 3 DESC"
        );
        let vector = embedding.vector.to_text();
        let rows = self
            .client
            .query(&statement, &[&embedding.key.model, &vector, &asked])
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
}

/// The name of the model that exact searches are made with: the one that is built in.
pub(crate) fn model() -> String {
    request("").key().model.clone()
}

fn request(text: &str) -> EmbeddingRequest {
    EmbeddingRequest::new(Model::Local, text.to_owned())
}
