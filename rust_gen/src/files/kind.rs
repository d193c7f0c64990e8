//! The two formats of sequence files.

/// FASTA or FASTQ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `>` header, sequence on any number of lines.
    Fasta,
    /// `@` header, sequence, `+`, quality: four lines.
    Fastq,
}

impl Kind {
    /// From the configuration's name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "fasta" => Some(Self::Fasta),
            "fastq" => Some(Self::Fastq),
            _ => None,
        }
    }

    pub(super) const fn mark(self) -> u8 {
        match self {
            Self::Fasta => b'>',
            Self::Fastq => b'@',
        }
    }
}
