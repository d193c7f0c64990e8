//! Records as pickles of plain values (protocol 4 of Python's `pickletools`): the fields of `helix_ray.records.Read`, in its order.
//!
//! Bytes cross to Python, and between its processes, without an object for each field; pickle reads them in C.

use super::{Generator, Record, Scratch};
use crate::simulate::columns::{VariantRow, row};
use crate::variant::Variant;

const NONE: u8 = b'N';
const MARK: u8 = b'(';
const TUPLE: u8 = b't';

/// The records of `indices`, one pickle each.
#[must_use]
pub fn packed(generator: &Generator, indices: std::ops::Range<u64>) -> Vec<Vec<u8>> {
    let (mut scratch, mut record) = (Scratch::default(), Record::default());
    let pack = |index| {
        generator.fill(index, &mut scratch, &mut record);
        let mut out = Vec::with_capacity(3 * generator.read_length() + 320);
        write(generator, &record, &mut out);
        out
    };
    indices.map(pack).collect()
}

fn write(generator: &Generator, record: &Record, out: &mut Vec<u8>) {
    let contig = generator.contig_name(record);
    out.extend_from_slice(&[0x80, 4, MARK]);
    integer(record.index, out);
    text(format!("hx{}", record.index).as_bytes(), out);
    text(contig.as_bytes(), out);
    integer(record.ref_start, out);
    text(if record.reverse { b"-" } else { b"+" }, out);
    text(&record.ref_seq, out);
    text(&record.seq, out);
    if record.qual.is_empty() {
        out.push(NONE)
    } else {
        text(&record.qual, out)
    }
    variants(&record.truth, &contig, record, out);
    boolean(record.identifiable, out);
    strata(record, out);
    out.extend_from_slice(&[NONE, NONE]); // disposition, reason
    text(b"synthetic", out);
    variants(&record.errors, &contig, record, out);
    integer(record.checksum, out);
    out.extend_from_slice(&[TUPLE, b'.']);
}

/// The numbers by which results are broken down; `min_gap` (bases) only with two variants or more.
fn strata(record: &Record, out: &mut Vec<u8>) {
    let known = [
        ("gc", record.strata.gc),
        ("max_homopolymer", record.strata.max_homopolymer.into()),
        ("max_str", record.strata.max_str.into()),
        ("n_truth", record.truth.len() as f64),
        ("length", record.seq.len() as f64),
    ];
    out.extend_from_slice(&[b'}', MARK]);
    for (name, value) in known.into_iter().chain(record.min_gap.map(|gap| ("min_gap", gap as f64))) {
        text(name.as_bytes(), out);
        out.push(b'G');
        out.extend_from_slice(&value.to_be_bytes());
    }
    out.push(b'u');
}

fn variants(all: &[Variant], contig: &str, record: &Record, out: &mut Vec<u8>) {
    out.push(MARK);
    for variant in all {
        let (pos, r#ref, alt, kind, event, length, spdi, titv): VariantRow = row(variant, contig, record.ref_start, &record.ref_seq);
        out.push(MARK);
        integer(pos.into(), out);
        for name in [&r#ref, &alt, kind, event] {
            text(name.as_bytes(), out);
        }
        integer(length as u64, out);
        text(spdi.as_bytes(), out);
        match titv {
            Some(titv) => text(titv.as_bytes(), out),
            None => out.push(NONE),
        }
        out.push(TUPLE);
    }
    out.push(TUPLE);
}

fn boolean(value: bool, out: &mut Vec<u8>) {
    out.push(if value { 0x88 } else { 0x89 });
}

fn integer(value: u64, out: &mut Vec<u8>) {
    if let Ok(byte) = u8::try_from(value) {
        out.extend_from_slice(&[b'K', byte]);
    } else if let Ok(small) = i32::try_from(value) {
        out.push(b'J');
        out.extend_from_slice(&small.to_le_bytes());
    } else {
        out.extend_from_slice(&[0x8a, 9]); // two's complement: a ninth byte keeps it positive
        out.extend_from_slice(&value.to_le_bytes());
        out.push(0);
    }
}

fn text(utf8: &[u8], out: &mut Vec<u8>) {
    if let Ok(short) = u8::try_from(utf8.len()) {
        out.extend_from_slice(&[0x8c, short]);
    } else {
        out.push(b'X');
        out.extend_from_slice(&(utf8.len() as u32).to_le_bytes());
    }
    out.extend_from_slice(utf8);
}
