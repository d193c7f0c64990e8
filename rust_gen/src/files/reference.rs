//! A reference genome in memory.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use crate::files::error::{Fault, InputError};
use crate::files::fastx::{Kind, Limits, Reader};

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
    /// Reads a FASTA file whole. Takes one byte a base.
    ///
    /// # Errors
    /// A file that is not usable as FASTA, a malformed, unnamed, empty or repeated contig.
    pub fn load(path: &Path) -> Result<Self, InputError> {
        let limits = Limits { max_record_bytes: u64::MAX, keep_bases: usize::MAX };
        let mut reader = Reader::open(path, Kind::Fasta, limits)?;
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
