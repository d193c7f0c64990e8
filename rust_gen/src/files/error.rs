//! What can be wrong with an input file, said with its file, record and line.

use std::fmt;
use std::path::{Path, PathBuf};

/// The closed set of reasons why reading stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Missing, a directory, a pipe, not readable, of another kind than asked for.
    Unusable,
    /// Holds nothing.
    Empty,
    /// Compressed data that end early or are damaged.
    Truncated,
    /// A record so broken that the start of the next one cannot be found.
    Malformed,
    /// A record longer than the limit.
    TooLong,
}

impl Fault {
    /// The name that crosses to Python.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unusable => "unusable",
            Self::Empty => "empty",
            Self::Truncated => "truncated",
            Self::Malformed => "malformed",
            Self::TooLong => "too_long",
        }
    }
}

/// An input file that cannot be read on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InputError {
    /// Why.
    pub fault: Fault,
    /// The file, as given.
    pub file: PathBuf,
    /// The record, counted from 1.
    pub record: Option<u64>,
    /// The line, counted from 1.
    pub line: Option<u64>,
    /// What was found and what to do.
    pub message: String,
}

impl InputError {
    /// An error about the file as a whole.
    #[must_use]
    pub fn new(fault: Fault, file: &Path, message: impl Into<String>) -> Self {
        Self { fault, file: file.into(), record: None, line: None, message: message.into() }
    }

    /// The same error, at a record and perhaps a line, both counted from 1.
    #[must_use]
    pub const fn at(mut self, record: u64, line: Option<u64>) -> Self {
        self.record = Some(record);
        self.line = line;
        self
    }

    /// The same error, on a line, counted from 1, of no known record.
    #[must_use]
    pub const fn on_line(mut self, line: u64) -> Self {
        self.line = Some(line);
        self
    }
}

impl fmt::Display for InputError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        match (self.record, self.line) {
            (Some(record), Some(line)) => write!(f, ": record {record} (line {line})")?,
            (Some(record), None) => write!(f, ": record {record}")?,
            (None, Some(line)) => write!(f, ": line {line}")?,
            (None, None) => {}
        }
        write!(f, ": {}", self.message)
    }
}

impl std::error::Error for InputError {}
