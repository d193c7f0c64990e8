//! One read of a file, checked and in upper case.

/// A record of a FASTA or FASTQ file, or what is known of one that is malformed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// Number of records before it, malformed ones included.
    pub ordinal: u64,
    /// The line of its header, counted from 1.
    pub line: u64,
    /// The header's first word; empty when unknown.
    pub name: String,
    /// Upper-case IUPAC codes; empty when malformed or longer than asked for.
    pub seq: Vec<u8>,
    /// Phred+33, as long as `seq`.
    pub qual: Option<Vec<u8>>,
    /// Number of bases, also when `seq` was not kept.
    pub length: usize,
    /// Why the record is malformed; None when it is good.
    pub problem: Option<String>,
}

/// Bases in upper case, or the first byte that is not an IUPAC nucleotide code.
///
/// # Errors
/// The offending byte and its place, counted from 1.
pub fn upper_case(bases: &[u8]) -> Result<Vec<u8>, (usize, u8)> {
    bases
        .iter()
        .enumerate()
        .map(|(i, base)| {
            let upper = base.to_ascii_uppercase();
            if b"ACGTNURYSWKMBDHV".contains(&upper) { Ok(upper) } else { Err((i + 1, *base)) }
        })
        .collect()
}

/// Whether all bases are A, C, G, T or N. N stands for a base that was not read; every other code is an ambiguity.
#[must_use]
pub fn is_plain(bases: &[u8]) -> bool {
    bases.iter().all(|base| b"ACGTN".contains(base))
}

/// The header's first word, without control characters and at most 200 characters long.
#[must_use]
pub fn name(header: &[u8]) -> String {
    let word = header.split(|b| b.is_ascii_whitespace()).next().unwrap_or_default();
    String::from_utf8_lossy(word).chars().map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).take(200).collect()
}

impl Record {
    /// Fills in sequence and quality, or the problem that they have. More than `keep_bases` bases are counted, not kept.
    pub fn fill(&mut self, seq: &[u8], qual: Option<&[u8]>, keep_bases: usize) {
        self.length = seq.len();
        if let Some((i, byte)) = qual.and_then(|q| q.iter().copied().enumerate().find(|(_, b)| !(b'!'..=b'~').contains(b))) {
            self.problem = Some(format!("quality {} is '{}', which is not Phred+33", i + 1, byte.escape_ascii()));
            return;
        }
        match upper_case(seq) {
            Err((place, byte)) => self.problem = Some(format!("base {place} is '{}', not a nucleotide code", byte.escape_ascii())),
            Ok(upper) if upper.len() <= keep_bases => {
                self.seq = upper;
                self.qual = qual.map(<[u8]>::to_vec);
            }
            Ok(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_one_clean_word() {
        assert_eq!(name(b"r1 comment"), "r1");
        assert_eq!(name(b"r1\tx"), "r1");
        assert_eq!(name(b""), "");
        assert_eq!(name(b"a\x07\xff"), "a\u{fffd}\u{fffd}");
        assert_eq!(name(&[b'x'; 500]).len(), 200);
    }

    #[test]
    fn bases_are_checked() {
        assert_eq!(upper_case(b"acgtnRY"), Ok(b"ACGTNRY".to_vec()));
        assert_eq!(upper_case(b"AC-T"), Err((3, b'-')));
        assert!(is_plain(b"ACGTN") && !is_plain(b"ACR"));
    }
}
