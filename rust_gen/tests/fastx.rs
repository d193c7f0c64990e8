//! Reading sequence files: what is accepted, what is reported, and where.

mod common;

use std::io::Write;

use _rust_gen::files::error::{Fault, InputError};
use _rust_gen::files::fastx::{Reader, Rules};
use _rust_gen::files::kind::Kind;
use _rust_gen::files::record::Record;
use _rust_gen::files::reference::Reference;
use common::{Dir, gzip};
use proptest::prelude::*;

const RULES: Rules = Rules { max_record_bytes: 1 << 20, keep_bases: 1000, refuse_mates: true };

fn all(name: &str, content: &[u8], kind: Kind) -> Result<Vec<Record>, InputError> {
    let dir = Dir::new();
    drain(Reader::open(&dir.file(name, content), kind, RULES)?)
}

fn drain(mut reader: Reader) -> Result<Vec<Record>, InputError> {
    let mut records = Vec::new();
    while let Some(record) = reader.next_record()? {
        records.push(record);
    }
    assert!(matches!(reader.next_record(), Ok(None)), "the end stays the end");
    Ok(records)
}

fn fastq(content: &str) -> Result<Vec<Record>, InputError> {
    all("reads.fq", content.as_bytes(), Kind::Fastq)
}

fn problems(records: &[Record]) -> Vec<(u64, u64, bool)> {
    records.iter().map(|r| (r.ordinal, r.line, r.problem.is_some())).collect()
}

#[test]
fn fastq_records() {
    let records = fastq("@r1 first\nacgtn\n+\nIIII!\n@r2\nAC\n+r2\n#~").unwrap();
    assert_eq!(problems(&records), [(0, 1, false), (1, 5, false)]);
    assert_eq!((records[0].name.as_str(), records[0].seq.as_slice()), ("r1", b"ACGTN".as_slice()));
    assert_eq!(records[1].qual.as_deref(), Some(b"#~".as_slice()));
}

#[test]
fn fasta_records_may_be_wrapped() {
    let records = all("x.fa", b">a x\nACGT\nacgt\n\n>b\nRY\n", Kind::Fasta).unwrap();
    assert_eq!((records[0].seq.as_slice(), records[0].qual.as_deref()), (b"ACGTACGT".as_slice(), None));
    assert_eq!((records[1].name.as_str(), records[1].seq.as_slice(), records[1].line), ("b", b"RY".as_slice(), 5));
}

#[test]
fn windows_line_ends_and_final_blank_lines() {
    let records = fastq("@r1\r\nACGT\r\n+\r\nIIII\r\n\r\n\n").unwrap();
    assert_eq!((records.len(), records[0].seq.as_slice()), (1, b"ACGT".as_slice()));
    let records = all("x.fa", b">a\r\nAC\r\nGT\r\n", Kind::Fasta).unwrap();
    assert_eq!(records[0].seq, b"ACGT");
}

#[test]
fn gzip_of_one_and_of_many_members() {
    let (one, two) = ("@r1\nACGT\n+\nIIII\n", "@r2\nAC\n+\nII\n");
    let many = [gzip(one.as_bytes()), gzip(two.as_bytes())].concat();
    assert_eq!(all("x.fq.gz", &many, Kind::Fastq).unwrap().len(), 2);
    assert_eq!(all("x.fq.gz", &gzip(&[one, two].concat().into_bytes()), Kind::Fastq).unwrap().len(), 2);
}

#[test]
fn every_truncation_of_a_gzip_file_is_an_error() {
    let whole = gzip("@r1\nACGTACGT\n+\nIIIIIIII\n@r2\nAC\n+\nII\n".as_bytes());
    for length in 1..whole.len() {
        let error = all("x.fq.gz", &whole[..length], Kind::Fastq).unwrap_err();
        // A single byte is not yet recognised as gzip.
        assert_eq!(error.fault, if length < 2 { Fault::Unusable } else { Fault::Truncated }, "cut at {length}: {error}");
    }
}

#[test]
fn a_bgzf_file_needs_its_end_marker() {
    // One BGZF block, made by hand: gzip with the extra field BC and the block's size.
    let plain = gzip(b"@r1\nACGT\n+\nIIII\n");
    let mut block = vec![0x1f, 0x8b, 8, 4, 0, 0, 0, 0, 0, 0xff, 6, 0, b'B', b'C', 2, 0];
    block.write_all(&(plain.len() as u16 + 7).to_le_bytes()).unwrap();
    block.extend_from_slice(&plain[10..]);
    assert_eq!(all("x.fq.gz", &block, Kind::Fastq).unwrap_err().fault, Fault::Truncated);
    block.extend_from_slice(&[0x1f, 0x8b, 8, 4, 0, 0, 0, 0, 0, 0xff, 6, 0, b'B', b'C', 2, 0, 0x1b, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(all("x.fq.gz", &block, Kind::Fastq).unwrap().len(), 1);
}

#[test]
fn damaged_gzip_is_an_error() {
    let mut whole = gzip("@r1\nACGTACGT\n+\nIIIIIIII\n".repeat(50).as_bytes());
    let middle = whole.len() / 2;
    whole[middle] ^= 0xff;
    assert_eq!(all("x.fq.gz", &whole, Kind::Fastq).unwrap_err().fault, Fault::Truncated);
}

#[test]
fn files_that_cannot_be_used() {
    let dir = Dir::new();
    let open = |path: &std::path::Path, kind| Reader::open(path, kind, RULES).err().expect("an error");
    assert!(open(&dir.path().join("none.fq"), Kind::Fastq).to_string().ends_with("none.fq: no such file"));
    assert!(open(dir.path(), Kind::Fastq).to_string().contains("is a directory"));
    assert_eq!(open(&dir.file("empty.fq", b""), Kind::Fastq).fault, Fault::Empty);
    assert_eq!(open(&dir.file("empty.fq.gz", &gzip(b"")), Kind::Fastq).fault, Fault::Empty);
    assert!(open(&dir.file("x.fa", b">a\nAC\n"), Kind::Fastq).to_string().contains("source.kind: fasta"));
    assert!(open(&dir.file("x.fq", b"@a\nAC\n+\nII\n"), Kind::Fasta).to_string().contains("source.kind: fastq"));
    assert!(open(&dir.file("x.bz2", b"BZh91AY&SY"), Kind::Fastq).to_string().contains("bzip2"));
    assert!(open(&dir.file("x.txt", b"hello"), Kind::Fastq).to_string().contains("begins with 'h'"));
    assert!(open(std::path::Path::new("/dev/null"), Kind::Fastq).to_string().contains("is a device"));
}

#[test]
fn a_malformed_record_is_one_row_and_reading_goes_on() {
    let good = "@g\nACGT\n+\nIIII\n";
    let broken = [
        "@b\nACGT\n+\nIII\n",  // unequal lengths
        "@b\nACGT\n-\nIIII\n", // no separator
        "b\nACGT\n+\nIIII\n",  // no '@'
        "@b\nAC-T\n+\nIIII\n", // not a base
        "@b\nACGT\n+\nII I\n", // not a quality
    ];
    for bad in broken {
        let records = fastq(&format!("{good}{bad}{good}{bad}{good}")).unwrap_or_else(|e| panic!("{bad:?}: {e}"));
        assert_eq!(problems(&records), [(0, 1, false), (1, 5, true), (2, 9, false), (3, 13, true), (4, 17, false)], "{bad:?}");
        assert_eq!(records[4].seq, b"ACGT");
    }
}

#[test]
fn malformed_records_first_and_last() {
    let records = fastq("@b\nACGT\n+\nIII\n@g\nAC\n+\nII\n@b\nACGT\n+\nIII").unwrap();
    assert_eq!(problems(&records), [(0, 1, true), (1, 5, false), (2, 9, true)]);
    assert_eq!(records[0].name, "b");
    let records = fastq("@g\nAC\n+\nII\n@cut\nACG").unwrap();
    assert_eq!(problems(&records), [(0, 1, false), (1, 5, true)]);
    let records = all("x.fa", b">a\nACGT\n>b", Kind::Fasta).unwrap();
    assert_eq!(problems(&records), [(0, 1, false), (1, 3, true)]);
}

#[test]
fn malformed_records_may_follow_each_other() {
    let records = fastq(&format!("{}@g\nAC\n+\nII\n", "@b\nACGT\n+\nIII\n".repeat(3))).unwrap();
    assert_eq!(problems(&records), [(0, 1, true), (1, 5, true), (2, 9, true), (3, 13, false)]);
}

#[test]
fn a_wrapped_quality_is_told_from_a_short_one() {
    let good = "@g\nACGT\n+\nIIII\n";
    for quality in ["@@@\n+++\nI", "@@\n++\nII\nI", "II@I\n@II", "@\n@\n@\n@\n+\n+\n+"] {
        for end in ["", "\n", "\n@h\nAC\n+\nII\n"] {
            let found = fastq(&format!("{good}@w\nACGTACG\n+\n{quality}{end}")).unwrap_err();
            assert!(found.message.contains("the record is wrapped"), "{}", found.message);
        }
    }
    for short in ["II", "IIIIII", "II\r"] {
        let records = fastq(&format!("{good}@s\nACGTACG\n+\n{short}\n{good}")).unwrap();
        assert_eq!(problems(&records).len(), 3);
        assert_eq!(records.iter().filter(|record| record.problem.is_some()).count(), 1);
    }
}

#[test]
fn white_space_behind_the_plus_names_nothing() {
    for plus in ["+ ", "+\t", "+ \r", "+  a", "+a "] {
        assert_eq!(fastq(&format!("@a\nAC\n{plus}\nII\n")).unwrap()[0].problem, None, "{plus:?}");
    }
    assert!(fastq("@a\nAC\n+ b\nII\n").unwrap()[0].problem.as_ref().unwrap().contains("names 'b'"));
}

#[test]
fn a_lost_boundary_is_an_error_with_its_place() {
    // The quality line of r1 is missing: four lines later the parser stands in the middle of r2.
    let error = fastq("@r0\nAC\n+\nII\n@r1\nACGT\n+\n@r2\nACGT\n+\nIIII\n@r3\nA\n+\nI\n").unwrap_err();
    assert_eq!((error.fault, error.record, error.line), (Fault::Malformed, Some(3), Some(9)), "{error}");
}

#[test]
fn long_reads_are_counted_not_kept_and_endless_ones_refused() {
    let long = "A".repeat(5000);
    let records = fastq(&format!("@l\n{long}\n+\n{long}\n@s\nAC\n+\nII\n")).unwrap();
    assert_eq!((records[0].seq.len(), records[0].length, records[0].problem.is_none()), (0, 5000, true));
    assert_eq!(records[1].seq, b"AC");
    let endless = format!("@s\nAC\n+\nII\n@e\n{}", "A".repeat(3 << 20));
    let error = fastq(&endless).unwrap_err();
    assert_eq!((error.fault, error.record), (Fault::TooLong, Some(2)));
}

#[test]
fn errors_are_repeated_not_forgotten() {
    let dir = Dir::new();
    let whole = gzip("@r1\nACGT\n+\nIIII\n".as_bytes());
    let mut reader = Reader::open(&dir.file("x.fq.gz", &whole[..whole.len() - 4]), Kind::Fastq, RULES).unwrap();
    assert!(reader.next_record().unwrap().is_some(), "what came before the damage is read");
    let first = reader.next_record().unwrap_err();
    assert_eq!((first.record, first.line), (Some(2), Some(5)));
    assert_eq!(reader.next_record().unwrap_err(), first);
}

#[test]
fn every_truncation_of_many_members_is_an_error() {
    let (one, two) = (gzip(b"@r1\nACGT\n+\nIIII\n"), gzip(b"@r2\nAC\n+\nII\n"));
    let whole = [one.as_slice(), &two].concat();
    for length in 2..whole.len() {
        let read = all("x.fq.gz", &whole[..length], Kind::Fastq);
        // Between two members a plain gzip file may end; nowhere else.
        assert_eq!(read.is_ok(), length == one.len(), "cut at {length}");
    }
}

#[test]
fn every_damaged_byte_of_the_sums_is_an_error() {
    let whole = gzip("@r1\nACGT\n+\nIIII\n".repeat(3).as_bytes());
    for place in whole.len() - 8..whole.len() {
        let mut damaged = whole.clone();
        damaged[place] ^= 1;
        assert_eq!(all("x.fq.gz", &damaged, Kind::Fastq).unwrap_err().fault, Fault::Truncated, "byte {place}");
    }
}

#[test]
fn references_are_text_and_have_no_mates() {
    let dir = Dir::new();
    let error = Reference::load(&dir.file("hole.fa", b">c\nAC\0\0")).unwrap_err();
    assert!(error.to_string().contains("NUL"), "{error}");
    let mates = dir.file("mates.fa", b">a/1\nAC\n>a/2\nGT\n");
    assert_eq!(Reference::load(&mates).unwrap().contigs.len(), 2, "contigs are no mates");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    /// Every record is seen once, in order, whatever is broken and wherever the parser's 64 KiB buffer ends.
    #[test]
    fn files_with_broken_records_keep_their_count(shapes in prop::collection::vec((0usize..900, 0u8..6), 1..400), zipped: bool) {
        let mut text = String::new();
        for (i, (length, shape)) in shapes.iter().enumerate() {
            let (bases, qual) = ("ACGT".repeat(length / 4 + 1), "I".repeat(length / 4 * 4 + 4));
            match shape {
                0 => text += &format!("@r{i}\n{bases}A\n+\n{qual}\n"),
                1 => text += &format!("@r{i}\n{bases}\n.\n{qual}\n"),
                _ => text += &format!("@r{i}\n{bases}\n+\n{qual}\n"),
            }
        }
        let bytes = if zipped { gzip(text.as_bytes()) } else { text.into_bytes() };
        let records = all("x.fq", &bytes, Kind::Fastq).unwrap();
        prop_assert_eq!(records.len(), shapes.len());
        for (i, (record, (length, shape))) in records.iter().zip(&shapes).enumerate() {
            prop_assert_eq!((record.ordinal, record.line), (i as u64, i as u64 * 4 + 1));
            prop_assert_eq!(&record.name, &format!("r{i}"));
            prop_assert_eq!(record.problem.is_some(), *shape < 2);
            prop_assert!(*shape < 2 || record.length == length / 4 * 4 + 4);
        }
    }

    /// Well-formed upper-case FASTQ, read and written, is the same bytes.
    #[test]
    fn fastq_comes_back_byte_for_byte(reads in prop::collection::vec(("[!-~]{1,30}", "([ACGTN][!-~]){0,200}"), 1..50)) {
        let mut text = String::new();
        for (name, mixed) in &reads {
            let (seq, qual): (Vec<_>, Vec<_>) = mixed.chars().enumerate().partition(|(i, _)| i % 2 == 0);
            let line = |part: Vec<(usize, char)>| part.into_iter().map(|(_, c)| c).collect::<String>();
            text += &format!("@{name}x\n{}\n+\n{}\n", line(seq), line(qual));
        }
        let mut back = String::new();
        for record in all("x.fq", text.as_bytes(), Kind::Fastq).unwrap() {
            let line = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
            back += &format!("@{}\n{}\n+\n{}\n", record.name, line(record.seq), line(record.qual.unwrap()));
        }
        prop_assert_eq!(back, text);
    }

    /// No bytes make the reader panic or loop.
    #[test]
    fn any_bytes_end(bytes in prop::collection::vec(prop::sample::select(b"@>+\n\rACGTI \x00\x1f\x8b".to_vec()), 0..300)) {
        for kind in [Kind::Fasta, Kind::Fastq] {
            if let Ok(records) = all("x", &bytes, kind) {
                prop_assert!(records.len() <= bytes.len());
            }
        }
    }
}
