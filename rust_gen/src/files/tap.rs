//! A byte stream that remembers what it gave since the last good record, so that a parser which gave up on a malformed
//! record can be started again behind it, and that refuses a record without end.

use std::collections::VecDeque;
use std::io::{self, Cursor, Read};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::files::input::Bytes;

struct Shared {
    source: Bytes,
    /// Bytes given out, from `kept_from` on; empty when nothing is to be remembered.
    kept: VecDeque<u8>,
    kept_from: u64,
    given: u64,
    remember: bool,
    record_start: u64,
    max_record_bytes: u64,
    failed: Option<Failure>,
}

/// Why the stream stopped before its end.
pub enum Failure {
    /// More than `max_record_bytes` without the end of a record.
    TooLong,
    /// The file below failed.
    Io(io::Error),
}

/// A handle on the stream; clones share it.
#[derive(Clone)]
pub struct Tap(Arc<Mutex<Shared>>);

impl Tap {
    /// A tap on `source`. Without `remember`, records are bounded but nothing can be replayed.
    pub fn new(source: Bytes, max_record_bytes: u64, remember: bool) -> Self {
        Self(Arc::new(Mutex::new(Shared {
            source,
            kept: VecDeque::new(),
            kept_from: 0,
            given: 0,
            remember,
            record_start: 0,
            max_record_bytes,
            failed: None,
        })))
    }

    fn shared(&self) -> MutexGuard<'_, Shared> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Declares everything before this byte of the stream to be parsed for good.
    pub fn parsed_up_to(&self, byte: u64) {
        self.shared().record_start = byte;
    }

    /// Why a read failed, once.
    pub fn take_failure(&self) -> Option<Failure> {
        self.shared().failed.take()
    }

    /// The stream from `byte` on, without its next `lines` lines, and where that begins. `byte` must not lie before what
    /// was last declared parsed.
    pub fn replay(&self, byte: u64, lines: usize) -> (impl Read + Send + use<>, u64) {
        let shared = self.shared();
        let from = (byte - shared.kept_from) as usize;
        let mut rest = shared.kept.iter().skip(from).copied();
        let skipped: usize = (0..lines).map(|_| rest.by_ref().take_while(|b| *b != b'\n').count() + 1).sum();
        let rest: Vec<u8> = rest.collect();
        let start = (byte + skipped as u64).min(shared.given);
        drop(shared);
        (Cursor::new(rest).chain(self.clone()), start)
    }
}

impl Read for Tap {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut shared = self.shared();
        if shared.given.saturating_sub(shared.record_start) > shared.max_record_bytes {
            shared.failed = Some(Failure::TooLong);
            return Err(io::ErrorKind::Other.into());
        }
        let count = match shared.source.read(buffer) {
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Err(error),
            Err(error) => {
                shared.failed = Some(Failure::Io(error));
                return Err(io::ErrorKind::Other.into());
            }
        };
        if shared.remember {
            let done = (shared.record_start.saturating_sub(shared.kept_from) as usize).min(shared.kept.len());
            shared.kept.drain(..done);
            shared.kept_from += done as u64;
            shared.kept.extend(&buffer[..count]);
        }
        shared.given += count as u64;
        Ok(count)
    }
}
