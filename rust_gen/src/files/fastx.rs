//! Reads FASTA and FASTQ files, plain or gzip, record by record.
//!
//! Parsing is needletail's. It stops for good at a FASTQ record that breaks the format; since such a file is made of
//! records of four lines, the reader then leaves four lines out, reports one malformed record and starts the parser again.
//! If what follows does not begin with `@`, the four lines were not one record: the boundary is lost, and going on would
//! give every later read a wrong number. That is an error.

use std::path::{Path, PathBuf};

use needletail::errors::{ParseError, ParseErrorKind};
use needletail::parser::{FastaReader, FastqReader, FastxReader};

use crate::files::error::{Fault, InputError};
use crate::files::input::{Bytes, explain, open};
use crate::files::record::{Record, name};
use crate::files::tap::{Failure, Tap};

/// The two formats.
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

    const fn mark(self) -> u8 {
        match self {
            Self::Fasta => b'>',
            Self::Fastq => b'@',
        }
    }
}

/// Limits on one record.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Most bytes of a record as written; more is an error.
    pub max_record_bytes: u64,
    /// Most bases to keep; of a longer read only the length is kept.
    pub keep_bases: usize,
}

/// An open file, between two records.
pub struct Reader {
    path: PathBuf,
    kind: Kind,
    limits: Limits,
    tap: Tap,
    parser: Box<dyn FastxReader>,
    /// Byte and line at which the current parser began.
    origin: (u64, u64),
    ordinal: u64,
    after_malformed: bool,
    ended: Option<Result<(), InputError>>,
}

impl Reader {
    /// Opens a file and looks at its first byte.
    ///
    /// # Errors
    /// As [`open`]; a file of the other kind or of neither.
    pub fn open(path: &Path, kind: Kind, limits: Limits) -> Result<Self, InputError> {
        let mut source = open(path)?;
        let mut first = [0];
        let count = source.read(&mut first).map_err(|e| explain(path, &e))?;
        if count == 0 {
            return Err(InputError::new(Fault::Empty, path, "is empty"));
        }
        if first[0] != kind.mark() {
            return Err(InputError::new(Fault::Unusable, path, unlike(kind, first[0])).at(1, Some(1)));
        }
        let source: Bytes = Box::new(std::io::Read::chain(std::io::Cursor::new(first), source));
        let tap = Tap::new(source, limits.max_record_bytes, kind == Kind::Fastq);
        let parser: Box<dyn FastxReader> = match kind {
            Kind::Fasta => Box::new(FastaReader::new(tap.clone())),
            Kind::Fastq => Box::new(FastqReader::new(tap.clone())),
        };
        Ok(Self { path: path.into(), kind, limits, tap, parser, origin: (0, 0), ordinal: 0, after_malformed: false, ended: None })
    }

    /// The next record, malformed ones included; None at the end.
    ///
    /// # Errors
    /// A damaged or truncated file, a lost record boundary, a record without end; asked again, the same error.
    pub fn next_record(&mut self) -> Result<Option<Record>, InputError> {
        if let Some(end) = &self.ended {
            return end.clone().map(|()| None);
        }
        match self.parse() {
            Ok(Some(record)) => {
                self.ordinal += 1;
                Ok(Some(record))
            }
            other => {
                self.ended = Some(other.clone().map(|_| ()));
                other
            }
        }
    }

    fn parse(&mut self) -> Result<Option<Record>, InputError> {
        let (byte, line) = self.origin;
        let mut record = Record { ordinal: self.ordinal, ..Record::default() };
        match self.parser.next() {
            None => Ok(None),
            Some(Ok(found)) => {
                record.line = line + found.start_line_number();
                record.name = name(found.id());
                record.fill(&found.seq(), found.qual(), self.limits.keep_bases);
                self.tap.parsed_up_to(byte + found.position().byte() + found.all().len() as u64);
                self.after_malformed = false;
                Ok(Some(record))
            }
            Some(Err(error)) => self.recover(&error, record).map(Some),
        }
    }

    /// A row for the record at which the parser stopped, and a parser for what follows it.
    fn recover(&mut self, error: &ParseError, mut record: Record) -> Result<Record, InputError> {
        let (byte, line) = self.origin;
        let at = |e: InputError, line| e.at(self.ordinal + 1, line);
        match self.tap.take_failure() {
            Some(Failure::Io(io)) => return Err(at(explain(&self.path, &io), None)),
            Some(Failure::TooLong) => {
                let message = format!("no end of record within {} bytes", self.limits.max_record_bytes);
                return Err(at(InputError::new(Fault::TooLong, &self.path, message), None));
            }
            None => {}
        }
        record.line = line + self.parser.position().line();
        let lost = self.kind == Kind::Fastq && self.after_malformed && error.kind == ParseErrorKind::InvalidStart;
        if lost {
            let message = format!("expected '@' after a malformed record: where records begin is lost ({})", describe(error));
            return Err(at(InputError::new(Fault::Malformed, &self.path, message), Some(record.line)));
        }
        record.name = error.position.id.as_deref().map(|id| name(id.as_bytes())).unwrap_or_default();
        record.problem = Some(describe(error));
        if self.kind == Kind::Fastq && error.kind != ParseErrorKind::UnexpectedEnd {
            let start = byte + self.parser.position().byte();
            let (rest, origin) = self.tap.replay(start, 4);
            self.tap.parsed_up_to(origin);
            self.parser = Box::new(FastqReader::new(rest));
            self.origin = (origin, record.line + 3);
            self.after_malformed = true;
        }
        Ok(record)
    }
}

fn unlike(kind: Kind, first: u8) -> String {
    let found = match first {
        b'>' => "is a FASTA file; set source.kind: fasta".into(),
        b'@' => "is a FASTQ file; set source.kind: fastq".into(),
        other => format!("begins with '{}'", other.escape_ascii()),
    };
    let expected = char::from(kind.mark());
    format!("expected '{expected}' as the first character: the file {found}")
}

fn describe(error: &ParseError) -> String {
    match error.kind {
        ParseErrorKind::UnexpectedEnd => "the file ends within the record".into(),
        ParseErrorKind::InvalidStart => "the header does not begin with '@'".into(),
        ParseErrorKind::InvalidSeparator => "the third line does not begin with '+'".into(),
        ParseErrorKind::UnequalLengths => error.msg.clone(),
        _ => error.to_string(),
    }
}
