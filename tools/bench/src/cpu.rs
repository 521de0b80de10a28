//! CPU time of processes, from `/proc`.

use std::fs;

use anyhow::{Result, ensure};

/// The unit of times in `/proc/PID/stat`, as Linux shows it to programs on x86-64 and arm64.
const TICKS_PER_SECOND: f64 = 100.0;

/// How often a reading is repeated while processes come and go.
const READINGS_MAX: usize = 20;

/// A part of `/proc/PID/stat`.
pub(crate) struct Stat {
    /// The name of the program, cut short at 15 bytes.
    pub(crate) name: String,
    /// Its parent.
    pub(crate) parent: u32,
    /// Whether it has ended and its parent has not taken note.
    pub(crate) is_zombie: bool,
    own_seconds: f64,
    ended_children_seconds: f64,
}

/// Reads the state of a process; `None` if there is no such process.
pub(crate) fn stat(pid: u32) -> Option<Stat> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name is in brackets and may hold anything, brackets too.
    let (head, tail) = text.rsplit_once(')')?;
    let name = head.split_once('(')?.1.to_owned();
    let mut fields = tail.split_whitespace();
    let is_zombie = matches!(fields.next()?, "Z" | "X");
    let parent = fields.next()?.parse().ok()?;
    let mut ticks = fields.skip(9).map_while(|field| field.parse::<f64>().ok());
    let mut seconds = || Some((ticks.next()? + ticks.next()?) / TICKS_PER_SECOND);
    Some(Stat {
        name,
        parent,
        is_zombie,
        own_seconds: seconds()?,
        ended_children_seconds: seconds()?,
    })
}

/// The child processes that have not ended.
pub(crate) fn children(parent: u32) -> Vec<u32> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|pid| stat(*pid).is_some_and(|stat| stat.parent == parent))
        .collect()
}

/// Measures the CPU time of all processes that take part in a benchmark.
pub(crate) struct Meter {
    host: Option<u32>,
    redis: Option<u32>,
    postmaster: Option<u32>,
}

/// CPU seconds, in all or between two readings; `None` if unknown.
pub(crate) struct Usage {
    /// The process that runs the service, and its children.
    pub(crate) host: Option<f64>,
    /// All processes of the PostgreSQL server.
    pub(crate) postgres: Option<f64>,
    pub(crate) redis: Option<f64>,
    /// This program and the children that have ended.
    pub(crate) load: Option<f64>,
}

impl Meter {
    /// `backend` is a process of the PostgreSQL server.
    pub(crate) fn new(host: Option<u32>, redis: Option<u32>, backend: u32) -> Result<Self> {
        let backend = stat(backend).filter(|backend| backend.name.starts_with("postgres"));
        if backend.is_none() {
            eprintln!("bench: PostgreSQL's processes are not visible, its CPU time is left out");
        }
        let meter = Self {
            host,
            redis,
            postmaster: backend.map(|backend| backend.parent),
        };
        meter.read()?;
        Ok(meter)
    }

    /// What has been used so far.
    pub(crate) fn read(&self) -> Result<Usage> {
        if let Some(pid) = self.host {
            ensure!(
                stat(pid).is_some(),
                "the service (process {pid}) does not run; look at its log"
            );
        }
        let own = stat(std::process::id());
        Ok(Usage {
            // `spin up` serves in a child.
            host: self.host.map(family_seconds),
            postgres: self.postmaster.map(family_seconds),
            redis: self.redis.and_then(stat).map(|stat| stat.own_seconds),
            load: own.map(|stat| stat.own_seconds + stat.ended_children_seconds),
        })
    }
}

/// CPU seconds of a process and its children, including those that have ended.
fn family_seconds(parent: u32) -> f64 {
    let settled = |parent| stat(parent).map_or(0.0, |stat| stat.ended_children_seconds);
    let own = |pid| stat(pid).map_or(0.0, |stat| stat.own_seconds);
    let mut seconds = 0.0;
    for _ in 0..READINGS_MAX {
        let before = settled(parent);
        let living: f64 = children(parent).into_iter().map(own).sum();
        seconds = own(parent) + living + before;
        // A child that ended meanwhile would be counted twice or not at all.
        if settled(parent) == before {
            break;
        }
    }
    seconds
}

impl Usage {
    /// What was used after an earlier reading.
    pub(crate) fn since(&self, earlier: &Self) -> Self {
        let difference = |now: Option<f64>, then: Option<f64>| Some((now? - then?).max(0.0));
        Self {
            host: difference(self.host, earlier.host),
            postgres: difference(self.postgres, earlier.postgres),
            redis: difference(self.redis, earlier.redis),
            load: difference(self.load, earlier.load),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_can_be_read_about_and_its_parent_lists_it() {
        let own = stat(std::process::id()).unwrap();
        assert!(!own.is_zombie);
        assert!(children(own.parent).contains(&std::process::id()));
        assert!(stat(u32::MAX).is_none());
    }
}
