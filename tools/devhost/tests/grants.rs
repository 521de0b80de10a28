//! Grants: variables, key-value stores and the network.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod common;

use common::{ONE_COMPONENT, Probe, none, required_url, write_manifest};
use serde_json::{Value, json};
use tokio::net::TcpListener;

const VARIABLES: &str = r#"
[component.probe.variables]
greeting = "hello, {{ name }}"
[variables]
name = { default = "world" }
secret = { required = true, secret = true }
"#;

fn with(rest: &str) -> String {
    format!("{ONE_COMPONENT}{rest}")
}

#[tokio::test(flavor = "multi_thread")]
async fn variables_are_the_components_own() {
    let probe = Probe::start_with(&with(VARIABLES), |options| {
        options.variables = [("secret".to_owned(), "s".to_owned())].into();
    })
    .await;

    let greeting = probe.ok("/variable", json!({ "name": "greeting" })).await;
    assert_eq!(greeting, "hello, world");
    let error = probe.err("/variable", json!({ "name": "secret" })).await;
    assert_eq!(
        error,
        r#"Error::Undefined("no variable for \"probe\".\"secret\"")"#
    );
    let error = probe
        .err("/variable", json!({ "name": "not-a-name" }))
        .await;
    assert!(
        error.starts_with(r#"Error::InvalidName("\"not-a-name\": invalid character '-'"#),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_required_variable_without_a_value_stops_the_start() {
    let error = Probe::start_error(&with(VARIABLES), |_| {}).await;
    assert!(
        error.contains(r#"without a value (set SPIN_VARIABLE_NAME): ["secret"]"#),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_not_granted_is_denied() {
    let probe = Probe::start(ONE_COMPONENT).await;
    let arguments = json!({ "store": "default", "do": "get", "key": "k" });
    assert_eq!(
        probe.err("/kv", arguments.clone()).await,
        "Error::AccessDenied"
    );
    assert_eq!(
        probe.err("/wasi-kv", arguments).await,
        "Error::AccessDenied"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_granted_store_that_is_not_configured_stops_the_start() {
    let error = Probe::start_error(&with("key_value_stores = [\"other\"]"), |_| {}).await;
    assert!(
        error.contains(r#"unknown key_value_stores label "other""#),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_keeps_what_is_set() {
    let probe = Probe::start(&with("key_value_stores = [\"default\"]")).await;
    use_store(&probe).await;

    // In memory, a counter is 8 little-endian bytes.
    let counter = probe.ok("/kv", on_default("get", "counter")).await;
    assert_eq!(counter, json!([5, 0, 0, 0, 0, 0, 0, 0]));

    let arguments = json!({ "store": "default", "do": "swap", "key": "s", "value": "mine" });
    let seen = probe.ok("/wasi-kv", arguments).await;
    assert_eq!(seen, json!([null, "another's", "mine"]));

    let many = json!({ "store": "default", "do": "set-many" });
    probe.ok("/wasi-kv", many).await;
    let many = json!({ "store": "default", "do": "get-many" });
    assert_eq!(
        probe.ok("/wasi-kv", many).await,
        json!([["a", "1"], ["b", "2"]])
    );
    let many = json!({ "store": "default", "do": "delete-many" });
    probe.ok("/wasi-kv", many).await;
    assert_eq!(probe.ok("/kv", on_default("exists", "a")).await, false);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_in_redis_keeps_what_is_set() {
    let url = required_url("REDIS_URL");
    let manifest = with("key_value_stores = [\"default\"]");
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("runtime-config.toml");
    let text = format!("[key_value_store.default]\ntype = \"redis\"\nurl = {url:?}\n");
    std::fs::write(&config, text).unwrap();
    let probe = Probe::start_with(&manifest, |options| options.runtime_config = Some(config)).await;

    for key in ["k", "counter"] {
        probe.ok("/kv", on_default("delete", key)).await;
    }
    use_store(&probe).await;
    // In Redis, a counter is decimal text.
    assert_eq!(probe.ok("/kv", on_default("get", "counter")).await, "5");
}

fn on_default(operation: &str, key: &str) -> Value {
    json!({ "store": "default", "do": operation, "key": key })
}

async fn use_store(probe: &Probe) {
    assert_eq!(probe.ok("/kv", on_default("get", "k")).await, Value::Null);
    let set = json!({ "store": "default", "do": "set", "key": "k", "value": "v" });
    probe.ok("/kv", set).await;
    assert_eq!(probe.ok("/kv", on_default("get", "k")).await, "v");
    assert_eq!(probe.ok("/wasi-kv", on_default("get", "k")).await, "v");
    assert_eq!(probe.ok("/kv", on_default("exists", "k")).await, true);
    let keys = probe.ok("/kv", on_default("keys", "")).await;
    assert!(keys.as_array().unwrap().contains(&json!("k")), "{keys}");
    probe.ok("/kv", on_default("delete", "k")).await;
    assert_eq!(probe.ok("/kv", on_default("exists", "k")).await, false);

    for (delta, expected) in [(7, 7), (-2, 5), (0, 5)] {
        let arguments =
            json!({ "store": "default", "do": "increment", "key": "counter", "delta": delta });
        assert_eq!(probe.ok("/wasi-kv", arguments).await, expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_is_not_allowed_is_refused() {
    let probe = Probe::start(&with("allowed_outbound_hosts = [\"http://a.example\"]")).await;
    for authority in ["127.0.0.1:1", "a.example:81", "b.example", "self.alt"] {
        let arguments = json!({ "authority": authority, "path": "/" });
        let error = probe.err("/outbound", arguments).await;
        assert_eq!(error, "ErrorCode::HttpRequestDenied", "{authority}");
    }
    let https = json!({ "scheme": "https", "authority": "a.example", "path": "/" });
    assert_eq!(
        probe.err("/outbound", https).await,
        "ErrorCode::HttpRequestDenied"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_is_allowed_is_reached_or_the_error_tells_why_not() {
    let other = Probe::start(ONE_COMPONENT).await;
    // A server that accepts connections and never responds.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let closed = {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        listener.local_addr().unwrap()
    };
    let manifest = with(
        "allowed_outbound_hosts = [\"http://127.0.0.1:{{ any }}\", \"http://*.invalid\"]\n\
         [variables]\nany = { default = \"*\" }\n",
    );
    let probe = Probe::start(&manifest).await;

    let arguments = json!({ "authority": other.host.address().to_string(), "path": "/calls" });
    assert_eq!(
        probe.ok("/outbound", arguments).await,
        json!([200, r#"{"ok":1}"#])
    );

    let silent = silent.local_addr().unwrap().to_string();
    let arguments = json!({ "authority": silent, "path": "/", "first_byte_milliseconds": 200 });
    let error = probe.err("/outbound", arguments).await;
    assert_eq!(error, "ErrorCode::ConnectionReadTimeout");

    let arguments = json!({ "authority": closed.to_string(), "path": "/" });
    let error = probe.err("/outbound", arguments).await;
    assert_eq!(error, "ErrorCode::ConnectionRefused");

    let arguments = json!({ "authority": "no-such-name.invalid", "path": "/" });
    let error = probe.err("/outbound", arguments).await;
    assert!(error.starts_with("ErrorCode::DnsError("), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_application_may_send_requests_to_itself_if_that_is_allowed() {
    let probe = Probe::start(&with("allowed_outbound_hosts = [\"http://self\"]")).await;
    let arguments = json!({ "authority": "self.alt", "path": "/calls" });
    assert_eq!(
        probe.ok("/outbound", arguments).await,
        json!([200, r#"{"ok":1}"#])
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_run_is_refused_at_the_start() {
    let missing = ONE_COMPONENT.replace("PROBE", "no-such-file.wasm");
    let error = Probe::start_error(&missing, |_| {}).await;
    assert!(error.contains("is it built?"), "{error}");

    let folder = tempfile::tempdir().unwrap();
    let manifest = write_manifest(folder.path(), ONE_COMPONENT);
    let no_component = ONE_COMPONENT.replace("PROBE", manifest.to_str().unwrap());
    let error = Probe::start_error(&no_component, |_| {}).await;
    assert!(error.contains("load the component"), "{error}");

    let error = Probe::start_error(&with("allowed_outbound_hosts = [\"a\"]"), |_| {}).await;
    assert!(error.contains("must be scheme://host[:port]"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn environment_variables_can_be_given_to_all_components() {
    let probe = Probe::start_with(ONE_COMPONENT, |options| {
        options.environment = [("A".to_owned(), "b".to_owned())].into();
    })
    .await;
    assert_eq!(probe.ok("/environment", none()).await, json!([["A", "b"]]));
}
