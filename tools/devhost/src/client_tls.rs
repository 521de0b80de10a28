//! `[[client_tls]]` of the runtime configuration: certificates that a component trusts.
//!
//! An entry names components, hosts and certificates. The first entry for a component and a host
//! replaces Mozilla's certificates for its requests.

use anyhow::{Context, Result, anyhow, bail, ensure};
use http::uri::Authority;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// An entry of the file. Paths are relative to the runtime configuration's folder.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Entry {
    component_ids: Vec<String>,
    hosts: Vec<String>,
    ca_use_platform_roots: Option<bool>,
    ca_use_webpki_roots: Option<bool>,
    ca_roots_file: Option<PathBuf>,
    client_cert_file: Option<PathBuf>,
    client_private_key_file: Option<PathBuf>,
}

/// TLS configurations by host name, without a port.
type Hosts = BTreeMap<String, Arc<ClientConfig>>;

#[derive(Default)]
pub(crate) struct ClientTls(BTreeMap<String, Hosts>);

#[derive(Default)]
pub(crate) struct ComponentTls(Hosts);

impl ClientTls {
    /// Loads the certificates and keys that the entries name, relative to `folder`.
    pub(crate) fn load(entries: &[Entry], folder: &Path) -> Result<Self> {
        let mut components = BTreeMap::<_, Hosts>::new();
        for (index, entry) in entries.iter().enumerate() {
            let context = || format!("in [[client_tls]] number {}", index + 1);
            entry.check().with_context(context)?;
            let config = Arc::new(entry.load(folder).with_context(context)?);
            for component in &entry.component_ids {
                let hosts = components.entry(component.clone()).or_default();
                for host in &entry.hosts {
                    hosts.entry(host.clone()).or_insert_with(|| config.clone());
                }
            }
        }
        Ok(Self(components))
    }

    pub(crate) fn of(&self, component: &str) -> ComponentTls {
        ComponentTls(self.0.get(component).cloned().unwrap_or_default())
    }
}

impl ComponentTls {
    pub(crate) fn get(&self, host: &str) -> Option<Arc<ClientConfig>> {
        self.0.get(host).cloned()
    }
}

impl Entry {
    fn check(&self) -> Result<()> {
        ensure!(
            !self.component_ids.is_empty(),
            "component_ids must not be empty"
        );
        ensure!(!self.hosts.is_empty(), "hosts must not be empty");
        for host in &self.hosts {
            let authority = host.parse::<Authority>();
            let authority = authority.with_context(|| format!("{host:?} is no host"))?;
            ensure!(
                authority.port().is_none(),
                "the host {host:?} must not have a port"
            );
        }
        Ok(())
    }

    fn load(&self, folder: &Path) -> Result<ClientConfig> {
        let config = ClientConfig::builder().with_root_certificates(self.roots(folder)?);
        match (&self.client_cert_file, &self.client_private_key_file) {
            (None, None) => Ok(config.with_no_client_auth()),
            (Some(certificate), Some(key)) => {
                let key = folder.join(key);
                let key = PrivateKeyDer::from_pem_file(&key)
                    .with_context(|| format!("load a key from {}", key.display()))?;
                let chain = certificates(&folder.join(certificate))?;
                Ok(config.with_client_auth_cert(chain, key)?)
            }
            _ => bail!("client_cert_file and client_private_key_file need each other"),
        }
    }

    /// Returns the trusted certificates: the entry's, or else the platform's.
    fn roots(&self, folder: &Path) -> Result<RootCertStore> {
        let webpki = self.ca_use_webpki_roots;
        let platform = self
            .ca_use_platform_roots
            .unwrap_or(webpki.is_none() && self.ca_roots_file.is_none());
        let mut roots = RootCertStore::empty();
        if let Some(path) = &self.ca_roots_file {
            for certificate in certificates(&folder.join(path))? {
                roots.add(certificate)?;
            }
        }
        if webpki == Some(true) {
            roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        }
        if platform {
            let found = rustls_native_certs::load_native_certs();
            roots.add_parsable_certificates(found.certs);
        }
        ensure!(
            !roots.is_empty(),
            "no certificate is trusted: name a ca_roots_file, or set ca_use_webpki_roots or \
             ca_use_platform_roots where there are any"
        );
        Ok(roots)
    }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let context = || format!("load certificates from {}", path.display());
    let found: Vec<_> = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect)
        .with_context(context)?;
    if found.is_empty() {
        return Err(anyhow!("it holds none").context(context()));
    }
    Ok(found)
}
