//! Database connections for schema changes, with the server's messages.

use std::future::poll_fn;
use std::time::Duration;

use anyhow::Context;
use tokio::task::JoinHandle;
use tokio_postgres::error::DbError;
use tokio_postgres::{AsyncMessage, Client, Config, NoTls};

const CONNECT_SECONDS_MAX: u64 = 15;

/// Connects. The task drives the connection and collects the server's notices and warnings.
pub(crate) async fn connect(
    database_url: &str,
    application_name: &str,
) -> anyhow::Result<(Client, JoinHandle<Vec<DbError>>)> {
    let mut config: Config = database_url
        .parse()
        .context("read the database's address")?;
    config.application_name(application_name);
    config.connect_timeout(Duration::from_secs(CONNECT_SECONDS_MAX));
    let (client, mut connection) = config
        .connect(NoTls)
        .await
        .context("connect to the database")?;
    let serve = async move {
        let mut notices = Vec::new();
        while let Some(Ok(message)) = poll_fn(|context| connection.poll_message(context)).await {
            if let AsyncMessage::Notice(notice) = message {
                notices.push(notice);
            }
        }
        notices
    };
    Ok((client, tokio::spawn(serve)))
}

pub(crate) async fn disconnect(
    client: Client,
    connection: JoinHandle<Vec<DbError>>,
) -> Vec<DbError> {
    drop(client);
    connection.await.unwrap_or_default()
}
