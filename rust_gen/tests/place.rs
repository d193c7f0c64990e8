//! Placement on a reference of several contigs.

mod common;

use _rust_gen::place::{Outcome, Placement, Placer, SHORT_READ_BASES, reverse_complement};
use _rust_gen::reference::Reference;
use _rust_gen::simulate::{Generator, MutationConfig};
use common::{Dir, gzip};

/// Windows of 2,000 random bases.
fn long_windows(seed: u64) -> Generator {
    let bench = MutationConfig::from_json(include_str!("presets/bench.json")).unwrap();
    Generator::new(seed, &MutationConfig { read_length: 2000, low_complexity_fraction: 0.0, ..bench }, None).unwrap()
}

/// Three contigs of 4,000 random bases.
fn contigs() -> Vec<(String, Vec<u8>)> {
    let generator = long_windows(11);
    (0..3).map(|i| (format!("c{i}"), [generator.record(2 * i).ref_seq, generator.record(2 * i + 1).ref_seq].concat())).collect()
}

fn fasta(contigs: &[(String, Vec<u8>)]) -> String {
    contigs.iter().map(|(name, bases)| format!(">{name} of the test\n{}\n", String::from_utf8_lossy(bases))).collect()
}

fn placer(contigs: &[(String, Vec<u8>)]) -> Placer {
    let dir = Dir::new();
    let file = dir.file("ref.fa.gz", &gzip(fasta(contigs).as_bytes()));
    let placer = Placer::new(Reference::load(&file).unwrap()).unwrap();
    placer.place(&contigs[0].1[..SHORT_READ_BASES + 1]).unwrap(); // indexes for long reads while the file is there
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
    let stranger = long_windows(99).record(0).ref_seq;
    assert_eq!(placer.place(&stranger[..150]), Ok(Outcome::Unplaced));
    assert_eq!(placer.place(b""), Ok(Outcome::Unplaced));
    assert_eq!(placer.place(&[b'N'; 100]), Ok(Outcome::Unplaced));
    assert!(placed(&placer, &copy[50..200]).mapping_quality < 5);
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
    let error = Placer::new(reference).unwrap().place(&contigs[1].1[..150]).unwrap_err();
    assert!(error.to_string().contains("was the file changed meanwhile?"), "{error}");
}
