//! `[[client_tls]]`: certificates that a component trusts.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod common;

use common::{ONE_COMPONENT, Probe};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use serde_json::{Value, json};
use std::path::Path;
use std::sync::Arc;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

const TWO_COMPONENTS: &str = r#"
allowed_outbound_hosts = ["https://*:*"]
[[trigger.http]]
route = "/other/..."
component = "other"
[component.other]
source = "PROBE"
allowed_outbound_hosts = ["https://*:*"]
"#;

const REFUSED: &str = "ErrorCode::TlsProtocolError";

struct Authority {
    issuer: Issuer<'static, KeyPair>,
    folder: TempDir,
}

impl Authority {
    /// Creates an authority with its certificate in `NAME.pem`.
    fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        std::fs::write(folder.path().join(name), certificate.pem()).unwrap();
        Self {
            issuer: Issuer::new(params, key),
            folder,
        }
    }

    /// Issues `NAME.pem` and `NAME.key`.
    fn issue(&self, name: &str) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new([name.to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let path = self.folder.path().join(name);
        std::fs::write(path.with_added_extension("pem"), certificate.pem()).unwrap();
        std::fs::write(path.with_added_extension("key"), key.serialize_pem()).unwrap();
    }

    /// Serves `hello` with the certificate of `name` and returns the port. If `mutual`, clients
    /// need a certificate of this authority.
    async fn serve(&self, name: &str, mutual: bool) -> u16 {
        _ = rustls::crypto::ring::default_provider().install_default();
        self.issue(name);
        let path = self.folder.path().join(name);
        let key = PrivateKeyDer::from_pem_file(path.with_added_extension("key")).unwrap();
        let chain = certificates(&path.with_added_extension("pem"));
        let config = ServerConfig::builder();
        let config = if mutual {
            let mut roots = RootCertStore::empty();
            roots.add_parsable_certificates(certificates(&self.folder.path().join("ca.pem")));
            let verifier = WebPkiClientVerifier::builder(Arc::new(roots));
            config.with_client_cert_verifier(verifier.build().unwrap())
        } else {
            config.with_no_client_auth()
        };
        let config = config.with_single_cert(chain, key).unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let accepting = acceptor.accept(stream);
                tokio::spawn(async move {
                    let mut stream = accepting.await?;
                    let mut request = [0; 4096];
                    let length = stream.read(&mut request).await?;
                    assert!(request[..length].starts_with(b"GET /p?q HTTP/1.1\r\n"));
                    let answer = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello";
                    stream.write_all(answer.as_bytes()).await?;
                    stream.shutdown().await
                });
            }
        });
        port
    }

    async fn probe(&self, config: &str) -> Probe {
        let config = self.write_config(config);
        let manifest = format!("{ONE_COMPONENT}{TWO_COMPONENTS}");
        Probe::start_with(&manifest, |options| options.runtime_config = Some(config)).await
    }

    fn write_config(&self, config: &str) -> std::path::PathBuf {
        let path = self.folder.path().join("runtime-config.toml");
        std::fs::write(&path, config).unwrap();
        path
    }
}

fn certificates(path: &Path) -> Vec<CertificateDer<'static>> {
    let found = CertificateDer::pem_file_iter(path).unwrap();
    found.collect::<Result<_, _>>().unwrap()
}

fn to(host: &str, port: u16) -> Value {
    json!({ "scheme": "https", "authority": format!("{host}:{port}"), "path": "/p?q" })
}

const ENTRY: &str = r#"
[[client_tls]]
component_ids = ["probe"]
hosts = ["localhost"]
ca_roots_file = "ca.pem"
"#;

#[tokio::test(flavor = "multi_thread")]
async fn an_authority_is_trusted_by_the_components_and_for_the_hosts_of_its_entry() {
    let authority = Authority::new("ca.pem");
    let port = authority.serve("localhost", false).await;
    let probe = authority.probe(ENTRY).await;
    let hello = probe.ok("/outbound", to("localhost", port)).await;
    assert_eq!(hello, json!([200, "hello"]));

    let error = probe.err("/other/outbound", to("localhost", port)).await;
    assert_eq!(error, REFUSED);

    // Another host: its certificate is valid, but the issuer is not trusted.
    let port = authority.serve("127.0.0.1", false).await;
    let error = probe.err("/outbound", to("127.0.0.1", port)).await;
    assert_eq!(error, REFUSED);
    let probe = authority
        .probe(&ENTRY.replace("localhost", "127.0.0.1"))
        .await;
    let hello = probe.ok("/outbound", to("127.0.0.1", port)).await;
    assert_eq!(hello, json!([200, "hello"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_an_entry_the_authority_is_not_trusted() {
    let authority = Authority::new("ca.pem");
    let port = authority.serve("localhost", false).await;
    let probe = authority.probe("").await;
    let error = probe.err("/outbound", to("localhost", port)).await;
    assert_eq!(error, REFUSED);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_for_another_name_or_of_another_authority_is_refused() {
    let authority = Authority::new("ca.pem");
    let probe = authority.probe(ENTRY).await;
    let other_name = authority.serve("other.example", false).await;
    let error = probe.err("/outbound", to("localhost", other_name)).await;
    assert_eq!(error, REFUSED);

    let other = Authority::new("ca.pem").serve("localhost", false).await;
    let error = probe.err("/outbound", to("localhost", other)).await;
    assert_eq!(error, REFUSED);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_entry_counts_and_only_what_it_names() {
    let authority = Authority::new("ca.pem");
    let port = authority.serve("localhost", false).await;
    let public = ENTRY.replace("ca_roots_file = \"ca.pem\"", "ca_use_webpki_roots = true");
    let probe = authority.probe(&format!("{public}{ENTRY}")).await;
    let error = probe.err("/outbound", to("localhost", port)).await;
    assert_eq!(error, REFUSED);

    let both = format!("{ENTRY}ca_use_webpki_roots = true\n");
    let probe = authority.probe(&format!("{both}{public}")).await;
    let hello = probe.ok("/outbound", to("localhost", port)).await;
    assert_eq!(hello, json!([200, "hello"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_certificate_is_shown_to_who_asks_for_it() {
    let authority = Authority::new("ca.pem");
    let port = authority.serve("localhost", true).await;
    let probe = authority.probe(ENTRY).await;
    let refused = probe.call("/outbound", to("localhost", port)).await;
    assert!(refused.get("err").is_some(), "{refused}");

    authority.issue("client");
    let files = "client_cert_file = \"client.pem\"\nclient_private_key_file = \"client.key\"\n";
    let probe = authority.probe(&format!("{ENTRY}{files}")).await;
    let hello = probe.ok("/outbound", to("localhost", port)).await;
    assert_eq!(hello, json!([200, "hello"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_that_cannot_be_used_stops_the_start() {
    let authority = Authority::new("ca.pem");
    std::fs::write(authority.folder.path().join("empty.pem"), "nothing").unwrap();
    for (from, to, expected) in [
        ("ca.pem", "missing.pem", "missing.pem"),
        ("ca.pem", "empty.pem", "empty.pem"),
        ("localhost", "localhost:443", "must not have a port"),
        ("\"probe\"", "", "component_ids must not be empty"),
        ("\"localhost\"", "", "hosts must not be empty"),
        (
            "ca_roots_file = \"ca.pem\"",
            "ca_use_webpki_roots = false",
            "no certificate is trusted",
        ),
        (
            "ca_roots_file",
            "client_cert_file = \"a\"\nca_roots_file",
            "need each other",
        ),
    ] {
        let config = authority.write_config(&ENTRY.replace(from, to));
        let error = Probe::start_error(ONE_COMPONENT, |options| {
            options.runtime_config = Some(config);
        })
        .await;
        assert!(error.contains(expected), "{error}");
    }
}
