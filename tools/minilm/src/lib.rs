//! A real embedding model to test against, and to try the service with: all-MiniLM-L6-v2, on
//! this machine's processor, behind the OpenAI embeddings API.
//!
//! What it needs is a folder with the model's `model.safetensors` and `tokenizer.json`;
//! `cargo xtask test` and `cargo xtask up --embedder minilm` download them.
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
