//! The exact baseline caller: a read is aligned to its window end to end, and its differences become variants.
//!
//! The alignment is optimal under gap-affine costs (`MISMATCH`, `GAP_OPEN`, `GAP_EXTEND`; a match is free) and is found by
//! the wavefront algorithm (WFA; Marco-Sola et al. 2021, 10.1093/bioinformatics/btaa777), whose time grows with the length
//! times the score: near-identical pairs are nearly free. Its memory is bounded, see `trace`.
//!
//! * An N, in the window or in the read, matches any base at no cost. Every other letter matches itself only.
//! * Of several optimal alignments it is always the same one that is taken: wavefronts run from the right end to the left,
//!   so every match is taken as early as possible seen from the right and gaps come to lie at their left-most place; of
//!   equally far steps a deletion goes before an insertion before a mismatch, and a longer gap before a new one.
//!
//! ```
//! use _rust_gen::align::Aligner;
//! let found = Aligner::default().align(b"GAAAT", b"GAAT");
//! assert_eq!((found.score, found.blocks[0].window.clone()), (8, 1..2));
//! ```

pub mod batch;
mod calls;
mod inversion;
mod pair;
mod trace;
mod wavefront;

use std::ops::Range;

pub use calls::calls;
use pair::Pair;
use trace::Trace;
use wavefront::Front;

/// Cost of a mismatched base.
pub const MISMATCH: u32 = 4;
/// Cost of opening a gap, on top of what its bases cost.
pub const GAP_OPEN: u32 = 6;
/// Cost of each base of a gap.
pub const GAP_EXTEND: u32 = 2;

/// A maximal stretch of differences: what it covers of the window and of the read, counted between bases from 0. One of
/// the two may be empty. Between neighbouring blocks lies at least one matching base.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// Bases of the window.
    pub window: Range<usize>,
    /// Bases of the read.
    pub read: Range<usize>,
}

/// An optimal alignment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alignment {
    /// Its cost; 0 when nothing differs.
    pub score: u32,
    /// Where window and read differ, from left to right.
    pub blocks: Vec<Block>,
}

/// Aligns pairs one after the other in memory that it keeps.
#[derive(Default)]
pub struct Aligner {
    pair: Pair,
    front: Front,
    trace: Trace,
}

impl Aligner {
    /// An aligner whose trace takes at most this many bytes (one row more, if that is too few for a row) instead of
    /// `trace::DEFAULT_BYTES`. The alignments are the same; fewer bytes cost time on pairs that differ a lot.
    #[must_use]
    pub fn with_trace_bytes(bytes: usize) -> Self {
        Self { trace: Trace::with_bytes(bytes), ..Self::default() }
    }

    /// The alignment of all of `read` with all of `window`. Either may be empty.
    ///
    /// # Panics
    /// On sequences of 2^29 bases or more.
    pub fn align(&mut self, window: &[u8], read: &[u8]) -> Alignment {
        assert!(window.len() < 1 << 29 && read.len() < 1 << 29, "sequences of at most 2^29 bases");
        if window == read {
            return Alignment { score: 0, blocks: Vec::new() };
        }
        self.pair.load(window, read);
        let (n, m) = self.pair.lengths();
        let half_score = if n == 0 || m == 0 {
            let differs = n + m > 0;
            let at = self.pair.prefix();
            let blocks = if differs { vec![Block { window: at..at + n, read: at..at + m }] } else { Vec::new() };
            return Alignment { score: if differs { GAP_OPEN + GAP_EXTEND * (n + m) as u32 } else { 0 }, blocks };
        } else if self.pair.wild() {
            trace::run::<true>(&self.pair, &mut self.front, &mut self.trace)
        } else {
            trace::run::<false>(&self.pair, &mut self.front, &mut self.trace)
        };
        Alignment { score: 2 * half_score as u32, blocks: self.trace.blocks(&self.pair) }
    }
}
