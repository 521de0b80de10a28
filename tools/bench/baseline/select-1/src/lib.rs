//! Answers every request with the number that PostgreSQL answers `SELECT 1` with: the least that
//! a request which needs the database can cost in this host.

use std::fmt::Display;

use spin_sdk::http::{Fields, IncomingRequest, OutgoingResponse, ResponseOutparam};
use spin_sdk::pg4::{Connection, Decode as _};
use spin_sdk::{http_component, variables};

#[http_component]
async fn handle(_: IncomingRequest, response: ResponseOutparam) {
    let answer = OutgoingResponse::new(Fields::new());
    let text = match select_1() {
        Ok(number) => number.to_string(),
        Err(reason) => {
            eprintln!("{reason}");
            // No host refuses this status.
            let _ = answer.set_status_code(500);
            String::new()
        }
    };
    // It fails when the client is gone, and then there is nobody to tell.
    let _ = response.set_with_body(answer, text.into_bytes()).await;
}

#[expect(
    clippy::disallowed_methods,
    reason = "what the store crate adds is not to be in the baseline that it is held against"
)]
fn select_1() -> Result<i32, String> {
    let url = variables::get("database_url").map_err(|error| said("the variable", error))?;
    let connection = Connection::open(&url).map_err(|error| said("connecting", error))?;
    let rows = connection
        .query("SELECT 1", &[])
        .map_err(|error| said("the query", error))?;
    let value = rows.rows.first().and_then(|row| row.first());
    let value = value.ok_or("the query: no row")?;
    i32::decode(value).map_err(|error| said("the number", error))
}

fn said(what: &str, error: impl Display) -> String {
    format!("{what}: {error}")
}
