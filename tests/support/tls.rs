//! A server behind TLS, with whatever certificate, that answers as a function says.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::sign::{CertifiedKey, SingleCertAndKey};

/// An authority, with a certificate of ours and one of a client's, as PEM files.
pub fn certificates(dir: &Path) {
    certificates_of("authority", dir);
}

/// The same, of an authority of this name.
pub fn certificates_of(authority: &str, dir: &Path) {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    // With the subject of what it signs, those would seem to be self-signed.
    params.distinguished_name.push(DnType::CommonName, authority);
    let ca = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    std::fs::write(dir.join("ca.pem"), ca.pem()).unwrap();
    for name in ["server", "client"] {
        let key = KeyPair::generate().unwrap();
        let names = ["localhost", "127.0.0.1", "doorward"].map(str::to_owned).to_vec();
        let cert = CertificateParams::new(names).unwrap().signed_by(&key, &ca).unwrap();
        std::fs::write(dir.join(format!("{name}.pem")), cert.pem()).unwrap();
        std::fs::write(dir.join(format!("{name}.key")), key.serialize_pem()).unwrap();
    }
}

/// What it was asked.
pub struct Asked {
    /// The server's own address.
    pub at: SocketAddr,
    pub path: String,
    /// The header `Authorization`.
    pub authorization: Option<String>,
}

pub struct TlsServer {
    pub address: SocketAddr,
    _server: JoinSet<()>,
}

impl TlsServer {
    /// Shows this chain, though the key may be another's, and answers with a status and a
    /// body.
    pub async fn start(
        chain: Vec<CertificateDer<'static>>,
        key: &KeyPair,
        answer: impl Fn(&Asked) -> (u16, String) + Send + Sync + 'static,
    ) -> Self {
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let key = aws_lc_rs::sign::any_supported_type(&key).unwrap();
        let shown = SingleCertAndKey::from(CertifiedKey::new(chain, key));
        let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(shown));
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut server = JoinSet::new();
        server.spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                // A client that does not trust us goes away.
                let _ = serve(&acceptor, stream, address, &answer).await;
            }
        });
        Self { address, _server: server }
    }

    pub fn url(&self, path: &str) -> String {
        format!("https://{}{path}", self.address)
    }
}

/// One request and one answer.
async fn serve(
    acceptor: &TlsAcceptor,
    stream: TcpStream,
    at: SocketAddr,
    answer: impl Fn(&Asked) -> (u16, String),
) -> std::io::Result<()> {
    let mut stream = acceptor.accept(stream).await?;
    let mut request = String::new();
    let asked = loop {
        let mut chunk = [0; 4096];
        let length = stream.read(&mut chunk).await?;
        if length == 0 {
            return Ok(());
        }
        request.push_str(std::str::from_utf8(&chunk[..length]).unwrap());
        let Some((head, body)) = request.split_once("\r\n\r\n") else { continue };
        let header = |name: &str| {
            let fields = head.lines().filter_map(|line| line.split_once(": "));
            let mut named = fields.filter(|(field, _)| field.eq_ignore_ascii_case(name));
            named.next().map(|(_, value)| value.to_owned())
        };
        let expected = header("content-length").map_or(0, |length| length.parse().unwrap());
        if body.len() == expected {
            let path = head.split(' ').nth(1).unwrap().to_owned();
            break Asked { at, path, authorization: header("authorization") };
        }
    };
    let (status, body) = answer(&asked);
    let length = body.len();
    let head = format!("HTTP/1.1 {status} x\r\nconnection: close\r\ncontent-length: {length}");
    let answer = format!("{head}\r\ncontent-type: application/json\r\n\r\n{body}");
    stream.write_all(answer.as_bytes()).await?;
    stream.shutdown().await
}
