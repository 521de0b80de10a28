//! The runtime configuration: backends of key-value stores, and `[[client_tls]]`.

use crate::client_tls::{ClientTls, Entry};
use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Label of the store that exists without configuration, as in Spin.
const DEFAULT_LABEL: &str = "default";

/// Supported sections. Others, such as `[sqlite_database]`, are errors.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RuntimeConfig {
    #[serde(default)]
    pub(crate) key_value_store: BTreeMap<String, Backend>,
    #[serde(default)]
    client_tls: Vec<Entry>,
    /// Folder of the file; its paths are relative to it.
    #[serde(skip)]
    folder: PathBuf,
}

#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase", deny_unknown_fields)]
pub(crate) enum Backend {
    /// SQLite in Spin, a map in devhost.
    Spin { path: Option<PathBuf> },
    /// A Redis server.
    Redis { url: String },
}

impl RuntimeConfig {
    /// Reads the file at `path`, if any, and adds the default store.
    pub(crate) fn load(path: Option<&Path>) -> Result<Self> {
        let mut config = match path {
            None => Self::default(),
            Some(path) => {
                let text = std::fs::read_to_string(path).with_context(|| {
                    format!("read the runtime configuration {}", path.display())
                })?;
                let mut config =
                    Self::parse(&text).with_context(|| format!("in {}", path.display()))?;
                config.folder = path.parent().unwrap_or(Path::new("")).to_owned();
                config
            }
        };
        config
            .key_value_store
            .entry(DEFAULT_LABEL.to_owned())
            .or_insert(Backend::Spin { path: None });
        Ok(config)
    }

    pub(crate) fn client_tls(&self) -> Result<ClientTls> {
        ClientTls::load(&self.client_tls, &self.folder)
    }

    fn parse(text: &str) -> Result<Self> {
        let config: Self = toml::from_str(text).context(
            "not a runtime configuration that devhost knows: [key_value_store.LABEL] with the \
             type \"spin\" or \"redis\", and [[client_tls]], is all",
        )?;
        for (label, backend) in &config.key_value_store {
            let on_disk = matches!(backend, Backend::Spin { path: Some(_) });
            ensure!(
                !on_disk,
                "key-value store {label:?} has a path: devhost keeps stores of the type \"spin\" \
                 in memory only; leave the path out, or use Redis"
            );
        }
        Ok(config)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_store_exists_without_a_configuration() {
        let config = RuntimeConfig::load(None).unwrap();
        assert!(config.key_value_store.contains_key("default"));
    }

    #[test]
    fn what_is_not_offered_is_refused_by_name() {
        let cases = [
            ("[outbound_networking]", "outbound_networking"),
            (
                "[[client_tls]]\ncomponent_ids = []\nhosts = []\nca_root = \"\"",
                "ca_root",
            ),
            (
                "[key_value_store.a]\ntype = \"azure_cosmos\"",
                "azure_cosmos",
            ),
            (
                "[key_value_store.a]\ntype = \"spin\"\npath = \"a.db\"",
                "in memory only",
            ),
        ];
        for (text, expected) in cases {
            let error = format!("{:#}", RuntimeConfig::parse(text).unwrap_err());
            assert!(error.contains(expected), "{error}");
        }
    }
}
