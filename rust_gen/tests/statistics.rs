//! What is configured is what comes out, by tests of statistics on fixed seeds: they cannot fail by chance twice.

use _rust_gen::simulate::config::TypeWeights;
use _rust_gen::simulate::quality::error_probability;
use _rust_gen::simulate::{Generator, MutationConfig, Record, Scratch};
use _rust_gen::variant::{Event, TiTv};

const READS: u64 = 25_000;

/// Chi-square values that are exceeded with probability 0.001, by degrees of freedom from 1.
const CRITICAL: [f64; 12] = [10.83, 13.82, 16.27, 18.47, 20.52, 22.46, 24.32, 26.12, 27.88, 29.59, 31.26, 32.91];

fn preset(json: &str) -> MutationConfig {
    MutationConfig::from_json(json).expect("valid")
}

fn bench() -> MutationConfig {
    preset(include_str!("presets/bench.json"))
}

fn human() -> MutationConfig {
    preset(include_str!("presets/human.json"))
}

fn wgsim() -> MutationConfig {
    preset(include_str!("presets/wgsim.json"))
}

fn each(config: &MutationConfig, mut look: impl FnMut(&Record)) {
    let generator = Generator::new(7, config, None).expect("valid");
    let (mut scratch, mut record) = (Scratch::default(), Record::default());
    for index in 0..READS {
        generator.fill(index, &mut scratch, &mut record);
        look(&record);
    }
}

/// Whether counts agree with probabilities, p > 0.001. Outcomes expected fewer than five times are put together.
fn agrees(name: &str, found: &[u64], probabilities: &[f64]) {
    let n: u64 = found.iter().sum();
    let (mut chi, mut freedom, mut rest) = (0.0, 0, (0.0, 0.0));
    for (found, p) in found.iter().zip(probabilities) {
        let (found, expected) = (*found as f64, n as f64 * p);
        if expected >= 5.0 {
            chi += (found - expected).powi(2) / expected;
            freedom += 1;
        } else {
            assert!(*p > 0.0 || found == 0.0, "{name}: what has no weight came out");
            rest = (rest.0 + found, rest.1 + expected);
        }
    }
    if rest.1 >= 5.0 {
        chi += (rest.0 - rest.1).powi(2) / rest.1;
        freedom += 1;
    }
    assert!(freedom > 1, "{name}: too few outcomes");
    assert!(chi < CRITICAL[freedom - 2], "{name}: chi-square {chi} with {} degrees of freedom: {found:?}", freedom - 1);
}

/// Whether a share lies within three sigma.
fn near(name: &str, found: u64, of: u64, p: f64) {
    let sigma = (p * (1.0 - p) / of as f64).sqrt();
    let share = found as f64 / of as f64;
    assert!((share - p).abs() <= 3.0 * sigma, "{name}: {share} instead of {p} ± {sigma}");
}

fn geometric(extend: f64, most: usize) -> Vec<f64> {
    let p = |length: usize| extend.powi(length as i32 - 1) * if length < most { 1.0 - extend } else { 1.0 };
    (1..=most).map(p).collect()
}

const EVENTS: [Event; 6] = [Event::Snv, Event::Ins, Event::Del, Event::Mnv, Event::Dup, Event::Inv];

fn shares(w: TypeWeights) -> [f64; 6] {
    let all = [w.snv, w.ins, w.del, w.mnv, w.dup, w.inv];
    all.map(|weight| weight / all.iter().sum::<f64>())
}

#[test]
fn the_bench_model_is_realised() {
    let config = bench();
    let (mut counts, mut events, mut lengths) = ([0; 4], [0; 6], [[0u64; 21]; 6]);
    let (mut transitions, mut strong) = (0, 0.0);
    each(&MutationConfig { low_complexity_fraction: 0.0, ..config.clone() }, |record| {
        counts[record.truth.len()] += 1;
        strong += record.strata.gc * record.ref_seq.len() as f64;
        for v in &record.truth {
            let event = EVENTS.iter().position(|e| *e == v.event).expect("an event that the generator makes");
            events[event] += 1;
            lengths[event][v.length()] += 1;
            transitions += u64::from(v.event == Event::Snv && v.titv() == Some(TiTv::Transition));
        }
    });
    agrees("variants_per_read", &counts, config.variants_per_read.as_ref().expect("set"));
    agrees("type_weights", &events, &shares(config.type_weights.expect("set")));
    near("titv_ratio", transitions, events[0], 2.1 / 3.1);
    near("gc_content", strong.round() as u64, READS * 150, 0.41);
    let all: Vec<u64> = lengths[1].iter().zip(lengths[2]).map(|(ins, del)| ins + del).skip(1).collect();
    agrees("indel lengths", &all, &geometric(0.3, 20));
    agrees("ins against del", &[events[1], events[2]], &[0.5, 0.5]);
    agrees("mnv_length", &lengths[3][2..=3], &[0.5; 2]);
    agrees("dup_length", &lengths[4][2..=12], &[1.0 / 11.0; 11]);
    assert!(lengths[0][2..].iter().chain(&lengths[3][4..]).chain(&lengths[4][13..]).chain(&lengths[5][13..]).all(|n| *n == 0));
}

/// Low-complexity windows too: places are drawn again, but number, types and lengths stay.
#[test]
fn repeats_leave_number_and_types() {
    let config = MutationConfig { low_complexity_fraction: 1.0, ..bench() };
    let (mut counts, mut events) = ([0; 4], [0; 6]);
    each(&config, |record| {
        counts[record.truth.len()] += 1;
        record.truth.iter().for_each(|v| events[EVENTS.iter().position(|e| *e == v.event).expect("known")] += 1);
    });
    agrees("variants_per_read", &counts, config.variants_per_read.as_ref().expect("set"));
    agrees("type_weights", &events, &shares(config.type_weights.expect("set")));
}

#[test]
fn a_rate_gives_binomial_counts() {
    let config = MutationConfig { mutation_rate: Some(0.02), ..wgsim() };
    let (n, p) = (config.read_length, 0.02f64);
    let (mut counts, mut events, mut transitions) = ([0; 12], [0; 6], 0);
    each(&config, |record| {
        counts[record.truth.len().min(11)] += 1;
        for v in &record.truth {
            events[EVENTS.iter().position(|e| *e == v.event).expect("known")] += 1;
            transitions += u64::from(v.titv() == Some(TiTv::Transition));
        }
    });
    let mut probabilities = vec![(1.0 - p).powi(n as i32)];
    (0..11).for_each(|k| probabilities.push(probabilities[k] * (n - k) as f64 / (k + 1) as f64 * p / (1.0 - p)));
    agrees("mutation_rate", &counts, &probabilities);
    agrees("indel_fraction", &events[..3], &[0.85, 0.075, 0.075]);
    near("titv_ratio", transitions, events[0], 1.0 / 3.0);
}

#[test]
fn errors_are_as_frequent_as_qualities_say() {
    let config = human();
    let scores = [2u8, 12, 23, 37];
    let (mut of, mut wrong, mut others, mut flipped) = ([0; 4], [0; 4], [0; 3], 0);
    each(&MutationConfig { mutation_rate: Some(0.0), ..config.clone() }, |record| {
        flipped += u64::from(record.reverse);
        for q in &record.qual {
            of[scores.iter().position(|s| s + 33 == *q).expect("a bin")] += 1;
        }
        for e in &record.errors {
            let at = e.span().start; // without variants the read's place is the window's
            wrong[scores.iter().position(|s| s + 33 == record.qual[at]).expect("a bin")] += 1;
            let rest: Vec<u8> = b"ACGT".iter().copied().filter(|base| *base != e.reference[0]).collect();
            others[rest.iter().position(|base| *base == e.alt[0]).expect("another base")] += 1;
        }
    });
    agrees("quality_weights", &of, config.quality_weights.as_ref().expect("set"));
    for (i, q) in scores.iter().enumerate() {
        near(&format!("errors at Q{q}"), wrong[i], of[i], error_probability(*q));
    }
    agrees("erroneous bases", &others, &[1.0 / 3.0; 3]);
    near("strand_flip_prob", flipped, READS, 0.5);
}

/// Errors and N spare only what a truth spells: elsewhere their probabilities are exact.
#[test]
fn bases_outside_the_truth_are_read_wrong_at_the_rate() {
    let config = MutationConfig { n_rate: 0.01, mutation_rate: Some(0.005), ..wgsim() };
    let (mut of, mut wrong, mut lost) = (0, 0, 0);
    each(&config, |record| {
        of += (record.seq.len() - record.truth.iter().map(|v| v.alt.len()).sum::<usize>()) as u64;
        wrong += record.errors.len() as u64;
        lost += record.seq.iter().filter(|base| **base == b'N').count() as u64;
    });
    near("n_rate", lost, of, 0.01);
    near("base_error_rate", wrong, of, 0.02 * 0.99); // an N hides an error
}
