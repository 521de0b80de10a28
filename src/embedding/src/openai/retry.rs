//! Number of retries and the delays between them; `batch` applies them within the deadline.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};

use super::failure::Failure;

const RETRIES_MAX: usize = 3;
/// First delay. It doubles each time, with random jitter so that callers do not retry together.
const RETRY_DELAY_MIN: Duration = Duration::from_millis(50);

#[derive(Debug)]
pub(crate) struct Retries {
    attempt: usize,
    backoff: ExponentialBackoff,
}

impl Default for Retries {
    fn default() -> Self {
        Self {
            attempt: 0,
            backoff: ExponentialBuilder::default()
                .with_min_delay(RETRY_DELAY_MIN)
                .with_max_times(RETRIES_MAX)
                .with_jitter()
                .build(),
        }
    }
}

impl Retries {
    pub(crate) fn attempt(&self) -> usize {
        self.attempt
    }

    /// Counts a failed attempt; returns the delay before the next, or `None` to give up.
    pub(crate) fn delay_after(&mut self, failure: &Failure, left: Duration) -> Option<Duration> {
        self.attempt += 1;
        if !failure.is_transient() {
            return None;
        }
        let delay = self.backoff.next()?.max(failure.retry_after());
        (delay < left).then_some(delay)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::trial::Fault;

    const AGES: Duration = Duration::from_secs(3600);

    fn status(status: u16, retry_after: Option<Duration>) -> Failure {
        Failure::Status {
            status,
            retry_after,
            is_too_long: false,
        }
    }

    #[test]
    fn a_call_is_made_again_three_times_with_growing_waits() {
        let mut retries = Retries::default();
        let failure = status(503, None);
        for (attempt, shortest) in [(1, 50), (2, 100), (3, 200)] {
            let shortest = Duration::from_millis(shortest);
            let delay = retries.delay_after(&failure, AGES).unwrap();
            assert!(delay >= shortest && delay <= 2 * shortest, "{delay:?}");
            assert_eq!(retries.attempt(), attempt);
        }
        assert_eq!(retries.delay_after(&failure, AGES), None);
        assert_eq!(retries.attempt(), 4);
    }

    #[test]
    fn waits_differ_from_call_to_call() {
        let first = |_| Retries::default().delay_after(&Failure::TimedOut, AGES);
        let delays: std::collections::HashSet<_> = (0..20).map(first).collect();
        assert!(delays.len() > 10, "{delays:?}");
    }

    #[test]
    fn what_would_fail_again_is_not_made_again() {
        for permanent in [
            Failure::Fault(Fault::NotGranted),
            Failure::Unsendable,
            status(301, None),
            status(307, None),
            status(400, None),
            status(401, Some(Duration::ZERO)),
            status(404, None),
            status(413, None),
            status(422, None),
            Failure::Status {
                status: 500,
                retry_after: None,
                is_too_long: true,
            },
        ] {
            let delay = Retries::default().delay_after(&permanent, AGES);
            assert_eq!(delay, None, "{permanent}");
        }
        for transient in [
            Failure::TimedOut,
            Failure::Connection("refused"),
            Failure::Malformed("no JSON"),
            Failure::Fault(Fault::TooWide(3072)),
            status(204, None),
            status(408, None),
            status(429, None),
            status(500, None),
            status(529, None),
        ] {
            let delay = Retries::default().delay_after(&transient, AGES);
            assert!(delay.is_some(), "{transient}");
        }
    }

    #[test]
    fn the_servers_wait_is_kept_or_nothing_is_sent_at_all() {
        let failure = status(429, Some(Duration::from_secs(7)));
        let after = |left| Retries::default().delay_after(&failure, Duration::from_secs(left));
        assert_eq!(after(8), Some(Duration::from_secs(7)));
        assert_eq!(after(7), None);
        assert_eq!(after(0), None);
    }

    proptest! {
        #[test]
        fn a_wait_fits_the_time_that_is_left_and_is_no_shorter_than_the_servers(
            asked_ms in 0_u64..5000,
            left_ms in 0_u64..5000,
        ) {
            let (asked, left) = (Duration::from_millis(asked_ms), Duration::from_millis(left_ms));
            let failure = status(429, Some(asked));
            if let Some(delay) = Retries::default().delay_after(&failure, left) {
                prop_assert!(delay < left && delay >= asked, "{:?}", delay);
            } else {
                prop_assert!(asked.max(2 * RETRY_DELAY_MIN) >= left);
            }
        }
    }
}
