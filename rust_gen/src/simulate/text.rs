//! Records as FASTQ text, as they were sequenced.

use super::model::complement;
use super::{Generator, Record, Scratch};

/// The quality of a base when the model has none: Phred 40. A placeholder, since FASTQ cannot say that nothing is known.
pub const NO_QUALITY: u8 = b'I';

/// Appends one record of four lines; its name is `hx{index}`. A read from the other strand is reverse-complemented.
pub fn write_fastq(record: &Record, out: &mut Vec<u8>) {
    out.reserve(2 * record.seq.len() + 32);
    out.extend_from_slice(b"@hx");
    write_number(record.index, out);
    out.push(b'\n');
    if record.reverse {
        out.extend(record.seq.iter().rev().map(|base| complement(*base)));
    } else {
        out.extend_from_slice(&record.seq);
    }
    out.extend_from_slice(b"\n+\n");
    if record.qual.is_empty() {
        out.resize(out.len() + record.seq.len(), NO_QUALITY);
    } else if record.reverse {
        out.extend(record.qual.iter().rev());
    } else {
        out.extend_from_slice(&record.qual);
    }
    out.push(b'\n');
}

/// Decimal digits, without the formatting machinery, which takes as long as drawing the window.
fn write_number(mut number: u64, out: &mut Vec<u8>) {
    let mut digits = [b'0'; 20];
    let mut first = digits.len() - 1;
    loop {
        digits[first] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
        first -= 1;
    }
    out.extend_from_slice(&digits[first..]);
}

/// The records of `indices` as FASTQ.
#[must_use]
pub fn fastq(generator: &Generator, indices: std::ops::Range<u64>) -> Vec<u8> {
    let (mut scratch, mut record) = (Scratch::default(), Record::default());
    let each = 2 * generator.read_length() + 24; // more when insertions prevail; then it grows
    let mut out = Vec::with_capacity(each.saturating_mul(indices.end.saturating_sub(indices.start) as usize));
    for index in indices {
        generator.read(index, &mut scratch, &mut record);
        write_fastq(&record, &mut out);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(record: &Record) -> String {
        let mut out = Vec::new();
        write_fastq(record, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn numbers() {
        for number in [0, 7, 10, 1_000_000, u64::MAX] {
            let mut out = Vec::new();
            write_number(number, &mut out);
            assert_eq!(out, number.to_string().as_bytes());
        }
    }

    #[test]
    fn a_read_is_written_as_it_was_sequenced() {
        let mut record = Record { index: 7, seq: b"ACGTN".to_vec(), qual: b"ABCD#".to_vec(), ..Record::default() };
        assert_eq!(written(&record), "@hx7\nACGTN\n+\nABCD#\n");
        record.reverse = true;
        assert_eq!(written(&record), "@hx7\nNACGT\n+\n#DCBA\n");
        record.qual.clear();
        assert_eq!(written(&record), "@hx7\nNACGT\n+\nIIIII\n");
    }
}
