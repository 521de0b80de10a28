//! `cargo xtask up`: sets everything up and runs the service.

use std::cell::Cell;
use std::io::Write;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Result;
use clap::Args;

use crate::build::{self, HostChoice, Profile};
use crate::database::Database;
use crate::minilm::{EmbedderChoice, Minilm};
use crate::project::Project;
use crate::redis::Redis;
use crate::service::{self, Service};
use crate::steps::Steps;
use crate::{log_key, migrate, toolchain};

const WATCH_EVERY: Duration = Duration::from_millis(300);

/// An example record. Its time is fixed, so that posting it again is a replay.
const FIRST_RECORD: &str = r#"{"name":"web-memory-1","namespace":"production","phase":"Pending","createdAt":"2025-11-01T10:00:00Z","correlationId":"req-2025-11-01-web-memory-1","signalType":"prometheus","signalName":"HighMemoryUsage","signalNamespace":"production","targetType":"deployment","targetName":"web","targetNamespace":"production","severity":"critical"}"#;

#[derive(Args)]
pub(crate) struct Options {
    /// The address the service listens on
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// The program that runs the components
    #[arg(long, value_enum, default_value = "auto")]
    host: HostChoice,
    /// What embeds the records' texts
    #[arg(long, value_enum, default_value = "local")]
    embedder: EmbedderChoice,
}

/// Sets everything up, sets `ready`, and runs until the service ends or Ctrl-C drops this future.
pub(crate) async fn up(options: Options, ready: &Cell<bool>) -> Result<()> {
    let project = Project::find()?;
    let listen = service::settle_port(options.listen)?;
    // Report the user's errors before minutes of building: the address here, then the database.
    service::check_free(listen)?;
    let mut steps = Steps::new();

    let step = steps.begin("database");
    let (mut database, result) = Database::open(&project, &step).await?;
    steps.end(step, result);

    let step = steps.begin("toolchain");
    let result = toolchain::ensure(&project, &step).await?;
    steps.end(step, result);

    let step = steps.begin("components");
    let result = build::components(
        &project,
        &project.component_packages()?,
        build::RELEASE,
        &step,
    )
    .await?;
    steps.end(step, result);

    let step = steps.begin("host");
    let (host, result) = build::host(&project, options.host, Profile::Dev, &step).await?;
    steps.end(step, result);

    let mut minilm = None;
    if options.embedder == EmbedderChoice::Minilm {
        let step = steps.begin("embedder");
        let program = build::program(&project, "minilm", build::Profile::Dev, &step).await?;
        let (started, result) = Minilm::start(&project, program, &step).await?;
        steps.end(step, result);
        minilm = Some(started);
    }
    let mut variables = minilm.as_ref().map(Minilm::variables).unwrap_or_default();

    let step = steps.begin("redis");
    let _redis = match Redis::open(&project, &step).await {
        Ok((redis, result)) => {
            variables.extend(redis.variables()?);
            steps.end(step, result);
            Some(redis)
        }
        Err(error) => {
            step.note(format!("{error:#}"));
            steps.end(step, "none: the service runs without metrics");
            None
        }
    };

    database.check_alive()?;
    let step = steps.begin("migrations");
    let result = migrate::apply(database.address(), &step).await?;
    steps.end(step, result);

    let step = steps.begin("service");
    let users = database.users().await?;
    let mut service = Service::start(&project, &host, listen, &users, &variables, &step).await?;
    steps.end(step, format!("ready at {}", service.url));

    let _ = writeln!(
        std::io::stdout(),
        "\n{}\n\n{}",
        steps.table(),
        first_steps(
            &service.url,
            &log_key::local(&project)?.verifier().to_string()
        )
    );
    service.show_output();
    ready.set(true);
    loop {
        tokio::time::sleep(WATCH_EVERY).await;
        service.check_alive()?;
        database.check_alive()?;
        if let Some(minilm) = &mut minilm {
            minilm.check_alive()?;
        }
    }
}

/// Commands to paste into bash or zsh, each independent of the others.
fn first_steps(url: &str, log_key: &str) -> String {
    let post = format!(
        "{url}/api/v1/audit/remediation -H 'Content-Type: application/json' -d '{FIRST_RECORD}'"
    );
    format!(
        "Store a first record:\n\n\
         curl -si {post}\n\n\
         Read its incident. (This posts the record again, which stores nothing new; the response\n\
         has the incident's location.)\n\n\
         curl -si \"{url}$(curl -si {post} | tr -d '\\r' | sed -n 's/^[Ll]ocation: //p')\"\n\n\
         Verify that nothing that was stored has been altered or removed since:\n\n\
         cargo run --quiet --release --package verify -- --key {log_key} {url}\n\n\
         Ctrl-C stops everything."
    )
}
