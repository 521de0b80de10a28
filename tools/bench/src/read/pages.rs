//! Where the second and the last page of the list of all incidents are.

use anyhow::{Context as _, Result, bail};
use http::StatusCode;
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};

use super::case::{LIST, query};
use super::values::Parameters;
use crate::client::{Call, Connection, Service};

/// How many incidents the pages have that are measured, if nothing else is said.
pub(crate) const PAGE: i64 = incidents::LIMIT_DEFAULT;

/// A page or an incident, as far as it is of interest here.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct Shown {
    /// The incident's id.
    pub(crate) id: Option<i64>,
    /// The page's incidents.
    pub(crate) data: Vec<IgnoredAny>,
    /// Where the page is.
    pub(crate) pagination: Pagination,
}

/// Where a page is.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct Pagination {
    /// How many incidents pass the filter.
    pub(crate) total: Option<i64>,
    /// Whether so many or more.
    pub(crate) total_relation: Option<String>,
    /// Leads to the next page.
    next_cursor: Option<String>,
}

/// The cursors and the offset that lead to pages; none where there are too few incidents.
#[derive(Default)]
pub(crate) struct Pages {
    /// Leads to the second page.
    pub(crate) second: Option<String>,
    /// Leads to the last one.
    pub(crate) last: Option<String>,
    /// How many incidents come before the last one, which is full.
    pub(crate) last_offset: Option<i64>,
}

impl Pages {
    /// Asks for the pages before them.
    pub(crate) async fn find(service: &Service) -> Result<Self> {
        let mut connection = Connection::new(service);
        let mut page = async |parameters: Parameters| -> Result<Pagination> {
            let path = format!("{LIST}?{}", query(&parameters));
            Ok(ask::<Shown>(&mut connection, path).await?.pagination)
        };
        let counted = page(vec![("count", "exact".to_owned())]).await?.total;
        let before_last = counted.context("there is no total")? - 2 * PAGE;
        let mut pages = Self {
            second: page(vec![("limit", PAGE.to_string())]).await?.next_cursor,
            ..Self::default()
        };
        if before_last > 0 {
            let offset = ("offset", before_last.to_string());
            pages.last = page(vec![("limit", PAGE.to_string()), offset])
                .await?
                .next_cursor;
            pages.last_offset = Some(before_last + PAGE);
        }
        Ok(pages)
    }
}

/// Asks for something and reads the answer.
pub(crate) async fn ask<T: DeserializeOwned>(
    connection: &mut Connection<'_>,
    path: String,
) -> Result<T> {
    let answer = match connection.send(&Call::get(path.clone())).await {
        Ok(answer) if answer.status == StatusCode::OK => answer,
        Ok(answer) => bail!(
            "{path} is answered with {}: {}",
            answer.status,
            String::from_utf8_lossy(&answer.body)
        ),
        Err(failure) => bail!("{path} is not answered: {}", failure.as_str()),
    };
    serde_json::from_slice(&answer.body).with_context(|| format!("read the answer to {path}"))
}
