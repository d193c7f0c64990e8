//! Opens an input file, plain or compressed, and refuses what would block, loop or end silently.

use std::fs::{self, File};
use std::io::{self, Cursor, Read, Seek, SeekFrom};
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

use super::codec::Codec;
use super::error::{Fault, InputError};
use super::foreign;

/// A stream of bytes that may change its thread.
pub type Bytes = Box<dyn Read + Send>;

/// As much as shows a tar archive.
const HEAD_BYTES: u64 = 262;
/// The empty block that ends every BGZF file (SAM specification, section 4.1.2).
const BGZF_END: [u8; 28] = [0x1f, 0x8b, 8, 4, 0, 0, 0, 0, 0, 0xff, 6, 0, b'B', b'C', 2, 0, 0x1b, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0];

/// Opens a regular file and decompresses it, whatever its name says.
///
/// Whatever follows the last member is an error, zeros too: gzip(1) passes over it with a warning at best, but it is
/// what a copy that went wrong leaves behind. A plain gzip file cut exactly between two members cannot be told from a whole
/// one; a BGZF file can, by its end marker.
///
/// # Errors
/// A missing or unreadable file, a directory, pipe, socket or device, an empty file, another compression, a BGZF file cut at
/// a block's end.
pub fn open(path: &Path) -> Result<Bytes, InputError> {
    open_as(path, &[Codec::Gzip, Codec::Bzip2, Codec::Xz, Codec::Zstd])
}

/// Likewise, but of all compressions only those of `known`.
///
/// # Errors
/// As [`open`].
pub fn open_as(path: &Path, known: &[Codec]) -> Result<Bytes, InputError> {
    let unusable = |message: String| InputError::new(Fault::Unusable, path, message);
    let cannot = |e: io::Error| unusable(failed_to_open(path, &e));
    let facts = fs::metadata(path).map_err(cannot)?; // before opening: to open a pipe is to wait for its writer
    if let Some(message) = not_a_file(facts.file_type()) {
        return Err(unusable(message));
    }
    if facts.len() == 0 {
        return Err(InputError::new(Fault::Empty, path, "is empty"));
    }
    let mut file = File::open(path).map_err(cannot)?;
    let mut head = Vec::new();
    Read::by_ref(&mut file).take(HEAD_BYTES).read_to_end(&mut head).map_err(cannot)?;
    if let Some(message) = foreign::binary(&head) {
        return Err(unusable(message));
    }
    let Some(codec) = Codec::of(&head) else { return Ok(Box::new(Cursor::new(head).chain(file))) };
    if !known.contains(&codec) {
        return Err(unusable(codec.advice()));
    }
    let blocked = codec == Codec::Gzip && head.len() >= 18 && head[3] & 4 != 0 && &head[12..14] == b"BC";
    if blocked && !ends_with(&mut file, &BGZF_END).map_err(cannot)? {
        let message = "is BGZF (bgzip) without its end marker: it is cut short or was added to; copy it again";
        return Err(InputError::new(Fault::Truncated, path, message));
    }
    file.seek(SeekFrom::Start(0)).map_err(cannot)?;
    codec.decoder(file).map_err(cannot)
}

fn not_a_file(kind: fs::FileType) -> Option<String> {
    if kind.is_dir() {
        return Some("is a directory; name one file".into());
    }
    let name = match () {
        () if kind.is_file() => return None,
        () if kind.is_fifo() => "a pipe",
        () if kind.is_socket() => "a socket",
        () => "a device",
    };
    Some(format!("is {name}; it is read more than once, so a regular file is needed: write the data to one"))
}

fn failed_to_open(path: &Path, error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound if path.is_symlink() => "is a symbolic link to a file that does not exist".into(),
        io::ErrorKind::NotFound => "no such file".into(),
        io::ErrorKind::PermissionDenied => "cannot be read: permission denied; chmod it, or run as its owner".into(),
        _ => format!("cannot be read: {error}"),
    }
}

fn ends_with(file: &mut File, end: &[u8]) -> io::Result<bool> {
    if file.metadata()?.len() < end.len() as u64 {
        return Ok(false);
    }
    file.seek(SeekFrom::End(-(end.len() as i64)))?;
    let mut found = Vec::new();
    file.read_to_end(&mut found)?;
    Ok(found == end)
}

/// What a failed read of the bytes of [`open`] means.
#[must_use]
pub fn explain(path: &Path, error: &io::Error) -> InputError {
    let (fault, message) = match error.kind() {
        io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidData => (Fault::Truncated, error.to_string()),
        _ => (Fault::Unusable, format!("cannot be read: {error}")),
    };
    InputError::new(fault, path, message)
}
