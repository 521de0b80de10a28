//! How long the service takes to start.

use anyhow::{Context as _, Result};

use super::Bench;
use super::plan::HostKind;
use crate::report_file::{Report, StartUp};

impl Bench<'_> {
    /// How long the service takes to start, with compiled components at hand and without.
    pub(super) async fn measure_start_up(&self, report: &mut Report) -> Result<()> {
        let Some(host) = &self.plan.host else {
            return Ok(());
        };
        let stored = self
            .plan
            .databases
            .first()
            .context("a plan has a database")?;
        let (mut cold, mut warm) = (Vec::new(), Vec::new());
        for _ in 0..self.plan.extent().starts {
            let folder = tempfile::tempdir().context("make a folder for compiled components")?;
            // Where Spin keeps them is not told: it is started as it is.
            let cache = (host.kind == HostKind::Devhost).then(|| folder.path());
            for seconds in [cache.map(|_| &mut cold), Some(&mut warm)]
                .into_iter()
                .flatten()
            {
                let started = self.start_with("spin.toml", "/health/ready", &stored.url, cache);
                if let Some(host) = started.await? {
                    seconds.push(host.started_in.as_secs_f64());
                    host.stop().await?;
                }
            }
        }
        for (name, seconds) in [("cold", cold), ("warm", warm)] {
            eprintln!("bench: {name} start: {seconds:.2?} s");
            report.start_up.push(StartUp {
                name: name.to_owned(),
                seconds: seconds.into(),
            });
        }
        Ok(())
    }
}
