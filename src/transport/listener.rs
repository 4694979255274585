//! Sockets: bound all at once before anything is served, handed to the workers one
//! connection at a time.

use std::io;
use std::net::IpAddr;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};

use crate::config::ListenAddress;

/// How many connections may wait to be accepted.
const BACKLOG: i32 = 1024;

/// A bound socket.
pub struct Listener {
    socket: Socket,
    address: ListenAddress,
}

enum Socket {
    Tcp(TcpListener),
    Unix(UnixListener, #[expect(dead_code, reason = "held for its Drop")] RemoveOnDrop),
}

impl Listener {
    /// Binds `address`. A stale unix socket, one that nobody listens on, is replaced.
    ///
    /// # Errors
    /// The address is taken, not ours, or not permitted.
    pub async fn bind(address: &ListenAddress) -> Result<Self, BindError> {
        let failed = |source| BindError { address: address.clone(), source };
        match address {
            ListenAddress::Tcp(wanted) => {
                let socket = bind_tcp(*wanted).map_err(failed)?;
                let bound = socket.local_addr().map_err(failed)?;
                Ok(Self { socket: Socket::Tcp(socket), address: ListenAddress::Tcp(bound) })
            }
            ListenAddress::Unix(path) => {
                let socket = bind_unix(path).await.map_err(failed)?;
                let socket = Socket::Unix(socket, RemoveOnDrop(path.clone()));
                Ok(Self { socket, address: address.clone() })
            }
        }
    }

    /// Where it listens: with port 0, the port it got.
    #[must_use]
    pub fn address(&self) -> &ListenAddress {
        &self.address
    }

    /// The next connection, not yet tied to a runtime.
    pub(super) async fn accept(&self) -> io::Result<Accepted> {
        match &self.socket {
            Socket::Tcp(socket) => {
                let (stream, peer) = socket.accept().await?;
                // Answers are smaller than a segment and must not wait for more.
                stream.set_nodelay(true)?;
                socket2::SockRef::from(&stream).set_tcp_keepalive(&keep_alive())?;
                Ok(Accepted::Tcp(stream.into_std()?, peer.ip().to_canonical()))
            }
            Socket::Unix(socket, _) => Ok(Accepted::Unix(socket.accept().await?.0.into_std()?)),
        }
    }
}

/// A listener that could not be bound.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {}", advice(.source))]
pub struct BindError {
    /// The address from the configuration.
    pub address: ListenAddress,
    /// The system's answer.
    #[source]
    pub source: io::Error,
}

#[expect(clippy::wildcard_enum_match_arm, reason = "the list of kinds is open")]
fn advice(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            "the address is in use; stop the other process, or set another `server.*.listen`"
        }
        io::ErrorKind::AddrNotAvailable => "this machine does not have that address",
        io::ErrorKind::PermissionDenied => "not permitted; ports below 1024 need privileges",
        io::ErrorKind::NotFound => "its directory does not exist",
        _ => "the system refused",
    }
}

fn bind_tcp(address: std::net::SocketAddr) -> io::Result<TcpListener> {
    let domain = socket2::Domain::for_address(address);
    let socket = socket2::Socket::new(domain, socket2::Type::STREAM, None)?;
    // Without it, a restart would wait for old connections to be forgotten. Not
    // SO_REUSEPORT: a second process on the same port has to be an error.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

/// When an idle connection is probed, so that those of vanished peers end. The system does
/// that for nothing; pings of HTTP/2 would take a lock for every frame.
fn keep_alive() -> socket2::TcpKeepalive {
    socket2::TcpKeepalive::new()
        .with_time(Duration::from_secs(60))
        .with_interval(Duration::from_secs(15))
}

async fn bind_unix(path: &Path) -> io::Result<UnixListener> {
    let is_socket = std::fs::symlink_metadata(path).is_ok_and(|meta| meta.file_type().is_socket());
    if is_socket && UnixStream::connect(path).await.is_err() {
        std::fs::remove_file(path)?;
    }
    let socket = UnixListener::bind(path)?;
    // Envoy often runs as another user of the same group.
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o660))?;
    Ok(socket)
}

struct RemoveOnDrop(PathBuf);

impl Drop for RemoveOnDrop {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// A connection on its way to a worker.
pub(super) enum Accepted {
    Tcp(std::net::TcpStream, IpAddr),
    Unix(std::os::unix::net::UnixStream),
}

impl Accepted {
    /// The address of the client; `None` for one of this machine, by a unix socket.
    pub(super) fn peer(&self) -> Option<IpAddr> {
        match self {
            Self::Tcp(_, peer) => Some(*peer),
            Self::Unix(_) => None,
        }
    }

    /// Ties the connection to the runtime that this is called on.
    pub(super) fn into_stream(self) -> io::Result<Stream> {
        Ok(match self {
            Self::Tcp(stream, _) => Stream::Tcp(TcpStream::from_std(stream)?),
            Self::Unix(stream) => Stream::Unix(UnixStream::from_std(stream)?),
        })
    }
}

/// A connection, whatever kind of socket.
///
/// It does not say that it can write vectored. The h2 crate would then send each DATA
/// frame of 256 bytes and more in a flush of its own, two system calls an answer, and
/// answers would never share one; copied into one buffer they cost about half as much
/// (`docs/decisions/0005-server.md`).
pub(super) enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Stream {
    /// Whether what the client says first is TLS (RFC 8446 §5.1). Reads nothing.
    pub(super) async fn begins_with_tls(&self) -> bool {
        /// A record with a handshake in it, which neither HTTP/1 nor HTTP/2 begins with.
        const HANDSHAKE: u8 = 0x16;
        let mut first = [0];
        match self {
            Self::Tcp(stream) => {
                stream.peek(&mut first).await.is_ok_and(|count| count == 1) && first == [HANDSHAKE]
            }
            Self::Unix(_) => false,
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_read(context, buffer),
            Self::Unix(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Unix(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_flush(context),
            Self::Unix(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Unix(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}
