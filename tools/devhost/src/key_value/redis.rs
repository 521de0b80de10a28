//! A store in Redis. Each host multiplexes a store's commands on one connection, and `open` pings
//! it, as in Spin.

use anyhow::{Context, Result};
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::{AsyncCommands, Client, RedisError};
use tokio::sync::OnceCell;

pub(crate) struct Redis {
    client: Client,
    connection: OnceCell<ConnectionManager>,
}

impl Redis {
    pub(super) fn new(url: &str) -> Result<Self> {
        Ok(Self {
            client: Client::open(url).context("not the URL of a Redis server")?,
            connection: OnceCell::new(),
        })
    }

    async fn connection(&self) -> Result<ConnectionManager, String> {
        let connect = || async {
            // Spin's Redis client has no timeouts.
            let config = ConnectionManagerConfig::new()
                .set_connection_timeout(None)
                .set_response_timeout(None);
            self.client.get_connection_manager_with_config(config).await
        };
        let connection = self.connection.get_or_try_init(connect).await;
        connection.cloned().map_err(text)
    }

    pub(super) async fn open(&self) -> Result<(), String> {
        let mut connection = self.connection().await?;
        // The next command reconnects.
        _ = connection.ping::<()>().await;
        Ok(())
    }

    pub(super) async fn get(&self, key: &str) -> Result<Option<Vec<u8>>, String> {
        self.connection().await?.get(key).await.map_err(text)
    }

    pub(super) async fn set(&self, pairs: Vec<(String, Vec<u8>)>) -> Result<(), String> {
        self.connection().await?.mset(&pairs).await.map_err(text)
    }

    pub(super) async fn delete(&self, keys: Vec<String>) -> Result<(), String> {
        self.connection().await?.del(keys).await.map_err(text)
    }

    pub(super) async fn exists(&self, key: &str) -> Result<bool, String> {
        self.connection().await?.exists(key).await.map_err(text)
    }

    pub(super) async fn keys(&self) -> Result<Vec<String>, String> {
        self.connection().await?.keys("*").await.map_err(text)
    }

    /// Adds to a counter, which Redis stores as decimal text.
    pub(super) async fn increment(&self, key: String, delta: i64) -> Result<i64, String> {
        self.connection()
            .await?
            .incr(key, delta)
            .await
            .map_err(text)
    }
}

fn text(error: RedisError) -> String {
    format!("{error:?}")
}
