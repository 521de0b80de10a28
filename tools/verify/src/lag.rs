//! Waits for the database that answers reads: it may be behind the one that signs checkpoints.

use std::io::Write;
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::run::say;
use crate::unverifiable::{Result, Unverifiable};

/// How long to wait.
pub(crate) const WAIT: Wait = Wait {
    longest: Duration::from_secs(60),
    pause: Duration::from_secs(1),
    message_every: Duration::from_secs(10),
};

pub(crate) struct Wait {
    longest: Duration,
    pause: Duration,
    message_every: Duration,
}

/// Waits until `read` gives at least `size`, the number of leaves to check.
pub(crate) fn wait_for(
    size: u64,
    wait: &Wait,
    out: &mut dyn Write,
    mut read: impl FnMut() -> Result<u64>,
) -> Result<()> {
    let begun = Instant::now();
    let mut next_message = wait.message_every;
    loop {
        let has = read()?;
        if has >= size {
            return Ok(());
        }
        let waited = begun.elapsed();
        if waited >= wait.longest {
            return Err(Unverifiable::new(
                format!("The replica that answers reads is behind: it has {has} of {size} leaves."),
                "Try again later; if it stays so, ask the operator whether the replica still follows its primary.",
            ));
        }
        if waited >= next_message {
            next_message += wait.message_every;
            say(
                out,
                &format!(
                    "Waiting for the replica that answers reads: it has {has} of {size} leaves"
                ),
            )?;
        }
        sleep(wait.pause);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHORT: Wait = Wait {
        longest: Duration::from_millis(100),
        pause: Duration::from_millis(5),
        message_every: Duration::from_millis(30),
    };

    /// Waits for 5 leaves.
    fn wait(read: impl FnMut() -> Result<u64>) -> (Result<()>, String) {
        let mut out = Vec::new();
        let result = wait_for(5, &SHORT, &mut out, read);
        (result, String::from_utf8(out).unwrap())
    }

    #[test]
    fn a_replica_that_has_the_leaves_is_not_waited_for() {
        let mut has = [5, 0].into_iter();
        assert_eq!(wait(|| Ok(has.next().unwrap())), (Ok(()), String::new()));
    }

    #[test]
    fn a_replica_that_catches_up_is_waited_for() {
        let mut has = [3, 4, 6].into_iter();
        assert_eq!(wait(|| Ok(has.next().unwrap())).0, Ok(()));
    }

    #[test]
    fn a_replica_that_stays_behind_is_named() {
        let (result, said) = wait(|| Ok(4));
        let error = result.unwrap_err().to_string();
        assert!(
            error.starts_with("The replica that answers reads is behind: it has 4 of 5 leaves.\n"),
            "{error}"
        );
        let message = "Waiting for the replica that answers reads: it has 4 of 5 leaves\n";
        assert!(
            said.starts_with(message) && said.lines().count() <= 3,
            "{said}"
        );
    }

    #[test]
    fn a_replica_that_cannot_be_read_is_not_waited_for() {
        let error = Unverifiable::new("what", "next");
        assert_eq!(wait(|| Err(error.clone())).0, Err(error));
    }
}
