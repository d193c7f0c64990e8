//! From the differences of an alignment to variants in VCF form.
//!
//! * A stretch without a gap becomes one variant: SNV or MNV. Adjacent differences are never split.
//! * A stretch with a gap: the gap comes first, as an INS or DEL of its own, and the mismatches after it, as an MNV or SNV.
//!   Where the gap lies in such a stretch is arbitrary (each place costs the same), the left end is what left alignment asks
//!   for, and it alone keeps the two apart in a VCF, since an indel takes the base before it as its anchor. They stay two,
//!   since matching across representations can join variants but cannot split them.
//! * Differences that together are an inversion become one MNV (`inversion`).
//! * Each variant is normalised by itself. Where that would make it overlap the one before it, or pass it, it stays where
//!   the alignment put it, with its anchor; where it has no anchor of its own even there (both at the first base of the
//!   window), the two become one.
//!
//! So the calls are sorted, no two overlap, and together they turn the window into the read. An N in the read that is
//! aligned to a base of the window stands for that base.

use super::inversion::{clusters, inversion};
use super::pair::matching;
use super::{Alignment, Block};
use crate::normalize::normalize;
use crate::variant::{Edit, Event, OneBased, VariantType};

/// A difference between a window and a read, in VCF form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// Position of the first base of `reference`.
    pub pos: OneBased,
    /// Reference allele, not empty.
    pub reference: String,
    /// Alternative allele, not empty.
    pub alt: String,
    /// What the alleles are.
    pub kind: VariantType,
}

impl Call {
    /// Number of window bases before `reference`.
    fn start(&self) -> usize {
        self.pos.0 as usize - 1
    }

    /// Number of window bases up to the end of `reference`.
    fn end(&self) -> usize {
        self.start() + self.reference.len()
    }
}

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
pub fn calls(window: &[u8], read: &[u8], alignment: &Alignment) -> Vec<Call> {
    let mut edits = Vec::with_capacity(alignment.blocks.len());
    for cluster in clusters(&alignment.blocks) {
        match inversion(window, read, cluster) {
            Some(edit) => edits.push(edit),
            None => cluster.iter().for_each(|block| split(window, read, block, &mut edits)),
        }
    }
    let mut calls: Vec<Call> = Vec::with_capacity(edits.len());
    let mut last: Option<Edit> = None;
    for mut edit in edits {
        let free_from = calls.last().map_or(0, Call::end);
        let apart = |call: &Call| call.start() >= free_from;
        let mut call = normalised(window, &edit);
        if !call.as_ref().is_some_and(apart) {
            call = in_place(window, &edit);
        }
        if let (false, Some(before)) = (call.as_ref().is_some_and(apart), last) {
            calls.pop();
            edit = joined(window, &before, &edit);
            call = normalised(window, &edit);
        }
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
        edits.push(Edit { start, deleted, inserted: read[from..from + inserted].to_vec() });
    }
    (start, from) = (start + deleted, from + inserted);
    let (old, new) = (&window[start..block.window.end], &read[from..block.read.end]);
    let mut i = 0;
    while i < old.len() {
        let run = old[i..].iter().zip(&new[i..]).take_while(|(a, b)| !matching(**a, **b)).count();
        if run > 0 {
            edits.push(Edit { start: start + i, deleted: run, inserted: new[i..i + run].to_vec() });
        }
        i += run.max(1);
    }
}

fn normalised(window: &[u8], edit: &Edit) -> Option<Call> {
    let found = normalize(window, edit, Event::Snv)?; // the event is not used
    Some(Call { pos: found.pos, reference: found.reference, alt: found.alt, kind: found.kind })
}

/// An insertion or deletion in VCF form without being moved. None at the start of the window, where there is no anchor, and
/// for a substitution, which has one place only.
fn in_place(window: &[u8], edit: &Edit) -> Option<Call> {
    let start = edit.start.checked_sub(1)?;
    if edit.deleted > 0 && !edit.inserted.is_empty() {
        return None;
    }
    let reference = text(&window[start..edit.start + edit.deleted]);
    let alt = text(&window[start..edit.start]) + &text(&edit.inserted);
    let kind = if edit.deleted == 0 { VariantType::Ins } else { VariantType::Del };
    Some(Call { pos: OneBased(edit.start as u32), reference, alt, kind })
}

/// Two edits and what lies between them as one.
fn joined(window: &[u8], a: &Edit, b: &Edit) -> Edit {
    let inserted = [&a.inserted, &window[a.start + a.deleted..b.start], &b.inserted].concat();
    Edit { start: a.start, deleted: b.start + b.deleted - a.start, inserted }
}

fn text(bases: &[u8]) -> String {
    bases.iter().copied().map(char::from).collect()
}
