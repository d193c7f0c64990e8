//! How long variants are.

use super::rng::{Probability, Stream};

/// 1 and one more with a fixed probability, again and again: geometric, cut at a longest length, which takes what lies beyond.
#[derive(Clone, Copy, Debug)]
pub struct Geometric {
    extend: Probability,
    most: usize,
}

impl Geometric {
    /// From the probability of one base more, and the longest length.
    #[must_use]
    pub fn new(extend: f64, most: usize) -> Self {
        Self { extend: Probability::new(extend), most }
    }

    /// One length.
    pub fn draw(self, stream: &mut Stream) -> usize {
        let mut length = 1;
        while length < self.most && stream.chance(self.extend) {
            length += 1;
        }
        length
    }
}

/// Every length from the shortest to the longest equally often.
#[derive(Clone, Copy, Debug)]
pub struct Uniform {
    least: usize,
    most: usize,
}

impl Uniform {
    /// From the shortest and the longest length, which must not be below it.
    #[must_use]
    pub const fn new([least, most]: [usize; 2]) -> Self {
        Self { least, most }
    }

    /// One length.
    pub fn draw(self, stream: &mut Stream) -> usize {
        self.least + stream.below((self.most - self.least + 1) as u64) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulate::rng::Topic;

    #[test]
    fn geometric_lengths_pile_up_at_the_longest() {
        let mut stream = Stream::new(1, 0, Topic::Types);
        let lengths = Geometric::new(0.5, 3);
        let mut seen = [0u32; 4];
        (0..40_000).for_each(|_| seen[lengths.draw(&mut stream)] += 1);
        assert!(seen[0] == 0 && [20_000, 10_000, 10_000].iter().zip(&seen[1..]).all(|(a, b)| b.abs_diff(*a) < 500), "{seen:?}");
    }

    #[test]
    fn uniform_lengths_include_both_ends() {
        let mut stream = Stream::new(1, 0, Topic::Types);
        let mut seen = [0u32; 8];
        (0..30_000).for_each(|_| seen[Uniform::new([4, 6]).draw(&mut stream)] += 1);
        assert!(seen[4..7].iter().all(|n| n.abs_diff(10_000) < 500) && seen.iter().sum::<u32>() == 30_000, "{seen:?}");
    }
}
