//! `spin:postgres/postgres@4.0.0`: pooled connections that run one statement at a time.

mod client;
mod convert;
mod values;

pub(crate) use self::client::Pools;
use crate::bindings::spin::postgres::postgres::{
    Error, Host, HostConnection, ParameterValue, RowSet,
};
use crate::state::State;
use crate::with_causes;
use tokio_postgres::Config;
use tokio_postgres::config::Host as Address;
use wasmtime::Result;
use wasmtime::component::Resource;

/// Maximum number of connections of one request.
const CONNECTIONS_MAX: usize = 256;

/// An open connection of a guest. Dropping it returns it to its pool.
#[expect(unreachable_pub, reason = "the bindings re-export it")]
pub struct Connection(deadpool_postgres::Object);

impl State {
    /// Returns an error message if the manifest does not allow the server's address.
    fn check_address(&self, address: &str) -> Result<(), String> {
        let config: Config = address
            .parse()
            .map_err(|error: tokio_postgres::Error| error.to_string())?;
        let ports = config.get_ports();
        for (index, host) in config.get_hosts().iter().enumerate() {
            let Address::Tcp(name) = host else {
                return Err("Unix sockets are not supported on WebAssembly".to_owned());
            };
            // One port may apply to all hosts.
            let only = if ports.len() == 1 {
                ports.first()
            } else {
                None
            };
            let server = match ports.get(index).or(only) {
                Some(port) => format!("{name}:{port}"),
                None => name.clone(),
            };
            if !self.component.allowed_hosts.permit(&server, "postgres") {
                return Err(format!("address postgres://{server} is not permitted"));
            }
        }
        Ok(())
    }
}

impl Host for State {}

impl HostConnection for State {
    async fn open(&mut self, address: String) -> Result<Result<Resource<Connection>, Error>> {
        if let Err(message) = self.check_address(&address) {
            return Ok(Err(Error::ConnectionFailed(message)));
        }
        let connection = match self.component.pools.connect(&address).await {
            Ok(connection) => connection,
            Err(error) => return Ok(Err(Error::ConnectionFailed(with_causes(&error)))),
        };
        if self.connections == CONNECTIONS_MAX {
            let message = "too many connections".to_owned();
            return Ok(Err(Error::ConnectionFailed(message)));
        }
        self.connections += 1;
        Ok(Ok(self.table.push(Connection(connection))?))
    }

    async fn query(
        &mut self,
        connection: Resource<Connection>,
        statement: String,
        parameters: Vec<ParameterValue>,
    ) -> Result<Result<RowSet, Error>> {
        let Connection(connection) = self.table.get(&connection)?;
        Ok(client::query(connection, &statement, &parameters).await)
    }

    async fn execute(
        &mut self,
        connection: Resource<Connection>,
        statement: String,
        parameters: Vec<ParameterValue>,
    ) -> Result<Result<u64, Error>> {
        let Connection(connection) = self.table.get(&connection)?;
        Ok(client::execute(connection, &statement, &parameters).await)
    }

    async fn drop(&mut self, connection: Resource<Connection>) -> Result<()> {
        self.table.delete(connection)?;
        self.connections -= 1;
        Ok(())
    }
}
