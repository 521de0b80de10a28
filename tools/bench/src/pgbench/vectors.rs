//! Vectors of new texts, which pgbench cannot make.

use anyhow::{Context as _, Result};
use dataset::Model;
use tokio_postgres::Client;

use crate::record::{Generator, SIGNAL};

/// How many are ready before each run, some 130 MB. A run that needs more fails: a vector that is used
/// again spares the index the change of neighbours.
const READY: i64 = 65_536;

/// How many one statement stores.
const CHUNK: i64 = 4_096;

/// The table of [`make_vectors`]. A script that uses it names it.
pub(crate) const VECTOR_TABLE: &str = "bench_vectors";

/// An expression for the text form of a vector that no other transaction gets. `each` refers to the
/// record, or all of a batch would have the same one; it has the value 0.
pub(super) fn new_vector(each: &str) -> String {
    format!(
        "(SELECT written FROM {VECTOR_TABLE} \
         WHERE number = (SELECT nextval('bench_vector_numbers') + {each}))"
    )
}

/// Stores vectors of new texts until [`READY`] are unused.
pub(crate) async fn make_vectors(client: &Client, generator: &Generator) -> Result<()> {
    let tables = format!(
        "CREATE TABLE IF NOT EXISTS {VECTOR_TABLE} (number bigint PRIMARY KEY, written text NOT NULL); \
         CREATE SEQUENCE IF NOT EXISTS bench_vector_numbers"
    );
    let made = client.batch_execute(&tables).await;
    made.context("make a table for vectors of new texts")?;
    let counts = format!(
        "SELECT (SELECT count(*) FROM {VECTOR_TABLE}), \
             (SELECT last_value FROM bench_vector_numbers)"
    );
    let counts = client.query_one(&counts, &[]).await?;
    let (stored, used): (i64, i64) = (counts.try_get(0)?, counts.try_get(1)?);
    let insert = format!(
        "INSERT INTO {VECTOR_TABLE} SELECT $1 + ordinality, written \
         FROM unnest($2::text[]) WITH ORDINALITY AS item (written)"
    );
    let needed = used + READY;
    for first in (stored..needed).step_by(usize::try_from(CHUNK)?) {
        let numbers = first..needed.min(first + CHUNK);
        let written = numbers.map(|number| {
            let text = generator.fresh_text("pgbench", number.cast_unsigned())?;
            Ok(Model::Local
                .embed(&text_of_analysis(&text))?
                .vector
                .to_text())
        });
        let written = written.collect::<Result<Vec<_>>>()?;
        let inserted = client.execute(&insert, &[&first, &written]).await;
        inserted.context("store vectors of new texts")?;
    }
    Ok(())
}

/// What the service embeds of an analysis.
fn text_of_analysis(root_cause: &str) -> String {
    format!("{SIGNAL}\n{root_cause}")
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;
    use crate::record::{RecordKind, parse};

    #[test]
    fn the_embedded_text_is_the_services() {
        let generator = Generator::of_run("r".to_owned(), DateTime::UNIX_EPOCH).unwrap();
        let kind = RecordKind::Aianalysis;
        let record = generator
            .record(kind, "s", 0, "the limit is too low")
            .unwrap();
        let record = parse(kind, &record).unwrap();
        assert_eq!(
            record.embedded_text,
            text_of_analysis("the limit is too low")
        );
    }
}
