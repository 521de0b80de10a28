//! The server's certificate and its authority.

use std::sync::Arc;

use rcgen::{
    BasicConstraints, Certificate, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair,
    KeyUsagePurpose,
};
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::TlsAcceptor;

const NAMES: [&str; 3] = ["127.0.0.1", "localhost", "kubernetes.default.svc"];

/// A certificate authority with a certificate for the server.
pub struct Identity {
    /// Accepts TLS connections.
    pub acceptor: TlsAcceptor,
    /// The authority's certificate in PEM.
    pub ca_pem: String,
    /// The server's certificate in PEM.
    pub certificate_pem: String,
    /// The server's key in PEM.
    pub key_pem: String,
}

impl Identity {
    /// Generates an authority and a certificate.
    #[expect(clippy::new_without_default, reason = "no two are alike")]
    pub fn new() -> Self {
        let mut params = CertificateParams::default();
        params
            .distinguished_name
            .push(DnType::CommonName, "kubernetes");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let ca = CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key"))
            .expect("a certificate authority");

        let key = KeyPair::generate().expect("a key");
        let names = NAMES.map(str::to_owned);
        let mut params = CertificateParams::new(names).expect("names");
        params
            .distinguished_name
            .push(DnType::CommonName, "kube-apiserver");
        let certificate: Certificate = params.signed_by(&key, &ca).expect("a certificate");

        let chain = vec![CertificateDer::from(certificate.der().to_vec())];
        let key_pem = key.serialize_pem();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("versions of TLS")
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .expect("a certificate and its key");
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Self {
            acceptor: TlsAcceptor::from(Arc::new(config)),
            ca_pem: ca.pem(),
            certificate_pem: certificate.pem(),
            key_pem,
        }
    }
}
