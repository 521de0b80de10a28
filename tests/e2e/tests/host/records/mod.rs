//! Records as they are listed: by filters, by incident, and as the log grows.

mod filters;
mod following;
mod limits;
mod timeline;

use e2e::{Answer, TestApp};
use reqwest::Method;
use serde_json::Value;

const RECORDS: &str = "/api/v1/audit/records";

/// The ids of an empty page.
const NONE: [i64; 0] = [];

/// The items of a page.
fn items(page: &Answer) -> Vec<Value> {
    page.json()["data"].as_array().unwrap().clone()
}

fn ids(page: &Answer) -> Vec<i64> {
    let items = items(page).into_iter();
    items.map(|item| item["id"].as_i64().unwrap()).collect()
}

/// Path and relation of a page's link.
fn link(page: &Answer) -> Option<(String, String)> {
    let (path, relation) = page.header("link").strip_prefix('<')?.split_once(">; ")?;
    let relation = relation.strip_prefix("rel=\"")?.strip_suffix('"')?;
    Some((path.to_owned(), relation.to_owned()))
}

/// Path of the next page.
fn next(page: &Answer) -> Option<String> {
    let (path, relation) = link(page)?;
    (relation == "next").then_some(path)
}

/// Reads a list to its end and returns its ids, page by page.
async fn walk(app: &TestApp, path: &str) -> Vec<Vec<i64>> {
    let mut pages = Vec::new();
    let mut path = Some(path.to_owned());
    while let Some(own) = path {
        let page = app.get(&own).await.expect(200);
        pages.push(ids(&page));
        path = next(&page);
        let cursor = page.json()["pagination"]["next_cursor"].clone();
        let linked = path
            .as_deref()
            .and_then(|path| path.split("cursor=").nth(1));
        assert_eq!(cursor.as_str(), linked, "{page:?}");
    }
    pages
}

/// Asks for a line for each item.
async fn lines(app: &TestApp, path: &str) -> Answer {
    let request = app.request(Method::GET, path);
    let request = request.header("accept", "application/x-ndjson");
    app.send(request).await.expect(200)
}

/// Asserts that a page in lines has the bytes of the items of the page as JSON, and its link.
async fn assert_same_in_lines(app: &TestApp, path: &str) {
    let page = app.get(path).await.expect(200);
    let lines = lines(app, path).await;
    assert_eq!(lines.header("content-type"), "application/x-ndjson");
    assert_eq!(lines.header("link"), page.header("link"));
    assert!(!lines.text.is_empty() && lines.text.ends_with('\n'));
    let items: Vec<_> = lines.text.lines().collect();
    let data = format!("{{\"data\":[{}],\"pagination\":", items.join(","));
    assert!(page.text.starts_with(&data), "{page:?}\n{lines:?}");
}

/// Asserts that a query of a list is refused with one violation.
async fn assert_refused(app: &TestApp, path: &str, field: &str, rule: &str) {
    let answer = app.get(path).await.expect_problem(400, "validation");
    let expected = [(field.to_owned(), rule.to_owned())];
    assert_eq!(answer.violations(), expected, "{answer:?}");
}
