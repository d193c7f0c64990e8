//! The generator's promises, for any model that passes the check.

use std::sync::Arc;

use _rust_gen::files::reference::Reference;
use _rust_gen::simulate::checksum::checksum;
use _rust_gen::simulate::config::{BaseErrorRate, Named, TypeWeights};
use _rust_gen::simulate::spacing::{IDENTIFIABLE_FLANK, IDENTIFIABLE_GAP};
use _rust_gen::simulate::strata::Strata;
use _rust_gen::simulate::text::fastq;
use _rust_gen::simulate::{Generator, Genome, MutationConfig, Record, Scratch};
use _rust_gen::variant::normalize::normalize_alleles;
use _rust_gen::variant::{Edit, Event, Interval, Variant, VariantType, apply, apply_edits, justified, normalize};
use proptest::prelude::*;

mod common;

const PRESETS: [(&str, &str); 3] = [
    ("bench", include_str!("presets/bench.json")),
    ("wgsim", include_str!("presets/wgsim.json")),
    ("human", include_str!("presets/human.json")),
];

fn preset(name: &str) -> MutationConfig {
    let (_, json) = PRESETS.iter().find(|(found, _)| *found == name).expect("a preset");
    MutationConfig::from_json(json).expect("valid")
}

fn generator(seed: u64, config: &MutationConfig) -> Generator {
    Generator::new(seed, config, None).expect("valid")
}

prop_compose! {
    fn any_model()(
        read_length in 30usize..300,
        gc_content in prop::option::of(0.001f64..0.999),
        counts in prop::option::of(prop::collection::vec(0.01f64..1.0, 1..=9)),
        rate in 0.0f64..0.1,
        (snv, ins, del) in (0.01f64..1.0, 0.0f64..1.0, 0.0f64..1.0),
        (mnv, dup, inv) in (0.0f64..1.0, 0.0f64..1.0, 0.0f64..1.0),
        indel_fraction in prop::option::of(0.0f64..=1.0),
        indel_extend_prob in 0.0f64..0.99,
        max_indel_length in 1usize..=30,
        titv_ratio in 0.01f64..100.0,
        (min_gap, flank) in (1usize..=20, 1usize..=20),
    )(
        // Drawn here so that the tuple above stays within proptest's twelve.
        mnv_length in (2usize..8, 0usize..5), dup_length in (1usize..8, 0usize..9), inv_length in (2usize..8, 0usize..9),
        quality in prop::sample::select(vec!["none", "fixed:17", "fixed:0", "binned:[2,12,23,37]", "binned:[40]"]),
        errors in prop::sample::select(vec![BaseErrorRate::Rate(0.0), BaseErrorRate::Rate(0.02), BaseErrorRate::Rate(1.0), BaseErrorRate::Named(Named::FromQuality)]),
        low_complexity_fraction in prop::sample::select(vec![0.0, 0.5, 1.0]),
        (n_rate, strand_flip_prob) in (prop::sample::select(vec![0.0, 0.02, 1.0]), 0.0f64..=1.0),
        rest in Just((read_length, gc_content, counts, rate, TypeWeights { snv, ins, del, mnv, dup, inv }, indel_fraction, indel_extend_prob, max_indel_length, titv_ratio, min_gap, flank)),
    ) -> MutationConfig {
        let (read_length, gc_content, variants_per_read, rate, weights, indel_fraction, indel_extend_prob, max_indel_length, titv_ratio, min_gap, flank) = rest;
        let span = |(least, more): (usize, usize)| [least, least + more];
        MutationConfig {
            read_length, gc_content, indel_fraction, indel_extend_prob, max_indel_length, titv_ratio, min_gap, flank,
            mutation_rate: variants_per_read.is_none().then_some(rate),
            variants_per_read,
            type_weights: indel_fraction.is_none().then_some(weights),
            ins_del_ratio: 1.5,
            mnv_length: span(mnv_length), dup_length: span(dup_length), inv_length: span(inv_length),
            base_error_rate: if quality == "none" && errors == BaseErrorRate::Named(Named::FromQuality) { BaseErrorRate::Rate(0.1) } else { errors },
            quality_model: quality.into(),
            quality_weights: None,
            low_complexity_fraction, n_rate, strand_flip_prob,
        }
    }
}

/// Any model, with fewer variants until they fit.
fn fitting_model() -> impl Strategy<Value = MutationConfig> {
    any_model().prop_filter_map("the variants do not fit", |mut config| {
        loop {
            match (config.check(), &mut config.variants_per_read) {
                (Ok(()), _) => return Some(config),
                (Err(_), Some(counts)) if counts.len() > 1 => drop(counts.pop()),
                _ => return None,
            }
        }
    })
}

fn interval(window: &[u8], v: &Variant) -> Interval {
    justified(window, &v.edit(window))
}

/// Everything that the fields of a record say about one another.
fn consistent(record: &Record, config: &MutationConfig) {
    let window = record.ref_seq.as_slice();
    assert_eq!(window.len(), config.read_length);
    assert!(window.iter().all(|base| b"ACGT".contains(base)));

    // Truth rebuilds the error-free read; truth and errors rebuild the read, but for N.
    let clean = apply(window, &record.truth).expect("the truth applies");
    let mut all: Vec<Variant> = record.truth.iter().chain(&record.errors).cloned().collect();
    all.sort_by_key(|v| v.pos);
    let read = apply(window, &all).expect("truth and errors apply together");
    assert_eq!((read.len(), clean.len()), (record.seq.len(), record.seq.len()));
    assert!(read.iter().zip(&record.seq).all(|(a, b)| a == b || *b == b'N'));

    let has_qualities = config.quality_model != "none";
    assert_eq!(record.qual.len(), if has_qualities { record.seq.len() } else { 0 });
    assert!(record.qual.iter().zip(&record.seq).all(|(q, base)| *base != b'N' || *q == b'#'));

    for v in &record.truth {
        let whole = normalize_alleles(window, v.pos.0.into(), &v.reference, &v.alt).expect("the window holds it").expect("a variant");
        assert_eq!(whole, Variant { event: Event::Complex, ..v.clone() }, "left-aligned and parsimonious");
        let kinds: &[VariantType] = match v.event {
            Event::Snv => &[VariantType::Snv],
            Event::Mnv => &[VariantType::Mnv],
            Event::Ins | Event::Dup => &[VariantType::Ins],
            Event::Del => &[VariantType::Del],
            Event::Inv => &[VariantType::Snv, VariantType::Mnv],
            Event::Complex => &[],
        };
        assert!(kinds.contains(&v.kind), "{v:?}");
        assert_eq!(v.titv().is_some(), v.kind == VariantType::Snv);
    }
    for e in &record.errors {
        assert!(e.kind == VariantType::Snv && e.event == Event::Snv && e.reference != e.alt);
        assert!(record.truth.iter().all(|v| !v.span().contains(&e.span().start)), "{e:?} in {record:?}");
    }

    // The configured gap and flank hold for the truth; the fixed ones decide whether the read is identifiable.
    let truth: Vec<Interval> = record.truth.iter().map(|v| interval(window, v)).collect();
    let kept = |intervals: &[Interval], gap: usize, flank: usize| {
        intervals.windows(2).all(|pair| pair[0].end + gap <= pair[1].start)
            && intervals.first().is_none_or(|first| first.start >= flank)
            && intervals.last().is_none_or(|last| last.end + flank <= window.len())
    };
    assert!(kept(&truth, config.min_gap, config.flank), "{record:?}");
    assert_eq!(record.min_gap, truth.windows(2).map(|pair| pair[1].start - pair[0].end).min());
    let mut differences = truth.clone();
    differences.extend(record.errors.iter().map(|e| interval(window, e)));
    if record.seq.contains(&b'N') {
        // An N's window position, by walking the read as the truth made it.
        let mut done = 0;
        let mut at = 0;
        for v in record.truth.iter().map(Some).chain([None]) {
            let (start, end) = v.map_or((window.len(), window.len()), |v| (v.span().start, v.span().end));
            let unread = (done..start).filter(|w| record.seq[at + w - done] == b'N');
            differences.extend(unread.map(|w| Interval { start: w, end: w + 1 }));
            at += start - done;
            let alt = v.map_or(0, |v| v.alt.len());
            assert!(!record.seq[at..at + alt].contains(&b'N'), "no N within a truth allele");
            at += alt;
            done = end;
        }
    }
    differences.sort_by_key(|i| (i.start, i.end));
    assert_eq!(record.identifiable, kept(&differences, IDENTIFIABLE_GAP, IDENTIFIABLE_FLANK), "{record:?}");

    assert_eq!(record.strata, Strata::of(window));
    let rows: Vec<(u64, &[u8], &[u8])> = record.truth.iter().map(|v| (v.pos.0.into(), &*v.reference, &*v.alt)).collect();
    assert_eq!(record.checksum, checksum(window, &record.seq, Some(&rows)));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_record_is_consistent(config in fitting_model(), seed: u64, index: u64) {
        let generator = generator(seed, &config);
        for index in index..index.saturating_add(3) {
            consistent(&generator.record(index), &config);
        }
    }

    #[test]
    fn a_record_does_not_depend_on_what_was_made_before(config in fitting_model(), seed: u64, indices in prop::collection::vec(0u64..50, 1..12)) {
        let generator = generator(seed, &config);
        let (mut scratch, mut record) = (Scratch::default(), Record::default());
        for index in indices {
            generator.fill(index, &mut scratch, &mut record);
            prop_assert_eq!(&record, &generator.record(index));
        }
    }

    #[test]
    fn what_is_read_wrong_leaves_window_and_truth(config in fitting_model(), seed: u64, index: u64) {
        let clean = MutationConfig {
            base_error_rate: BaseErrorRate::Rate(0.0), quality_model: "none".into(), n_rate: 0.0, strand_flip_prob: 0.0, ..config.clone()
        };
        let (noisy, clean) = (generator(seed, &config).record(index), generator(seed, &clean).record(index));
        prop_assert_eq!((&noisy.ref_seq, &noisy.truth, noisy.strata, noisy.min_gap), (&clean.ref_seq, &clean.truth, clean.strata, clean.min_gap));
        prop_assert!(clean.errors.is_empty() && clean.qual.is_empty() && !clean.reverse);
        prop_assert_eq!(apply(&clean.ref_seq, &clean.truth).expect("applies"), clean.seq);
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
        let edit = Edit { start, deleted: deleted.min(window.len() - start), inserted: inserted.as_str().into() };
        let changed = apply_edits(&window, std::slice::from_ref(&edit));
        let Some(found) = normalize(&window, &edit, Event::Complex) else {
            prop_assert!(changed == window || edit.deleted == window.len());
            return Ok(());
        };
        prop_assert_eq!(apply(&window, std::slice::from_ref(&found)).expect("applies"), changed);
        prop_assert_eq!(normalize(&window, &found.edit(&window), found.event), Some(found.clone()));
        // Parsimonious (Tan 2015): the alleles differ at the end, and at the start unless one of them is the anchor alone.
        let (first, last) = (&*found.reference, &*found.alt);
        prop_assert!(found.pos.0 == 1 || first.last() != last.last());
        prop_assert!(first[0] != last[0] || first.len().min(last.len()) == 1);
    }
}

#[test]
fn every_record_of_every_preset_is_consistent() {
    for (name, _) in PRESETS {
        let config = preset(name);
        let generator = generator(42, &config);
        let (mut scratch, mut record, mut identifiable) = (Scratch::default(), Record::default(), 0);
        let n = 6000;
        for index in 0..n {
            generator.fill(index, &mut scratch, &mut record);
            consistent(&record, &config);
            identifiable += usize::from(record.identifiable);
        }
        let share = identifiable as f64 / n as f64;
        println!("{name}: {:.2} % of the records are identifiable", 100.0 * share);
        assert!(share >= if name == "bench" { 0.95 } else { 0.3 }, "{name}: {share}");
    }
}

#[test]
fn low_complexity_windows_are_as_many_as_asked() {
    let config = MutationConfig { low_complexity_fraction: 0.3, ..preset("bench") };
    let (with, without) = (generator(8, &config), generator(8, &MutationConfig { low_complexity_fraction: 0.0, ..config.clone() }));
    let (mut changed, mut repeats) = (0, 0);
    for index in 0..4000 {
        let record = with.record(index);
        changed += u32::from(record.ref_seq != without.record(index).ref_seq);
        repeats += u32::from(record.strata.max_str >= 15 || record.strata.max_homopolymer >= 9);
    }
    assert!((1113..=1287).contains(&changed), "{changed}"); // three sigma
    assert!(repeats > 600, "{repeats}");
}

#[test]
fn variants_lie_everywhere_between_the_flanks() {
    let config = MutationConfig {
        variants_per_read: Some(vec![0.0, 1.0]),
        type_weights: Some(TypeWeights { snv: 1.0, ..TypeWeights::default() }),
        ..preset("bench")
    };
    let mut seen = vec![0u32; 151];
    let generator = generator(1, &config);
    for record in (0..26_000).map(|i| generator.record(i)) {
        seen[record.truth[0].pos.0 as usize] += 1;
    }
    assert!(seen[..11].iter().chain(&seen[141..]).all(|n| *n == 0), "{seen:?}");
    assert!(seen[11..141].iter().all(|n| n.abs_diff(200) < 71), "{seen:?}"); // five sigma
}

#[test]
fn a_changed_allele_setting_leaves_windows_and_places() {
    let config = MutationConfig { type_weights: Some(TypeWeights { snv: 1.0, ..TypeWeights::default() }), ..preset("bench") };
    let one = generator(3, &config);
    let two = generator(3, &MutationConfig { titv_ratio: 0.5, ..config });
    let mut alleles_differ = false;
    for (a, b) in (0..500).map(|i| (one.record(i), two.record(i))) {
        assert_eq!(a.ref_seq, b.ref_seq);
        assert!(a.truth.iter().map(|v| v.pos).eq(b.truth.iter().map(|v| v.pos)));
        alleles_differ |= a.truth != b.truth;
    }
    assert!(alleles_differ);
}

#[test]
fn windows_come_from_the_genome() {
    let dir = common::Dir::new();
    let bases: Vec<u8> = generator(5, &MutationConfig { read_length: 2000, ..preset("bench") }).record(0).ref_seq;
    let text = String::from_utf8(bases).expect("bases");
    let path =
        dir.file("ref.fa", format!(">one\n{}NNN{}\n>two x\n{}\n>short\nACGT\n", &text[..700], &text[700..900], &text[900..]).as_bytes());
    let genome = Arc::new(Genome::new(Reference::load(&path).expect("a reference")));
    for name in ["bench", "wgsim", "human"] {
        let config = MutationConfig { gc_content: None, ..preset(name) };
        let generator = Generator::new(11, &config, Some(Arc::clone(&genome))).expect("valid");
        let mut seen = [0; 2];
        for record in (0..700).map(|i| generator.record(i)) {
            consistent(&record, &config);
            let contig = record.contig.expect("a contig");
            seen[contig] += 1;
            let start = record.ref_start as usize;
            assert_eq!(genome.contigs()[contig].bases[start..start + config.read_length], record.ref_seq);
            assert_eq!(generator.contig_name(&record), ["one", "two"][contig]);
        }
        assert!(seen.iter().all(|n| *n > 150), "{seen:?}");
    }
    let none = Generator::new(11, &MutationConfig { read_length: 1500, ..preset("bench") }, Some(genome));
    assert!(none.expect_err("no such window").to_string().contains("read_length"));
}

#[test]
fn fastq_holds_the_reads_as_sequenced() {
    let generator = generator(42, &preset("human"));
    let text = String::from_utf8(fastq(&generator, 5..105)).expect("text");
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 400);
    let mut reversed = 0;
    for (index, four) in (5..105).zip(lines.chunks(4)) {
        let record = generator.record(index);
        let (mut seq, mut qual) = (record.seq.clone(), record.qual.clone());
        if record.reverse {
            reversed += 1;
            seq = _rust_gen::place::reverse_complement(&seq);
            qual.reverse();
        }
        let expected = [format!("@hx{index}"), String::from_utf8(seq).expect("bases"), "+".into(), String::from_utf8(qual).expect("text")];
        assert_eq!(four, expected);
    }
    assert!((30..70).contains(&reversed), "{reversed}");
}
