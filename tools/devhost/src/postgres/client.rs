//! Connection pools and statements. Pool sizes, clean-up, round trips and errors match Spin.

use super::convert;
use crate::bindings::spin::postgres::postgres::{
    Column, DbError, Error, ParameterValue, QueryError, Row, RowSet,
};
use crate::{lock, with_causes};
use anyhow::{Context, Result, anyhow};
use deadpool_postgres::{Manager, ManagerConfig, Object, Pool, RecyclingMethod};
use futures::TryStreamExt;
use std::sync::Mutex;
use tokio_postgres::config::SslMode;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Config, NoTls};
use tokio_postgres_rustls::MakeRustlsConnect;

const POOL_CONNECTIONS_MAX: usize = 64;
/// Maximum number of pools of a component.
const POOLS_MAX: usize = 16;
const RESULT_BYTES_MAX: usize = 128 * 1024 * 1024;

/// A component's pools by URL, oldest first.
#[derive(Default)]
pub(crate) struct Pools(Mutex<Vec<(String, Pool)>>);

impl Pools {
    /// Takes a connection from the pool of `url`. Waits without limit for a free one.
    ///
    /// A reused connection has no settings, prepared statements, locks or temporary tables of its
    /// last user, but may have an open transaction.
    pub(crate) async fn connect(&self, url: &str) -> Result<Object> {
        let pool = self
            .pool(url)
            .context("establishing PostgreSQL connection pool")?;
        Ok(pool.get().await?)
    }

    fn pool(&self, url: &str) -> Result<Pool> {
        let mut pools = lock(&self.0);
        if let Some((_, pool)) = pools.iter().find(|(known, _)| known == url) {
            return Ok(pool.clone());
        }
        let pool = create_pool(url)?;
        if pools.len() == POOLS_MAX {
            pools.remove(0);
        }
        pools.push((url.to_owned(), pool.clone()));
        Ok(pool)
    }
}

fn create_pool(url: &str) -> Result<Pool> {
    let config: Config = url.parse().context("parsing Postgres connection string")?;
    let recycling = ManagerConfig {
        recycling_method: RecyclingMethod::Clean,
    };
    let manager = if config.get_ssl_mode() == SslMode::Disable {
        Manager::from_config(config, NoTls, recycling)
    } else {
        let (connector, _) = MakeRustlsConnect::with_native_certs()
            .map_err(|errors| anyhow!("the system has no root certificates: {errors:?}"))?;
        Manager::from_config(config, connector, recycling)
    };
    let pool = Pool::builder(manager).max_size(POOL_CONNECTIONS_MAX);
    pool.build().context("building Postgres connection pool")
}

pub(super) async fn execute(
    connection: &Object,
    statement: &str,
    parameters: &[ParameterValue],
) -> Result<u64, Error> {
    let parameters = convert::parameters(parameters)
        .map_err(|error| Error::ValueConversionFailed(with_causes(&error)))?;
    let parameters: Vec<_> = parameters
        .iter()
        .map(|parameter| parameter.as_ref() as &(dyn ToSql + Sync))
        .collect();
    let executed = connection.execute(statement, &parameters).await;
    executed.map_err(|error| query_failed(&error))
}

/// Runs a statement and returns its rows, in two round trips: prepare, then bind and read.
pub(super) async fn query(
    connection: &Object,
    statement: &str,
    parameters: &[ParameterValue],
) -> Result<RowSet, Error> {
    let parameters = convert::parameters(parameters)
        .map_err(|error| Error::BadParameter(with_causes(&error)))?;
    // Up to here, errors keep their structure.
    let rows = connection.query_raw(statement, parameters).await;
    let rows = rows.map_err(|error| query_failed(&error))?;
    // From here on, errors become text, as for all errors of Spin's row stream.
    let read = read_rows(rows).await;
    read.map_err(|error| Error::QueryFailed(QueryError::Text(with_causes(&error))))
}

/// Reads all rows. A result without rows is an error: Spin 4.0.2 hangs on it.
async fn read_rows(rows: tokio_postgres::RowStream) -> Result<RowSet> {
    let mut result = RowSet {
        columns: Vec::new(),
        rows: Vec::new(),
    };
    let mut bytes = size_of::<RowSet>();
    let mut rows = std::pin::pin!(rows);
    while let Some(row) = rows
        .try_next()
        .await
        .map_err(|error| query_failed(&error))?
    {
        if result.rows.is_empty() {
            result.columns = columns(&row);
        }
        let row = convert_row(&row)?;
        bytes += row.iter().map(convert::size_in_memory).sum::<usize>();
        if bytes > RESULT_BYTES_MAX {
            return Err(anyhow!(
                "query result exceeds limit of {RESULT_BYTES_MAX} bytes"
            ));
        }
        result.rows.push(row);
    }
    if result.rows.is_empty() {
        return Err(anyhow!(
            "the statement answered no rows, for which Spin 4.0.2 would wait for ever; \
             let it answer one at least"
        ));
    }
    Ok(result)
}

fn columns(row: &tokio_postgres::Row) -> Vec<Column> {
    let convert = |column: &tokio_postgres::Column| Column {
        name: column.name().to_owned(),
        data_type: convert::data_type(column.type_()),
    };
    row.columns().iter().map(convert).collect()
}

fn convert_row(row: &tokio_postgres::Row) -> Result<Row> {
    let values = (0..row.len()).map(|index| convert::value(row, index));
    // Wrap twice: Spin reports the text of a failed conversion as that of its row.
    let failed = |error| Error::QueryFailed(QueryError::Text(with_causes(&error)));
    Ok(values.collect::<Result<_>>().map_err(failed)?)
}

/// Converts an error. Errors from the server keep their fields.
fn query_failed(error: &tokio_postgres::Error) -> Error {
    let as_text = format!("{error:?}");
    Error::QueryFailed(match error.as_db_error() {
        None => QueryError::Text(as_text),
        Some(db) => QueryError::DbError(DbError {
            as_text,
            severity: db.severity().to_owned(),
            code: db.code().code().to_owned(),
            message: db.message().to_owned(),
            detail: db.detail().map(str::to_owned),
            extras: extras(db),
        }),
    })
}

/// Returns the remaining fields of a server error under Spin's names.
fn extras(db: &tokio_postgres::error::DbError) -> Vec<(String, String)> {
    let line = db.line().map(|line| line.to_string());
    let fields = [
        ("column", db.column()),
        ("constraint", db.constraint()),
        ("routine", db.routine()),
        ("hint", db.hint()),
        ("table", db.table()),
        ("datatype", db.datatype()),
        ("schema", db.schema()),
        ("file", db.file()),
        ("line", line.as_deref()),
        ("where_", db.where_()),
    ];
    fields
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned())))
        .collect()
}
