//! What all replicas share beside the database: a Redis, for what may be lost.
//!
//! It is reached through the host's outbound Redis and not through its key-value interface:
//! that keeps one connection, and when the server is down its client tries for minutes to
//! have it back, while whoever asked is held. Here every request has a connection of its own,
//! made when it is first needed; a server that refuses it does so at once, and the request goes
//! on without.
//!
//! Only a refusal is quick. The host waits without a limit, and a component cannot give up on it:
//! where packets are dropped until the node's kernel gives up, and where a server accepts and
//! never answers without an end. Whoever asks before the answer holds its caller meanwhile.

use std::cell::OnceCell;
use std::fmt;

use spin_sdk::redis::{Connection, Error, RedisParameter, RedisResult};

/// Adds numbers to fields of a hash, in one go. A field that has no number is an error, once all
/// others are added to.
const INCREMENT_ALL: &str = "local failed \
    for i = 1, #ARGV, 2 do \
        local done = redis.pcall('HINCRBY', KEYS[1], ARGV[i], ARGV[i + 1]) \
        if type(done) == 'table' and done.err then failed = done end \
    end \
    return failed";

/// The Redis that a URL names, if one does.
pub struct Redis {
    url: Option<String>,
    connection: OnceCell<Option<Connection>>,
}

/// Why nothing was read or written, as far as it may be logged: the host's texts name
/// addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RedisError {
    /// No URL names one.
    #[error("no Redis is configured")]
    Absent,
    /// It does not accept a connection, or refuses the user.
    #[error("no connection to Redis")]
    Connection,
    /// The URL is none that the host reads.
    #[error("the URL of Redis cannot be used")]
    Address,
    /// It did not do what it was told.
    #[error("Redis refused the command, or the connection broke")]
    Command,
    /// What it answered is not what the command should answer.
    #[error("Redis gave an unexpected answer")]
    Answer,
}

impl fmt::Debug for Redis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Redis")
    }
}

impl Redis {
    /// The store at `redis://[user:password@]host:port[/database]`; none where that is blank.
    pub fn new(url: &str) -> Self {
        let url = url.trim();
        Self {
            url: (!url.is_empty()).then(|| url.to_owned()),
            connection: OnceCell::new(),
        }
    }

    /// Whether there is one at all.
    pub fn is_configured(&self) -> bool {
        self.url.is_some()
    }

    /// The value of a key, if it has one.
    ///
    /// # Errors
    ///
    /// There is no store, or it failed.
    pub fn get(&self, key: &str) -> Result<Option<Vec<u8>>, RedisError> {
        let answer = self.execute("GET", [text(key)])?;
        match answer.into_iter().next() {
            None | Some(RedisResult::Nil) => Ok(None),
            Some(RedisResult::Binary(value)) => Ok(Some(value)),
            Some(_) => Err(RedisError::Answer),
        }
    }

    /// Sets a key's value, which goes after so many seconds.
    ///
    /// # Errors
    ///
    /// There is no store, or it failed.
    pub fn set_for(&self, key: &str, value: &[u8], seconds: u32) -> Result<(), RedisError> {
        let value = RedisParameter::Binary(value.to_vec());
        let seconds = RedisParameter::Int64(seconds.into());
        self.execute("SET", [text(key), value, text("EX"), seconds])?;
        Ok(())
    }

    /// Adds numbers to fields of a hash, which begin at zero, in one go: nobody reads some of them.
    ///
    /// # Errors
    ///
    /// There is no store, or it failed; then it is not known whether they were added.
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

    /// The numbers in the fields of a hash. What is no number is passed over.
    ///
    /// # Errors
    ///
    /// There is no store, or it failed.
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

    /// The request's connection. Where it was refused once, it is not asked for again.
    #[allow(clippy::disallowed_methods, reason = "the one place that may")]
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
    /// Has the server close the connection: who closes first keeps the port for a minute
    /// (TCP's TIME-WAIT), and a client runs out of ports at some hundred requests a second.
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
