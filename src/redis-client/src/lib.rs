//! Redis, which all replicas share, for data that may be lost. Uses the host's outbound Redis,
//! since its key-value interface blocks callers for minutes after an outage. A refused connection
//! fails at once, but a silent server blocks the request: the host has no timeout.

use std::cell::OnceCell;
use std::fmt;

use spin_sdk::redis::{Connection, Error, RedisParameter, RedisResult};

/// Increments hash fields atomically. After all increments, reports one failed field, if any.
const INCREMENT_ALL: &str = "local failed \
    for i = 1, #ARGV, 2 do \
        local done = redis.pcall('HINCRBY', KEYS[1], ARGV[i], ARGV[i + 1]) \
        if type(done) == 'table' and done.err then failed = done end \
    end \
    return failed";

/// A Redis server, or none if no URL is configured.
pub struct Redis {
    url: Option<String>,
    connection: OnceCell<Option<Connection>>,
}

/// Why a command failed. Leaves out the host's texts, which contain addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RedisError {
    /// No URL is configured.
    #[error("no Redis is configured")]
    Absent,
    /// The server refused the connection or the credentials.
    #[error("no connection to Redis")]
    Connection,
    /// The host cannot parse the URL.
    #[error("redis_url is invalid, or redis_host does not name its host:port")]
    Address,
    /// The server rejected the command, or the connection broke.
    #[error("Redis refused the command, or the connection broke")]
    Command,
    /// The server's reply has an unexpected type.
    #[error("unexpected response from Redis")]
    Answer,
}

impl fmt::Debug for Redis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Redis")
    }
}

impl Redis {
    /// Creates a client for `redis://[user:password@]host:port[/database]`; a blank URL means none.
    pub fn new(url: &str) -> Self {
        let url = url.trim();
        Self {
            url: (!url.is_empty()).then(|| url.to_owned()),
            connection: OnceCell::new(),
        }
    }

    /// Whether a URL is configured.
    pub fn is_configured(&self) -> bool {
        self.url.is_some()
    }

    /// Reads the value of `key`.
    ///
    /// # Errors
    ///
    /// No Redis is configured, or it failed.
    pub fn get(&self, key: &str) -> Result<Option<Vec<u8>>, RedisError> {
        let answer = self.execute("GET", [text(key)])?;
        match answer.into_iter().next() {
            None | Some(RedisResult::Nil) => Ok(None),
            Some(RedisResult::Binary(value)) => Ok(Some(value)),
            Some(_) => Err(RedisError::Answer),
        }
    }

    /// Sets `key` to `value`, to expire after `seconds`.
    ///
    /// # Errors
    ///
    /// No Redis is configured, or it failed.
    pub fn set_for(&self, key: &str, value: &[u8], seconds: u32) -> Result<(), RedisError> {
        let value = RedisParameter::Binary(value.to_vec());
        let seconds = RedisParameter::Int64(seconds.into());
        self.execute("SET", [text(key), value, text("EX"), seconds])?;
        Ok(())
    }

    /// Increments fields of a hash atomically. Missing fields start at zero.
    ///
    /// # Errors
    ///
    /// No Redis is configured, or it failed and may have applied the increments.
    pub fn increment_all(
        &self,
        hash: &str,
        increments: &[(String, i64)],
    ) -> Result<(), RedisError> {
        if increments.is_empty() {
            return Ok(());
        }
        let fields = increments
            .iter()
            .flat_map(|(field, by)| [text(field), RedisParameter::Int64(*by)]);
        let arguments = [text(INCREMENT_ALL), RedisParameter::Int64(1), text(hash)];
        self.execute("EVAL", arguments.into_iter().chain(fields))?;
        Ok(())
    }

    /// Reads the numeric fields of a hash and skips the others.
    ///
    /// # Errors
    ///
    /// No Redis is configured, or it failed.
    pub fn read_all(&self, hash: &str) -> Result<Vec<(String, i64)>, RedisError> {
        let mut answer = self.execute("HGETALL", [text(hash)])?.into_iter();
        let mut fields = Vec::new();
        while let Some(field) = answer.next() {
            let value = answer.next().ok_or(RedisError::Answer)?;
            if let (Some(field), Some(value)) = (read_text(field), read_text(value))
                && let Ok(value) = value.parse()
            {
                fields.push((field, value));
            }
        }
        Ok(fields)
    }

    fn execute(
        &self,
        command: &str,
        arguments: impl IntoIterator<Item = RedisParameter>,
    ) -> Result<Vec<RedisResult>, RedisError> {
        let arguments: Vec<_> = arguments.into_iter().collect();
        self.connect()?
            .execute(command, &arguments)
            .map_err(|error| read_error(&error, RedisError::Command))
    }

    /// The request's connection. A refused connection is not tried again.
    #[allow(
        clippy::disallowed_methods,
        reason = "the only place that connects to Redis"
    )]
    fn connect(&self) -> Result<&Connection, RedisError> {
        let url = self.url.as_deref().ok_or(RedisError::Absent)?;
        if let Some(connection) = self.connection.get() {
            return connection.as_ref().ok_or(RedisError::Connection);
        }
        let opened = Connection::open(url);
        let error = opened
            .as_ref()
            .err()
            .map(|error| read_error(error, RedisError::Connection));
        let connection = self.connection.get_or_init(|| opened.ok());
        connection
            .as_ref()
            .ok_or(error.unwrap_or(RedisError::Connection))
    }
}

impl Drop for Redis {
    /// Lets the server close: TIME-WAIT here would exhaust the ports at some 100 requests/s.
    fn drop(&mut self) {
        if let Some(Some(connection)) = self.connection.get() {
            let _ = connection.execute("QUIT", &[]);
        }
    }
}

fn text(text: &str) -> RedisParameter {
    RedisParameter::Binary(text.as_bytes().to_vec())
}

fn read_text(result: RedisResult) -> Option<String> {
    match result {
        RedisResult::Binary(bytes) => String::from_utf8(bytes).ok(),
        RedisResult::Status(text) => Some(text),
        RedisResult::Int64(number) => Some(number.to_string()),
        RedisResult::Nil => None,
    }
}

fn read_error(error: &Error, otherwise: RedisError) -> RedisError {
    match error {
        Error::InvalidAddress => RedisError::Address,
        Error::TooManyConnections => RedisError::Connection,
        Error::TypeError | Error::Other(_) => otherwise,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_blank_url_is_no_store() {
        for url in ["", " ", "\n"] {
            let store = Redis::new(url);
            assert!(!store.is_configured());
            assert_eq!(store.get("key"), Err(RedisError::Absent));
        }
    }

    #[test]
    fn a_store_does_not_print_its_url() {
        let store = Redis::new("redis://:secret@host:6379");
        assert!(store.is_configured());
        assert_eq!(format!("{store:?}"), "Redis");
    }
}
