//! Low complexity: homopolymers and short tandem repeats, in which most real indels and most wrong calls lie.

use super::rng::Stream;
use super::window::{GcContent, random_base};

/// Most tracts of a window.
const MOST_TRACTS: u64 = 3;
/// Longest unit of a short tandem repeat.
const LONGEST_UNIT: u64 = 6;
/// Bases of a homopolymer, both ends included.
const HOMOPOLYMER: (u64, u64) = (6, 15);
/// Copies of a longer unit, both ends included.
const COPIES: (u64, u64) = (3, 6);

/// Writes one to three tracts into a window, each with a unit of 1 to 6 bases, anywhere; a later one may cover an earlier one.
/// A tract takes at most a quarter of the window, so that variants still find places outside.
pub fn write_tracts(stream: &mut Stream, window: &mut [u8], gc: GcContent) {
    for _ in 0..=stream.below(MOST_TRACTS) {
        let unit_length = 1 + stream.below(LONGEST_UNIT);
        let (least, most) = if unit_length == 1 { HOMOPOLYMER } else { (COPIES.0 * unit_length, COPIES.1 * unit_length) };
        let length = ((least + stream.below(most - least + 1)) as usize).min(window.len() / 4);
        let unit: [u8; LONGEST_UNIT as usize] = std::array::from_fn(|_| random_base(stream.next_u64() as u32, gc));
        let start = stream.below((window.len() - length + 1) as u64) as usize;
        let bases = unit[..unit_length as usize].iter().cycle();
        window[start..start + length].iter_mut().zip(bases).for_each(|(slot, base)| *slot = *base);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulate::rng::Topic;
    use crate::simulate::strata::Strata;

    #[test]
    fn tracts_are_seen_in_the_strata() {
        let mut tracts = 0;
        for index in 0..1000 {
            let mut window = b"GATTACAGCTTGCATCAGTCCATGACGTTAGCACTGATCGGATCCTAGCATGCAAGTCTA".to_vec();
            write_tracts(&mut Stream::new(3, index, Topic::Complexity), &mut window, GcContent::new(0.41));
            assert_eq!(window.len(), 60);
            let strata = Strata::of(&window);
            tracts += usize::from(strata.max_homopolymer >= 6 || strata.max_str >= 9);
        }
        assert!(tracts > 950, "{tracts}");
    }
}
