//! The bytes of the first records are frozen: a change here needs a new `GENERATOR_VERSION`, since it makes every stored
//! run impossible to resume.

use _rust_gen::generate::{GENERATOR_VERSION, Generator, Record};
use _rust_gen::mutation::Model;

const DEFAULT: &str = r#"{"read_length":150,"gc_content":0.41,"variants_per_read":[0.25,0.35,0.2,0.2],"type_weights":{"snv":0.6,"ins":0.2,"del":0.2},"indel_extend_prob":0.3,"max_indel_length":20,"titv_ratio":2.1,"min_gap":10,"flank":10}"#;
const DENSE: &str = r#"{"read_length":60,"gc_content":0.9,"variants_per_read":[0,0,1],"type_weights":{"ins":1,"del":1},"indel_extend_prob":0.6,"max_indel_length":9,"titv_ratio":0.5,"min_gap":3,"flank":2}"#;

/// FNV-1a, 64 bits (Fowler, Noll, Vo): enough to notice a change, and written in five lines.
fn fnv(hash: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(hash, |h, b| (h ^ u64::from(*b)).wrapping_mul(0x0100_0000_01b3))
}

/// The line that is hashed for a record; `tests/unit/test_rust_golden.py` builds the same.
fn line(r: &Record) -> String {
    let calls: Vec<String> =
        r.truth.iter().map(|v| format!("{}:{}>{}:{}:{}", v.pos.0, v.reference, v.alt, v.kind.name(), v.event.name())).collect();
    let text = |b: &[u8]| String::from_utf8(b.to_vec()).expect("bases");
    format!("{} {} {} {} {}\n", text(&r.ref_seq), text(&r.seq), calls.join(","), u8::from(r.identifiable), r.max_homopolymer)
}

fn first_thousand(seed: u64, config: &str) -> u64 {
    let generator = Generator::new(seed, Model::from_json(config).expect("valid"));
    (0..1000).fold(0xcbf2_9ce4_8422_2325, |hash, index| fnv(hash, line(&generator.record(index)).as_bytes()))
}

#[test]
fn the_first_thousand_records_are_frozen() {
    assert_eq!(GENERATOR_VERSION, 1);
    let found = [first_thousand(42, DEFAULT), first_thousand(0, DEFAULT), first_thousand((1 << 63) - 1, DENSE)];
    assert_eq!(found, [0xbfa7_2b8e_6c11_6a52, 0x88e0_e79a_a739_38e6, 0x8f62_154e_cd19_9979], "{found:#x?}");
}
