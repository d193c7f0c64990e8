//! Random reference windows.

use crate::rng::Stream;

/// How often a base of a window is G or C, at a resolution of 2^-31.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GcContent(u32);

impl GcContent {
    /// From a fraction in 0..=1; values outside are clamped.
    #[must_use]
    pub fn new(fraction: f64) -> Self {
        Self((fraction.clamp(0.0, 1.0) * f64::from(1u32 << 31)).round() as u32)
    }
}

/// `length` independent bases; G and C are equally frequent, and so are A and T.
pub fn random_bases(stream: &mut Stream, length: usize, gc: GcContent) -> Vec<u8> {
    let mut bases = vec![0; length];
    for pair in bases.chunks_mut(2) {
        let word = stream.next_u64();
        let both = [base(word as u32, gc), base((word >> 32) as u32, gc)];
        pair.copy_from_slice(&both[..pair.len()]);
    }
    bases
}

/// One bit chooses within a pair of bases, the other 31 choose the pair. By table, since a branch here is a coin toss.
fn base(bits: u32, gc: GcContent) -> u8 {
    let strong = usize::from(bits >> 1 < gc.0);
    b"ATCG"[strong * 2 + (bits & 1) as usize]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Topic;

    #[test]
    fn gc_is_reached_within_three_sigma() {
        for gc in [0.1, 0.41, 0.5, 0.9] {
            let n = 200_000;
            let window = random_bases(&mut Stream::new(1, 0, Topic::Reference), n, GcContent::new(gc));
            let found = window.iter().filter(|b| matches!(b, b'G' | b'C')).count() as f64 / n as f64;
            let sigma = (gc * (1.0 - gc) / n as f64).sqrt();
            assert!((found - gc).abs() < 3.0 * sigma, "asked {gc}, found {found}");
        }
    }

    #[test]
    fn odd_and_zero_lengths_are_exact() {
        for length in [0, 1, 2, 31] {
            let bases = random_bases(&mut Stream::new(1, 0, Topic::Reference), length, GcContent::new(0.5));
            assert_eq!(bases.len(), length);
        }
    }
}
