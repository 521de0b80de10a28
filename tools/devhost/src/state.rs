//! Host-side state of one request's instance.

use crate::app::{App, Component};
use crate::log::Output;
use crate::outbound::Outbound;
use std::sync::Arc;
use wasmtime::component::ResourceTable;
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpView};

pub(crate) struct State {
    wasi: WasiCtx,
    http: WasiHttpCtx,
    outbound: Outbound,
    /// Resources behind the guest's handles.
    pub(crate) table: ResourceTable,
    pub(crate) component: Arc<Component>,
    /// Number of open database connections.
    pub(crate) connections: usize,
    /// Number of open Redis connections, without those of key-value stores.
    pub(crate) redis_connections: usize,
}

impl State {
    pub(crate) fn new(app: &App, component: &Arc<Component>) -> Self {
        let mut wasi = WasiCtx::builder();
        wasi.envs(&component.environment)
            .stdout(Output::new(&app.log))
            .stderr(Output::new(&app.log));
        Self {
            wasi: wasi.build(),
            http: WasiHttpCtx::new(),
            outbound: Outbound {
                component: component.clone(),
                own: app.own.clone(),
            },
            table: ResourceTable::new(),
            component: component.clone(),
            connections: 0,
            redis_connections: 0,
        }
    }
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView {
            ctx: &mut self.wasi,
            table: &mut self.table,
        }
    }
}

impl WasiHttpView for State {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView {
            ctx: &mut self.http,
            table: &mut self.table,
            hooks: &mut self.outbound,
        }
    }
}
