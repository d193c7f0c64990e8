//! One wavefront after the other: how far along each diagonal an alignment of a given cost can come.
//!
//! Costs are halved here, since all of them are even: a mismatch 2, opening a gap with its first base 4, each further base 1.
//! Diagonal k holds the cells with k more bases of the read than of the window behind them; a cell is named by its diagonal
//! and the number of bases of the read.

use super::pair::Pair;

const MISMATCH: usize = super::MISMATCH as usize / 2;
const OPEN: usize = (super::GAP_OPEN + super::GAP_EXTEND) as usize / 2;
const RING: usize = OPEN + 1;
/// Nothing reaches this diagonal; nor does anything below 0, which is what steps from here come to.
const NOTHING: i32 = i32::MIN / 2;
/// Diagonals of `NOTHING` on either side: wavefront s looks at s - `OPEN` at most one diagonal beyond its own range, which
/// is at most `OPEN` wider on either side.
const MARGIN: i32 = OPEN as i32 + 1;

/// How the best alignments that end in a cell came there, as bits. A step that is not set lost to another one.
#[derive(Clone, Copy)]
pub struct Steps(u8);

const INSERTED: u8 = 1;
const DELETED: u8 = 2;
const LONGER_INSERTION: u8 = 4;
const LONGER_DELETION: u8 = 8;

/// The last step into a cell.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Step {
    Mismatch,
    Insertion,
    Deletion,
}

impl Steps {
    /// The last step of the best alignment that ends here; of equally good ones a deletion, then an insertion.
    pub fn last(self) -> Step {
        if self.0 & DELETED != 0 {
            Step::Deletion
        } else if self.0 & INSERTED != 0 {
            Step::Insertion
        } else {
            Step::Mismatch
        }
    }

    /// Whether the best gap that ends here is longer than one base; so it is if that is equally good.
    pub fn continues(self, gap: Step) -> bool {
        self.0 & if gap == Step::Insertion { LONGER_INSERTION } else { LONGER_DELETION } != 0
    }
}

#[derive(Clone, Default)]
struct Row {
    lowest: i32,
    reached: Vec<i32>,
}

impl Row {
    fn clear(&mut self, lowest: i32, highest: i32) {
        self.lowest = lowest;
        self.reached.clear();
        self.reached.resize((highest - lowest + 1 + 2 * MARGIN) as usize, NOTHING);
    }

    /// From a diagonal on.
    fn from(&self, diagonal: i32, count: usize) -> &[i32] {
        let at = (diagonal - self.lowest + MARGIN) as usize;
        &self.reached[at..at + count]
    }

    fn own(&mut self, count: usize) -> &mut [i32] {
        &mut self.reached[MARGIN as usize..][..count]
    }
}

/// The last few wavefronts.
#[derive(Clone, Default)]
pub struct Front {
    /// Half the cost of the newest wavefront.
    pub half_score: usize,
    upper_bound: i32,
    /// Ending in a match or mismatch, or in nothing in particular.
    best: [Row; RING],
    /// Ending in a base of the read only.
    insertion: [Row; 2],
    /// Ending in a base of the window only.
    deletion: [Row; 2],
}

impl Front {
    /// Back to the wavefront of cost 0.
    pub fn start<const WILD: bool>(&mut self, pair: &Pair) {
        self.half_score = 0;
        self.upper_bound = pair.half_straight_score();
        for row in self.best.iter_mut().chain(&mut self.insertion).chain(&mut self.deletion) {
            row.clear(0, 0);
        }
        self.best[0].own(1)[0] = pair.matches::<WILD>(0, 0) as i32;
    }

    /// Whether both sequences are behind.
    pub fn is_at_end(&self, pair: &Pair) -> bool {
        let (n, m) = pair.lengths();
        let row = &self.best[self.half_score % RING];
        let index = m as i32 - n as i32 - row.lowest + MARGIN;
        usize::try_from(index).ok().and_then(|index| row.reached.get(index)) == Some(&(m as i32))
    }

    /// The diagonals of the next wavefront that an optimal alignment can come through: it must have got there from the
    /// first one, and must get from there to the last one without passing the upper bound.
    pub fn next_range(&self, pair: &Pair) -> (i32, i32) {
        let (n, m) = pair.lengths();
        let (n, m, score) = (n as i32, m as i32, self.half_score as i32 + 1);
        let out = (score - OPEN as i32 + 1).max(0);
        let back = self.upper_bound - score;
        ((-out).max(-n).max(m - n - back), out.min(m).min(m - n + back))
    }

    /// Computes the next wavefront and appends, a diagonal each, how it came about.
    pub fn advance<const WILD: bool>(&mut self, pair: &Pair, steps: &mut Vec<Steps>) {
        let (lowest, highest) = self.next_range(pair);
        let (n, m) = pair.lengths();
        let (n, m) = (n as i32, m as i32);
        self.half_score += 1;
        let score = self.half_score;
        let width = (highest - lowest + 1) as usize;

        let mut best = std::mem::take(&mut self.best[score % RING]);
        let mut insertion = std::mem::take(&mut self.insertion[score % 2]);
        let mut deletion = std::mem::take(&mut self.deletion[score % 2]);
        for row in [&mut best, &mut insertion, &mut deletion] {
            row.clear(lowest, highest);
        }
        let opened = &self.best[(score + RING - OPEN) % RING];
        let (opened_insertion, opened_deletion) = (opened.from(lowest - 1, width), opened.from(lowest + 1, width));
        let longer_insertion = self.insertion[(score + 1) % 2].from(lowest - 1, width);
        let longer_deletion = self.deletion[(score + 1) % 2].from(lowest + 1, width);
        let mismatched = self.best[(score + RING - MISMATCH) % RING].from(lowest, width);
        let (best_own, insertion_own, deletion_own) = (best.own(width), insertion.own(width), deletion.own(width));
        let done = steps.len();
        steps.resize(done + width, Steps(0));
        let steps = &mut steps[done..];
        for i in 0..width {
            let limit = m.min(n + lowest + i as i32);
            let within = |reached: i32| if reached > limit { NOTHING } else { reached };
            let inserted = within(opened_insertion[i].max(longer_insertion[i]) + 1);
            let deleted = within(opened_deletion[i].max(longer_deletion[i]));
            let reached = within(mismatched[i] + 1).max(inserted).max(deleted);
            (best_own[i], insertion_own[i], deletion_own[i]) = (reached, inserted, deleted);
            let bit = |bit: u8, set: bool| if set { bit } else { 0 };
            let last = bit(INSERTED, reached == inserted) | bit(DELETED, reached == deleted);
            let longer_i = bit(LONGER_INSERTION, longer_insertion[i] >= opened_insertion[i]);
            let longer_d = bit(LONGER_DELETION, longer_deletion[i] >= opened_deletion[i]);
            steps[i] = Steps(last | longer_i | longer_d);
        }
        // A loop of its own: the one above becomes vector instructions, this one cannot.
        for (diagonal, reached) in (lowest..).zip(best_own) {
            if *reached >= 0 {
                *reached += pair.matches::<WILD>((*reached - diagonal) as usize, *reached as usize) as i32;
            }
        }
        self.best[score % RING] = best;
        self.insertion[score % 2] = insertion;
        self.deletion[score % 2] = deletion;
    }
}
