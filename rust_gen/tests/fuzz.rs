//! Seeded mutations of the specimens, against everything that `fuzz/src/check.rs` demands. A short run; `make fuzz` runs the
//! coverage-guided fuzzer, or this one for longer (`FUZZ_SECONDS` or `FUZZ_INPUTS`).

#[path = "../fuzz/src/check.rs"]
mod check;
#[path = "../fuzz/src/mutate.rs"]
mod mutate;

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use _rust_gen::files::kind::Kind;

fn specimens(folder: &str) -> Vec<Vec<u8>> {
    let mut files: Vec<_> = fs::read_dir(Path::new("tests/specimens").join(folder)).unwrap().map(|e| e.unwrap().path()).collect();
    files.sort();
    files.iter().map(|path| fs::read(path).unwrap()).collect()
}

fn run(kind: Kind, folder: &str, inputs: u64) {
    let inputs = std::env::var("FUZZ_INPUTS").map_or(inputs, |text| text.parse().expect("FUZZ_INPUTS: a number"));
    let specimens = specimens(folder);
    assert!(specimens.len() >= 10, "specimens are missing");
    specimens.iter().for_each(|bytes| check::check(kind, bytes));
    let seconds = std::env::var("FUZZ_SECONDS").ok().map(|text| text.parse().expect("FUZZ_SECONDS: a number of seconds"));
    let until = seconds.map(|seconds| Instant::now() + Duration::from_secs(seconds));
    let mut mutator = mutate::Mutator::new(if until.is_some() { u64::from(std::process::id()) } else { 1 });
    let mut done = 0_u64;
    while until.map_or(done < inputs, |until| Instant::now() < until) {
        let bytes = mutator.next(&specimens);
        if let Err(panic) = std::panic::catch_unwind(|| check::check(kind, &bytes)) {
            eprintln!("{folder}: input {done}: {}", bytes.escape_ascii());
            std::panic::resume_unwind(panic);
        }
        done += 1;
    }
    println!("{folder}: {done} inputs");
}

#[test]
fn fasta() {
    run(Kind::Fasta, "fasta", 300);
}

#[test]
fn fastq() {
    run(Kind::Fastq, "fastq", 300);
}
