//! The generator's promises, for any model that passes the check.

use _rust_gen::generate::Generator;
use _rust_gen::mutation::{Model, MutationConfig, TypeWeights};
use _rust_gen::normalize::{justified, normalize, trim};
use _rust_gen::variant::{Edit, VariantType, apply, apply_edits};
use proptest::prelude::*;

fn bench_model() -> MutationConfig {
    MutationConfig {
        read_length: 150,
        gc_content: 0.41,
        variants_per_read: vec![0.25, 0.35, 0.2, 0.2],
        type_weights: TypeWeights { snv: 0.6, ins: 0.2, del: 0.2 },
        indel_extend_prob: 0.3,
        max_indel_length: 20,
        titv_ratio: 2.1,
        min_gap: 10,
        flank: 10,
    }
}

prop_compose! {
    fn any_model()(
        read_length in 30usize..400,
        gc_content in 0.001f64..0.999,
        variants_per_read in prop::collection::vec(0.01f64..1.0, 1..=9),
        (snv, ins, del) in (0.0f64..1.0, 0.0f64..1.0, 0.01f64..1.0),
        indel_extend_prob in 0.0f64..0.99,
        max_indel_length in 1usize..=49,
        titv_ratio in 0.01f64..100.0,
        min_gap in 1usize..=30,
        flank in 1usize..=30,
    ) -> MutationConfig {
        let type_weights = TypeWeights { snv, ins, del };
        MutationConfig { read_length, gc_content, variants_per_read, type_weights, indel_extend_prob, max_indel_length, titv_ratio, min_gap, flank }
    }
}

/// Any model, shortened until its variants fit.
fn fitting_model() -> impl Strategy<Value = (MutationConfig, Model)> {
    any_model().prop_filter_map("the variants do not fit", |mut config| {
        loop {
            match Model::new(&config) {
                Ok(model) => return Some((config, model)),
                Err(_) if config.variants_per_read.len() > 1 => config.variants_per_read.truncate(config.variants_per_read.len() - 1),
                Err(_) => return None,
            }
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn truth_rebuilds_the_read((config, model) in fitting_model(), seed: u64, index: u64) {
        let record = Generator::new(seed, model).record(index);
        prop_assert_eq!(record.ref_seq.len(), config.read_length);
        prop_assert!(record.ref_seq.iter().chain(&record.seq).all(|b| b"ACGT".contains(b)));
        prop_assert_eq!(apply(&record.ref_seq, &record.truth).expect("applies"), record.seq);
    }

    #[test]
    fn identifiable_truth_keeps_its_distances((config, model) in fitting_model(), seed: u64) {
        for record in (0..5).map(|i| Generator::new(seed, model.clone()).record(i)).filter(|r| r.identifiable) {
            let mut clear = config.flank;
            for v in &record.truth {
                let edit = Edit { start: v.pos.0 as usize - 1, deleted: v.reference.len(), inserted: v.alt.clone().into() };
                let interval = justified(&record.ref_seq, &trim(&record.ref_seq, &edit).expect("a change"));
                prop_assert!(interval.start >= clear, "{:?} in {:?}", v, record);
                clear = interval.end + config.min_gap;
            }
            prop_assert!(record.truth.is_empty() || clear - config.min_gap + config.flank <= config.read_length);
        }
    }

    #[test]
    fn normal_form_is_stable_and_changes_nothing(
        window in "[AC]{1,40}|[ACGT]{1,40}",
        start in 0usize..40,
        deleted in 0usize..8,
        inserted in "[AC]{0,8}",
    ) {
        let window = window.into_bytes();
        let start = start.min(window.len());
        let edit = Edit { start, deleted: deleted.min(window.len() - start), inserted: inserted.into_bytes() };
        let changed = apply_edits(&window, std::slice::from_ref(&edit));
        let Some(found) = normalize(&window, &edit, _rust_gen::variant::Event::Snv) else {
            prop_assert!(changed == window || edit.deleted == window.len());
            return Ok(());
        };
        prop_assert_eq!(apply(&window, std::slice::from_ref(&found)).expect("applies"), changed);
        let again = Edit { start: found.pos.0 as usize - 1, deleted: found.reference.len(), inserted: found.alt.clone().into_bytes() };
        prop_assert_eq!(normalize(&window, &again, found.event), Some(found.clone()));
        // Parsimonious (Tan 2015): the alleles differ at the end, and at the start unless one of them is the anchor alone.
        let (first, last) = (found.reference.as_bytes(), found.alt.as_bytes());
        prop_assert!(found.pos.0 == 1 || first.last() != last.last());
        prop_assert!(first[0] != last[0] || first.len().min(last.len()) == 1);
    }
}

#[test]
fn the_default_model_is_realised() {
    let config = bench_model();
    let generator = Generator::new(7, Model::new(&config).expect("valid"));
    let n = 60_000;
    let (mut counts, mut types, mut lengths) = ([0usize; 4], [0usize; 3], [0usize; 21]);
    let (mut transitions, mut gc) = (0usize, 0.0);
    for record in (0..n as u64).map(|i| generator.record(i)) {
        assert!(record.identifiable, "the default model never falls back");
        counts[record.truth.len()] += 1;
        gc += record.gc / n as f64;
        for v in &record.truth {
            let kind = [VariantType::Snv, VariantType::Ins, VariantType::Del].iter().position(|k| *k == v.kind).expect("built types");
            types[kind] += 1;
            match kind {
                0 => {
                    transitions +=
                        usize::from(matches!((v.reference.as_str(), v.alt.as_str()), ("A", "G") | ("G", "A") | ("C", "T") | ("T", "C")))
                }
                _ => lengths[v.reference.len().abs_diff(v.alt.len())] += 1,
            }
        }
    }
    let variants: usize = types.iter().sum();
    let indels: usize = lengths.iter().sum();
    let close = |name: &str, found: usize, of: usize, p: f64| {
        let sigma = (p * (1.0 - p) / of as f64).sqrt();
        let share = found as f64 / of as f64;
        assert!((share - p).abs() < 4.0 * sigma, "{name}: {share} instead of {p} ± {sigma}");
    };
    for (i, p) in config.variants_per_read.iter().enumerate() {
        close("variants_per_read", counts[i], n, *p);
    }
    for (i, p) in [0.6, 0.2, 0.2].iter().enumerate() {
        close("type_weights", types[i], variants, *p);
    }
    for (longer, found) in lengths[1..6].iter().enumerate() {
        close("indel length", *found, indels, 0.7 * 0.3f64.powi(longer as i32));
    }
    close("transitions", transitions, types[0], 2.1 / 3.1);
    assert!((gc - 0.41).abs() < 4.0 * (0.41f64 * 0.59 / (n as f64 * 150.0)).sqrt(), "gc {gc}");
}

#[test]
fn variants_lie_everywhere_between_the_flanks() {
    let mut config = bench_model();
    config.variants_per_read = vec![0.0, 1.0];
    config.type_weights = TypeWeights { snv: 1.0, ins: 0.0, del: 0.0 };
    let generator = Generator::new(1, Model::new(&config).expect("valid"));
    let mut seen = vec![0u32; 151];
    for record in (0..130_000).map(|i| generator.record(i)) {
        seen[record.truth[0].pos.0 as usize] += 1;
    }
    assert!(seen[..11].iter().chain(&seen[141..]).all(|n| *n == 0), "{seen:?}");
    assert!(seen[11..141].iter().all(|n| n.abs_diff(1000) < 160), "{seen:?}");
}

#[test]
fn a_changed_allele_setting_leaves_windows_and_places() {
    let changed = MutationConfig { titv_ratio: 0.5, ..bench_model() };
    let one = Generator::new(3, Model::new(&bench_model()).expect("valid"));
    let two = Generator::new(3, Model::new(&changed).expect("valid"));
    let mut alleles_differ = false;
    for (a, b) in (0..500).map(|i| (one.record(i), two.record(i))) {
        assert_eq!(a.ref_seq, b.ref_seq);
        assert_eq!(a.truth.len(), b.truth.len());
        if a.truth.iter().chain(&b.truth).all(|v| v.kind == VariantType::Snv) {
            assert!(a.truth.iter().zip(&b.truth).all(|(x, y)| x.pos == y.pos));
            alleles_differ |= a.truth != b.truth;
        }
    }
    assert!(alleles_differ);
}
