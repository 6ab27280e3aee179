//! TLS for SIP (RFC 5630, RFC 5922): what a listener shows and whom a connection of ours believes. A trunk's
//! certificate must be for the name that the technician wrote and lead to a root that is believed; there is no way
//! around either, and no connection is tried again without them.

use core::net::IpAddr;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::config::{Reach, TlsFiles};

/// Why TLS cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TlsError {
    /// There is a TLS listener and nothing to show on it.
    #[error("a TLS listener needs a certificate and a key: set both, or take the listener out")]
    NoCertificate,
    /// A file cannot be used.
    #[error("{what} {}: {why}", path.display())]
    File {
        /// Which of them.
        what: &'static str,
        /// Where.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The system has no certificate authorities.
    #[error(
        "this system has no certificate authorities: install ca-certificates, or set the trunk's CA file"
    )]
    NoRoots,
    /// No certificate can be for it.
    #[error("{0} is no name that a certificate can be for")]
    Name(String),
}

/// What a listener shows, and where it is from: a certificate that was renewed is shown without a restart.
pub(super) struct Shown {
    files: TlsFiles,
    acceptor: TlsAcceptor,
    /// Of certificate and key.
    written: [Option<SystemTime>; 2],
}

impl Shown {
    /// Reads the files.
    pub(super) fn open(files: Option<TlsFiles>) -> Result<Self, TlsError> {
        let files = files.ok_or(TlsError::NoCertificate)?;
        let written = written(&files);
        Ok(Self { acceptor: acceptor(&files)?, files, written })
    }

    /// For a listener.
    pub(super) fn acceptor(&self) -> TlsAcceptor {
        self.acceptor.clone()
    }

    /// The new one, when the files changed and can be used; what was shown goes on being shown until then.
    pub(super) fn changed(&mut self) -> Option<TlsAcceptor> {
        let now = written(&self.files);
        if now == self.written {
            return None;
        }
        self.written = now;
        match acceptor(&self.files) {
            Ok(fresh) => {
                tracing::info!("the renewed certificate is shown to phones from now on");
                self.acceptor = fresh.clone();
                Some(fresh)
            }
            Err(why) => {
                tracing::warn!(%why, "the certificate's files changed and cannot be used; the old one is still shown");
                None
            }
        }
    }
}

fn written(files: &TlsFiles) -> [Option<SystemTime>; 2] {
    let modified = |path: &Path| std::fs::metadata(path).and_then(|m| m.modified()).ok();
    [modified(&files.certificate), modified(&files.key)]
}

fn acceptor(files: &TlsFiles) -> Result<TlsAcceptor, TlsError> {
    let chain = certificates("certificate", &files.certificate)?;
    let fault = |path: &Path, why: String| TlsError::File { what: "key", path: path.to_owned(), why };
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(|why| fault(&files.key, why.to_string()))?;
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|why| fault(&files.key, why.to_string()))?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(|why| fault(&files.key, why.to_string()))?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// Whom a connection of ours must find at the other end.
#[derive(Clone)]
pub(super) struct Expected {
    pub(super) name: ServerName<'static>,
    pub(super) connector: TlsConnector,
}

/// Connectors by what they believe; made when a trunk first needs one.
#[derive(Default)]
pub(super) struct Connectors(BTreeMap<Option<PathBuf>, TlsConnector>);

impl Connectors {
    /// For one trunk.
    pub(super) fn expect(&mut self, reach: &Reach) -> Result<Expected, TlsError> {
        let host = reach.host.trim_end_matches('.');
        let name = match host.parse::<IpAddr>() {
            Ok(ip) => ServerName::IpAddress(ip.into()),
            Err(_) => ServerName::try_from(host.to_owned()).map_err(|_| TlsError::Name(host.to_owned()))?,
        };
        if let Some(connector) = self.0.get(&reach.ca) {
            return Ok(Expected { name, connector: connector.clone() });
        }
        let roots = match &reach.ca {
            Some(path) => file_roots(path)?,
            None => system_roots()?,
        };
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|_| TlsError::NoRoots)?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let connector = TlsConnector::from(Arc::new(config));
        self.0.insert(reach.ca.clone(), connector.clone());
        Ok(Expected { name, connector })
    }
}

fn certificates(what: &'static str, path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let fault = |why: String| TlsError::File { what, path: path.to_owned(), why };
    let chain: Vec<_> = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect)
        .map_err(|why| fault(why.to_string()))?;
    if chain.is_empty() { Err(fault("has no certificate in PEM form".to_owned())) } else { Ok(chain) }
}

fn file_roots(path: &Path) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates("CA file", path)? {
        let fault = |why: rustls::Error| TlsError::File {
            what: "CA file",
            path: path.to_owned(),
            why: why.to_string(),
        };
        roots.add(certificate).map_err(fault)?;
    }
    Ok(roots)
}

fn system_roots() -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    let (good, _) = roots.add_parsable_certificates(found.certs);
    if good == 0 { Err(TlsError::NoRoots) } else { Ok(roots) }
}
