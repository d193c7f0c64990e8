//! The byte stream below a parser. It bounds what is read ahead, can go back to an earlier byte, so that a parser which gave
//! up on a malformed record can be started again behind it, and hides a failure of the file until the parser has used up
//! everything that came before it.

use std::collections::VecDeque;
use std::io::{self, Read};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::input::Bytes;

/// Why the stream stopped before its end.
#[derive(Clone, Debug)]
pub enum Failure {
    /// A record that fills the bound and does not end.
    TooLong,
    /// The file below failed.
    Io(Arc<io::Error>),
}

struct Shared {
    source: Bytes,
    /// Bytes taken from the source, from `kept_from` on. Empty when nothing is to be remembered.
    kept: VecDeque<u8>,
    kept_from: u64,
    /// Bytes taken from the source in all.
    taken: u64,
    /// The next byte to give; below `taken` only after going back.
    next: u64,
    /// Everything before was parsed for good.
    parsed: u64,
    bound: u64,
    remember: bool,
    failed: Option<Failure>,
    ended: bool,
}

/// The size to which needletail's buffer grows for the longest record allowed: doubling up to 8 MiB, then by 8 MiB. A record
/// that fills it is longer than allowed; less would refuse to fill the buffer with records that are allowed.
pub fn bound(buffer_bytes: usize, max_record_bytes: u64) -> u64 {
    const STEP: u64 = 1 << 23;
    let mut size = buffer_bytes as u64;
    let need = max_record_bytes.saturating_add(16); // line ends and the next record's first byte
    while size < need {
        size = if size < STEP { size * 2 } else { size.saturating_add(need.saturating_sub(size).div_ceil(STEP).saturating_mul(STEP)) };
    }
    size
}

/// A handle on the stream; clones share it.
#[derive(Clone)]
pub struct Tap(Arc<Mutex<Shared>>);

impl Tap {
    /// A tap on `source` that never holds more than `bound` bytes that are not parsed. With `remember` it can go back;
    /// without, it ends a file with a line end that the file may not have.
    pub fn new(source: Bytes, bound: u64, remember: bool) -> Self {
        let shared = Shared {
            source,
            kept: VecDeque::new(),
            kept_from: 0,
            taken: 0,
            next: 0,
            parsed: 0,
            bound,
            remember,
            failed: None,
            ended: false,
        };
        Self(Arc::new(Mutex::new(shared)))
    }

    fn shared(&self) -> MutexGuard<'_, Shared> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Declares everything before this byte of the stream to be parsed for good.
    pub fn parsed_up_to(&self, byte: u64) {
        self.shared().parsed = byte;
    }

    /// Why the stream stopped, and after how many bytes. The parser takes that for the end of the file.
    pub fn failure(&self) -> Option<(Failure, u64)> {
        let shared = self.shared();
        shared.failed.clone().map(|failure| (failure, shared.taken))
    }

    /// Bytes taken from the source.
    pub fn taken(&self) -> u64 {
        self.shared().taken
    }

    /// Up to `count` lines from `byte` on, each with its line end if it has one. Fewer lines came, if fewer are given.
    /// `byte` must not lie before what was last declared parsed.
    pub fn lines(&self, byte: u64, count: usize) -> Vec<Vec<u8>> {
        self.lines_within(byte, u64::MAX, count)
    }

    /// Likewise, of the next `most` bytes.
    pub fn lines_within(&self, byte: u64, most: u64, count: usize) -> Vec<Vec<u8>> {
        let shared = self.shared();
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        let mut rest = shared.kept.iter().skip((byte - shared.kept_from) as usize).take(most).copied().peekable();
        let mut lines = Vec::new();
        while lines.len() < count && rest.peek().is_some() {
            let mut line = Vec::new();
            for byte in rest.by_ref() {
                line.push(byte);
                if byte == b'\n' {
                    break;
                }
            }
            lines.push(line);
        }
        lines
    }

    /// Takes what follows `byte`, up to `most` bytes of it, so that what is seen of it does not depend on the parser's buffer.
    pub fn look_ahead(&self, byte: u64, most: u64) {
        let mut shared = self.shared();
        let mut chunk = [0; 4096];
        while shared.failed.is_none() && shared.taken < byte + most {
            let wanted = chunk.len().min((byte + most - shared.taken) as usize);
            match shared.take(&mut chunk[..wanted]) {
                Ok(0) => return,
                Ok(_) => {}
                Err(_) => continue, // interrupted
            }
        }
    }

    /// Gives the bytes from `byte` on once more; everything before counts as parsed.
    pub fn go_back_to(&self, byte: u64) {
        let mut shared = self.shared();
        shared.next = byte;
        shared.parsed = byte;
        if matches!(shared.failed, Some(Failure::TooLong)) {
            shared.failed = None; // there is room again
        }
    }
}

impl Shared {
    fn give_again(&self, buffer: &mut [u8]) -> usize {
        let from = (self.next - self.kept_from) as usize;
        let (front, back) = self.kept.as_slices();
        let part = if from < front.len() { &front[from..] } else { &back[from - front.len()..] };
        let count = part.len().min(buffer.len());
        buffer[..count].copy_from_slice(&part[..count]);
        count
    }

    fn take(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.taken.saturating_sub(self.parsed) >= self.bound {
            self.failed = Some(Failure::TooLong);
            return Ok(0);
        }
        match self.source.read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Err(error),
            Err(error) => {
                self.failed = Some(Failure::Io(Arc::new(error)));
                Ok(0)
            }
            Ok(0) if self.ended || self.remember || buffer.is_empty() => Ok(0),
            // needletail takes a FASTA header that ends the file for a cut one, with its line end or without.
            Ok(0) => {
                self.ended = true;
                buffer[0] = b'\n';
                self.taken += 1;
                Ok(1)
            }
            Ok(count) => {
                self.taken += count as u64;
                if self.remember {
                    self.kept.extend(&buffer[..count]);
                }
                Ok(count)
            }
        }
    }
}

impl Read for Tap {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut shared = self.shared();
        let done = (shared.parsed.saturating_sub(shared.kept_from) as usize).min(shared.kept.len());
        shared.kept.drain(..done);
        shared.kept_from += done as u64;
        let count = if shared.next < shared.taken {
            shared.give_again(buffer)
        } else if shared.failed.is_some() {
            0
        } else {
            shared.take(buffer)?
        };
        shared.next += count as u64;
        Ok(count)
    }
}
