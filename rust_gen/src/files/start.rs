//! The first bytes of a decompressed file: what is passed over, and what shows that it is another format.

use std::io::{self, Cursor, Read};
use std::path::Path;

use super::codec::Codec;
use super::error::{Fault, InputError};
use super::foreign;
use super::input::{Bytes, explain};

/// Bytes that are looked at; also the most that blank lines may take before the first record.
const HEAD_BYTES: usize = 64 * 1024;
/// What some editors put before UTF-8.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// A file, opened and looked at.
pub struct Start {
    /// Everything from the first line that is not blank.
    pub bytes: Bytes,
    /// What it begins with; at least one byte.
    pub head: Vec<u8>,
    /// Blank lines before that.
    pub blank_lines: u64,
}

/// Gives back the error that ended the first look, in its place.
struct Broken(Option<io::Error>);

impl Read for Broken {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        self.0.take().map_or(Ok(0), Err)
    }
}

/// Passes over a byte order mark and blank lines, and looks at what follows.
///
/// # Errors
/// Nothing follows; bytes of another format; lines that end in CR alone; a file that fails at once.
pub fn start(path: &Path, mut source: Bytes) -> Result<Start, InputError> {
    let mut head = Vec::new();
    let failed = take(&mut source, &mut head, HEAD_BYTES);
    if head.starts_with(BYTE_ORDER_MARK) {
        head.drain(..BYTE_ORDER_MARK.len());
    }
    let (blank, blank_lines) = blank_lines(&head);
    let unusable = |message: String| Err(InputError::new(Fault::Unusable, path, message));
    if head.len() == blank {
        return match failed {
            Some(error) => Err(explain(path, &error)),
            None if blank >= HEAD_BYTES - BYTE_ORDER_MARK.len() => unusable(format!("begins with {HEAD_BYTES} bytes of blank lines")),
            None if blank > 0 => Err(InputError::new(Fault::Empty, path, "holds only blank lines")),
            None => Err(InputError::new(Fault::Empty, path, "is empty")),
        };
    }
    head.drain(..blank);
    if let Some(message) = foreign::binary(&head) {
        return unusable(message);
    }
    if let Some(inner) = Codec::of(&head) {
        return unusable(format!("is compressed twice; decompress it once ({})", inner.tool()));
    }
    if !head.contains(&b'\n') && head[..head.len() - 1].contains(&b'\r') {
        return unusable("has lines that end in CR alone, as on old Macintoshes; convert them: tr '\\r' '\\n'".into());
    }
    let bytes = Box::new(Cursor::new(head.clone()).chain(Broken(failed)).chain(source));
    Ok(Start { bytes, head, blank_lines })
}

/// Bytes and number of the blank lines that `text` begins with.
pub fn blank_lines(text: &[u8]) -> (usize, u64) {
    let (mut bytes, mut lines) = (0, 0);
    while let Some(end) = [b"\n".as_slice(), b"\r\n"].into_iter().find(|end| text[bytes..].starts_with(end)) {
        bytes += end.len();
        lines += 1;
    }
    (bytes, lines)
}

/// Reads up to `most` bytes; the error that came before, if any.
fn take(source: &mut Bytes, head: &mut Vec<u8>, most: usize) -> Option<io::Error> {
    source.take(most as u64).read_to_end(head).err()
}
