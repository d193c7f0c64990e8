//! Opens a sequence file, plain or gzip, and refuses what would block, loop or end silently.

use std::fs::{self, File};
use std::io::{self, BufReader, Cursor, Read, Seek, SeekFrom};
use std::path::Path;

use flate2::read::MultiGzDecoder;

use crate::files::error::{Fault, InputError};

/// A stream of bytes that may change its thread.
pub type Bytes = Box<dyn Read + Send>;

const GZIP: &[u8] = &[0x1f, 0x8b];
/// Other formats by their first bytes, so that the error can name them.
const FOREIGN: [(&[u8], &str); 6] = [
    (b"BZh", "bzip2"),
    (&[0xfd, b'7', b'z', b'X', b'Z'], "xz"),
    (&[0x28, 0xb5, 0x2f, 0xfd], "zstd"),
    (b"PK\x03\x04", "zip"),
    (b"CRAM", "CRAM"),
    (&[0x89, b'H', b'D', b'F'], "HDF5"),
];
/// The empty block that ends every BGZF file (SAM specification, section 4.1.2).
const BGZF_END: [u8; 28] = [0x1f, 0x8b, 8, 4, 0, 0, 0, 0, 0, 0xff, 6, 0, b'B', b'C', 2, 0, 0x1b, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0];

/// Opens a regular file; gzip, of one member or of many as BGZF has, is decompressed.
///
/// # Errors
/// A missing or unreadable file, a directory, pipe or device, an empty file, another compression, a BGZF file cut at a
/// block's end.
pub fn open(path: &Path) -> Result<Bytes, InputError> {
    let unusable = |message: String| InputError::new(Fault::Unusable, path, message);
    let cannot =
        |e: io::Error| unusable(if e.kind() == io::ErrorKind::NotFound { "no such file".into() } else { format!("cannot be read: {e}") });
    let facts = fs::metadata(path).map_err(cannot)?;
    if facts.is_dir() {
        return Err(unusable("is a directory; name one file".into()));
    }
    if !facts.is_file() {
        return Err(unusable("is a pipe or a device; reads are addressed by their number, so a regular file is needed".into()));
    }
    if facts.len() == 0 {
        return Err(InputError::new(Fault::Empty, path, "is empty"));
    }
    let mut file = File::open(path).map_err(cannot)?;
    let mut head = Vec::new();
    Read::by_ref(&mut file).take(18).read_to_end(&mut head).map_err(cannot)?;
    if let Some((_, name)) = FOREIGN.iter().find(|(magic, _)| head.starts_with(magic)) {
        return Err(unusable(format!("is {name} data; plain text and gzip are read")));
    }
    if !head.starts_with(GZIP) {
        return Ok(Box::new(Cursor::new(head).chain(file)));
    }
    let blocked = head.len() == 18 && head[3] & 4 != 0 && &head[12..14] == b"BC";
    if blocked && !ends_with(&mut file, &BGZF_END).map_err(cannot)? {
        return Err(InputError::new(Fault::Truncated, path, "BGZF file without its end marker: it is cut short; copy it again"));
    }
    file.seek(SeekFrom::Start(0)).map_err(cannot)?;
    Ok(Box::new(MultiGzDecoder::new(BufReader::with_capacity(1 << 16, file))))
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

/// What a failed read of decompressed bytes means.
#[must_use]
pub fn explain(path: &Path, error: &io::Error) -> InputError {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => {
            InputError::new(Fault::Truncated, path, "the gzip data end early: the file is cut short; copy it again")
        }
        io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData => {
            InputError::new(Fault::Truncated, path, format!("the gzip data are damaged ({error}); copy the file again"))
        }
        _ => InputError::new(Fault::Unusable, path, format!("cannot be read: {error}")),
    }
}
