//! Placement on a reference of several contigs.

mod common;

use _rust_gen::files::reference::Reference;
use _rust_gen::place::{LEAST_READ_BASES, Outcome, Placement, Placer, SHORT_READ_BASES, TINY_READ_BASES, reverse_complement};
use common::{Dir, gzip};

/// Three contigs of 4,000 random bases.
fn contigs() -> Vec<(String, Vec<u8>)> {
    (0..3).map(|i| (format!("c{i}"), random(11 + i, 4000))).collect()
}

fn random(seed: u64, bases: usize) -> Vec<u8> {
    let mut state = seed << 32;
    let mut base = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407); // Knuth, MMIX
        b"ACGT"[(state >> 62) as usize]
    };
    (0..bases).map(|_| base()).collect()
}

fn fasta(contigs: &[(String, Vec<u8>)]) -> String {
    contigs.iter().map(|(name, bases)| format!(">{name} of the test\n{}\n", String::from_utf8_lossy(bases))).collect()
}

fn placer(contigs: &[(String, Vec<u8>)]) -> Placer {
    let dir = Dir::new();
    let file = dir.file("ref.fa.gz", &gzip(fasta(contigs).as_bytes()));
    let placer = Placer::new(Reference::load(&file).unwrap(), false).unwrap();
    for length in [LEAST_READ_BASES, SHORT_READ_BASES + 1] {
        placer.place(&contigs[0].1[..length]).unwrap(); // indexes for such reads while the file is there
    }
    placer
}

fn placed(placer: &Placer, read: &[u8]) -> Placement {
    match placer.place(read).unwrap() {
        Outcome::Placed(placement) => placement,
        other => panic!("{other:?}"),
    }
}

#[test]
fn reads_come_back_to_where_they_were_cut() {
    let contigs = contigs();
    let placer = placer(&contigs);
    for (number, (_, bases)) in contigs.iter().enumerate() {
        for (start, length) in [(0, 100), (1234, 150), (3850, 150), (500, 2000)] {
            let window = &bases[start..start + length];
            for reverse in [false, true] {
                let read = if reverse { reverse_complement(window) } else { window.to_vec() };
                let found = placed(&placer, &read);
                assert_eq!((found.contig, found.ref_start, found.reverse), (number, start, reverse));
                assert_eq!((found.window.as_slice(), found.seq.as_slice()), (window, window));
                assert_eq!((found.kept, found.mapping_quality), ((0, length), 60));
            }
        }
    }
}

#[test]
fn variants_stay_inside_the_window() {
    let contigs = contigs();
    let placer = placer(&contigs);
    let window = &contigs[1].1[1000..1200];
    let mut read = window.to_vec();
    read.splice(100..103, []);
    read[50] = if read[50] == b'A' { b'C' } else { b'A' };
    read[150] = b'N';
    let found = placed(&placer, &read);
    assert_eq!((found.ref_start, found.window.as_slice(), found.seq), (1000, window, read));
}

#[test]
fn soft_clips_are_cut_off_on_the_right_side() {
    let contigs = contigs();
    let placer = placer(&contigs);
    let window = &contigs[2].1[2000..2150];
    let mut read = [reverse_complement(window), contigs[0].1[..40].to_vec()].concat();
    let found = placed(&placer, &read);
    assert!(found.reverse && found.kept.0 == 0 && (148..=152).contains(&found.kept.1), "{found:?}");
    assert_eq!(found.seq, reverse_complement(&read[..found.kept.1]));
    read.rotate_right(40);
    let found = placed(&placer, &read);
    assert!(found.reverse && found.kept.1 == 190 && (38..=42).contains(&found.kept.0), "{found:?}");
}

#[test]
fn strangers_repeats_and_ambiguity_codes() {
    let mut contigs = contigs();
    let copy = contigs[0].1[100..400].to_vec();
    contigs[1].1.splice(100..400, copy.clone());
    contigs[2].1[1000] = b'R';
    let placer = placer(&contigs);
    let stranger = random(99, 2000);
    assert_eq!(placer.place(&stranger[..150]), Ok(Outcome::Unplaced));
    assert_eq!(placer.place(b""), Ok(Outcome::TooShort));
    assert_eq!(placer.place(&[b'N'; 100]), Ok(Outcome::Unplaced));
    for length in [25, 36, 100, 101, 150] {
        let found = placed(&placer, &copy[50..50 + length]);
        assert!(found.repeated && found.mapping_quality < 5, "{found:?}");
    }
    assert_eq!(placer.place(&[&contigs[0].1[500..600], b"R".as_slice()].concat()), Ok(Outcome::Ambiguous));
    let mut over = contigs[2].1[950..1050].to_vec();
    over[50] = b'A';
    assert_eq!(placer.place(&over), Ok(Outcome::Ambiguous));
}

#[test]
fn references_that_cannot_be_used() {
    let dir = Dir::new();
    let load = |text: &str| Reference::load(&dir.file("r.fa", text.as_bytes())).unwrap_err().to_string();
    assert!(load(">a\nACGT\n>a\nACGT\n").ends_with("record 2 (line 3): contig 'a' appears twice"));
    assert!(load(">a\n>b\nACGT\n").contains("contig 'a' is empty"));
    assert!(load(">\nACGT\n").contains("needs a name"));
    assert!(load(">a\nAC!T\n").contains("base 3 is '!'"));
    assert!(load("@a\nACGT\n+\nIIII\n").contains("FASTQ"));
}

#[test]
fn a_reference_that_changes_while_it_is_loaded_is_refused() {
    let dir = Dir::new();
    let contigs = contigs();
    let file = dir.file("r.fa", fasta(&contigs).as_bytes());
    let reference = Reference::load(&file).unwrap();
    dir.file("r.fa", fasta(&contigs[1..]).as_bytes());
    let error = Placer::new(reference, false).unwrap().place(&contigs[1].1[..150]).unwrap_err();
    assert!(error.to_string().contains("was the file changed meanwhile?"), "{error}");
}

#[test]
fn ambiguity_codes_are_filtered_or_become_n() {
    let mut contigs = contigs();
    contigs[0].1[1050] = b'R';
    let filtering = placer(&contigs);
    let mut read = contigs[0].1[1000..1150].to_vec();
    read[50] = b'A';
    assert!(matches!(filtering.place(&read).unwrap(), Outcome::Ambiguous), "the window holds R");
    let dir = Dir::new();
    let file = dir.file("ref.fa", fasta(&contigs).as_bytes());
    let masking = Placer::new(Reference::load(&file).unwrap(), true).unwrap();
    read[100] = b'Y';
    let found = placed(&masking, &read);
    assert_eq!((found.window[50], found.seq[50], found.seq[100]), (b'N', b'A', b'N'));
    read[20] = b'U';
    assert!(matches!(masking.place(&read).unwrap(), Outcome::Ambiguous), "U is no ambiguity and no DNA");
}

/// Every length at which other settings begin, and a SNV, an insertion or a deletion wherever a read may have it.
#[test]
fn short_reads_are_placed_where_they_were_cut_and_nothing_else_is() {
    let contigs = contigs();
    let placer = placer(&contigs);
    assert_eq!(placer.place(&contigs[0].1[100..100 + LEAST_READ_BASES - 1]), Ok(Outcome::TooShort));
    let bases = &contigs[1].1;
    for length in [LEAST_READ_BASES, 30, 36, 45, 75, TINY_READ_BASES, TINY_READ_BASES + 1, 150] {
        for start in (0..2000).step_by(37) {
            let window = &bases[start..start + length];
            let mut reads = vec![window.to_vec(); 4];
            let at = 6 + start % (length - 12);
            reads[1][at] = if window[at] == b'A' { b'C' } else { b'A' };
            reads[2].remove(at);
            let other = reads[1][at];
            reads[3].insert(at, other);
            for (number, read) in reads.iter().enumerate().take(if length < 30 { 2 } else { 4 }) {
                let reverse = start % 2 == 1;
                let given = if reverse { reverse_complement(read) } else { read.clone() };
                let found = placed(&placer, &given);
                assert!(
                    found.contig == 1 && found.reverse == reverse && found.ref_start.abs_diff(start) <= 12,
                    "{length} {number} {found:?}"
                );
                assert!(found.mapping_quality >= 20 && !found.repeated, "{length} {number} {found:?}");
            }
            let found = placer.place(&random(1000 + start as u64, length)).unwrap();
            assert!(matches!(&found, Outcome::Unplaced) || matches!(&found, Outcome::Placed(p) if p.mapping_quality < 20), "{found:?}");
        }
    }
}
