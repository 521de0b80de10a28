//! Compiled components. They are compiled once per process, and once per machine where there
//! is a folder to keep them in; many hosts share them.

use crate::bindings;
use crate::lock;
use crate::state::State;
use anyhow::{Context, Result};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::SystemTime;
use wasmtime::component::{Component, HasSelf, Linker};
use wasmtime::{
    Cache, CacheConfig, Config, Engine, InstanceAllocationStrategy, PoolingAllocationConfig,
};
use wasmtime_wasi_http::p2::bindings::ProxyPre;

/// How many instances there can be at once, as in Spin.
const INSTANCES_MAX: u32 = 1000;
/// How much of an instance's memory is kept for the next one, in bytes: setting it to zero is
/// cheaper than mapping it anew.
const MEMORY_KEPT_BYTES: usize = 2 * 1024 * 1024;
const TABLE_KEPT_BYTES: usize = 512 * 1024;

/// An engine and the components compiled for it.
pub(crate) struct Compiler {
    engine: Engine,
    linker: Linker<State>,
    components: Mutex<HashMap<Source, Slot>>,
}

/// A component, once it is compiled. The lock is held meanwhile: who needs it, too, waits.
type Slot = Arc<Mutex<Option<ProxyPre<State>>>>;

/// A file, as it was at some time.
#[derive(PartialEq, Eq, Hash)]
struct Source {
    path: PathBuf,
    modified: SystemTime,
    bytes: u64,
}

/// The engines of this process, by the folder that they keep compiled components in.
static COMPILERS: Mutex<Vec<(Option<PathBuf>, Arc<Compiler>)>> = Mutex::new(Vec::new());

impl Compiler {
    /// The engine for a folder, made if it is the first use of it.
    pub(crate) fn shared(cache: Option<&Path>) -> Result<Arc<Self>> {
        let mut compilers = lock(&COMPILERS);
        if let Some((_, compiler)) = compilers.iter().find(|(of, _)| of.as_deref() == cache) {
            return Ok(compiler.clone());
        }
        let compiler = Arc::new(Self::new(cache)?);
        compilers.push((cache.map(Path::to_owned), compiler.clone()));
        Ok(compiler)
    }

    fn new(cache: Option<&Path>) -> Result<Self> {
        let mut config = Config::new();
        config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool()));
        if let Some(folder) = cache {
            let mut caching = CacheConfig::new();
            // Wasmtime wants an absolute path.
            caching.with_directory(std::path::absolute(folder)?);
            config.cache(Some(Cache::new(caching)?));
        }
        let engine = Engine::new(&config)?;
        Ok(Self {
            linker: link(&engine)?,
            engine,
            components: Mutex::default(),
        })
    }

    /// Compiles a component, or finds it compiled, ready to be instantiated.
    pub(crate) fn component(&self, path: &Path) -> Result<ProxyPre<State>> {
        let read = || format!("read the component {} (is it built?)", path.display());
        let path = path.canonicalize().with_context(read)?;
        let metadata = path.metadata().with_context(read)?;
        let source = Source {
            modified: metadata.modified()?,
            bytes: metadata.len(),
            path: path.clone(),
        };
        let slot = lock(&self.components).entry(source).or_default().clone();
        let mut slot = lock(&slot);
        if let Some(component) = &*slot {
            return Ok(component.clone());
        }
        let component = self
            .compile(&path)
            .with_context(|| format!("load the component {}", path.display()))?;
        *slot = Some(component.clone());
        Ok(component)
    }

    fn compile(&self, path: &Path) -> Result<ProxyPre<State>> {
        let component = Component::from_file(&self.engine, path)?;
        let linked = self.linker.instantiate_pre(&component);
        let linked = linked
            .map_err(anyhow::Error::from)
            .context("it imports what devhost does not offer")?;
        let handler = ProxyPre::new(linked).map_err(anyhow::Error::from);
        handler.context("it is no HTTP handler")
    }
}

fn pool() -> PoolingAllocationConfig {
    let mut pool = PoolingAllocationConfig::default();
    pool.total_component_instances(INSTANCES_MAX)
        .total_core_instances(4 * INSTANCES_MAX)
        .total_memories(INSTANCES_MAX)
        .total_tables(2 * INSTANCES_MAX)
        .total_stacks(INSTANCES_MAX)
        .table_elements(100_000)
        .linear_memory_keep_resident(MEMORY_KEPT_BYTES)
        .table_keep_resident(TABLE_KEPT_BYTES);
    pool
}

/// Everything that a component may import, whatever its manifest entry grants: the grants are
/// checked on use, as in Spin.
fn link(engine: &Engine) -> Result<Linker<State>> {
    use bindings::{fermyon, spin, wasi};
    type Own = HasSelf<State>;

    let mut linker = Linker::new(engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(&mut linker)?;
    spin::postgres::postgres::add_to_linker::<_, Own>(&mut linker, |state| state)?;
    fermyon::spin::key_value::add_to_linker::<_, Own>(&mut linker, |state| state)?;
    fermyon::spin::redis::add_to_linker::<_, Own>(&mut linker, |state| state)?;
    fermyon::spin::variables::add_to_linker::<_, Own>(&mut linker, |state| state)?;
    wasi::keyvalue::store::add_to_linker::<_, Own>(&mut linker, |state| state)?;
    wasi::keyvalue::batch::add_to_linker::<_, Own>(&mut linker, |state| state)?;
    wasi::keyvalue::atomics::add_to_linker::<_, Own>(&mut linker, |state| state)?;
    Ok(linker)
}
