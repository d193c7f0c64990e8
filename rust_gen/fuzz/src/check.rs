//! What must hold for every input, whatever its bytes. The fuzz targets and the crate's own tests call this.

use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use _rust_gen::files::error::InputError;
use _rust_gen::files::fastx::{Reader, Rules};
use _rust_gen::files::kind::Kind;
use _rust_gen::files::record::Record;

/// Small, so that a fuzzer's inputs reach it.
pub const MAX_RECORD_BYTES: u64 = 600;
/// needletail's smallest buffer that grows to hold any allowed record, and the default.
const BUFFERS: [usize; 3] = [3, 64, 64 * 1024];
/// The first look at a file.
const HEAD_BYTES: usize = 64 * 1024;
/// needletail's buffer doubles.
const BOUND: usize = 2 * (MAX_RECORD_BYTES as usize + 16);

/// Everything that a reader says about an input: its records, and how it ends.
type Outcome = (Vec<Record>, Result<(), InputError>);

/// Gives at most `step` bytes a time and counts them; then ends, or fails as a file that is cut does.
struct Drip {
    bytes: io::Cursor<Vec<u8>>,
    step: usize,
    fails: bool,
    given: Arc<AtomicUsize>,
}

impl Read for Drip {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = self.step.min(buffer.len());
        let count = self.bytes.read(&mut buffer[..most])?;
        if count == 0 && self.fails {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.given.fetch_add(count, Ordering::Relaxed);
        Ok(count)
    }
}

fn read(kind: Kind, bytes: &[u8], step: usize, buffer_bytes: usize, fails: bool) -> Outcome {
    let drip = Drip { bytes: io::Cursor::new(bytes.to_vec()), step, fails, given: Arc::default() };
    let rules = Rules { max_record_bytes: MAX_RECORD_BYTES, keep_bases: 400, refuse_mates: true };
    let mut records = Vec::new();
    let mut reader = match Reader::new(Path::new("input"), Box::new(drip), kind, rules, buffer_bytes) {
        Ok(reader) => reader,
        Err(error) => return (records, Err(error)),
    };
    let end = loop {
        match reader.next_record() {
            Ok(Some(record)) => records.push(record),
            Ok(None) => break Ok(()),
            Err(error) => break Err(error),
        }
        assert!(records.len() <= bytes.len(), "more records than bytes");
    };
    for _ in 0..2 {
        assert_eq!(reader.next_record().map(|record| assert_eq!(record, None)), end, "asked again, the same end");
    }
    (records, end)
}

/// Bytes that the reader takes before it refuses a record without end, which begins after `before`.
fn taken_of_endless(kind: Kind, before: &[u8], buffer_bytes: usize) -> usize {
    let given = Arc::new(AtomicUsize::new(0));
    let mut bytes = before.to_vec();
    bytes.extend_from_slice(if kind == Kind::Fasta { b">endless\n" } else { b"@endless\n" });
    let start = before.len();
    bytes.resize(start + HEAD_BYTES + 20 * BOUND, b'A');
    let drip = Drip { bytes: io::Cursor::new(bytes), step: usize::MAX, fails: false, given: Arc::clone(&given) };
    let rules = Rules { max_record_bytes: MAX_RECORD_BYTES, keep_bases: 400, refuse_mates: false };
    if let Ok(mut reader) = Reader::new(Path::new("input"), Box::new(drip), kind, rules, buffer_bytes) {
        while let Ok(Some(_)) = reader.next_record() {}
    }
    given.load(Ordering::Relaxed) - start
}

fn write(kind: Kind, record: &Record) -> Vec<u8> {
    let seq = String::from_utf8_lossy(&record.seq);
    match kind {
        Kind::Fasta => format!(">{}\n{seq}\n", record.name),
        Kind::Fastq => format!("@{}\n{seq}\n+\n{}\n", record.name, String::from_utf8_lossy(record.qual.as_deref().unwrap_or_default())),
    }
    .into_bytes()
}

/// Checks one input. Panics where something does not hold:
///
/// * no record and no error depends on how the bytes arrive or on the size of the parser's buffer;
/// * a file that fails behind these bytes ends with an error, after some of the same records, and never as if it were whole;
/// * the end stays the end and an error stays the same error;
/// * ordinals count up, lines go forward, problems and contents exclude each other;
/// * an accepted record, written and read again, is the same;
/// * behind any input, no more than a bounded number of bytes of an endless record is taken.
pub fn check(kind: Kind, bytes: &[u8]) {
    let whole = read(kind, bytes, usize::MAX, BUFFERS[2], false);
    let cut = read(kind, bytes, usize::MAX, BUFFERS[2], true);
    for (step, buffer_bytes) in [(1, BUFFERS[2]), (usize::MAX, BUFFERS[0]), (7, BUFFERS[1])] {
        assert_eq!(read(kind, bytes, step, buffer_bytes, false), whole, "in steps of {step} with a buffer of {buffer_bytes}");
        assert_eq!(read(kind, bytes, step, buffer_bytes, true), cut, "cut, in steps of {step} with a buffer of {buffer_bytes}");
    }
    assert!(cut.1.is_err(), "a file that is cut ends as if it were whole");
    assert!(whole.0.starts_with(&cut.0), "before the cut: {:?}", cut.0);
    let (records, end) = whole;
    let mut line = 0;
    for (i, record) in records.iter().enumerate() {
        assert_eq!(record.ordinal, i as u64);
        assert!(record.line > line, "{record:?} begins where an earlier one does");
        line = record.line;
        let kept = record.problem.is_none() && record.length <= 400;
        assert_eq!(record.seq.len(), if kept { record.length } else { 0 }, "{record:?}");
        assert_eq!(record.qual.as_ref().map(Vec::len), (kept && kind == Kind::Fastq).then_some(record.length), "{record:?}");
    }
    if let Err(error) = &end {
        assert!(error.record.is_none_or(|record| record <= records.len() as u64 + 1), "{error}");
        assert!(!error.message.is_empty());
    }
    let good: Vec<&Record> = records.iter().filter(|r| r.problem.is_none() && r.length <= 400 && !r.name.contains('\u{fffd}')).collect();
    for record in good {
        let (again, end) = read(kind, &write(kind, record), usize::MAX, BUFFERS[1], false);
        assert_eq!(end, Ok(()), "{record:?}");
        assert_eq!(again, [Record { ordinal: 0, line: 1, ..record.clone() }]);
    }
    let most = bytes.len() + HEAD_BYTES.max(BOUND) + BUFFERS[2];
    assert!(taken_of_endless(kind, bytes, BUFFERS[0]) <= most);
}
