//! Records of a file as columns of equal length, for callers that want plain lists.

use super::error::InputError;
use super::fastx::Reader;

/// ordinal, line, name, seq, qual, length, problem.
pub type FileColumns = (Vec<u64>, Vec<u64>, Vec<String>, Vec<String>, Vec<Option<String>>, Vec<usize>, Vec<Option<String>>);

/// The next `count` records, fewer at the end.
///
/// # Errors
/// As [`Reader::next_record`].
pub fn read(reader: &mut Reader, count: usize) -> Result<FileColumns, InputError> {
    let mut columns = FileColumns::default();
    while columns.0.len() < count {
        let Some(record) = reader.next_record()? else { break };
        columns.0.push(record.ordinal);
        columns.1.push(record.line);
        columns.2.push(record.name);
        columns.3.push(text(record.seq));
        columns.4.push(record.qual.map(text));
        columns.5.push(record.length);
        columns.6.push(record.problem);
    }
    Ok(columns)
}

/// Bases or qualities, which are ASCII, as text.
#[must_use]
pub fn text(ascii: Vec<u8>) -> String {
    String::from_utf8(ascii).unwrap_or_else(|e| String::from_utf8_lossy(e.as_bytes()).into_owned())
}
