//! Which servers are trusted over TLS: those that an authority of the system's or of the
//! `ca_file` vouches for, and those that show a certificate which is in the `ca_file` itself.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio_rustls::rustls;
use tokio_rustls::rustls::client::danger::{
    HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier,
};
use tokio_rustls::rustls::client::{
    WantsClientCert, verify_server_cert_signed_by_trust_anchor, verify_server_name,
};
use tokio_rustls::rustls::crypto::{
    WebPkiSupportedAlgorithms, aws_lc_rs, verify_tls12_signature, verify_tls13_signature,
};
use tokio_rustls::rustls::pki_types::pem::{self, PemObject as _};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use tokio_rustls::rustls::server::ParsedCertificate;
use tokio_rustls::rustls::{
    CertificateError, ClientConfig, ConfigBuilder, DigitallySignedStruct, RootCertStore,
    SignatureScheme,
};

use super::location::ClientCertFiles;

use crate::regular_file::{read_file, read_file_apart};

/// Bundles of a whole system have a quarter of that.
const MAX_BYTES: usize = 1024 * 1024;

/// The certificates of a `ca_file`, every one of them read and usable.
#[derive(Clone, Debug, Default)]
pub struct CaFile(Vec<CertificateDer<'static>>);

impl CaFile {
    /// Reads a PEM file.
    ///
    /// # Errors
    /// It cannot be read, holds no certificate, or one that cannot be used.
    pub fn read(path: &Path) -> Result<Self, SetupError> {
        Self::parse(path, read_file(path, MAX_BYTES))
    }

    /// The same away from the runtime's thread.
    pub(super) async fn read_apart(path: PathBuf) -> Result<Self, SetupError> {
        let pem = read_file_apart(path.clone(), MAX_BYTES).await;
        Self::parse(&path, pem)
    }

    fn parse(path: &Path, pem: io::Result<Vec<u8>>) -> Result<Self, SetupError> {
        let pem = pem.map_err(|cause| SetupError::Unreadable { path: path.to_owned(), cause })?;
        let blocks = certificate_blocks(&pem);
        if blocks.is_empty() {
            return Err(SetupError::NoCertificate(path.to_owned()));
        }
        let certificates = blocks.into_iter().enumerate().map(|(index, (line, block))| {
            certificate(block).map_err(|why| SetupError::BadCertificate {
                path: path.to_owned(),
                number: index + 1,
                line,
                why,
            })
        });
        certificates.collect::<Result<_, _>>().map(Self)
    }

    /// TLS that trusts the system's authorities and this file.
    ///
    /// # Errors
    /// None that is known: rustls cannot say so in types.
    pub fn client_config(&self) -> Result<ClientConfig, rustls::Error> {
        Ok(self.builder()?.with_no_client_auth())
    }

    /// The same, showing a certificate to servers that ask for one.
    ///
    /// # Errors
    /// None that is known: the two have been found to go together.
    pub fn client_config_with(&self, cert: &ClientCert) -> Result<ClientConfig, rustls::Error> {
        let ClientCert { chain, key } = cert;
        self.builder()?.with_client_auth_cert(chain.clone(), key.clone_key())
    }

    fn builder(&self) -> Result<ConfigBuilder<ClientConfig, WantsClientCert>, rustls::Error> {
        let provider = aws_lc_rs::default_provider();
        let mut roots = RootCertStore::empty();
        // Old systems keep authorities that nobody can read any more.
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        roots.add_parsable_certificates(self.0.iter().cloned());
        let verifier = Verifier {
            roots,
            named: self.0.clone(),
            algorithms: provider.signature_verification_algorithms,
        };
        Ok(ClientConfig::builder_with_provider(Arc::new(provider))
            .with_safe_default_protocol_versions()?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier)))
    }
}

/// A certificate of ours, and its key, which go together.
pub struct ClientCert {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
}

impl ClientCert {
    /// Reads two PEM files.
    ///
    /// # Errors
    /// One of them cannot be read or holds something else, or they do not go together.
    pub fn read(files: &ClientCertFiles) -> Result<Self, SetupError> {
        let ClientCertFiles { cert, key } = files;
        let read = |path: &Path| {
            let unreadable = |cause| SetupError::Unreadable { path: path.to_owned(), cause };
            read_file(path, MAX_BYTES).map_err(unreadable)
        };
        let chain = CertificateDer::pem_slice_iter(&read(cert)?).collect::<Result<Vec<_>, _>>();
        let chain = chain.ok().filter(|chain| !chain.is_empty());
        let chain = chain.ok_or_else(|| SetupError::NoCertificate(cert.clone()))?;
        let no_key = |_| SetupError::NoKey(key.clone());
        let key = PrivateKeyDer::from_pem_slice(&read(key)?).map_err(no_key)?;
        let both = Self { chain, key };
        let unfit = |_| SetupError::OtherKey { cert: cert.clone(), key: files.key.clone() };
        CaFile::default().client_config_with(&both).map_err(unfit)?;
        Ok(both)
    }

    /// The same away from the runtime's thread.
    pub(super) async fn read_apart(files: ClientCertFiles) -> Result<Self, SetupError> {
        let path = files.cert.clone();
        let read = tokio::task::spawn_blocking(move || Self::read(&files)).await;
        let stopping = || io::Error::other("the runtime is stopping");
        read.unwrap_or_else(|_| Err(SetupError::Unreadable { path, cause: stopping() }))
    }
}

impl fmt::Debug for ClientCert {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientCert")
    }
}

/// The first line, from 1, and the text of each block that says it is a certificate; up to
/// the next block, so that one without an end takes no other with it.
fn certificate_blocks(pem: &[u8]) -> Vec<(usize, &[u8])> {
    let mut starts = Vec::new();
    let mut offset = 0;
    for (index, line) in pem.split_inclusive(|byte| *byte == b'\n').enumerate() {
        // Some editors put a byte order mark in front.
        let begin = line.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(line);
        if let Some(label) = begin.strip_prefix(b"-----BEGIN ") {
            let at = offset + (line.len() - begin.len());
            starts.push((index + 1, at, label.trim_ascii_end().ends_with(b"CERTIFICATE-----")));
        }
        offset += line.len();
    }
    let ends = starts.iter().skip(1).map(|(_, start, _)| *start).chain([pem.len()]);
    let blocks = starts.iter().zip(ends).filter(|((_, _, is_certificate), _)| *is_certificate);
    blocks
        .map(|((line, start, _), end)| (*line, pem.get(*start..end).unwrap_or_default()))
        .collect()
}

fn certificate(block: &[u8]) -> Result<CertificateDer<'static>, BadCertificate> {
    let certificate = CertificateDer::from_pem_slice(block)?;
    webpki::anchor_from_trusted_cert(&certificate).map_err(BadCertificate::NotX509)?;
    Ok(certificate)
}

/// What rustls does by itself, and one thing more: a certificate that the operator named
/// needs nobody to vouch for it, and may be an authority's, as most tools make
/// self-signed ones.
#[derive(Debug)]
struct Verifier {
    roots: RootCertStore,
    named: Vec<CertificateDer<'static>>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl Verifier {
    /// Everything but who vouches for the certificate. Asked without anybody to trust, webpki
    /// looks at the dates, then whether it is an authority's, then at its purpose, and last of
    /// all finds that nobody does: who gets as far as the second is in force.
    fn examine_alone(
        &self,
        certificate: &ParsedCertificate<'_>,
        now: UnixTime,
    ) -> Result<(), rustls::Error> {
        let nobody = RootCertStore::empty();
        let algorithms = self.algorithms.all;
        verify_server_cert_signed_by_trust_anchor(certificate, &nobody, &[], now, algorithms)
            .or_else(|error| if lacks_only_trust(&error) { Ok(()) } else { Err(error) })
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if self.roots.is_empty() {
            return Err(rustls::Error::General(NO_AUTHORITIES.to_owned()));
        }
        let certificate = ParsedCertificate::try_from(end_entity)?;
        if self.named.contains(end_entity) {
            self.examine_alone(&certificate, now)?;
        } else {
            verify_server_cert_signed_by_trust_anchor(
                &certificate,
                &self.roots,
                intermediates,
                now,
                self.algorithms.all,
            )?;
        }
        verify_server_name(&certificate, server_name)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

pub(super) const NO_AUTHORITIES: &str =
    "no certificate authorities: none are installed on this machine, and no ca_file is set";

fn lacks_only_trust(error: &rustls::Error) -> bool {
    let rustls::Error::InvalidCertificate(found) = error else { return false };
    if let CertificateError::Other(other) = found {
        return other.0.downcast_ref() == Some(&webpki::Error::CaUsedAsEndEntity);
    }
    *found == CertificateError::UnknownIssuer
}

/// Why a `ca_file` cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SetupError {
    /// The file cannot be read.
    #[error("`{}` cannot be read: {cause}", path.display())]
    Unreadable {
        /// The file of authorities.
        path: PathBuf,
        /// The system's answer.
        cause: io::Error,
    },
    /// There is no certificate in it.
    #[error("`{}` contains no PEM CERTIFICATE", .0.display())]
    NoCertificate(PathBuf),
    /// There is no private key in it.
    #[error("`{}` contains no PEM PRIVATE KEY", .0.display())]
    NoKey(PathBuf),
    /// The key is another certificate's.
    #[error("`{}` is not the key of the certificate in `{}`", key.display(), cert.display())]
    OtherKey {
        /// The certificate to show.
        cert: PathBuf,
        /// What should be its key.
        key: PathBuf,
    },
    /// One of its certificates is broken.
    #[error("`{}`: certificate {number}, which begins at line {line}, {why}", path.display())]
    BadCertificate {
        /// The file of authorities.
        path: PathBuf,
        /// Which, from 1.
        number: usize,
        /// Its first line, from 1.
        line: usize,
        /// What is wrong with it.
        why: BadCertificate,
    },
}

/// What is wrong with a certificate in a PEM file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BadCertificate {
    /// The block does not end before the next one, or the file, does.
    #[error("has no END line")]
    NoEnd,
    /// What stands between its lines is no base64, or its label is unknown.
    #[error("cannot be read: {0}")]
    NotPem(pem::Error),
    /// It is something else, or damaged.
    #[error("is not an X.509 certificate: {0}")]
    NotX509(webpki::Error),
}

impl From<pem::Error> for BadCertificate {
    fn from(error: pem::Error) -> Self {
        if let pem::Error::MissingSectionEnd { .. } = error {
            Self::NoEnd
        } else {
            Self::NotPem(error)
        }
    }
}
