//! The aligner's promises: optimal, indifferent to the memory that it has, and calls that rebuild the read.

use _rust_gen::align::{Aligner, GAP_EXTEND, GAP_OPEN, MISMATCH, calls};
use _rust_gen::variant::apply;
use proptest::prelude::*;

const FAR: u32 = u32::MAX / 2;

fn matching(a: u8, b: u8) -> bool {
    a == b || a == b'N' || b == b'N'
}

/// Gotoh's three matrices, filled whole.
fn optimal_score(window: &[u8], read: &[u8]) -> u32 {
    let (n, m) = (window.len(), read.len());
    let gap = |bases: usize| if bases == 0 { 0 } else { GAP_OPEN + GAP_EXTEND * bases as u32 };
    let mut best = vec![vec![FAR; m + 1]; n + 1];
    let (mut deletion, mut insertion) = (best.clone(), best.clone());
    for i in 0..=n {
        for j in 0..=m {
            if i == 0 || j == 0 {
                best[i][j] = gap(i + j);
                if i > 0 {
                    deletion[i][j] = gap(i)
                } else {
                    insertion[i][j] = gap(j)
                }
                continue;
            }
            deletion[i][j] = (deletion[i - 1][j] + GAP_EXTEND).min(best[i - 1][j] + GAP_OPEN + GAP_EXTEND);
            insertion[i][j] = (insertion[i][j - 1] + GAP_EXTEND).min(best[i][j - 1] + GAP_OPEN + GAP_EXTEND);
            let through = best[i - 1][j - 1] + if matching(window[i - 1], read[j - 1]) { 0 } else { MISMATCH };
            best[i][j] = through.min(deletion[i][j]).min(insertion[i][j]);
        }
    }
    best[n][m]
}

fn complement(base: u8) -> u8 {
    match base {
        b'A' => b'T',
        b'C' => b'G',
        b'G' => b'C',
        b'T' => b'A',
        other => other,
    }
}

fn matches_all(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| matching(*a, *b))
}

/// Random, of two letters only, or a repeat: what aligns in many ways.
fn bases(length: std::ops::Range<usize>) -> impl Strategy<Value = Vec<u8>> {
    let of = |letters: &'static [u8], length| prop::collection::vec(prop::sample::select(letters), length);
    prop_oneof![
        of(b"ACGT", length.clone()),
        of(b"AC", length.clone()),
        of(b"ACGTN", length.clone()),
        (of(b"ACGT", 1..6), length).prop_map(|(unit, length)| unit.iter().copied().cycle().take(length).collect()),
    ]
}

/// A window and a read made from it by a few cuts, insertions, substitutions and at times an inversion, or one that has
/// nothing to do with it.
fn pair() -> impl Strategy<Value = (Vec<u8>, Vec<u8>)> {
    let edits = prop::collection::vec((any::<prop::sample::Index>(), 0usize..5, bases(0..5)), 0..6);
    let inversion = (any::<prop::sample::Index>(), prop_oneof![Just(0usize), 4usize..13]);
    let related = (bases(0..80), inversion, edits).prop_map(|(window, (at, inverted), edits)| {
        let mut read = window.clone();
        let start = at.index(read.len() + 1);
        let end = (start + inverted).min(read.len());
        read[start..end].reverse();
        read[start..end].iter_mut().for_each(|base| *base = complement(*base));
        for (at, deleted, inserted) in edits {
            let start = at.index(read.len() + 1);
            let end = (start + deleted).min(read.len());
            read.splice(start..end, inserted);
        }
        (window, read)
    });
    prop_oneof![3 => related, 1 => (bases(0..60), bases(0..60))]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_score_is_optimal_and_symmetric((window, read) in pair()) {
        let mut aligner = Aligner::default();
        let score = aligner.align(&window, &read).score;
        prop_assert_eq!(score, optimal_score(&window, &read));
        prop_assert_eq!(score, aligner.align(&read, &window).score);
    }

    #[test]
    fn the_alignment_has_its_score((window, read) in pair()) {
        let found = Aligner::default().align(&window, &read);
        let (mut score, mut ends) = (0, (0, 0));
        for block in &found.blocks {
            prop_assert!(matches_all(&window[ends.0..block.window.start], &read[ends.1..block.read.start]));
            prop_assert!(ends == (0, 0) || block.window.start > ends.0, "a matching base lies between blocks");
            let (old, new) = (block.window.len() as u32, block.read.len() as u32);
            score += MISMATCH * old.min(new) + if old == new { 0 } else { GAP_OPEN + GAP_EXTEND * old.abs_diff(new) };
            ends = (block.window.end, block.read.end);
        }
        prop_assert!(matches_all(&window[ends.0..], &read[ends.1..]));
        prop_assert_eq!(score, found.score);
    }

    #[test]
    fn memory_changes_nothing((window, read) in pair(), bytes in 0usize..300) {
        prop_assert_eq!(Aligner::with_trace_bytes(bytes).align(&window, &read), Aligner::default().align(&window, &read));
    }

    #[test]
    fn the_calls_rebuild_the_read((window, read) in pair()) {
        let found = calls(&window, &read, &Aligner::default().align(&window, &read));
        if window.is_empty() || read.is_empty() {
            prop_assert_eq!(found, vec![]);
        } else {
            prop_assert!(matches_all(&apply(&window, &found).expect("sorted and apart"), &read), "{:?}", found);
        }
    }
}

#[test]
fn one_aligner_takes_pairs_of_any_size_in_turn() {
    let mut aligner = Aligner::default();
    let long: Vec<u8> = (0..2000u32).map(|i| b"ACGT"[(i.wrapping_mul(2_654_435_761) >> 28) as usize % 4]).collect();
    let other: Vec<u8> = long.iter().rev().copied().collect();
    let pairs: [(&[u8], &[u8]); 6] = [(&long, &other), (b"", b"ACG"), (b"A", b"C"), (&other, &long), (b"ACG", b""), (b"", b"")];
    let scores: Vec<u32> = pairs.iter().map(|(window, read)| aligner.align(window, read).score).collect();
    assert_eq!(scores[0], optimal_score(&long, &other));
    assert_eq!(scores, [scores[0], 12, 4, scores[0], 12, 0]);
}
