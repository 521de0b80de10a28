//! `fermyon:spin/redis@2.0.0`: a connection per `open`, closed with the guest's handle.
//!
//! As in Spin, commands have no timeout, and a refused connection is reported at once.

use crate::bindings::fermyon::spin::redis::{
    Error, Host, HostConnection, RedisParameter, RedisResult,
};
use crate::state::State;
use redis::aio::MultiplexedConnection;
use redis::{
    AsyncCommands, AsyncConnectionConfig, Client, ConnectionAddr, ErrorKind, RedisError,
    ServerErrorKind, Value,
};
use wasmtime::Result;
use wasmtime::component::Resource;

/// Maximum number of connections of one request.
const CONNECTIONS_MAX: usize = 1024;
const RESULT_BYTES_MAX: usize = 128 * 1024 * 1024;

#[expect(unreachable_pub, reason = "the bindings re-export it")]
pub struct Connection(MultiplexedConnection);

impl State {
    async fn connect_redis(&mut self, address: &str) -> Result<MultiplexedConnection, Error> {
        if !self.component.allowed_hosts.permit(address, "redis") {
            return Err(Error::InvalidAddress);
        }
        let client = Client::open(address).map_err(|_| Error::InvalidAddress)?;
        // An entry for any host also permits `unix:///path`, as in Spin, which takes `unix` for a
        // host.
        if let ConnectionAddr::Unix(_) = client.get_connection_info().addr() {
            return Err(Error::InvalidAddress);
        }
        // Spin's Redis client has no timeouts.
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(None)
            .set_response_timeout(None);
        let connecting = client.get_multiplexed_async_connection_with_config(&config);
        let connection = connecting.await.map_err(other)?;
        if self.redis_connections == CONNECTIONS_MAX {
            return Err(Error::TooManyConnections);
        }
        Ok(connection)
    }

    fn redis(&mut self, connection: &Resource<Connection>) -> Result<&mut MultiplexedConnection> {
        let Connection(connection) = self.table.get_mut(connection)?;
        Ok(connection)
    }
}

impl Host for State {}

impl HostConnection for State {
    async fn open(&mut self, address: String) -> Result<Result<Resource<Connection>, Error>> {
        let connection = match self.connect_redis(&address).await {
            Ok(connection) => connection,
            Err(error) => return Ok(Err(error)),
        };
        self.redis_connections += 1;
        Ok(Ok(self.table.push(Connection(connection))?))
    }

    async fn publish(
        &mut self,
        connection: Resource<Connection>,
        channel: String,
        payload: Vec<u8>,
    ) -> Result<Result<(), Error>> {
        let published = self.redis(&connection)?.publish(channel, payload).await;
        Ok(published.map_err(other))
    }

    async fn get(
        &mut self,
        connection: Resource<Connection>,
        key: String,
    ) -> Result<Result<Option<Vec<u8>>, Error>> {
        let value: Result<Option<Vec<u8>>, _> = self.redis(&connection)?.get(key).await;
        let bytes = |value: &Option<Vec<u8>>| {
            size_of::<Option<Vec<u8>>>() + value.as_ref().map_or(0, Vec::len)
        };
        Ok(value.map_err(other).and_then(|value| {
            within_limit(bytes(&value))?;
            Ok(value)
        }))
    }

    async fn set(
        &mut self,
        connection: Resource<Connection>,
        key: String,
        value: Vec<u8>,
    ) -> Result<Result<(), Error>> {
        let set = self.redis(&connection)?.set(key, value).await;
        Ok(set.map_err(other))
    }

    async fn incr(
        &mut self,
        connection: Resource<Connection>,
        key: String,
    ) -> Result<Result<i64, Error>> {
        let value = self.redis(&connection)?.incr(key, 1).await;
        Ok(value.map_err(other))
    }

    async fn del(
        &mut self,
        connection: Resource<Connection>,
        keys: Vec<String>,
    ) -> Result<Result<u32, Error>> {
        let deleted = self.redis(&connection)?.del(keys).await;
        Ok(deleted.map_err(other))
    }

    async fn sadd(
        &mut self,
        connection: Resource<Connection>,
        key: String,
        values: Vec<String>,
    ) -> Result<Result<u32, Error>> {
        let added = self.redis(&connection)?.sadd(key, values).await;
        // Spin reports a response of an unexpected type as a type error, but not the server's
        // WRONGTYPE.
        Ok(added.map_err(|error| match error.kind() {
            ErrorKind::UnexpectedReturnType | ErrorKind::Parse => Error::TypeError,
            _ => other(error),
        }))
    }

    async fn smembers(
        &mut self,
        connection: Resource<Connection>,
        key: String,
    ) -> Result<Result<Vec<String>, Error>> {
        let members = self.redis(&connection)?.smembers(key).await;
        Ok(members.map_err(other))
    }

    async fn srem(
        &mut self,
        connection: Resource<Connection>,
        key: String,
        values: Vec<String>,
    ) -> Result<Result<u32, Error>> {
        let removed = self.redis(&connection)?.srem(key, values).await;
        Ok(removed.map_err(other))
    }

    async fn execute(
        &mut self,
        connection: Resource<Connection>,
        command: String,
        arguments: Vec<RedisParameter>,
    ) -> Result<Result<Vec<RedisResult>, Error>> {
        let mut command = redis::cmd(&command);
        for argument in arguments {
            match argument {
                RedisParameter::Int64(number) => command.arg(number),
                RedisParameter::Binary(bytes) => command.arg(bytes),
            };
        }
        let answer = command.query_async(self.redis(&connection)?).await;
        Ok(answer.map_err(other).and_then(results))
    }

    async fn drop(&mut self, connection: Resource<Connection>) -> Result<()> {
        self.table.delete(connection)?;
        self.redis_connections -= 1;
        Ok(())
    }
}

/// Flattens a response, including nested values.
fn results(answer: Value) -> Result<Vec<RedisResult>, Error> {
    let mut results = Vec::new();
    flatten(answer, &mut results)?;
    let bytes = |result: &RedisResult| {
        size_of::<RedisResult>()
            + match result {
                RedisResult::Nil | RedisResult::Int64(_) => 0,
                RedisResult::Status(text) => text.len(),
                RedisResult::Binary(bytes) => bytes.len(),
            }
    };
    within_limit(size_of::<Vec<RedisResult>>() + results.iter().map(bytes).sum::<usize>())?;
    Ok(results)
}

fn flatten(value: Value, results: &mut Vec<RedisResult>) -> Result<(), Error> {
    let result = match value {
        Value::Nil => RedisResult::Nil,
        Value::Int(number) => RedisResult::Int64(number),
        Value::BulkString(bytes) => RedisResult::Binary(bytes),
        Value::SimpleString(text) => RedisResult::Status(text),
        Value::Okay => RedisResult::Status("OK".to_owned()),
        Value::Double(number) => RedisResult::Binary(number.to_string().into_bytes()),
        Value::Boolean(bool) => RedisResult::Int64(bool.into()),
        Value::BigNumber(digits) => RedisResult::Binary(digits),
        Value::Array(values) | Value::Set(values) => {
            return values
                .into_iter()
                .try_for_each(|value| flatten(value, results));
        }
        // The remaining types belong to a protocol version that this client does not use.
        _ => {
            return Err(Error::Other(
                "Could not convert Redis response - TypeError".to_owned(),
            ));
        }
    };
    results.push(result);
    Ok(())
}

fn within_limit(bytes: usize) -> Result<(), Error> {
    if bytes > RESULT_BYTES_MAX {
        return Err(Error::Other(format!(
            "query result exceeds limit of {RESULT_BYTES_MAX} bytes"
        )));
    }
    Ok(())
}

/// Formats an error as Spin's Redis client does.
#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn other(error: RedisError) -> Error {
    let detail = error.detail().unwrap_or_default();
    Error::Other(match error.kind() {
        // Spin's client does not know this kind.
        ErrorKind::Extension | ErrorKind::Server(ServerErrorKind::NoPerm) => {
            format!("{}: {detail}", error.code().unwrap_or_default())
        }
        ErrorKind::Server(kind) => {
            let kind = match kind {
                ServerErrorKind::ExecAbort => "ExecAbortError".to_owned(),
                ServerErrorKind::BusyLoading => "BusyLoadingError".to_owned(),
                ServerErrorKind::NoScript => "NoScriptError".to_owned(),
                kind => format!("{kind:?}"),
            };
            format!("An error was signalled by the server - {kind}: {detail}")
        }
        _ => error.to_string(),
    })
}
