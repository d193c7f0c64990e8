//! From wavefronts back to the alignment, in bounded memory.
//!
//! A byte for each diagonal of each wavefront says how it came about; no offset is kept, since the matches between two steps
//! are found again when the steps are gone through in order. When the bytes reach their bound, the live wavefronts are put
//! by (a checkpoint) and the bytes are forgotten; on the way back, the stretch behind each checkpoint is computed once more.
//! That at most doubles the time, and takes the same choices. A pair of unlike sequences of 10,000 bases needs some 20 MB
//! where Gotoh's matrices would need 100 MB at a byte a cell.

use super::Block;
use super::pair::Pair;
use super::wavefront::{Front, Step, Steps};

/// Bytes of trace kept at a time.
pub const DEFAULT_BYTES: usize = 8 << 20;

/// A step with the number of bases that it takes; the matches to its left are not told.
#[derive(Clone, Copy)]
struct Edit {
    step: Step,
    bases: usize,
}

/// How the wavefronts from some score on came about.
pub struct Trace {
    bytes: usize,
    /// Half the score before that of the first row.
    before: usize,
    /// First diagonal of each row, and where it begins in `steps`.
    rows: Vec<(i32, usize)>,
    steps: Vec<Steps>,
    /// The wavefronts before each stretch but the first.
    checkpoints: Vec<Front>,
    /// From left to right.
    edits: Vec<Edit>,
}

impl Default for Trace {
    fn default() -> Self {
        Self::with_bytes(DEFAULT_BYTES)
    }
}

impl Trace {
    /// A trace that keeps at most this many bytes, or one row.
    pub fn with_bytes(bytes: usize) -> Self {
        Self { bytes, before: 0, rows: Vec::new(), steps: Vec::new(), checkpoints: Vec::new(), edits: Vec::new() }
    }

    fn forget(&mut self, front: &Front) {
        self.before = front.half_score;
        self.rows.clear();
        self.steps.clear();
    }

    fn advance<const WILD: bool>(&mut self, pair: &Pair, front: &mut Front) {
        let (lowest, _) = front.next_range(pair);
        self.rows.push((lowest, self.steps.len()));
        front.advance::<WILD>(pair, &mut self.steps);
    }

    fn at(&self, half_score: usize, diagonal: i32) -> Steps {
        let (lowest, start) = self.rows[half_score - self.before - 1];
        self.steps[start + (diagonal - lowest) as usize]
    }

    /// Computes the stretch that leads to this score, unless it is at hand.
    fn reach_back<const WILD: bool>(&mut self, pair: &Pair, front: &mut Front, half_score: usize) {
        while half_score > 0 && half_score <= self.before {
            let last = self.before;
            self.checkpoints.pop(); // where the stretch at hand began
            match self.checkpoints.last() {
                Some(began) => front.clone_from(began),
                None => front.start::<WILD>(pair),
            }
            self.forget(front);
            while front.half_score < last {
                self.advance::<WILD>(pair, front);
            }
        }
    }

    /// The stretches of differences of the alignment that was traced last, from left to right.
    pub fn blocks(&self, pair: &Pair) -> Vec<Block> {
        if pair.wild() { self.blocks_of::<true>(pair) } else { self.blocks_of::<false>(pair) }
    }

    fn blocks_of<const WILD: bool>(&self, pair: &Pair) -> Vec<Block> {
        let (n, m) = pair.lengths();
        let (right, left) = (pair.prefix() + n, pair.prefix() + m);
        let mut blocks: Vec<Block> = Vec::with_capacity(self.edits.len());
        let (mut in_window, mut in_read) = (0, 0);
        for edit in self.edits.iter().rev() {
            let matches = pair.matches::<WILD>(in_window, in_read);
            let end = (right - in_window - matches, left - in_read - matches);
            in_window += matches + if edit.step == Step::Insertion { 0 } else { edit.bases };
            in_read += matches + if edit.step == Step::Deletion { 0 } else { edit.bases };
            let start = (right - in_window, left - in_read);
            match blocks.last_mut() {
                Some(block) if matches == 0 => (block.window.start, block.read.start) = start,
                _ => blocks.push(Block { window: start.0..end.0, read: start.1..end.1 }),
            }
        }
        blocks.reverse();
        blocks
    }
}

/// Aligns the pair; returns half the optimal score and leaves the way there in `trace`.
pub fn run<const WILD: bool>(pair: &Pair, front: &mut Front, trace: &mut Trace) -> usize {
    front.start::<WILD>(pair);
    trace.checkpoints.clear();
    trace.edits.clear();
    trace.forget(front);
    while !front.is_at_end(pair) {
        let (lowest, highest) = front.next_range(pair);
        if trace.steps.len() + (highest - lowest + 1) as usize > trace.bytes && !trace.rows.is_empty() {
            trace.checkpoints.push(front.clone());
            trace.forget(front);
        }
        trace.advance::<WILD>(pair, front);
    }
    let score = front.half_score;
    walk_back::<WILD>(pair, front, trace);
    score
}

fn walk_back<const WILD: bool>(pair: &Pair, front: &mut Front, trace: &mut Trace) {
    let (n, m) = pair.lengths();
    let (mut half_score, mut diagonal) = (front.half_score, m as i32 - n as i32);
    while half_score > 0 {
        trace.reach_back::<WILD>(pair, front, half_score);
        let step = trace.at(half_score, diagonal).last();
        let mut bases = 1;
        if step == Step::Mismatch {
            half_score -= super::MISMATCH as usize / 2;
        } else {
            let towards = if step == Step::Insertion { -1 } else { 1 };
            while trace.at(half_score, diagonal).continues(step) {
                half_score -= super::GAP_EXTEND as usize / 2;
                diagonal += towards;
                bases += 1;
                trace.reach_back::<WILD>(pair, front, half_score);
            }
            half_score -= (super::GAP_OPEN + super::GAP_EXTEND) as usize / 2;
            diagonal += towards;
        }
        trace.edits.push(Edit { step, bases });
    }
}
