//! From the differences of an alignment to variants in VCF form.
//!
//! * A stretch without a gap becomes one variant: SNV or MNV. Adjacent differences are never split.
//! * A stretch with a gap: the gap comes first, as an INS or DEL of its own, and the mismatches after it, as an MNV or SNV.
//!   Where the gap lies in such a stretch is arbitrary (each place costs the same), the left end is what left alignment asks
//!   for, and it alone keeps the two apart in a VCF, since an indel takes the base before it as its anchor. They stay two,
//!   since matching across representations can join variants but cannot split them.
//! * Differences that together are an inversion become one MNV (`inversion`).
//! * Each variant is normalised by itself. Where that would make it overlap the one before it, or pass it, it stays where
//!   the alignment put it. Alignments of this room have their gaps at the left already, and millions of random ones showed
//!   no such case; other alignments have them. An indel at the first base of the window is anchored on the base after it;
//!   where that base belongs to the next variant, the two become one.
//!
//! So the calls are sorted, no two overlap, and together they turn the window into the read. An N in the read that is
//! aligned to a base of the window stands for that base.

use super::inversion::inversion;
use super::pair::matching;
use super::{Alignment, Block};
use crate::variant::normalize::left_aligned;
use crate::variant::{Allele, Edit, Event, Variant, normalize};

/// An alignment does not tell what happened.
const EVENT: Event = Event::Complex;

/// The variants that an alignment of `read` with `window` shows. None for an empty window, or for a read that lacks all of
/// it: no base is left to anchor a variant on.
///
/// ```
/// use _rust_gen::align::{Aligner, calls};
/// let (window, read) = (b"GAAATCCGTA", b"GAATCCATA");
/// let found = calls(window, read, &Aligner::default().align(window, read));
/// let text: Vec<_> = found.iter().map(|call| (call.pos.0, call.reference.as_str(), call.alt.as_str())).collect();
/// assert_eq!(text, [(1, "GA", "G"), (8, "G", "A")]);
/// ```
#[must_use]
pub fn calls(window: &[u8], read: &[u8], alignment: &Alignment) -> Vec<Variant> {
    let mut edits = Vec::with_capacity(alignment.blocks.len());
    let mut blocks = alignment.blocks.as_slice();
    while let [block, ..] = blocks {
        let mut taken = 1;
        match inversion(window, read, blocks) {
            Some((edit, count)) => {
                edits.push(edit);
                taken = count;
            }
            None => split(window, read, block, &mut edits),
        }
        blocks = &blocks[taken..];
    }
    let mut calls: Vec<Variant> = Vec::with_capacity(edits.len());
    let mut last: Option<Edit> = None;
    for mut edit in edits {
        let free_from = calls.last().map_or(0, |call| call.span().end);
        let apart = |call: &Variant| call.span().start >= free_from;
        let call = normalize(window, &edit, EVENT).filter(apart).or_else(|| left_aligned(window, &edit, 0, EVENT).filter(apart));
        let call = match (call, last) {
            (None, Some(before)) => {
                calls.pop();
                edit = joined(window, &before, &edit);
                normalize(window, &edit, EVENT)
            }
            (call, _) => call,
        };
        calls.extend(call);
        last = Some(edit);
    }
    calls
}

/// A block as a gap, if it has one, and the runs of mismatches after it.
fn split(window: &[u8], read: &[u8], block: &Block, edits: &mut Vec<Edit>) {
    let (deleted, inserted) = (block.window.len().saturating_sub(block.read.len()), block.read.len().saturating_sub(block.window.len()));
    let (mut start, mut from) = (block.window.start, block.read.start);
    if deleted + inserted > 0 {
        edits.push(Edit { start, deleted, inserted: read[from..from + inserted].into() });
    }
    (start, from) = (start + deleted, from + inserted);
    let (old, new) = (&window[start..block.window.end], &read[from..block.read.end]);
    let mut i = 0;
    while i < old.len() {
        let run = old[i..].iter().zip(&new[i..]).take_while(|(a, b)| !matching(**a, **b)).count();
        if run > 0 {
            edits.push(Edit { start: start + i, deleted: run, inserted: new[i..i + run].into() });
        }
        i += run.max(1);
    }
}

/// Two edits and what lies between them as one.
fn joined(window: &[u8], a: &Edit, b: &Edit) -> Edit {
    let inserted = Allele::join(&[&a.inserted, &window[a.start + a.deleted..b.start], &b.inserted]);
    Edit { start: a.start, deleted: b.start + b.deleted - a.start, inserted }
}

#[cfg(test)]
mod tests {
    use super::super::Aligner;
    use super::*;
    use crate::variant::apply;

    fn text(calls: &[Variant]) -> Vec<(u32, &str, &str, &str)> {
        calls.iter().map(|c| (c.pos.0, c.reference.as_str(), c.alt.as_str(), c.kind.name())).collect()
    }

    #[test]
    fn what_would_collide_stays_where_it_was_aligned() {
        let (window, read) = (b"GAAAAAT", b"GACAAT");
        // The SNV at 3 and the last A deleted, which by itself would be the first A.
        let blocks = vec![Block { window: 2..3, read: 2..3 }, Block { window: 5..6, read: 5..5 }];
        let found = calls(window, read, &Alignment { score: 12, blocks });
        assert_eq!(text(&found), [(3, "A", "C", "SNV"), (5, "AA", "A", "DEL")]);
        assert_eq!(apply(window, &found).as_deref(), Ok(read.as_slice()));
    }

    #[test]
    fn two_at_the_first_base_become_one() {
        for (window, read, joined) in [("CTTTTG", "ATTTTTG", ("C", "AT")), ("CACGTG", "TGTG", ("CAC", "T"))] {
            let (window, read) = (window.as_bytes(), read.as_bytes());
            let found = calls(window, read, &Aligner::default().align(window, read));
            assert_eq!(text(&found), [(1, joined.0, joined.1, "DELINS")]);
        }
    }

    #[test]
    fn a_gap_beside_mismatches_comes_first() {
        let (window, read) = (b"GGATTACCGAG", b"GGATCCCGAG");
        let found = calls(window, read, &Alignment { score: 12, blocks: vec![Block { window: 4..6, read: 4..5 }] });
        assert_eq!(text(&found), [(3, "AT", "A", "DEL"), (6, "A", "C", "SNV")]);
    }
}
