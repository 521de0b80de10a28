//! Runs the embedding model all-MiniLM-L6-v2 on the CPU behind the OpenAI embeddings API, for tests
//! and for trying the service.
//!
//! It needs a folder with `model.safetensors` and `tokenizer.json`, which `cargo xtask test` and
//! `cargo xtask up --embedder minilm` download.
//!
//! ```no_run
//! # async fn example() -> anyhow::Result<()> {
//! use std::sync::Arc;
//! let model = Arc::new(minilm::Model::load("folder".as_ref())?);
//! let server = minilm::Server::start(model, minilm::Options::default()).await?;
//! println!("http://{}/v1/embeddings", server.address());
//! # Ok(())
//! # }
//! ```

mod api;
mod bert;
mod model;
mod server;
mod weights;

pub use api::{BODY_BYTES_MAX, TEXTS_MAX};
pub use model::{DIMENSIONS, Embedding, Model, NAME, TOKENS_MAX};
pub use server::{Options, Server};
