//! Reads a text file, plain or compressed, line by line: for formats of one record a line.

use std::io::{BufRead, BufReader, ErrorKind};
use std::path::{Path, PathBuf};

use super::error::{Fault, InputError};
use super::input::{Bytes, explain, open};
use super::start::start;

/// An open file, between two lines.
pub struct Lines {
    path: PathBuf,
    source: BufReader<Bytes>,
    most: usize,
    /// Lines before the next one.
    number: u64,
    ended: Option<Result<(), InputError>>,
}

impl Lines {
    /// Opens a file of lines of at most `most` bytes.
    ///
    /// # Errors
    /// As [`open`]; another format; an empty file.
    pub fn open(path: &Path, most: usize) -> Result<Self, InputError> {
        let begun = start(path, open(path)?)?;
        Ok(Self { path: path.into(), source: BufReader::new(begun.bytes), most, number: begun.blank_lines, ended: None })
    }

    /// The next line that is not blank, without its end, and its number, counted from 1. None at the end.
    ///
    /// # Errors
    /// A damaged or truncated file, a line without end; asked again, the same error.
    pub fn next_line(&mut self) -> Result<Option<(u64, Vec<u8>)>, InputError> {
        if let Some(end) = &self.ended {
            return end.clone().map(|()| None);
        }
        loop {
            let line = self.any_line();
            match line {
                Ok(Some(line)) if line.iter().all(u8::is_ascii_whitespace) => {}
                Ok(Some(line)) => return Ok(Some((self.number, line))),
                other => {
                    self.ended = Some(other.clone().map(|_| ()));
                    return other.map(|_| None);
                }
            }
        }
    }

    fn any_line(&mut self) -> Result<Option<Vec<u8>>, InputError> {
        let mut line = Vec::new();
        let at = |e: InputError, number| e.on_line(number);
        loop {
            let available = match self.source.fill_buf() {
                Ok(available) => available,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(at(explain(&self.path, &error), self.number + 1)),
            };
            let end = available.iter().position(|b| *b == b'\n');
            let part = end.unwrap_or(available.len());
            if line.len() + part > self.most {
                let message = format!("longer than {} bytes, the most that a line may have", self.most);
                return Err(at(InputError::new(Fault::TooLong, &self.path, message), self.number + 1));
            }
            line.extend_from_slice(&available[..part]);
            let last = available.is_empty();
            self.source.consume(part + usize::from(end.is_some()));
            if end.is_some() || last {
                if last && line.is_empty() {
                    return Ok(None);
                }
                self.number += 1;
                if line.last() == Some(&b'\r') {
                    line.pop();
                }
                return Ok(Some(line));
            }
        }
    }
}
