//! A reference genome in memory.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use std::fs;
use std::io::{self, Read};

use super::codec::Codec;
use super::error::{Fault, InputError};
use super::fastx::{BUFFER_BYTES, Reader, Rules};
use super::input::{Bytes, open_as};
use super::kind::Kind;

/// minimap2 counts the bases of a contig in 31 bits.
const MAX_CONTIG_BASES: usize = i32::MAX as usize;
/// The same contig as written, with line ends.
pub const MAX_CONTIG_BYTES: u64 = 1 << 32;
/// A reference may take so many bytes when decompressed, whatever the size of its file,
const FREE_BYTES: u64 = 64 << 20;
/// and beyond that so many for each byte of the file. Two bits a base are 4; much more is a run of one letter.
const MAX_RATIO: u64 = 64;

/// One sequence of the reference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contig {
    /// The header's first word.
    pub name: String,
    /// Upper-case IUPAC codes.
    pub bases: Vec<u8>,
}

/// The contigs of a FASTA file, in its order.
#[derive(Clone, Debug)]
pub struct Reference {
    /// The file, as given.
    pub path: PathBuf,
    /// Its sequences; at least one, none of them empty, no name twice.
    pub contigs: Vec<Contig>,
}

impl Reference {
    /// Bases of all contigs.
    #[must_use]
    pub fn bases(&self) -> usize {
        self.contigs.iter().map(|contig| contig.bases.len()).sum()
    }

    /// Reads a FASTA file whole. Takes one byte a base, and while it reads another one for each byte of the longest contig.
    ///
    /// # Errors
    /// A file that is not usable as FASTA, a malformed, unnamed, empty or repeated contig.
    pub fn load(path: &Path) -> Result<Self, InputError> {
        let rules = Rules { max_record_bytes: MAX_CONTIG_BYTES, keep_bases: MAX_CONTIG_BASES, refuse_mates: false };
        let mut reader = Reader::new(path, guarded(path)?, Kind::Fasta, rules, BUFFER_BYTES)?;
        let mut seen = HashSet::new();
        let mut contigs = Vec::new();
        while let Some(record) = reader.next_record()? {
            let bad = |message: String| Err(InputError::new(Fault::Malformed, path, message).at(record.ordinal + 1, Some(record.line)));
            if let Some(problem) = record.problem {
                return bad(problem);
            }
            if record.name.is_empty() || record.name.contains(char::REPLACEMENT_CHARACTER) {
                return bad("a contig needs a name of printable characters after '>'".into());
            }
            if record.length > MAX_CONTIG_BASES {
                return bad(format!(
                    "contig '{}' has more than {MAX_CONTIG_BASES} bases, which minimap2 cannot index; split it",
                    record.name
                ));
            }
            if record.seq.is_empty() {
                return bad(format!("contig '{}' is empty", record.name));
            }
            if !seen.insert(record.name.clone()) {
                return bad(format!("contig '{}' appears twice", record.name));
            }
            contigs.push(Contig { name: record.name, bases: record.seq });
        }
        Ok(Self { path: path.into(), contigs })
    }
}

/// Refuses what would fill the memory with nothing: a small file that decompresses to a huge one, and holes.
struct Guard {
    source: Bytes,
    left: u64,
}

fn guarded(path: &Path) -> Result<Bytes, InputError> {
    let source = open_as(path, &[Codec::Gzip])?; // minimap2 reads the file, too
    let size = fs::metadata(path).map_or(0, |facts| facts.len());
    Ok(Box::new(Guard { source, left: FREE_BYTES.saturating_add(size.saturating_mul(MAX_RATIO)) }))
}

impl Read for Guard {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.source.read(buffer)?;
        self.left = self.left.checked_sub(count as u64).ok_or_else(|| {
            io::Error::other(format!("it decompresses to more than {MAX_RATIO} times its size; if that is right, decompress it first"))
        })?;
        if buffer[..count].contains(&0) {
            return Err(io::Error::other("it holds NUL bytes, so it is not text; copy it again"));
        }
        Ok(count)
    }
}
