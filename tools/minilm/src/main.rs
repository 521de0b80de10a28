//! The program: `minilm --model FOLDER --listen ADDRESS`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use anyhow::Result;
use clap::Parser;
use minilm::{Model, NAME, Options, Server};
use tokio::signal::unix::{SignalKind, signal};

/// Serves all-MiniLM-L6-v2 over the OpenAI embeddings API, on this machine's processor.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// A folder with the model's model.safetensors and tokenizer.json
    #[arg(long, env = "MINILM_MODEL", value_name = "FOLDER")]
    model: PathBuf,
    /// Address and port to listen on; port 0 finds a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8090")]
    listen: SocketAddr,
    /// API key that requests must have [default: none]
    #[arg(
        long,
        env = "MINILM_API_KEY",
        value_name = "KEY",
        hide_env_values = true
    )]
    api_key: Option<String>,
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    println!("Loading {NAME} from {}", arguments.model.display());
    let begun = Instant::now();
    let model = Arc::new(Model::load(&arguments.model)?);
    println!("Loaded in {:.2} s", begun.elapsed().as_secs_f64());

    let options = Options {
        listen: arguments.listen,
        api_key: arguments.api_key,
        log: |line| println!("{line}"),
    };
    let server = Server::start(model, options).await?;
    println!("Serving http://{}/v1/embeddings", server.address());

    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        _ = terminate.recv() => {}
        interrupted = tokio::signal::ctrl_c() => interrupted?,
    }
    Ok(())
}
