use std::collections::HashSet;

use proptest::prelude::*;

use super::*;

const AGES: Duration = Duration::from_secs(3600);

/// A server with limits. A text is a number and padding; its vector lies along that axis.
#[derive(Default)]
struct Server {
    texts_max: Option<usize>,
    text_bytes_max: Option<usize>,
    /// Texts that it refuses to embed.
    refuses: HashSet<usize>,
    /// Failures of its first requests.
    failures: Vec<Failure>,
    /// Number of texts of each request.
    requests: Vec<usize>,
}

impl Server {
    fn embed_all(&mut self, texts: &[String]) -> Vec<Result<Vector, EmbeddingFailure>> {
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        embed_all(&texts, AGES, |texts, _| self.answer(texts))
    }

    fn answer(&mut self, texts: &[&str]) -> Result<Vec<Vector>, Failure> {
        self.requests.push(texts.len());
        if !self.failures.is_empty() {
            return Err(self.failures.remove(0));
        }
        if self.texts_max.is_some_and(|max| texts.len() > max) {
            return Err(status(422));
        }
        let is_too_long = |text: &&str| self.text_bytes_max.is_some_and(|max| text.len() > max);
        if texts.iter().any(is_too_long) {
            return Err(Failure::Status {
                status: 400,
                retry_after: None,
                is_too_long: true,
            });
        }
        let numbers: Vec<usize> = texts.iter().map(|text| number_of(text)).collect();
        if numbers.iter().any(|number| self.refuses.contains(number)) {
            return Err(status(400));
        }
        Ok(numbers.into_iter().map(Vector::along).collect())
    }
}

fn status(status: u16) -> Failure {
    Failure::Status {
        status,
        retry_after: None,
        is_too_long: false,
    }
}

fn number_of(text: &str) -> usize {
    let digits = text.trim_end_matches(' ');
    digits.parse().unwrap()
}

/// Texts numbered from 0, padded to these lengths.
fn texts(lengths: impl IntoIterator<Item = usize>) -> Vec<String> {
    let padded = |(number, length): (usize, usize)| {
        let mut text = number.to_string();
        text.push_str(&" ".repeat(length.saturating_sub(text.len())));
        text
    };
    lengths.into_iter().enumerate().map(padded).collect()
}

fn own_vectors(count: usize) -> Vec<Result<Vector, EmbeddingFailure>> {
    (0..count).map(|number| Ok(Vector::along(number))).collect()
}

#[test]
fn texts_share_requests_up_to_a_number_and_a_size() {
    for (count, bytes, requests) in [
        (0, 100, vec![]),
        (1, 100, vec![1]),
        (TEXTS_MAX, 100, vec![TEXTS_MAX]),
        (TEXTS_MAX + 1, 100, vec![TEXTS_MAX, 1]),
        (500, 100, vec![TEXTS_MAX, 500 - TEXTS_MAX]),
        (17, TEXTS_BYTES_MAX / 16, vec![16, 1]),
        (3, TEXTS_BYTES_MAX / 2 + 1, vec![1, 1, 1]),
        (2, TEXTS_BYTES_MAX + 1, vec![1, 1]),
    ] {
        let mut server = Server::default();
        let embedded = server.embed_all(&texts(vec![bytes; count]));
        assert_eq!(embedded, own_vectors(count), "{count} of {bytes}");
        assert_eq!(server.requests, requests, "{count} of {bytes}");
    }
}

#[test]
fn a_request_that_takes_too_long_or_loses_texts_is_halved() {
    for failure in [Failure::TimedOut, Failure::Miscounted] {
        let mut server = Server {
            failures: vec![failure.clone()],
            ..Server::default()
        };
        assert_eq!(server.embed_all(&texts(vec![10; 8])), own_vectors(8));
        assert_eq!(server.requests, [8, 4, 4], "{failure}");
    }
}

#[test]
fn a_servers_limit_is_found_once() {
    let mut server = Server {
        texts_max: Some(32),
        ..Server::default()
    };
    let embedded = server.embed_all(&texts(vec![10; 300]));
    assert_eq!(embedded, own_vectors(300));
    let mut requests = vec![256, 128, 64];
    requests.extend([32; 9]);
    requests.push(12);
    assert_eq!(server.requests, requests);
}

#[test]
fn only_a_text_that_is_too_long_is_cut_and_the_others_share_requests() {
    let mut server = Server {
        text_bytes_max: Some(1_000),
        ..Server::default()
    };
    let mut lengths = vec![100; 200];
    lengths[0] = 8_000;
    lengths[150] = 1_001;
    let embedded = server.embed_all(&texts(lengths));
    assert_eq!(embedded, own_vectors(200));
    assert!(server.requests.len() < 25, "{:?}", server.requests);
}

#[test]
fn a_text_that_is_refused_costs_the_others_few_requests() {
    for refused in [0, 100, 199] {
        let mut server = Server {
            refuses: HashSet::from([refused]),
            ..Server::default()
        };
        let embedded = server.embed_all(&texts(vec![10; 200]));
        let mut expected = own_vectors(200);
        expected[refused] = Err(EmbeddingFailure::Refused);
        assert_eq!(embedded, expected, "{refused}");
        assert!(server.requests.len() < 20, "{:?}", server.requests);
    }
}

#[test]
fn a_provider_that_refuses_everything_is_not_asked_for_each_text() {
    let mut server = Server {
        refuses: (0..200).collect(),
        ..Server::default()
    };
    let embedded = server.embed_all(&texts(vec![10; 200]));
    assert!(embedded.iter().all(Result::is_err));
    assert!(server.requests.len() < 30, "{:?}", server.requests);

    server.requests.clear();
    let embedded = server.embed_all(&texts(vec![10; REFUSED_MAX - 1]));
    let refused = [const { Err(EmbeddingFailure::Refused) }; REFUSED_MAX - 1];
    assert_eq!(embedded, refused);
}

#[test]
fn a_provider_that_gives_up_gets_no_more_texts() {
    let give_up = [status(401), status(403), status(404), Failure::Unsendable];
    for failure in give_up {
        let mut server = Server {
            failures: vec![failure.clone()],
            ..Server::default()
        };
        let embedded = server.embed_all(&texts(vec![10; 300]));
        let unavailable = vec![Err(EmbeddingFailure::Unavailable); 300];
        assert_eq!(embedded, unavailable, "{failure}");
        assert_eq!(server.requests, [256], "{failure}");
    }
}

#[test]
fn what_was_embedded_before_a_failure_is_kept() {
    let mut requests = Vec::new();
    let texts = texts(vec![10; 300]);
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let embedded = embed_all(&texts, AGES, |texts, _| {
        requests.push(texts.len());
        match requests.len() {
            1 => Server::default().answer(texts),
            _ => Err(status(401)),
        }
    });
    assert_eq!(embedded[..256], own_vectors(256));
    let unavailable = Err(EmbeddingFailure::Unavailable);
    assert!(embedded[256..].iter().all(|text| *text == unavailable));
    assert_eq!(requests, [256, 44]);
}

#[test]
fn a_request_that_fails_for_a_while_is_made_again_as_it_was() {
    let mut server = Server {
        failures: vec![status(429), Failure::Malformed("cut")],
        ..Server::default()
    };
    let embedded = server.embed_all(&texts(vec![10; 300]));
    assert_eq!(embedded, own_vectors(300));
    assert_eq!(server.requests, [256, 256, 256, 44]);

    server = Server {
        failures: vec![status(503); 5],
        ..Server::default()
    };
    let embedded = server.embed_all(&texts(vec![10; 300]));
    assert!(embedded.iter().all(Result::is_err));
    assert_eq!(server.requests, [256; 4]);
}

#[test]
fn nothing_is_asked_for_after_the_deadline() {
    const DEADLINE: Duration = Duration::from_millis(200);
    let mut server = Server::default();
    let texts = texts(vec![10; 300]);
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let embedded = embed_all(&texts, DEADLINE, |texts, limit| {
        assert!(limit <= DEADLINE / ATTEMPTS_PER_DEADLINE_MIN);
        thread::sleep(DEADLINE);
        server.answer(texts)
    });
    assert_eq!(embedded[..256], own_vectors(256));
    let unavailable = Err(EmbeddingFailure::Unavailable);
    assert!(embedded[256..].iter().all(|text| *text == unavailable));
    assert_eq!(server.requests, [256]);
}

/// Bytes of a text: now and then one is long.
fn length() -> impl Strategy<Value = usize> {
    prop_oneof![30 => 5_usize..500, 1 => 500_usize..3_000]
}

proptest! {
    // Each case logs.
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn every_text_gets_its_own_vector_whatever_the_servers_limits(
        lengths in prop::collection::vec(length(), 1..600),
        texts_max in 1_usize..700,
        text_bytes_max in 600_usize..4_000,
        refuses in prop::collection::hash_set(0_usize..600, 0..2),
    ) {
        let count = lengths.len();
        let mut expected = own_vectors(count);
        for refused in &refuses {
            if let Some(expected) = expected.get_mut(*refused) {
                *expected = Err(EmbeddingFailure::Refused);
            }
        }
        let mut server = Server {
            texts_max: Some(texts_max),
            text_bytes_max: Some(text_bytes_max),
            refuses,
            ..Server::default()
        };
        prop_assert_eq!(server.embed_all(&texts(lengths)), expected);
    }

    #[test]
    fn a_limit_costs_at_most_twice_the_requests_and_a_few(
        count in 1_usize..600, texts_max in 1_usize..700,
    ) {
        let mut server = Server { texts_max: Some(texts_max), ..Server::default() };
        server.embed_all(&texts(vec![5; count]));
        let fewest = count.div_ceil(texts_max.min(TEXTS_MAX));
        prop_assert!(server.requests.len() <= 2 * fewest + 9, "{:?}", server.requests);
    }
}
