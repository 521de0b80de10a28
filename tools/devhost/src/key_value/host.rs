//! Implements the guest's key-value interfaces.

use super::{Backend, Cas, Store};
use crate::bindings::fermyon::spin::key_value;
use crate::bindings::wasi::keyvalue::{atomics, batch, store};
use crate::state::State;
use std::sync::Arc;
use wasmtime::Result;
use wasmtime::component::Resource;

enum OpenError {
    NotGranted,
    Failed(String),
}

impl State {
    /// Opens a store that the manifest grants. Granted stores are configured, so no other error can
    /// occur.
    async fn open_store(&mut self, label: &str) -> Result<Result<Resource<Store>, OpenError>> {
        let Some(backend) = self.component.stores.get(label).cloned() else {
            return Ok(Err(OpenError::NotGranted));
        };
        if let Err(message) = backend.open().await {
            return Ok(Err(OpenError::Failed(message)));
        }
        Ok(Ok(self.table.push(Store(backend))?))
    }

    fn backend(&self, store: &Resource<Store>) -> Result<Arc<Backend>> {
        Ok(self.table.get(store)?.0.clone())
    }
}

impl key_value::Host for State {}

impl key_value::HostStore for State {
    async fn open(&mut self, label: String) -> Result<Result<Resource<Store>, key_value::Error>> {
        let opened = self.open_store(&label).await?;
        Ok(opened.map_err(|error| match error {
            OpenError::NotGranted => key_value::Error::AccessDenied,
            OpenError::Failed(message) => key_value::Error::Other(message),
        }))
    }

    async fn get(
        &mut self,
        store: Resource<Store>,
        key: String,
    ) -> Result<Result<Option<Vec<u8>>, key_value::Error>> {
        let value = self.backend(&store)?.get(&key).await;
        Ok(value.map_err(key_value::Error::Other))
    }

    async fn set(
        &mut self,
        store: Resource<Store>,
        key: String,
        value: Vec<u8>,
    ) -> Result<Result<(), key_value::Error>> {
        let done = self.backend(&store)?.set(vec![(key, value)]).await;
        Ok(done.map_err(key_value::Error::Other))
    }

    async fn delete(
        &mut self,
        store: Resource<Store>,
        key: String,
    ) -> Result<Result<(), key_value::Error>> {
        let done = self.backend(&store)?.delete(vec![key]).await;
        Ok(done.map_err(key_value::Error::Other))
    }

    async fn exists(
        &mut self,
        store: Resource<Store>,
        key: String,
    ) -> Result<Result<bool, key_value::Error>> {
        let exists = self.backend(&store)?.exists(&key).await;
        Ok(exists.map_err(key_value::Error::Other))
    }

    async fn get_keys(
        &mut self,
        store: Resource<Store>,
    ) -> Result<Result<Vec<String>, key_value::Error>> {
        let keys = self.backend(&store)?.keys().await;
        Ok(keys.map_err(key_value::Error::Other))
    }

    async fn drop(&mut self, store: Resource<Store>) -> Result<()> {
        self.table.delete(store)?;
        Ok(())
    }
}

impl store::Host for State {
    async fn open(&mut self, label: String) -> Result<Result<Resource<Store>, store::Error>> {
        let opened = self.open_store(&label).await?;
        Ok(opened.map_err(|error| match error {
            OpenError::NotGranted => store::Error::AccessDenied,
            OpenError::Failed(message) => store::Error::Other(message),
        }))
    }
}

impl store::HostBucket for State {
    async fn get(
        &mut self,
        bucket: Resource<Store>,
        key: String,
    ) -> Result<Result<Option<Vec<u8>>, store::Error>> {
        let value = self.backend(&bucket)?.get(&key).await;
        Ok(value.map_err(store::Error::Other))
    }

    async fn set(
        &mut self,
        bucket: Resource<Store>,
        key: String,
        value: Vec<u8>,
    ) -> Result<Result<(), store::Error>> {
        let done = self.backend(&bucket)?.set(vec![(key, value)]).await;
        Ok(done.map_err(store::Error::Other))
    }

    async fn delete(
        &mut self,
        bucket: Resource<Store>,
        key: String,
    ) -> Result<Result<(), store::Error>> {
        let done = self.backend(&bucket)?.delete(vec![key]).await;
        Ok(done.map_err(store::Error::Other))
    }

    async fn exists(
        &mut self,
        bucket: Resource<Store>,
        key: String,
    ) -> Result<Result<bool, store::Error>> {
        let exists = self.backend(&bucket)?.exists(&key).await;
        Ok(exists.map_err(store::Error::Other))
    }

    async fn list_keys(
        &mut self,
        bucket: Resource<Store>,
        cursor: Option<String>,
    ) -> Result<Result<store::KeyResponse, store::Error>> {
        if cursor.is_some() {
            let message = "list_keys: cursor not supported".to_owned();
            return Ok(Err(store::Error::Other(message)));
        }
        let keys = self.backend(&bucket)?.keys().await;
        let response = keys.map(|keys| store::KeyResponse { keys, cursor: None });
        Ok(response.map_err(store::Error::Other))
    }

    async fn drop(&mut self, bucket: Resource<Store>) -> Result<()> {
        self.table.delete(bucket)?;
        Ok(())
    }
}

impl batch::Host for State {
    async fn get_many(
        &mut self,
        bucket: Resource<Store>,
        keys: Vec<String>,
    ) -> Result<Result<Vec<(String, Option<Vec<u8>>)>, store::Error>> {
        let values = self.backend(&bucket)?.get_many(&keys).await;
        Ok(values.map_err(store::Error::Other))
    }

    async fn set_many(
        &mut self,
        bucket: Resource<Store>,
        pairs: Vec<(String, Vec<u8>)>,
    ) -> Result<Result<(), store::Error>> {
        if pairs.is_empty() {
            return Ok(Ok(()));
        }
        let done = self.backend(&bucket)?.set(pairs).await;
        Ok(done.map_err(store::Error::Other))
    }

    async fn delete_many(
        &mut self,
        bucket: Resource<Store>,
        keys: Vec<String>,
    ) -> Result<Result<(), store::Error>> {
        if keys.is_empty() {
            return Ok(Ok(()));
        }
        let done = self.backend(&bucket)?.delete(keys).await;
        Ok(done.map_err(store::Error::Other))
    }
}

impl atomics::Host for State {
    async fn increment(
        &mut self,
        bucket: Resource<Store>,
        key: String,
        delta: i64,
    ) -> Result<Result<i64, store::Error>> {
        match &*self.backend(&bucket)? {
            // Spin panics on such a value, which ends the request.
            Backend::Memory(memory) => memory
                .increment(key, delta)
                .map(Ok)
                .ok_or_else(|| wasmtime::format_err!("the value is not a counter")),
            Backend::Redis(redis) => {
                let value = redis.increment(key, delta).await;
                Ok(value.map_err(store::Error::Other))
            }
        }
    }

    async fn swap(
        &mut self,
        cas: Resource<Cas>,
        value: Vec<u8>,
    ) -> Result<Result<(), atomics::CasError>> {
        let mut cas = self.table.delete(cas)?;
        let Backend::Memory(memory) = &*cas.store else {
            let message = "devhost: compare-and-swap is not offered on Redis".to_owned();
            let error = store::Error::Other(message);
            return Ok(Err(atomics::CasError::StoreError(error)));
        };
        if memory.swap(&cas.key, cas.seen.as_deref(), value) {
            return Ok(Ok(()));
        }
        // The guest's new handle compares with the present value.
        cas.seen = memory.get(&cas.key);
        let retry = self.table.push(cas)?;
        Ok(Err(atomics::CasError::CasFailed(retry)))
    }
}

impl atomics::HostCas for State {
    async fn new(
        &mut self,
        bucket: Resource<Store>,
        key: String,
    ) -> Result<Result<Resource<Cas>, store::Error>> {
        let cas = Cas {
            store: self.backend(&bucket)?,
            key,
            seen: None,
        };
        Ok(Ok(self.table.push(cas)?))
    }

    async fn current(
        &mut self,
        cas: Resource<Cas>,
    ) -> Result<Result<Option<Vec<u8>>, store::Error>> {
        let Cas { store, key, .. } = self.table.get(&cas)?;
        let (store, key) = (store.clone(), key.clone());
        let value = store.get(&key).await;
        if let Ok(value) = &value {
            self.table.get_mut(&cas)?.seen = value.clone();
        }
        Ok(value.map_err(store::Error::Other))
    }

    async fn drop(&mut self, cas: Resource<Cas>) -> Result<()> {
        self.table.delete(cas)?;
        Ok(())
    }
}
