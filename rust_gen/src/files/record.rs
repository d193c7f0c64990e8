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

/// The upper-case form of each IUPAC nucleotide code, and 0 for every other byte.
const UPPER: [u8; 256] = {
    let codes = b"ACGTNURYSWKMBDHV";
    let mut table = [0; 256];
    let mut i = 0;
    while i < codes.len() {
        table[codes[i] as usize] = codes[i];
        table[codes[i].to_ascii_lowercase() as usize] = codes[i];
        i += 1;
    }
    table
};

/// Whether a line, without its end, is a sequence of at least one base.
pub(super) fn is_bases(line: &[u8]) -> bool {
    let line = line.trim_ascii_end();
    !line.is_empty() && line.iter().all(|b| UPPER[usize::from(*b)] != 0)
}

/// Whether the lines of a record and of what follows are one whose quality is wrapped: lines of one width, the last one perhaps
/// shorter, which add up to the sequence's length, and then the end or the next header.
pub(super) fn is_wrapped_quality(lines: &[Vec<u8>]) -> bool {
    let [_, seq, _, first, rest @ ..] = lines else { return false };
    let length = |line: &[u8]| line.trim_ascii_end().len();
    let (bases, width) = (length(seq), length(first));
    if width == 0 || width >= bases {
        return false;
    }
    let (count, last) = (bases.div_ceil(width) - 1, (bases - 1) % width + 1);
    rest.len() >= count
        && rest[..count - 1].iter().all(|line| length(line) == width)
        && length(&rest[count - 1]) == last
        && rest.get(count).is_none_or(|line| line.starts_with(b"@"))
}

/// Whether all bases are A, C, G, T or N. N stands for a base that was not read; every other code is an ambiguity.
#[must_use]
pub fn is_plain(bases: &[u8]) -> bool {
    bases.iter().all(|base| b"ACGTN".contains(base))
}

/// Writes N for every code that stands for more than one base. U stays: it is no ambiguity, but it is no DNA either.
pub fn ambiguities_to_n(bases: &mut [u8]) {
    bases.iter_mut().filter(|base| !b"ACGTNU".contains(base)).for_each(|base| *base = b'N');
}

/// Characters of a read's name that are kept: it is shown, the record's number tells reads apart.
pub(super) const READ_NAME_CHARS: usize = 200;

/// The header's first word without control characters, at most `chars` characters long.
#[must_use]
pub fn name(header: &[u8], chars: usize) -> String {
    let word = word(header);
    // Of a header of many megabytes no more than can be kept is decoded.
    String::from_utf8_lossy(&word[..word.len().min(chars.saturating_mul(4))])
        .chars()
        .map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c })
        .take(chars)
        .collect()
}

fn word(header: &[u8]) -> &[u8] {
    header.split(|b| b.is_ascii_whitespace()).next().unwrap_or_default()
}

impl Record {
    /// Fills in a FASTA record, header and all, as written; returns its number of lines. More than `keep_bases` bases are
    /// counted, not kept.
    pub(super) fn fill_fasta(&mut self, text: &[u8], keep_bases: usize) -> u64 {
        let mut lines = 1;
        for line in text.split(|b| *b == b'\n').skip(1) {
            lines += 1;
            self.add(without_cr(line), keep_bases);
        }
        lines
    }

    /// Fills in a FASTQ record of four lines as written; returns their number.
    pub(super) fn fill_fastq(&mut self, text: &[u8], keep_bases: usize) -> u64 {
        let mut lines = text.split(|b| *b == b'\n').map(without_cr);
        let mut next = || lines.next().unwrap_or_default();
        let (header, seq, plus, qual) = (next(), next(), next(), next());
        let named = plus.get(1..).unwrap_or_default().trim_ascii();
        if !named.is_empty() && word(named) != word(&header[1..]) {
            let other = name(named, READ_NAME_CHARS);
            self.problem =
                Some(format!("the '+' line names '{other}', not the read; a '+' alone will do (seqtk seq old.fastq > new.fastq)"));
        } else if let Some((i, byte)) = qual.iter().enumerate().find(|(_, b)| !(b'!'..=b'~').contains(b)) {
            self.problem = Some(format!("quality {} is '{}', which is not Phred+33", i + 1, byte.escape_ascii()));
        }
        self.add(seq, keep_bases);
        if self.problem.is_none() && self.length <= keep_bases {
            self.qual = Some(qual.to_vec());
        }
        4
    }

    /// Appends bases; from the first problem on, and beyond `keep_bases`, they are only counted.
    fn add(&mut self, bases: &[u8], keep_bases: usize) {
        if self.problem.is_none() {
            if let Some((i, byte)) = bases.iter().enumerate().find(|(_, b)| UPPER[usize::from(**b)] == 0) {
                let place = self.length + i + 1;
                self.problem = Some(format!("base {place} is '{}', {}", byte.escape_ascii(), not_a_base(*byte)));
            } else if self.length + bases.len() <= keep_bases {
                self.seq.extend(bases.iter().map(|b| UPPER[usize::from(*b)]));
            }
        }
        self.length += bases.len();
        if self.problem.is_some() || self.length > keep_bases {
            self.seq = Vec::new();
        }
    }
}

fn without_cr(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// Why a byte is no base, and what it may be.
fn not_a_base(byte: u8) -> &'static str {
    match byte {
        b'-' | b'.' => "a gap or an unknown base; remove gaps, write unknown bases as N",
        b'*' => "a stop or a padding; give nucleotides, unaligned",
        b' ' | b'\t' => "not a nucleotide code; remove blanks from the sequence",
        b'\r' => "not a nucleotide code; end lines in LF or CR LF",
        b'>' | b'@' => "not a nucleotide code; a line end is missing before it",
        b'E' | b'F' | b'I' | b'L' | b'P' | b'Q' | b'X' | b'Z' | b'J' | b'O' | b'e' | b'f' | b'i' | b'l' | b'p' | b'q' | b'x' | b'z'
        | b'j' | b'o' => "not a nucleotide code; is this protein?",
        _ => "not a nucleotide code",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_one_clean_word() {
        assert_eq!(name(b"r1 comment", 9), "r1");
        assert_eq!(name(b"r1\tx", 9), "r1");
        assert_eq!(name(b"", 9), "");
        assert_eq!(name(b"a\x07\xff", 9), "a\u{fffd}\u{fffd}");
        assert_eq!(name(&[b'x'; 500], READ_NAME_CHARS).len(), 200);
        assert_eq!(name("é".repeat(500).as_bytes(), usize::MAX).chars().count(), 500);
    }

    #[test]
    fn bases_are_checked() {
        let fasta = |text: &str, keep| {
            let mut record = Record::default();
            assert_eq!(record.fill_fasta(text.as_bytes(), keep), text.matches('\n').count() as u64 + 1);
            record
        };
        assert_eq!(fasta(">a\r\nacg\r\n\ntnRY", 9).seq, b"ACGTNRY");
        assert_eq!(
            fasta(">a\nAC\n-T", 9).problem.unwrap(),
            "base 3 is '-', a gap or an unknown base; remove gaps, write unknown bases as N"
        );
        let long = fasta(">a\nACGT\nACGT", 7);
        assert_eq!((long.seq.len(), long.length, long.problem), (0, 8, None));
        assert!(is_plain(b"ACGTN") && !is_plain(b"ACR"));
        assert!(is_bases(b"ACgtr\r\n") && !is_bases(b"\n") && !is_bases(b"+"));
    }
}
