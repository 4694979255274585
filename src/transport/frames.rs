//! Where the frames of HTTP/2 begin in what a client sends, and how much of it makes a turn.

/// What a client says first (RFC 9113 §3.4).
pub(super) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// How many calls are taken in before the first of them is answered. What can be answered
/// at once leaves together; a client that sends more without a pause waits no longer for
/// its first answers than these take.
pub(super) const CALLS_A_TURN: usize = 32;
/// How many frames of any kind. A call has two or three.
const FRAMES_A_TURN: usize = 4 * CALLS_A_TURN;
/// How many bytes are read. What a hostile client makes of a turn (pings, resets, header
/// blocks of one-byte fields) costs the other connections of its worker a few milliseconds.
const BYTES_A_TURN: usize = 64 * 1024;

/// Length, type, flags and stream (RFC 9113 §4.1).
const HEAD_BYTES: usize = 9;
const HEADERS: u8 = 1;
const PUSH_PROMISE: u8 = 5;
const CONTINUATION: u8 = 9;
const END_HEADERS: u8 = 4;

/// The frames of one connection. Positions are bytes from the front of a buffer, from which
/// what was handed out is gone.
#[derive(Debug)]
pub(super) struct Frames {
    /// Where the next frame begins. Beyond the buffer, when the one before is not all there.
    next: usize,
    /// Where a header block begins whose end is not there.
    block: Option<usize>,
    /// Whether its last frame has begun.
    block_ends: bool,
    /// How many such blocks there were.
    blocks: u32,
    /// How far may be handed out.
    ready: usize,
    calls: usize,
    frames: usize,
    bytes: usize,
}

impl Default for Frames {
    fn default() -> Self {
        let (block, blocks) = (None, 0);
        let (calls, frames, bytes) = (CALLS_A_TURN, FRAMES_A_TURN, BYTES_A_TURN);
        let next = PREFACE.len();
        Self { next, block, block_ends: false, blocks, ready: 0, calls, frames, bytes }
    }
}

impl Frames {
    /// Lets as much through as a turn has. What was let through before and is still there is
    /// a turn's worth already.
    pub(super) fn next_turn(&mut self) {
        if self.ready > 0 {
            return;
        }
        self.calls = CALLS_A_TURN;
        self.frames = FRAMES_A_TURN;
        self.bytes = BYTES_A_TURN;
    }

    /// How much of the buffer's front may be handed out.
    pub(super) fn ready(&self) -> usize {
        self.ready
    }

    /// Whether nothing more is to be read in this turn.
    pub(super) fn turn_is_over(&self) -> bool {
        self.calls == 0 || self.frames == 0 || self.bytes == 0
    }

    /// So much was read.
    pub(super) fn arrived(&mut self, bytes: usize) {
        self.bytes = self.bytes.saturating_sub(bytes);
    }

    pub(super) fn handed_out(&mut self, bytes: usize) {
        self.next = self.next.saturating_sub(bytes);
        self.block = self.block.map(|block| block.saturating_sub(bytes));
        self.ready = self.ready.saturating_sub(bytes);
    }

    /// How much of the buffer is a header block whose end is not there.
    pub(super) fn open_block(&self, buffer: &[u8]) -> usize {
        self.block.map_or(0, |block| buffer.len().saturating_sub(block))
    }

    /// The number of that block: another one has another number.
    pub(super) fn blocks(&self) -> u32 {
        self.blocks
    }

    /// Finds out how much of the buffer may be handed out in this turn.
    pub(super) fn look(&mut self, buffer: &[u8]) {
        let end = loop {
            if self.next > buffer.len() {
                break buffer.len();
            }
            if self.block_ends {
                self.block = None;
                self.block_ends = false;
            }
            let head = buffer.get(self.next..).and_then(<[u8]>::first_chunk::<HEAD_BYTES>);
            let Some(&[high, middle, low, kind, flags, ..]) = head else { break self.next };
            // What follows the last call of a turn, its message above all, belongs to that turn.
            let begins_call = matches!(kind, HEADERS | PUSH_PROMISE);
            let is_full = self.frames == 0 || begins_call && self.calls == 0;
            if self.block.is_none() && is_full {
                break self.next;
            }
            self.note(kind, flags & END_HEADERS != 0);
            let length = usize::from(high) << 16 | usize::from(middle) << 8 | usize::from(low);
            self.next += HEAD_BYTES + length;
        };
        self.ready = self.block.unwrap_or(end);
    }

    fn note(&mut self, kind: u8, is_last: bool) {
        self.frames = self.frames.saturating_sub(1);
        match (kind, self.block) {
            (HEADERS | PUSH_PROMISE, None) => {
                self.calls = self.calls.saturating_sub(1);
                if !is_last {
                    self.block = Some(self.next);
                    self.blocks = self.blocks.wrapping_add(1);
                }
            }
            (CONTINUATION, Some(_)) => self.block_ends = is_last,
            // Nothing else may come within a block (RFC 9113 §6.10). The h2 crate is to see
            // that, and ends the connection.
            (_, Some(_)) => self.block = None,
            (_, None) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, flags: u8, payload: usize) -> Vec<u8> {
        let length = u32::try_from(payload).unwrap().to_be_bytes();
        let mut frame = vec![length[1], length[2], length[3], kind, flags, 0, 0, 0, 1];
        frame.resize(HEAD_BYTES + payload, 0);
        frame
    }

    /// After the preface.
    fn fresh() -> Frames {
        let mut frames = Frames::default();
        frames.look(PREFACE);
        frames.handed_out(PREFACE.len());
        frames
    }

    #[test]
    fn a_turn_has_so_many_calls_and_the_next_as_many_again() {
        let calls = frame(HEADERS, END_HEADERS, 3).repeat(CALLS_A_TURN + 1);
        let mut frames = fresh();
        frames.look(&calls);
        let a_turn = CALLS_A_TURN * (HEAD_BYTES + 3);
        assert_eq!(frames.ready(), a_turn);
        assert!(frames.turn_is_over());
        frames.next_turn();
        frames.look(&calls);
        assert_eq!(frames.ready(), a_turn, "not before this one is handed out");
        frames.handed_out(a_turn);
        frames.next_turn();
        frames.look(&calls[a_turn..]);
        assert_eq!(frames.ready(), HEAD_BYTES + 3);
        assert!(!frames.turn_is_over());
    }

    #[test]
    fn resets_make_a_turn_too() {
        let resets = frame(3, 0, 4).repeat(1000);
        let mut frames = fresh();
        frames.look(&resets);
        assert_eq!(frames.ready(), FRAMES_A_TURN * (HEAD_BYTES + 4));
    }

    /// However the bytes are cut, a block is handed out when its last byte is there.
    #[test]
    fn a_header_block_is_handed_out_whole() {
        let before = frame(0, 0, 5);
        let block = [frame(HEADERS, 0, 7), frame(CONTINUATION, 0, 0), frame(CONTINUATION, 4, 3)];
        let after = frame(0, 1, 2);
        let all = [before.clone(), block.concat(), after].concat();
        let block_end = all.len() - HEAD_BYTES - 2;
        let mut frames = fresh();
        for end in 0..=all.len() {
            frames.look(&all[..end]);
            let ready = frames.ready();
            if end < before.len() + HEAD_BYTES {
                assert!(ready <= before.len(), "{end}");
            } else if end < block_end {
                assert_eq!(ready, before.len(), "{end}");
                assert_eq!(frames.open_block(&all[..end]), end - before.len());
            } else {
                assert!(ready >= block_end, "{end}");
                assert_eq!(frames.open_block(&all[..end]), 0);
            }
        }
        assert_eq!(frames.ready(), all.len());
    }

    #[test]
    fn what_breaks_into_a_block_is_handed_out() {
        let broken = [frame(HEADERS, 0, 7), frame(6, 0, 8)].concat();
        let mut frames = fresh();
        frames.look(&broken);
        assert_eq!(frames.ready(), broken.len());
    }

    #[test]
    fn a_frame_may_come_in_pieces_and_be_longer_than_any_buffer() {
        let data = frame(0, 0, 100_000);
        let mut frames = fresh();
        frames.look(&data[..5]);
        assert_eq!(frames.ready(), 0, "not even its head is there");
        frames.look(&data[..20_000]);
        assert_eq!(frames.ready(), 20_000);
        frames.handed_out(20_000);
        frames.look(&data[20_000..]);
        assert_eq!(frames.ready(), data.len() - 20_000);
    }
}
