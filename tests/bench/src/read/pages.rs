//! Where the first and the last pages of the list of all incidents are.

use anyhow::{Context as _, Result, bail};
use http::StatusCode;
use incidents::LIMIT_MAX;
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};

use super::case::{LIST, query};
use crate::client::{Call, Connection, Service};

/// How many incidents the pages have that are measured, if nothing else is said.
pub(crate) const PAGE: i64 = incidents::LIMIT_DEFAULT;

/// A walk to the last page takes no more pages than this: of a thousand incidents each.
const WALK_PAGES_MAX: i64 = 5_000;

/// How often the progress of a walk is said, in pages.
const PAGES_OF_LINE: i64 = 100;

/// A page, as far as it is of interest here.
#[derive(Deserialize)]
pub(crate) struct Page {
    /// Its incidents.
    pub(crate) data: Vec<IgnoredAny>,
    /// Where it is.
    pub(crate) pagination: Pagination,
}

/// Where a page is.
#[derive(Deserialize)]
pub(crate) struct Pagination {
    /// How many incidents pass the filter.
    pub(crate) total: i64,
    /// Leads to the next page.
    pub(crate) next_cursor: Option<String>,
}

/// The cursors and the offset that lead to pages; none where there are too few incidents.
#[derive(Default)]
pub(crate) struct Pages {
    total: i64,
    /// Leads to the second page.
    pub(crate) second: Option<String>,
    /// Leads to the last one.
    pub(crate) last: Option<String>,
}

impl Pages {
    /// Asks for the first page and, where the cursor of the last one is wanted, walks there.
    pub(crate) async fn find(service: &Service, is_last_wanted: bool) -> Result<Self> {
        let mut connection = Connection::new(service);
        let first = page(&mut connection, PAGE, None).await?;
        let mut pages = Self {
            total: first.pagination.total,
            second: first.pagination.next_cursor,
            last: None,
        };
        if let (true, Some(offset)) = (is_last_wanted, pages.last_offset()) {
            pages.last = walk(&mut connection, offset).await?;
        }
        Ok(pages)
    }

    /// How many incidents come before the last page, which is full.
    pub(crate) fn last_offset(&self) -> Option<i64> {
        let offset = self.total - PAGE;
        (offset > 0).then_some(offset)
    }
}

/// The cursor that leads past so many incidents; there is no way to it but through the pages.
async fn walk(connection: &mut Connection<'_>, past: i64) -> Result<Option<String>> {
    let pages = (past + LIMIT_MAX - 1) / LIMIT_MAX;
    if pages > WALK_PAGES_MAX {
        bail!("the last page is {pages} pages away; leave cursor-last out with --cases");
    }
    let mut seen = 0;
    let mut cursor = None;
    for number in 1..=pages {
        let answer = page(connection, LIMIT_MAX.min(past - seen), cursor.as_deref()).await?;
        seen += i64::try_from(answer.data.len()).unwrap_or(0);
        cursor = answer.pagination.next_cursor;
        if number % PAGES_OF_LINE == 0 || number == pages {
            eprintln!("bench: walked {number} of {pages} pages to the last one");
        }
        if cursor.is_none() {
            break;
        }
    }
    if seen != past {
        bail!("a walk past {past} incidents showed {seen}");
    }
    Ok(cursor)
}

async fn page(connection: &mut Connection<'_>, limit: i64, cursor: Option<&str>) -> Result<Page> {
    let mut parameters = vec![("limit", limit.to_string())];
    parameters.extend(cursor.map(|cursor| ("cursor", cursor.to_owned())));
    ask(connection, format!("{LIST}?{}", query(&parameters))).await
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
