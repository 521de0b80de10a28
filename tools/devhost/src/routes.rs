//! Finds the component for a path and tells the guest about its route.

use crate::manifest::Route;
use anyhow::{Context, Result};
use http::{HeaderMap, HeaderName, HeaderValue, Uri};
use routefinder::{Match, RouteSpec, Router};
use std::net::SocketAddr;

/// Prefix of the paths that the host answers itself.
pub(crate) const WELL_KNOWN: &str = "/.well-known/spin/";

/// Routes of an application. The most specific match wins.
pub(crate) struct Routes(Router<Target>);

#[derive(Debug)]
pub(crate) struct Target {
    route: Route,
    /// The matched route as Spin reports it: with a leading slash and no trailing one.
    matched: String,
}

impl Routes {
    pub(crate) fn new(routes: &[Route]) -> Result<Self> {
        let mut router = Router::new();
        for route in routes {
            let slash = if route.path.starts_with('/') { "" } else { "/" };
            let absolute = format!("{slash}{}", route.path);
            let matched = absolute.strip_suffix('/').unwrap_or(&absolute).to_owned();
            let pattern = match matched.strip_suffix("/...") {
                Some(prefix) => format!("{prefix}/*"),
                None => matched.clone(),
            };
            let pattern = RouteSpec::try_from(pattern.as_str())
                .map_err(anyhow::Error::msg)
                .with_context(|| format!("route {:?}", route.path))?;
            let target = Target {
                route: route.clone(),
                matched,
            };
            router
                .add(pattern, target)
                .map_err(|_| anyhow::anyhow!("route {:?}", route.path))?;
        }
        Ok(Self(router))
    }

    pub(crate) fn find<'a>(&'a self, path: &'a str) -> Option<Match<'a, 'a, Target>> {
        self.0.best_match(path)
    }
}

impl Target {
    /// Returns the id of the component that serves the route.
    pub(crate) fn component(&self) -> &str {
        &self.route.component
    }
}

/// Adds the headers by which Spin tells a guest about its route.
///
/// A client's headers of the same names remain, as in Spin, so that no guest relies on their
/// absence.
pub(crate) fn add_headers(
    headers: &mut HeaderMap,
    uri: &Uri,
    found: &Match<'_, '_, Target>,
    client: SocketAddr,
) -> Result<()> {
    for value in headers.values() {
        std::str::from_utf8(value.as_bytes()).context("a header is not UTF-8")?;
    }
    let host = match headers.get(http::header::HOST) {
        Some(host) => host.to_str()?.to_owned(),
        None => "localhost".to_owned(),
    };
    let path = uri.path_and_query().context("the URI has no path")?;
    let scheme = uri.scheme_str().unwrap_or("http");
    let target = found.handler();
    let raw = target.route.path.as_str();

    let mut add = |name: &str, value: &str| {
        // Skip names and values that a header cannot hold: a route may have a parameter `:a.b`.
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            headers.append(name, value);
        }
    };
    add("spin-path-info", &path_info(found));
    add("spin-full-url", &format!("{scheme}://{host}{path}"));
    add("spin-matched-route", &target.matched);
    add("spin-base-path", "/");
    add("spin-raw-component-route", raw);
    add(
        "spin-component-route",
        raw.strip_suffix("/...").unwrap_or(raw),
    );
    add("spin-client-addr", &client.to_string());
    for (name, value) in &found.captures() {
        let name = name.to_ascii_lowercase().replace('_', "-");
        add(&format!("spin-path-match-{name}"), value);
    }
    Ok(())
}

/// Returns the part of the path that `/...` matched, with its slashes, which the router drops.
fn path_info(found: &Match<'_, '_, Target>) -> String {
    let captures = found.captures();
    let Some(rest) = captures.wildcard() else {
        return String::new();
    };
    let start = if rest.is_empty() { "" } else { "/" };
    let end = if found.path().ends_with('/') { "/" } else { "" };
    format!("{start}{rest}{end}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn routes(paths: &[&str]) -> Routes {
        let route = |path: &&str| Route {
            path: (*path).to_owned(),
            component: (*path).to_owned(),
        };
        Routes::new(&paths.iter().map(route).collect::<Vec<_>>()).unwrap()
    }

    #[test]
    fn the_most_specific_route_wins() {
        let routes = routes(&["/...", "/a/:id", "/a/b", "/a/...", "/"]);
        let cases = [
            ("/", "/"),
            ("/a", "/a/..."),
            ("/a/b", "/a/b"),
            ("/a/b/", "/a/b"),
            ("/a/c", "/a/:id"),
            ("/a/b/c", "/a/..."),
            ("/x/y", "/..."),
        ];
        for (path, expected) in cases {
            let found = routes.find(path).unwrap();
            assert_eq!(found.handler().component(), expected, "{path}");
        }
    }

    #[test]
    fn a_path_without_a_route_is_not_found() {
        let routes = routes(&["/a", "/b/:id"]);
        assert!(routes.find("/").is_none());
        assert!(routes.find("/b").is_none());
        assert!(routes.find("/b/1/2").is_none());
    }

    #[test]
    fn path_info_keeps_slashes() {
        let routes = routes(&["/a/..."]);
        for (path, expected) in [("/a", ""), ("/a/", "/"), ("/a/b", "/b"), ("/a/b/", "/b/")] {
            assert_eq!(path_info(&routes.find(path).unwrap()), expected, "{path}");
        }
    }
}
