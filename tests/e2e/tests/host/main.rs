//! What the service does when what it depends on fails, and what its components may do.
//! These tests run hosts of their own, and break things around them.

mod access;
mod cache;
mod database;
mod database_address;
mod database_server;
mod dataset;
mod deletion;
mod grants;
mod log;
mod metrics;
mod minilm;
mod openai;
mod order;
mod own_redis;
mod partitions;
mod pgbouncer;
mod readiness;
mod replicas;
mod restart;
mod restore;
mod roles;
mod scale;
mod search;
mod sessions;
mod standby;
mod totals;
mod walks;
mod worlds;
