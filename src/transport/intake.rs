//! What a client sends, on its way to the h2 crate: in turns, and header blocks whole.
//!
//! The h2 crate reads all that a socket has before it hands out the first call. Among that may
//! be any number of calls that were reset already, which it keeps meanwhile, and beyond a limit
//! it ends the connection, with the calls of all who share it. And of a header block that has
//! not ended it keeps what it has decoded, which may be a hundred times what was sent. So this
//! stands between: it looks at the nine bytes in front of each frame (RFC 9113 §4.1), hands out
//! no more than a turn's worth at once, and begins a header block only when its end is there.
//! While the client takes none of our answers, nothing more is taken from the client either:
//! whatever it makes us say waits in a bounded place.

use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf};

use super::frames::{Frames, PREFACE};

/// How much is taken from the system at once, on a busy connection: the checks of a dozen
/// streams. The h2 crate by itself would ask for 8 KiB.
const MOST_READ_BYTES: usize = 32 * 1024;
/// How much on a new one. Each read that has no room for all there is doubles it.
const FIRST_READ_BYTES: usize = 4 * 1024;
/// A header block that is longer, as it is sent, ends its connection. Envoy's limit for the
/// headers of its clients is 60 KiB unless it is raised, and of those it copies no more than
/// `tracestate` to a call.
const MAX_BLOCK_BYTES: usize = 128 * 1024;

/// A stream that is read in turns, if it is HTTP/2, and written when it may be.
pub(super) struct Intake<T> {
    io: T,
    valve: Valve,
    protocol: Protocol,
    /// Read, and not handed out.
    buffer: BytesMut,
    read_bytes: usize,
    frames: Frames,
    turn: u32,
    ended: bool,
}

/// What a client speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    Http1,
    Http2,
}

impl<T: AsyncRead + Unpin> Intake<T> {
    /// Of a client that has to speak HTTP/2.
    pub(super) fn http2(io: T) -> Self {
        Self {
            io,
            valve: Valve::default(),
            protocol: Protocol::Http2,
            buffer: BytesMut::new(),
            read_bytes: FIRST_READ_BYTES,
            frames: Frames::default(),
            turn: 0,
            ended: false,
        }
    }

    /// Of a client whose first bytes say what it speaks; HTTP/1 if there are none.
    pub(super) async fn detect(io: T) -> io::Result<Self> {
        let mut intake = Self::http2(io);
        while intake.buffer.len() < PREFACE.len() && PREFACE.starts_with(&intake.buffer) {
            intake.buffer.reserve(FIRST_READ_BYTES);
            if intake.io.read_buf(&mut intake.buffer).await? == 0 {
                break;
            }
        }
        if intake.buffer.starts_with(PREFACE) {
            intake.look()?;
        } else {
            intake.protocol = Protocol::Http1;
        }
        Ok(intake)
    }

    pub(super) fn protocol(&self) -> Protocol {
        self.protocol
    }

    pub(super) fn valve(&self) -> Valve {
        self.valve.clone()
    }

    fn poll_read_plain(
        &mut self,
        context: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.buffer.is_empty() {
            self.hand_out(usize::MAX, out);
            return Poll::Ready(Ok(()));
        }
        let before = out.filled().len();
        ready!(Pin::new(&mut self.io).poll_read(context, out))?;
        self.valve.received(out.filled().len() - before);
        Poll::Ready(Ok(()))
    }

    fn poll_read_turn(
        &mut self,
        context: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let turn = self.valve.turn();
        if self.turn != turn {
            self.turn = turn;
            self.frames.next_turn();
            self.look()?;
        }
        while self.frames.ready() == 0 && !self.ended {
            if self.frames.turn_is_over() || self.valve.is_blocked() {
                self.valve.leave_behind();
                return Poll::Pending;
            }
            ready!(self.poll_fill(context))?;
            self.look()?;
        }
        self.hand_out(self.frames.ready(), out);
        Poll::Ready(Ok(()))
    }

    /// Reads more into the buffer.
    fn poll_fill(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.buffer.is_empty() {
            if self.buffer.capacity() > 2 * MOST_READ_BYTES {
                // It had to hold a long header block.
                self.buffer = BytesMut::new();
            }
            self.buffer.reserve(self.read_bytes);
        } else if self.buffer.capacity() - self.buffer.len() < self.read_bytes / 4 {
            self.buffer.reserve(self.read_bytes / 2);
        }
        let room = self.buffer.capacity() - self.buffer.len();
        let count = ready!(pin!(self.io.read_buf(&mut self.buffer)).poll(context))?;
        if count == room {
            self.read_bytes = (2 * self.read_bytes).min(MOST_READ_BYTES);
        }
        self.ended = count == 0;
        self.frames.arrived(count);
        Poll::Ready(Ok(()))
    }

    fn look(&mut self) -> io::Result<()> {
        self.frames.look(&self.buffer);
        let block = self.frames.open_block(&self.buffer);
        self.valve.note_block(block, self.frames.blocks());
        if block > MAX_BLOCK_BYTES {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a header block is too long"));
        }
        Ok(())
    }

    fn hand_out(&mut self, most: usize, out: &mut ReadBuf<'_>) {
        let most = most.min(out.remaining()).min(self.buffer.len());
        out.put_slice(self.buffer.get(..most).unwrap_or_default());
        self.buffer.advance(most);
        self.frames.handed_out(most);
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Intake<T> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let me = self.get_mut();
        match me.protocol {
            Protocol::Http1 => me.poll_read_plain(context, out),
            Protocol::Http2 => me.poll_read_turn(context, out),
        }
    }
}

impl<T: AsyncWrite + Unpin> Intake<T> {
    fn write<O>(
        self: Pin<&mut Self>,
        write: impl FnOnce(Pin<&mut T>) -> Poll<io::Result<O>>,
    ) -> Poll<io::Result<O>> {
        let me = self.get_mut();
        if me.valve.is_held() {
            return Poll::Pending;
        }
        let written = write(Pin::new(&mut me.io));
        me.valve.wrote(written.is_ready());
        written
    }
}

/// Like the stream within, it does not say that it can write vectored.
impl<T: AsyncWrite + Unpin> AsyncWrite for Intake<T> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.write(|io| io.poll_write(context, bytes))
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.write(|io| io.poll_flush(context))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.write(|io| io.poll_shutdown(context))
    }
}

/// Steers an [`Intake`] that others have taken in. Both ends are in one task.
#[derive(Clone, Default)]
pub(super) struct Valve(Arc<State>);

#[derive(Default)]
struct State {
    turn: AtomicU32,
    held: AtomicBool,
    left_behind: AtomicBool,
    blocked: AtomicBool,
    wrote: AtomicBool,
    block: AtomicUsize,
    blocks: AtomicU32,
    received: AtomicUsize,
}

const ORDER: Ordering = Ordering::Relaxed;

impl Valve {
    /// Lets as much in as a turn has.
    pub(super) fn next_turn(&self) {
        self.0.turn.store(self.turn().wrapping_add(1), ORDER);
        self.0.left_behind.store(false, ORDER);
    }

    /// Whether nothing is written. Whoever holds it lets go and polls again before resting:
    /// nobody is woken.
    pub(super) fn hold(&self, held: bool) {
        self.0.held.store(held, ORDER);
    }

    /// Whether the last turn ended before all was read that may be there.
    pub(super) fn left_something_behind(&self) -> bool {
        self.0.left_behind.load(ORDER)
    }

    /// Whether the client takes no more of what is written. Then nothing is read; the task is
    /// woken when it takes some.
    pub(super) fn is_blocked(&self) -> bool {
        self.0.blocked.load(ORDER)
    }

    /// Whether the client has taken nothing since this was asked last, and should have.
    pub(super) fn is_stuck(&self) -> bool {
        let has_written = self.0.wrote.swap(false, ORDER);
        self.is_blocked() && !has_written
    }

    /// How much is there of a header block whose end is not, in bytes; and its number.
    pub(super) fn open_block(&self) -> (usize, u32) {
        (self.0.block.load(ORDER), self.0.blocks.load(ORDER))
    }

    /// What has come from the client so far, in bytes; begins again at 0 after the greatest.
    pub(super) fn bytes_received(&self) -> usize {
        self.0.received.load(ORDER)
    }

    fn turn(&self) -> u32 {
        self.0.turn.load(ORDER)
    }

    fn is_held(&self) -> bool {
        self.0.held.load(ORDER)
    }

    fn leave_behind(&self) {
        self.0.left_behind.store(true, ORDER);
    }

    fn wrote(&self, something: bool) {
        self.0.blocked.store(!something, ORDER);
        if something {
            self.0.wrote.store(true, ORDER);
        }
    }

    fn note_block(&self, bytes: usize, number: u32) {
        self.0.block.store(bytes, ORDER);
        self.0.blocks.store(number, ORDER);
    }

    fn received(&self, bytes: usize) {
        self.0.received.store(self.bytes_received().wrapping_add(bytes), ORDER);
    }
}
