//! Compiles components once per process. With a cache folder, later processes reuse the result.

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

/// Maximum number of concurrent instances, as in Spin.
const INSTANCES_MAX: u32 = 1000;
/// Bytes of an instance's memory to reuse: zeroing them is cheaper than mapping new pages.
const MEMORY_KEPT_BYTES: usize = 2 * 1024 * 1024;
const TABLE_KEPT_BYTES: usize = 512 * 1024;

pub(crate) struct Compiler {
    engine: Engine,
    linker: Linker<State>,
    components: Mutex<HashMap<Source, Slot>>,
}

/// A compiled component. The compiling thread holds the lock; others wait for it.
type Slot = Arc<Mutex<Option<ProxyPre<State>>>>;

/// Identifies one state of a file.
#[derive(PartialEq, Eq, Hash)]
struct Source {
    path: PathBuf,
    modified: SystemTime,
    bytes: u64,
}

static COMPILERS: Mutex<Vec<(Option<PathBuf>, Arc<Compiler>)>> = Mutex::new(Vec::new());

impl Compiler {
    /// Returns this process's compiler for the folder `cache`; creates it on first use.
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

/// Links every interface. The grants are checked on use, as in Spin.
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
