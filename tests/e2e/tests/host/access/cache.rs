use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use e2e::{Proxy, Setup, TestApp};
use futures::future::join_all;
use kubeapi::{Fault, KubeApi, Rule, Token};
use redis::AsyncCommands as _;
use redis::aio::MultiplexedConnection;
use serde_json::json;

use crate::own_redis::own_redis;

use super::{
    MODES, NAMESPACE, OWN_TOKEN, PROCESSOR, PROCESSOR_USER, READER, STRANGER, WRITER, cluster,
    questions, read_as, with, write_as,
};

const PREFIX: &str = "data-storage:access:";

/// Tolerance for a busy machine.
const SLACK: Duration = Duration::from_millis(1500);

fn remembering(kube: &KubeApi, mode: &str, redis_url: &str) -> Setup {
    with(kube, mode).variable("redis_url", redis_url)
}

async fn entries(redis: &mut MultiplexedConnection) -> Vec<(String, Vec<u8>)> {
    let mut keys: Vec<String> = redis.keys(format!("{PREFIX}*")).await.unwrap();
    keys.sort();
    let mut entries = Vec::new();
    for key in keys {
        let value = redis.get(&key).await.unwrap();
        entries.push((key, value));
    }
    entries
}

async fn only_entry(redis: &mut MultiplexedConnection) -> (String, Vec<u8>) {
    let mut entries = entries(redis).await;
    assert_eq!(entries.len(), 1, "{entries:?}");
    entries.remove(0)
}

async fn clear(redis: &mut MultiplexedConnection) {
    for (key, _) in entries(redis).await {
        let () = redis.del(key).await.unwrap();
    }
}

fn contains(bytes: &[u8], part: &str) -> bool {
    bytes
        .windows(part.len())
        .any(|window| window == part.as_bytes())
}

#[tokio::test]
async fn twenty_requests_ask_once_and_another_verb_token_or_replica_as_it_must() {
    let (redis_url, mut redis) = own_redis().await;
    let kube = cluster().await;
    for mode in MODES {
        clear(&mut redis).await;
        let app = remembering(&kube, mode, &redis_url).start().await;
        for _ in 0..20 {
            write_as(&app, PROCESSOR).await.expect(201);
        }
        assert_eq!(questions(&kube).len(), 2, "{mode}");
        let (key, _) = only_entry(&mut redis).await;
        let seconds: i64 = redis.ttl(&key).await.unwrap();
        assert!((50..=60).contains(&seconds), "{seconds}");

        for _ in 0..3 {
            read_as(&app, PROCESSOR).await.expect(200);
        }
        assert_eq!(questions(&kube).len(), 2, "{mode}, to read");
        write_as(&app, WRITER).await.expect(201);
        assert_eq!(questions(&kube).len(), 2, "{mode}, another token");
        let other = remembering(&kube, mode, &redis_url).start().await;
        let again = join_all((0..5).map(|_| write_as(&other, PROCESSOR))).await;
        for answer in again {
            answer.expect(201);
        }
        assert_eq!(questions(&kube).len(), 0, "{mode}, another replica");
    }
}

#[tokio::test]
async fn a_verdict_is_another_where_any_setting_is() {
    let (redis_url, mut redis) = own_redis().await;
    let kube = cluster().await;
    let other = cluster().await;
    kube.allow(Rule::on_service(PROCESSOR_USER, "default", "create"));
    let app = remembering(&kube, "tokenreview", &redis_url).start().await;
    write_as(&app, PROCESSOR).await.expect(201);
    kube.take_requests();
    let url = other.url();
    for (name, value) in [
        ("auth_mode", "selfreview"),
        ("kubernetes_namespace", "default"),
        ("auth_audiences", "https://kubernetes.default.svc"),
        ("auth_cache_key", "another secret of all the replicas"),
        ("kubernetes_api_url", &url),
    ] {
        let asked = if name == "kubernetes_api_url" {
            &other
        } else {
            &kube
        };
        let app = remembering(asked, "tokenreview", &redis_url)
            .variable(name, value)
            .start()
            .await;
        write_as(&app, PROCESSOR).await.expect(201);
        assert_eq!(questions(asked).len(), 2, "{name}");
    }
    assert_eq!(entries(&mut redis).await.len(), 6);
}

#[tokio::test]
async fn a_refusal_is_remembered_for_five_seconds() {
    let (redis_url, _redis) = own_redis().await;
    let kube = cluster().await;
    for mode in MODES {
        let app = remembering(&kube, mode, &redis_url).start().await;
        let (late, stranger) = (format!("late.{mode}"), format!("stranger.{mode}"));
        kube.issue(&stranger, Token::of(&stranger));
        kube.take_requests();
        let begun = Instant::now();
        let mut remembered = begun;
        for number in 0..3 {
            write_as(&app, &late).await.expect(401);
            write_as(&app, &stranger).await.expect(403);
            if number == 0 {
                remembered = Instant::now();
            }
        }
        let asked = questions(&kube).len();
        // A bad token needs no second review.
        assert_eq!(asked, 3, "{mode}");
        kube.issue(&late, Token::of(PROCESSOR_USER));
        kube.allow(Rule::on_service(&stranger, NAMESPACE, "create"));
        if begun.elapsed() < Duration::from_secs(4) {
            write_as(&app, &late).await.expect(401);
            write_as(&app, &stranger).await.expect(403);
        }
        let rest = (Duration::from_secs(5) + SLACK).saturating_sub(remembered.elapsed());
        tokio::time::sleep(rest).await;
        write_as(&app, &late).await.expect(201);
        write_as(&app, &stranger).await.expect(201);
    }
}

#[tokio::test]
async fn a_user_is_remembered_no_longer_than_its_token_is_good() {
    let (redis_url, mut redis) = own_redis().await;
    let kube = cluster().await;
    let app = remembering(&kube, "tokenreview", &redis_url).start().await;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let expiring = |seconds: u64| {
        let claims = json!({"exp": now.as_secs() + seconds}).to_string();
        format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims))
    };
    for (seconds, longest) in [(3600, 60), (20, 20)] {
        clear(&mut redis).await;
        let token = expiring(seconds);
        kube.issue(&token, Token::of(PROCESSOR_USER));
        write_as(&app, &token).await.expect(201);
        let (key, _) = only_entry(&mut redis).await;
        let left: i64 = redis.ttl(&key).await.unwrap();
        assert!(left <= longest && left > longest - 10, "{left}");
    }
    clear(&mut redis).await;
    let token = expiring(2);
    kube.issue(
        &token,
        Token::of(PROCESSOR_USER).expiring_in(Duration::from_secs(2)),
    );
    write_as(&app, &token).await.expect(201);
    tokio::time::sleep(Duration::from_secs(2) + SLACK).await;
    write_as(&app, &token)
        .await
        .expect_problem(401, "unauthorized");
}

#[tokio::test]
async fn a_user_is_remembered_though_the_server_is_gone_meanwhile() {
    let (redis_url, mut redis) = own_redis().await;
    let kube = cluster().await;
    let app = remembering(&kube, "selfreview", &redis_url).start().await;
    write_as(&app, PROCESSOR).await.expect(201);
    kube.fail(Fault::Close);
    write_as(&app, PROCESSOR).await.expect(201);
    // Failed reviews are not cached.
    write_as(&app, WRITER).await.expect(503);
    only_entry(&mut redis).await;
    kube.mend();
    write_as(&app, WRITER).await.expect(201);
}

#[tokio::test]
async fn who_writes_to_the_store_lets_nobody_in() {
    let (redis_url, mut redis) = own_redis().await;
    let kube = cluster().await;
    for mode in MODES {
        clear(&mut redis).await;
        let app = remembering(&kube, mode, &redis_url).start().await;
        write_as(&app, PROCESSOR).await.expect(201);
        let (good_key, good) = only_entry(&mut redis).await;
        write_as(&app, STRANGER).await.expect(403);
        write_as(&app, "no.such.token").await.expect(401);
        read_as(&app, WRITER).await.expect(403);
        let keys = entries(&mut redis).await.into_iter();
        let refused: Vec<_> = keys
            .map(|(key, _)| key)
            .filter(|key| *key != good_key)
            .collect();
        assert_eq!(refused.len(), 3);

        // An allowing verdict under the keys of refused callers; an altered one; and an invented
        // one.
        let mut altered = good.clone();
        altered[10] ^= 1;
        let mut later = good.clone();
        later[9] ^= 0x40;
        let cut = good[..good.len() - 32].to_vec();
        for forged in [
            good.clone(),
            altered,
            later,
            cut,
            vec![],
            b"{\"allowed\":true}".to_vec(),
            [&b"\x01a"[..], &[0xff; 7], &[0x7f], b"root", &[0; 32]].concat(),
        ] {
            for key in &refused {
                let () = redis.set(key, &forged).await.unwrap();
            }
            write_as(&app, STRANGER).await.expect(403);
            write_as(&app, "no.such.token").await.expect(401);
            read_as(&app, WRITER).await.expect(403);
        }
        for key in &refused {
            let () = redis.del(key).await.unwrap();
            let () = redis.hset(key, "a", "b").await.unwrap();
        }
        write_as(&app, STRANGER).await.expect(403);
        write_as(&app, "no.such.token").await.expect(401);
        read_as(&app, WRITER).await.expect(403);

        // An expired verdict that the store did not delete.
        clear(&mut redis).await;
        write_as(&app, "other.refused.token").await.expect(401);
        let (key, refusal) = only_entry(&mut redis).await;
        tokio::time::sleep(Duration::from_secs(5) + SLACK).await;
        kube.issue("other.refused.token", Token::of(PROCESSOR_USER));
        let () = redis.set(&key, refusal).await.unwrap();
        write_as(&app, "other.refused.token").await.expect(201);
        kube.withdraw("other.refused.token");
    }
}

async fn assert_asks_each_time(app: &TestApp, kube: &KubeApi) {
    kube.take_requests();
    for asked in 1..=3 {
        let begun = Instant::now();
        write_as(app, PROCESSOR).await.expect(201);
        write_as(app, STRANGER).await.expect(403);
        write_as(app, "no.such.token").await.expect(401);
        assert!(begun.elapsed() < Duration::from_secs(5), "{asked}");
    }
    assert_eq!(questions(kube).len(), 15);
}

#[tokio::test]
async fn without_a_store_or_with_one_that_is_down_each_request_asks() {
    let kube = cluster().await;
    let (redis_url, _redis) = own_redis().await;
    let app = with(&kube, "tokenreview").start().await;
    assert_asks_each_time(&app, &kube).await;
    assert!(!app.log().contains("cannot cache the review"));

    let down = "redis://:hidden@127.0.0.1:1";
    let app = remembering(&kube, "tokenreview", down).start().await;
    assert_asks_each_time(&app, &kube).await;
    let log = app.log();
    assert!(log.contains("cannot cache the review"), "{log}");
    assert!(
        !log.contains("hidden") && !log.contains("127.0.0.1:1\""),
        "{log}"
    );

    let host = redis_url.trim_start_matches("redis://");
    let (host, database) = host.split_once('/').unwrap();
    let proxy = Proxy::start(host.to_owned()).await;
    let url = format!("redis://{}/{database}", proxy.host());
    let app = remembering(&kube, "tokenreview", &url).start().await;
    write_as(&app, PROCESSOR).await.expect(201);
    kube.take_requests();
    write_as(&app, PROCESSOR).await.expect(201);
    assert_eq!(questions(&kube).len(), 0);
    proxy.cut();
    assert_asks_each_time(&app, &kube).await;
    proxy.mend();
    write_as(&app, PROCESSOR).await.expect(201);
    assert_eq!(questions(&kube).len(), 0);
}

#[tokio::test]
async fn nothing_of_a_token_is_in_the_store_the_log_or_an_answer() {
    let (redis_url, mut redis) = own_redis().await;
    let kube = cluster().await;
    for mode in MODES {
        let app = remembering(&kube, mode, &redis_url).start().await;
        let mut shown = String::new();
        for token in [PROCESSOR, READER, STRANGER, "no.such.token", "not a token"] {
            for answer in [write_as(&app, token).await, read_as(&app, token).await] {
                shown += &format!("{:?} {}", answer.headers, answer.text);
            }
        }
        kube.fail(Fault::Status(500));
        shown += &write_as(&app, "another.token").await.expect(503).text;
        kube.mend();
        shown += &app.log();
        let secrets = [
            PROCESSOR,
            READER,
            STRANGER,
            OWN_TOKEN,
            "no.such.token",
            "not a token",
            "another.token",
            super::CACHE_KEY,
        ];
        for secret in secrets {
            assert!(!shown.contains(secret), "{secret}: {shown}");
        }
        // The log does not name the user either.
        assert!(!shown.contains(PROCESSOR_USER), "{shown}");
        let entries = entries(&mut redis).await;
        assert!(!entries.is_empty());
        for (key, value) in &entries {
            for secret in secrets {
                assert!(
                    !key.contains(secret) && !contains(value, secret),
                    "{secret}"
                );
            }
            assert!(!key.contains(PROCESSOR_USER), "{key}");
        }
    }
}
