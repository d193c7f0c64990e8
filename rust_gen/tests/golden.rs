//! The bytes of the first records are frozen: a change here needs a new `GENERATOR_VERSION`, since it makes every stored
//! run impossible to resume.

use _rust_gen::simulate::columns::{Columns, VariantRow};
use _rust_gen::simulate::{GENERATOR_VERSION, Generator};
use flate2::Crc;

/// The line that is hashed for each record; `tests/unit/rust_gen/test_generate.py` builds the same.
fn lines(c: &Columns) -> Vec<String> {
    let calls = |rows: &[VariantRow]| {
        let call = |(pos, r, a, kind, event, length, spdi, titv): &VariantRow| {
            format!("{pos}:{r}>{a}:{kind}:{event}:{length}:{spdi}:{}", titv.unwrap_or("-"))
        };
        rows.iter().map(call).collect::<Vec<_>>().join(",")
    };
    let line = |i: usize| {
        [
            c.contig[i].clone(),
            c.ref_start[i].to_string(),
            c.strand[i].into(),
            c.ref_seq[i].clone(),
            c.seq[i].clone(),
            c.qual[i].clone().unwrap_or("-".into()),
            calls(&c.truth[i]),
            calls(&c.errors[i]),
            u8::from(c.identifiable[i]).to_string(),
            c.checksum[i].to_string(),
            format!("{:?}", c.gc[i]),
            c.max_homopolymer[i].to_string(),
            c.max_str[i].to_string(),
            c.min_gap[i].map_or("-".into(), |gap| gap.to_string()),
        ]
        .join(" ")
    };
    (0..c.contig.len()).map(line).collect()
}

/// FNV-1a, 64 bits (Fowler, Noll, Vo), over the CRC-32 of each line: both are a few lines, or at hand, in Python too.
fn first_thousand(seed: u64, config: &str) -> u64 {
    let generator = Generator::from_json(seed, config, None).expect("valid");
    lines(&Columns::of(&generator, 0..1000)).iter().fold(0xcbf2_9ce4_8422_2325, |hash, line| {
        let mut crc = Crc::new();
        crc.update(line.as_bytes());
        (hash ^ u64::from(crc.sum())).wrapping_mul(0x0100_0000_01b3)
    })
}

#[test]
fn the_first_thousand_records_are_frozen() {
    assert_eq!(GENERATOR_VERSION, 2);
    let presets = [include_str!("presets/bench.json"), include_str!("presets/wgsim.json"), include_str!("presets/human.json")];
    let mut found = presets.map(|config| first_thousand(42, config)).to_vec();
    let noisy = presets[2].replace("\"n_rate\": 0", "\"n_rate\": 0.01").replace("\"mutation_rate\": 0.001", "\"mutation_rate\": 0.05");
    found.push(first_thousand((1 << 63) - 1, &noisy));
    assert_eq!(found, [0x9fb1_53dc_1ae5_6cfa, 0x2702_85d2_1cd6_9a73, 0xae4f_bb74_abfc_c0f1, 0x622e_2c19_4092_6bd8], "{found:#018x?}");
}
