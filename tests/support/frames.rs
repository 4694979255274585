//! HTTP/2 by hand, frame by frame: what no client library would send.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, ReadHalf, WriteHalf};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;

use super::{PATIENCE, eventually};

pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const PING: u8 = 6;
pub const GOAWAY: u8 = 7;
pub const WINDOW_UPDATE: u8 = 8;
pub const CONTINUATION: u8 = 9;
pub const END_STREAM: u8 = 1;
pub const END_HEADERS: u8 = 4;
pub const ACK: u8 = 1;

/// One frame (RFC 9113 §4.1).
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut frame = u32::try_from(payload.len()).unwrap().to_be_bytes()[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

pub fn reset(stream: u32) -> Vec<u8> {
    const CANCEL: u32 = 8;
    frame(RST_STREAM, 0, stream, &CANCEL.to_be_bytes())
}

/// A header that is not put into a table (RFC 7541 §6.2.2).
pub fn field(name: &str, value: &str) -> Vec<u8> {
    let mut field = vec![0];
    for text in [name, value] {
        // A prefix of seven bits, and the rest seven bits a byte (RFC 7541 §5.1).
        let mut length = text.len();
        if length < 127 {
            field.push(u8::try_from(length).unwrap());
        } else {
            field.push(127);
            length -= 127;
            while length >= 128 {
                field.push(u8::try_from(length % 128).unwrap() | 128);
                length /= 128;
            }
            field.push(u8::try_from(length).unwrap());
        }
        field.extend(text.as_bytes());
    }
    field
}

/// The header block of a request: `POST http://d/<path>` or `GET`.
pub fn block(method: &str, path: &str) -> Vec<u8> {
    // :method and :scheme as the static table has them.
    let method = if method == "POST" { 0x83 } else { 0x82 };
    [vec![method, 0x86], field(":path", path), field(":authority", "d")].concat()
}

/// The header block of a call of `Check`.
pub fn check_block() -> Vec<u8> {
    block("POST", "/envoy.service.auth.v3.Authorization/Check")
}

/// HEADERS of a call of `Check`, with `more` in its block.
pub fn check_head(stream: u32, more: &[u8]) -> Vec<u8> {
    frame(HEADERS, END_HEADERS, stream, &[&check_block(), more].concat())
}

/// A whole call of `Check` with an empty message, which is denied.
pub fn empty_check(stream: u32) -> Vec<u8> {
    [check_head(stream, &[]), frame(DATA, END_STREAM, stream, &[0; 5])].concat()
}

/// A whole call of `Check` with this message.
pub fn check(stream: u32, message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).unwrap().to_be_bytes();
    let data = [&[0][..], &length, message].concat();
    [check_head(stream, &[]), frame(DATA, END_STREAM, stream, &data)].concat()
}

/// What came from a server.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// By stream: what its DATA frames held.
    pub data: BTreeMap<u32, Vec<u8>>,
    /// Streams that were ended, or reset.
    pub ended: Vec<u32>,
    pub reset: Vec<u32>,
    pub pongs: usize,
    pub window_updates: Vec<u32>,
    pub go_away: bool,
    pub closed: bool,
}

/// A connection on which anything may be sent.
pub struct RawConnection {
    write: WriteHalf<TcpStream>,
    seen: Arc<Mutex<Seen>>,
    _reader: JoinSet<()>,
}

impl RawConnection {
    /// Connects, says the preface and these settings, and reads all that comes.
    pub async fn open(address: &str, settings: &[(u16, u32)]) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        let (mut write, read) = begin(stream, settings).await;
        let seen = Arc::<Mutex<Seen>>::default();
        let mut reader = JoinSet::new();
        reader.spawn(read_all(read, Arc::clone(&seen)));
        write.write_all(&frame(SETTINGS, ACK, 0, &[])).await.unwrap();
        // More than the 64 KiB that every connection begins with.
        let deadline = tokio::time::Instant::now() + PATIENCE;
        while !seen.lock().unwrap().window_updates.contains(&0) {
            assert!(tokio::time::Instant::now() < deadline, "no window");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        Self { write, seen, _reader: reader }
    }

    /// Sends; what cannot be sent because the other side closed is seen there.
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        let _ = tokio::time::timeout(PATIENCE, self.write.write_all(bytes.as_ref())).await;
    }

    pub fn seen(&self) -> Seen {
        self.seen.lock().unwrap().clone()
    }

    /// Waits until what came is as it should be.
    pub async fn until(&self, what: &str, is_so: impl Fn(&Seen) -> bool) -> Seen {
        self.within(PATIENCE, what, is_so).await
    }

    pub async fn within(
        &self,
        patience: Duration,
        what: &str,
        is_so: impl Fn(&Seen) -> bool,
    ) -> Seen {
        eventually(what, patience, async || {
            let seen = self.seen.lock().unwrap();
            is_so(&seen).then(|| seen.clone())
        })
        .await
    }
}

/// A connection that has said its preface, and from which nobody reads. The system takes little
/// of what comes.
pub async fn connect_narrow(address: &str) -> (WriteHalf<TcpStream>, ReadHalf<TcpStream>) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    begin(socket.connect(address.parse().unwrap()).await.unwrap(), &[]).await
}

async fn begin(
    stream: TcpStream,
    settings: &[(u16, u32)],
) -> (WriteHalf<TcpStream>, ReadHalf<TcpStream>) {
    stream.set_nodelay(true).unwrap();
    let (read, mut write) = tokio::io::split(stream);
    let settings: Vec<u8> = settings
        .iter()
        .flat_map(|(name, value)| [&name.to_be_bytes()[..], &value.to_be_bytes()].concat())
        .collect();
    // Room for all answers of the connection together.
    let room = frame(WINDOW_UPDATE, 0, 0, &(1u32 << 30).to_be_bytes());
    let first = [PREFACE, &frame(SETTINGS, 0, 0, &settings), &room].concat();
    write.write_all(&first).await.unwrap();
    (write, read)
}

async fn read_all(mut read: ReadHalf<TcpStream>, seen: Arc<Mutex<Seen>>) {
    while let Some((kind, flags, stream, payload)) = read_frame(&mut read).await {
        let mut seen = seen.lock().unwrap();
        match kind {
            DATA => seen.data.entry(stream).or_default().extend(payload),
            RST_STREAM => seen.reset.push(stream),
            PING => seen.pongs += 1,
            GOAWAY => seen.go_away = true,
            WINDOW_UPDATE => seen.window_updates.push(stream),
            _ => {}
        }
        if matches!(kind, DATA | HEADERS) && flags & END_STREAM != 0 {
            seen.ended.push(stream);
        }
    }
    seen.lock().unwrap().closed = true;
}

async fn read_frame(read: &mut ReadHalf<TcpStream>) -> Option<(u8, u8, u32, Vec<u8>)> {
    let mut head = [0; 9];
    read.read_exact(&mut head).await.ok()?;
    let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
    let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
    let mut payload = vec![0; length as usize];
    read.read_exact(&mut payload).await.ok()?;
    Some((head[3], head[4], stream, payload))
}
