//! Where variants lie: far enough apart, by their fully-justified intervals, that each of them can be told from the others.

use super::model::{Model, Plan};
use super::rng::Stream;
use crate::variant::justify::slack;
use crate::variant::{Edit, Event, Interval, trim};

/// A read is identifiable when the intervals of all its differences lie at least that many bases apart: then an affine-gap
/// alignment has one best answer, and that is the truth.
pub const IDENTIFIABLE_GAP: usize = 10;
/// And at least that many bases from both ends of the window.
pub const IDENTIFIABLE_FLANK: usize = 10;

/// A variant that has its place.
#[derive(Clone, Debug)]
pub struct Placed {
    /// The trimmed edit.
    pub edit: Edit,
    /// How far it can be moved to the left.
    pub left: usize,
    /// Its fully-justified interval.
    pub interval: Interval,
    /// What the generator did.
    pub event: Event,
}

/// Whether intervals, by their starts, keep the least gap from one another and the least flank from the window's ends.
pub fn spaced(intervals: impl IntoIterator<Item = Interval>, window: usize, gap: usize, flank: usize) -> bool {
    let mut clear = flank; // the first interval may start here
    let mut end = 0;
    for interval in intervals {
        if interval.start < clear {
            return false;
        }
        end = interval.end;
        clear = end + gap;
    }
    clear == flank || end + flank <= window
}

/// Least number of bases between neighbouring intervals; None with fewer than two.
pub fn min_gap(intervals: impl IntoIterator<Item = Interval>) -> Option<usize> {
    let mut last: Option<Interval> = None;
    let mut least = None;
    for interval in intervals {
        if let Some(last) = last {
            let gap = interval.start.saturating_sub(last.end);
            least = Some(least.map_or(gap, |least: usize| least.min(gap)));
        }
        last = Some(interval);
    }
    least
}

impl Model {
    /// Puts the planned variants into `window`, in order: uniformly over all places that keep the gaps of the events as such,
    /// and again until their intervals keep them too. True when they do; otherwise the last set is there, whatever it keeps.
    pub fn place(&self, window: &[u8], plans: &[Plan], attempts: u32, streams: [&mut Stream; 2], placed: &mut Vec<Placed>) -> bool {
        let [positions, alleles] = streams;
        let taken: usize = plans.iter().map(|plan| plan.footprint()).sum();
        let free = window.len() - 2 * self.flank - taken - self.min_gap * plans.len().saturating_sub(1);
        let mut offsets = [0; 8];
        let mut many = Vec::new();
        let offsets = if plans.len() <= offsets.len() {
            &mut offsets[..plans.len()]
        } else {
            many.resize(plans.len(), 0);
            &mut many
        };
        (0..attempts).any(|_| {
            sorted_offsets(positions, free, offsets);
            placed.clear();
            let mut cursor = self.flank;
            for (plan, offset) in plans.iter().zip(&*offsets) {
                let edit = self.edit(window, *plan, cursor + offset, alleles);
                cursor += plan.footprint() + self.min_gap;
                // Only an inversion may share bases with what it replaces, all of them if that is its own reverse complement.
                let Some(edit) = (if plan.event == Event::Inv { trim(window, &edit) } else { Some(edit) }) else { break };
                let (left, right) = slack(window, &edit);
                let interval = Interval { start: edit.start - left, end: edit.start + edit.deleted + right };
                placed.push(Placed { edit, left, interval, event: plan.event });
            }
            placed.len() == plans.len() && spaced(placed.iter().map(|p| p.interval), window.len(), self.min_gap, self.flank)
        })
    }

    /// Leaves out the variants that stand too near to an end or to the one before them.
    pub fn thin(&self, window: &[u8], placed: &mut Vec<Placed>) {
        let mut clear = self.flank;
        placed.retain(|p| {
            let fits = p.interval.start >= clear && p.interval.end + self.flank <= window.len();
            if fits {
                clear = p.interval.end + self.min_gap;
            }
            fits
        });
    }
}

/// Fills `offsets` with values of `0..=most` in ascending order, every multiset equally likely: distinct values of a range
/// longer by their number less one (Floyd's sampling), each lessened by its rank.
fn sorted_offsets(stream: &mut Stream, most: usize, offsets: &mut [usize]) {
    let range = most + offsets.len();
    for done in 0..offsets.len() {
        let top = range - offsets.len() + done;
        let value = stream.below(top as u64 + 1) as usize;
        let taken = offsets[..done].contains(&value);
        offsets[done] = if taken { top } else { value };
        for i in (1..=done).rev() {
            if offsets[i - 1] > offsets[i] {
                offsets.swap(i - 1, i);
            }
        }
    }
    offsets.iter_mut().enumerate().for_each(|(rank, value)| *value -= rank);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulate::rng::Topic;
    use std::collections::HashMap;

    #[test]
    fn offsets_are_uniform_over_multisets() {
        let mut seen: HashMap<[usize; 2], u32> = HashMap::new();
        let mut stream = Stream::new(5, 0, Topic::Positions);
        for _ in 0..60_000 {
            let mut offsets = [0; 2];
            sorted_offsets(&mut stream, 3, &mut offsets);
            *seen.entry(offsets).or_default() += 1;
        }
        assert_eq!(seen.len(), 10, "multisets of two out of four values");
        assert!(seen.values().all(|n| n.abs_diff(6000) < 300), "{seen:?}");
    }

    #[test]
    fn spacing_counts_the_bases_between() {
        let at = |spans: &[(usize, usize)]| spans.iter().map(|(start, end)| Interval { start: *start, end: *end }).collect::<Vec<_>>();
        let ok = |spans: &[(usize, usize)]| spaced(at(spans), 50, 10, 5);
        assert!(ok(&[]) && ok(&[(5, 5)]) && ok(&[(45, 45)]) && ok(&[(5, 10), (20, 45)]));
        assert!(!ok(&[(4, 5)]) && !ok(&[(44, 46)]) && !ok(&[(5, 10), (19, 20)]));
        assert_eq!(min_gap(at(&[(5, 10)])), None);
        assert_eq!(min_gap(at(&[(5, 10), (22, 22), (25, 30)])), Some(3));
        assert_eq!(min_gap(at(&[(5, 10), (8, 12)])), Some(0));
    }
}
