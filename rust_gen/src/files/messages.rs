//! The messages about records and files that cannot be read, and what to do.

use needletail::errors::{ParseError, ParseErrorKind};

use super::foreign;
use super::kind::Kind;

pub const WRAPPED: &str = "the third line holds bases, not '+': the record is wrapped or its '+' line is missing; \
                       write sequence and quality on one line each (seqtk seq -l0 wrapped.fastq > reads.fastq)";

pub const WRAPPED_QUALITY: &str = "the quality goes on over several lines: the record is wrapped; \
                       write sequence and quality on one line each (seqtk seq -l0 wrapped.fastq > reads.fastq)";

pub const CR_IN_HEADER: &str = "the header holds CR, and bases may stand behind it; end lines in LF or CR LF";

pub const INTERLEAVED: &str = "the mates of pairs follow each other (interleaved), but each read is analysed by itself; \
                               split the file (seqtk seq -1 reads > reads_1, seqtk seq -2 reads > reads_2) and give one of the two";

pub fn too_long(max_record_bytes: u64) -> String {
    format!("longer than {max_record_bytes} bytes, the most that a record may have; is this a file of reads?")
}

pub fn lost(problem: &str) -> String {
    format!("expected '@' after a malformed record: where records begin is lost ({problem}); mend the file")
}

/// A file that begins like neither, or like the other of the two formats.
pub fn unlike(kind: Kind, head: &[u8]) -> String {
    let expected = char::from(kind.mark());
    if let Some(message) = foreign::text(head) {
        return message;
    }
    let found = match head[0] {
        b'>' => "is a FASTA file; set source.kind: fasta".into(),
        b'@' => "is a FASTQ file; set source.kind: fastq".into(),
        _ if foreign::is_table(head) => "is a table (CSV or TSV); pairs of a window and a read are source.kind: pairs, a .tsv file".into(),
        other => format!("begins with '{}'", other.escape_ascii()),
    };
    format!("expected '{expected}' as the first character: the file {found}")
}

/// Why needletail stopped at a record.
pub fn describe(error: &ParseError) -> String {
    match error.kind {
        ParseErrorKind::UnexpectedEnd => "the file ends within the record".into(),
        ParseErrorKind::InvalidStart => "the header does not begin with '@'".into(),
        ParseErrorKind::InvalidSeparator => "the third line does not begin with '+'".into(),
        ParseErrorKind::UnequalLengths => error.msg.clone(),
        _ => error.to_string(),
    }
}
