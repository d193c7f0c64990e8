//! Reads FASTA and FASTQ files, plain or compressed, record by record.
//!
//! Parsing is needletail's. It stops for good at a FASTQ record that breaks the format; since such a file is made of
//! records of four lines, the reader then leaves four lines out, reports one malformed record and starts the parser again.
//! If what follows does not begin with `@`, the four lines were not one record: the boundary is lost, and going on would
//! give every later read a wrong number. That is an error. Blank lines before a record are passed over.

use std::path::{Path, PathBuf};

use needletail::errors::{ParseError, ParseErrorKind};
use needletail::parser::{FastaReader, FastqReader, FastxReader};

use super::error::{Fault, InputError};
use super::foreign;
use super::input::{Bytes, explain, open};
use super::kind::Kind;
use super::mates::Mates;
use super::messages;
use super::record::{READ_NAME_CHARS, Record, is_bases, is_wrapped_quality, name};
use super::start::{blank_lines, start};
use super::tap::{Failure, Tap, bound};

/// What is refused and what is kept.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// Most bytes of a record as written; more is an error. Held in memory at once: these and 8 MiB more, at most twice, and
    /// eight bytes for each line of a FASTA record.
    pub max_record_bytes: u64,
    /// Most bases to keep; of a longer read only the length is kept.
    pub keep_bases: usize,
    /// Whether a file in which the mates of pairs follow each other is an error. Such files hold reads, whose names are shown
    /// and may be cut; every other name is kept whole, because it tells contigs or pairs apart.
    pub refuse_mates: bool,
}

/// Lines looked at to tell a wrapped quality from a short one.
const MOST_WRAPPED_LINES: usize = 1024;

/// needletail's own buffer to begin with.
pub(super) const BUFFER_BYTES: usize = 64 * 1024;

/// An open file, between two records.
pub struct Reader {
    path: PathBuf,
    kind: Kind,
    rules: Rules,
    buffer_bytes: usize,
    tap: Tap,
    parser: Box<dyn FastxReader>,
    /// Byte and lines before the current parser's first.
    origin: (u64, u64),
    /// The line after the last record, counted from 1.
    line: u64,
    ordinal: u64,
    after_malformed: bool,
    mates: Mates,
    ended: Option<Result<(), InputError>>,
}

/// What one look at the parser brought.
enum Step {
    Found(Record),
    /// The parser gave up, or believes that the file ends.
    Stopped(Option<ParseError>),
}

impl Reader {
    /// Opens a file and looks at its beginning.
    ///
    /// # Errors
    /// As [`open`]; a file of the other kind or of neither.
    pub fn open(path: &Path, kind: Kind, rules: Rules) -> Result<Self, InputError> {
        Self::new(path, open(path)?, kind, rules, BUFFER_BYTES)
    }

    /// Reads decompressed bytes; `path` is for errors. `buffer_bytes`, at least 3, is what the parser begins with: no
    /// record depends on it.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn new(path: &Path, source: Bytes, kind: Kind, rules: Rules, buffer_bytes: usize) -> Result<Self, InputError> {
        let begun = start(path, source)?;
        let line = begun.blank_lines + 1;
        if begun.head[0] != kind.mark() || foreign::text(&begun.head).is_some() {
            return Err(InputError::new(Fault::Unusable, path, messages::unlike(kind, &begun.head)).at(1, Some(line)));
        }
        let tap = Tap::new(begun.bytes, bound(buffer_bytes, rules.max_record_bytes), kind == Kind::Fastq);
        let parser = parser(kind, &tap, buffer_bytes);
        let origin = (0, begun.blank_lines);
        let path = path.into();
        let mates = Mates::default();
        Ok(Self { path, kind, rules, buffer_bytes, tap, parser, origin, line, ordinal: 0, after_malformed: false, mates, ended: None })
    }

    /// The next record, malformed ones included; None at the end.
    ///
    /// # Errors
    /// A damaged or truncated file, a lost record boundary, wrapped FASTQ, a record without end, mates in turn; asked again,
    /// the same error.
    pub fn next_record(&mut self) -> Result<Option<Record>, InputError> {
        if let Some(end) = &self.ended {
            return end.clone().map(|()| None);
        }
        let next = self.parse();
        match &next {
            Ok(Some(_)) => self.ordinal += 1,
            other => self.ended = Some(other.clone().map(|_| ())),
        }
        next
    }

    fn parse(&mut self) -> Result<Option<Record>, InputError> {
        loop {
            match self.step()? {
                Step::Found(record) => return Ok(Some(record)),
                Step::Stopped(_) if self.kind == Kind::Fastq && self.skip_blank_lines() => {}
                Step::Stopped(error) => {
                    let record = self.stopped(error)?;
                    return if record.is_none() && self.rules.refuse_mates && self.mates.ended() {
                        Err(InputError::new(Fault::Unusable, &self.path, messages::INTERLEAVED).at(1, None))
                    } else {
                        Ok(record)
                    };
                }
            }
        }
    }

    fn step(&mut self) -> Result<Step, InputError> {
        let found = match self.parser.next() {
            None => return Ok(Step::Stopped(None)),
            Some(Err(error)) => return Ok(Step::Stopped(Some(error))),
            Some(Ok(found)) => found,
        };
        let text = found.all();
        let end = self.origin.0 + found.position().byte() + text.len() as u64;
        // The parser takes a failure for the end of the file, and what it then finds last may be half a record: FASTA shows
        // its end by what follows, FASTQ by its line end.
        let shown_by = if self.kind == Kind::Fasta { 2 } else { 1 };
        if self.tap.failure().is_some_and(|(_, cut)| end + shown_by > cut) {
            return Ok(Step::Stopped(None));
        }
        if text.len() as u64 > self.rules.max_record_bytes {
            return Err(self.error(Fault::TooLong, messages::too_long(self.rules.max_record_bytes)));
        }
        let mut record = Record { ordinal: self.ordinal, line: self.origin.1 + found.start_line_number(), ..Record::default() };
        record.name = name(found.id(), if self.rules.refuse_mates { READ_NAME_CHARS } else { usize::MAX });
        let lines = match self.kind {
            Kind::Fasta => record.fill_fasta(text, self.rules.keep_bases),
            Kind::Fastq => record.fill_fastq(text, self.rules.keep_bases),
        };
        if record.problem.is_none() && found.id().trim_ascii_end().contains(&b'\r') {
            record.seq.clear();
            record.qual = None;
            record.problem = Some(messages::CR_IN_HEADER.into());
        }
        self.line = record.line + lines;
        let interleaved = self.rules.refuse_mates && record.problem.is_none() && self.mates.see(found.id());
        self.tap.parsed_up_to(end + 1);
        self.after_malformed = false;
        if interleaved {
            Err(InputError::new(Fault::Unusable, &self.path, messages::INTERLEAVED).at(1, None))
        } else {
            Ok(Step::Found(record))
        }
    }

    /// Starts the parser again behind the blank lines at which it stopped, if there are any.
    fn skip_blank_lines(&mut self) -> bool {
        let start = self.origin.0 + self.parser.position().byte();
        let (bytes, lines) = blank_lines(&self.tap.lines(start, 4).concat());
        if bytes > 0 {
            self.restart(start + bytes as u64, self.origin.1 + self.parser.position().line() - 1 + lines);
        }
        bytes > 0
    }

    fn restart(&mut self, byte: u64, lines_before: u64) {
        self.tap.go_back_to(byte);
        self.origin = (byte, lines_before);
        self.line = lines_before + 1;
        self.parser = parser(self.kind, &self.tap, self.buffer_bytes);
    }

    /// A row for the record at which the parser stopped, and a parser for what follows it. None at the end.
    fn stopped(&mut self, error: Option<ParseError>) -> Result<Option<Record>, InputError> {
        let start = self.origin.0 + self.parser.position().byte();
        let lines = if self.kind == Kind::Fastq { self.tap.lines(start, 4) } else { Vec::new() };
        let whole = error.is_some() && lines.len() == 4 && lines[3].ends_with(b"\n");
        match self.tap.failure() {
            Some((Failure::Io(io), cut)) if !whole && cut - start <= self.rules.max_record_bytes.saturating_add(1) => {
                return Err(explain(&self.path, &io).at(self.ordinal + 1, Some(self.line)));
            }
            Some(_) if !whole => return Err(self.error(Fault::TooLong, messages::too_long(self.rules.max_record_bytes))),
            _ => {}
        }
        let Some(error) = error else { return Ok(None) };
        let length = if self.kind == Kind::Fastq { lines.iter().map(Vec::len).sum::<usize>() as u64 } else { self.tap.taken() - start };
        if length > self.rules.max_record_bytes.saturating_add(1) {
            return Err(self.error(Fault::TooLong, messages::too_long(self.rules.max_record_bytes)));
        }
        let problem = messages::describe(&error);
        if self.after_malformed && error.kind == ParseErrorKind::InvalidStart {
            return Err(self.error(Fault::Malformed, messages::lost(&problem)));
        }
        let wrapped = lines.get(1..3).is_some_and(|lines| lines.iter().all(|line| is_bases(line)));
        if error.kind == ParseErrorKind::InvalidSeparator && wrapped {
            return Err(self.error(Fault::Malformed, messages::WRAPPED.into()));
        }
        if error.kind == ParseErrorKind::UnequalLengths && is_wrapped_quality(&self.tap.lines(start, MOST_WRAPPED_LINES)) {
            return Err(self.error(Fault::Malformed, messages::WRAPPED_QUALITY.into()));
        }
        let name = error.position.id.as_deref().map(|id| name(id.as_bytes(), READ_NAME_CHARS)).unwrap_or_default();
        let record = Record { ordinal: self.ordinal, line: self.line, name, problem: Some(problem), ..Record::default() };
        if !lines.is_empty() {
            self.restart(start + length, self.line - 1 + lines.len() as u64);
            self.after_malformed = true;
        }
        Ok(Some(record))
    }

    fn error(&self, fault: Fault, message: String) -> InputError {
        InputError::new(fault, &self.path, message).at(self.ordinal + 1, Some(self.line))
    }
}

fn parser(kind: Kind, tap: &Tap, buffer_bytes: usize) -> Box<dyn FastxReader> {
    match kind {
        Kind::Fasta => Box::new(FastaReader::with_capacity(tap.clone(), buffer_bytes)),
        Kind::Fastq => Box::new(FastqReader::with_capacity(tap.clone(), buffer_bytes)),
    }
}
