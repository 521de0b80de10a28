//! A loaded application: its routes and components.

use crate::allowed_hosts::AllowedHosts;
use crate::client_tls::{ClientTls, ComponentTls};
use crate::engine::Compiler;
use crate::host::HostOptions;
use crate::key_value::{self, Stores};
use crate::log::Log;
use crate::manifest::{self, Manifest, Route};
use crate::postgres::Pools;
use crate::routes::Routes;
use crate::runtime_config::RuntimeConfig;
use crate::state::State;
use crate::variables::{self, Values};
use anyhow::{Context, Result};
use http::uri::Authority;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use wasmtime_wasi_http::p2::bindings::ProxyPre;

pub(crate) struct App {
    /// Body of `/.well-known/spin/info`.
    pub(crate) info: String,
    /// Routes in the manifest's order.
    pub(crate) listed: Vec<Route>,
    pub(crate) routes: Routes,
    pub(crate) components: BTreeMap<String, Arc<Component>>,
    pub(crate) log: Log,
    pub(crate) own: Authority,
    pub(crate) drain: Duration,
    pub(crate) readiness_paths: Vec<String>,
}

pub(crate) struct Component {
    pub(crate) id: String,
    /// Compiled and linked once, so that each request only instantiates it.
    pub(crate) ready: ProxyPre<State>,
    pub(crate) allowed_hosts: AllowedHosts,
    pub(crate) stores: Stores,
    pub(crate) tls: ComponentTls,
    pub(crate) variables: Values,
    pub(crate) environment: Vec<(String, String)>,
    pub(crate) pools: Pools,
}

/// Resources from which a component's manifest entry selects.
struct Granted {
    stores: Stores,
    tls: ClientTls,
    values: Values,
}

impl App {
    /// Loads the application that `options` name. The host serves it at `own`.
    pub(crate) async fn load(options: &HostOptions, own: Authority) -> Result<Self> {
        let (manifest, listed) = Manifest::load(&options.manifest)?;
        let config = RuntimeConfig::load(options.runtime_config.as_deref())?;
        let granted = Granted {
            stores: key_value::make_stores(&config.key_value_store)?,
            tls: config.client_tls()?,
            values: variables::resolve_application(&manifest.variables, &options.variables)?,
        };
        let folder = options.manifest.parent().unwrap_or(Path::new(""));

        // Compile all components in parallel; the first start takes longest.
        let compiler = Compiler::shared(options.cache_dir.as_deref())?;
        let compile = |component: &manifest::Component| {
            let path = folder.join(&component.source);
            let compiler = compiler.clone();
            tokio::task::spawn_blocking(move || compiler.component(&path))
        };
        let compiling: Vec<_> = manifest.components.values().map(compile).collect();

        let mut components = BTreeMap::new();
        for ((id, entry), compiling) in manifest.components.iter().zip(compiling) {
            let ready = compiling.await?;
            let component = ready
                .and_then(|ready| Component::grant(id, ready, entry, &granted, options))
                .with_context(|| format!("component {id:?}"))?;
            components.insert(id.clone(), Arc::new(component));
        }
        Ok(Self {
            info: info(&manifest.application),
            routes: Routes::new(&listed)?,
            listed,
            components,
            log: Log::open(&options.log).context("open the log")?,
            own,
            drain: options.drain,
            readiness_paths: options.readiness_paths.clone(),
        })
    }
}

impl Component {
    fn grant(
        id: &str,
        ready: ProxyPre<State>,
        entry: &manifest::Component,
        granted: &Granted,
        options: &HostOptions,
    ) -> Result<Self> {
        let values = &granted.values;
        // Values for all components win over the manifest's, as in `spin up --env`.
        let environment = entry.environment.clone().into_iter();
        Ok(Self {
            id: id.to_owned(),
            ready,
            allowed_hosts: AllowedHosts::parse(&entry.allowed_outbound_hosts, values)?,
            stores: key_value::grant_stores(&granted.stores, &entry.key_value_stores)?,
            tls: granted.tls.of(id),
            variables: variables::resolve_component(&entry.variables, values)?,
            environment: environment.chain(options.environment.clone()).collect(),
            pools: Pools::default(),
        })
    }
}

fn info(application: &manifest::Application) -> String {
    let info = serde_json::json!({
        "name": application.name,
        "version": application.version,
    });
    format!("{info:#}")
}
