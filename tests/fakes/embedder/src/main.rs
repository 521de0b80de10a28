//! Serves generated embeddings for load tests, a third of the time badly. The vectors match those
//! of `bench load --model dense`.

use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::Parser;
use embedder::{DENSE_MODEL, Embedder, Reply};

/// Serves the OpenAI embeddings API with generated vectors. Of nine requests, three fail: with 500,
/// with 429 and Retry-After, and with a closed connection.
#[derive(Parser)]
#[command(version)]
struct Options {
    /// Address to listen on.
    #[arg(long, default_value = "127.0.0.1:8082")]
    listen: String,
    /// Delay of a good response in milliseconds.
    #[arg(long, default_value_t = 20)]
    delay_milliseconds: u64,
    /// Never fail.
    #[arg(long)]
    reliable: bool,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let options = Options::parse();
    let embedder = Embedder::start_at(&options.listen)
        .await
        .with_context(|| format!("listen at {}; name another with --listen", options.listen))?;
    let good = || Reply::Late(Duration::from_millis(options.delay_milliseconds));
    if options.reliable {
        embedder.reply_in_turn([good()]);
    } else {
        embedder.reply_in_turn([
            good(),
            Reply::status(500),
            good(),
            good(),
            Reply::status_with(429, "retry-after: 1\r\n"),
            good(),
            good(),
            Reply::Close,
            good(),
        ]);
    }
    println!(
        "embedder: SPIN_VARIABLE_EMBEDDING_PROVIDER=openai \
         SPIN_VARIABLE_EMBEDDING_BASE_URL={} SPIN_VARIABLE_EMBEDDING_HOST={} \
         SPIN_VARIABLE_EMBEDDING_MODEL={DENSE_MODEL}",
        embedder.base_url(),
        embedder.host()
    );
    std::future::pending().await
}
