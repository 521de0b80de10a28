//! The application manifest, `spin.toml` version 2, as far as devhost supports it.
//!
//! Unknown and unsupported keys are errors, so that devhost ignores no part of a manifest.

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::Path;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Manifest {
    spin_manifest_version: u32,
    pub(crate) application: Application,
    #[serde(default)]
    pub(crate) variables: BTreeMap<String, Variable>,
    trigger: Triggers,
    #[serde(default, rename = "component")]
    pub(crate) components: BTreeMap<String, Component>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Application {
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) version: String,
    #[serde(default, rename = "description")]
    _description: String,
    #[serde(default, rename = "authors")]
    _authors: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Variable {
    #[serde(default, rename = "description")]
    _description: String,
    #[serde(default)]
    required: bool,
    pub(crate) default: Option<String>,
    #[serde(default, rename = "secret")]
    _secret: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Triggers {
    http: Vec<HttpTrigger>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct HttpTrigger {
    #[serde(default)]
    id: String,
    route: String,
    /// A component's id, or an inline component.
    component: toml::Value,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Component {
    /// Path of the wasm file, relative to the manifest.
    pub(crate) source: String,
    #[serde(default, rename = "description")]
    _description: String,
    #[serde(default)]
    pub(crate) allowed_outbound_hosts: Vec<String>,
    #[serde(default)]
    pub(crate) key_value_stores: Vec<String>,
    #[serde(default)]
    pub(crate) variables: BTreeMap<String, String>,
    #[serde(default)]
    pub(crate) environment: BTreeMap<String, String>,
    /// Accepted and ignored, as the host does not build.
    #[serde(rename = "build")]
    _build: Option<toml::Table>,
    /// Accepted and ignored: settings of other tools.
    #[serde(rename = "tool")]
    _tool: Option<toml::Table>,
}

/// A route of the application.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// Path pattern, such as `/api/v1/incidents/:id`.
    pub path: String,
    /// Id of the component that serves the route.
    pub component: String,
}

impl Manifest {
    pub(crate) fn load(path: &Path) -> Result<(Self, Vec<Route>)> {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("read the manifest {}", path.display()))?;
        Self::parse(&text).with_context(|| format!("in the manifest {}", path.display()))
    }

    /// Parses a manifest and moves inline components to the named ones.
    fn parse(text: &str) -> Result<(Self, Vec<Route>)> {
        let mut manifest: Self = toml::from_str(text)
            .context("not a manifest that devhost runs (it knows a part of Spin's only)")?;
        ensure!(
            manifest.spin_manifest_version == 2,
            "spin_manifest_version must be 2"
        );
        for (name, variable) in &manifest.variables {
            if !variable.required && variable.default.is_none() {
                bail!("variable {name:?} must have a default, or be required");
            }
        }
        let is_word = |word: &str| {
            word.starts_with(|first: char| first.is_ascii_alphabetic())
                && word.chars().all(|c| c.is_ascii_alphanumeric())
                && !(word.contains(|c: char| c.is_ascii_uppercase())
                    && word.contains(|c: char| c.is_ascii_lowercase()))
        };
        for id in manifest.components.keys() {
            ensure!(
                id.split('-').all(is_word),
                "the words of a component's id must begin with a letter and have letters of one case \
                 and digits only, unlike {id:?}"
            );
        }
        let mut routes: Vec<Route> = Vec::new();
        for trigger in std::mem::take(&mut manifest.trigger.http) {
            let route = manifest.add_trigger(trigger)?;
            // Spin warns and uses the later one.
            let duplicate = routes.iter().any(|other| other.path == route.path);
            ensure!(!duplicate, "the route {:?} is there twice", route.path);
            routes.push(route);
        }
        ensure!(!routes.is_empty(), "there is no [[trigger.http]]");
        Ok((manifest, routes))
    }

    fn add_trigger(&mut self, trigger: HttpTrigger) -> Result<Route> {
        let path = trigger.route;
        let component = match trigger.component {
            toml::Value::String(id) => id,
            inline => {
                let component = inline
                    .try_into()
                    .with_context(|| format!("the component of route {path:?}"))?;
                let id = self.inline_id(&trigger.id);
                self.components.insert(id.clone(), component);
                id
            }
        };
        ensure!(
            self.components.contains_key(&component),
            "route {path:?} names the component {component:?}, which does not exist"
        );
        Ok(Route { path, component })
    }

    fn inline_id(&self, trigger: &str) -> String {
        let named = format!("{trigger}-component");
        if !trigger.is_empty() && !self.components.contains_key(&named) {
            return named;
        }
        let numbered = |number: usize| format!("http-trigger{number}-component");
        let mut number = 1;
        while self.components.contains_key(&numbered(number)) {
            number += 1;
        }
        numbered(number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "spin_manifest_version = 2\n[application]\nname = \"a\"\n";

    fn parse(rest: &str) -> Result<(Manifest, Vec<Route>)> {
        Manifest::parse(&format!("{HEAD}{rest}"))
    }

    #[test]
    fn the_id_of_a_component_is_made_of_words() {
        let with_id = |id: &str| {
            parse(&format!(
                "[[trigger.http]]\nroute = \"/a\"\ncomponent = \"{id}\"\n\
                 [component.\"{id}\"]\nsource = \"a.wasm\""
            ))
        };
        assert!(with_id("select-one-1st").is_err());
        for id in ["", "a--b", "a_b", "aB", "select-1"] {
            let error = with_id(id).expect_err(id).to_string();
            assert!(error.contains("the words of"), "{error}");
        }
        with_id("select-v1").unwrap();
    }

    #[test]
    fn several_routes_may_name_one_component_and_a_component_may_be_inline() {
        let (manifest, routes) = parse(
            r#"
            [[trigger.http]]
            route = "/a"
            component = "one"
            [[trigger.http]]
            route = "/b/:id"
            component = "one"
            [[trigger.http]]
            route = "/..."
            component = { source = "two.wasm" }
            [component.one]
            source = "one.wasm"
            "#,
        )
        .unwrap();

        let ids: Vec<_> = routes.iter().map(|r| r.component.as_str()).collect();
        assert_eq!(ids, ["one", "one", "http-trigger1-component"]);
        assert_eq!(
            manifest.components["http-trigger1-component"].source,
            "two.wasm"
        );
    }

    #[test]
    fn an_unknown_key_is_refused_by_name() {
        let error = parse("[[trigger.http]]\nroute=\"/\"\ncomponent={source=\"a\", files=[]}\n")
            .unwrap_err();
        assert!(format!("{error:#}").contains("unknown field `files`"));

        let error = parse("[[trigger.redis]]\nchannel=\"c\"\ncomponent=\"a\"\n").unwrap_err();
        assert!(format!("{error:#}").contains("unknown field `redis`"));
    }

    #[test]
    fn a_route_to_a_missing_component_is_refused() {
        let error = parse("[[trigger.http]]\nroute=\"/\"\ncomponent=\"a\"\n").unwrap_err();
        assert!(format!("{error:#}").contains("does not exist"));
    }

    #[test]
    fn a_route_that_is_there_twice_is_refused() {
        let trigger = "[[trigger.http]]\nroute=\"/\"\ncomponent={source=\"a\"}\n";
        let error = parse(&trigger.repeat(2)).unwrap_err();
        assert!(format!("{error:#}").contains("the route \"/\" is there twice"));
    }

    #[test]
    fn a_variable_needs_a_default_or_to_be_required() {
        let text = "[[trigger.http]]\nroute=\"/\"\ncomponent={source=\"a\"}\n[variables]\na = {}\n";
        let error = parse(text).unwrap_err();
        assert!(format!("{error:#}").contains("must have a default"));
    }
}
