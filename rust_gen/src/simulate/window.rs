//! Random reference windows.

use super::planes::Planes;
use super::rng::{Probability, Stream};

/// How often a base of a window is G or C.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GcContent {
    coarse: u32,
    exact: Probability,
}

impl GcContent {
    /// From a fraction in 0..=1; values outside are clamped.
    #[must_use]
    pub fn new(fraction: f64) -> Self {
        Self { coarse: (fraction.clamp(0.0, 1.0) * f64::from(1u32 << 31)).round() as u32, exact: Probability::new(fraction) }
    }
}

/// One base out of 32 random bits: one bit chooses within a pair of bases, the other 31 choose the pair.
#[must_use]
pub fn random_base(bits: u32, gc: GcContent) -> u8 {
    let strong = usize::from(bits >> 1 < gc.coarse);
    b"ATCG"[strong * 2 + (bits & 1) as usize]
}

/// Each bit of a byte as a byte of its own, 0 or `value`, the lowest first.
const fn spread(value: u64) -> [u64; 256] {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut bit = 0;
        while bit < 8 {
            table[byte] |= (((byte as u64 >> bit) & 1) * value) << (8 * bit);
            bit += 1;
        }
        byte += 1;
    }
    table
}

/// In ASCII, A and T differ by 0x15, A and C by 0x02, and C and G by 0x04.
static SECOND: [u64; 256] = spread(0x15);
static STRONG: [u64; 256] = spread(0x02);
static BOTH: [u64; 256] = spread(0x15 ^ 0x04);

/// Replaces the content of `out` by `length` independent bases; G and C are equally frequent, and so are A and T.
/// `planes` takes the same bases.
///
/// 64 bases at a time: one word says which are G or C, one tells the two of a pair apart. Eight bases then come out of three
/// look-ups.
pub fn random_window(stream: &mut Stream, length: usize, gc: GcContent, out: &mut Vec<u8>, planes: &mut Planes) {
    planes.clear(length);
    out.resize(length.next_multiple_of(8), 0);
    for block in out.chunks_mut(64) {
        let strong = stream.mask(gc.exact);
        let second = stream.next_u64();
        planes.push(strong, second);
        let bytes = strong.to_le_bytes().into_iter().zip(second.to_le_bytes());
        for (eight, (strong, second)) in block.as_chunks_mut::<8>().0.iter_mut().zip(bytes) {
            let differs = SECOND[usize::from(second)] ^ STRONG[usize::from(strong)] ^ BOTH[usize::from(second & strong)];
            *eight = (u64::from_le_bytes([b'A'; 8]) ^ differs).to_le_bytes();
        }
    }
    out.truncate(length);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulate::rng::Topic;
    use crate::simulate::strata::Strata;

    #[test]
    fn gc_is_reached_within_three_sigma() {
        for gc in [0.1, 0.41, 0.5, 0.9] {
            let n = 200_000;
            let mut window = Vec::new();
            let mut stream = Stream::new(1, 0, Topic::Reference);
            random_window(&mut stream, n, GcContent::new(gc), &mut window, &mut Planes::default());
            let inserted = (0..n).map(|_| random_base(stream.next_u64() as u32, GcContent::new(gc))).collect();
            for bases in [window, inserted] {
                let count = |base| bases.iter().filter(|b| **b == base).count() as f64;
                let near = |found: f64, of: f64, p: f64| (found / of - p).abs() < 3.0 * (p * (1.0 - p) / of).sqrt();
                let (strong, weak) = (count(b'G') + count(b'C'), count(b'A') + count(b'T'));
                assert_eq!(strong + weak, n as f64);
                assert!(near(strong, n as f64, gc), "asked {gc}, found {strong}");
                assert!(near(count(b'G'), strong, 0.5) && near(count(b'A'), weak, 0.5));
            }
        }
    }

    #[test]
    fn odd_and_zero_lengths_are_exact() {
        let mut window = b"rest".to_vec();
        for length in [0, 1, 2, 31, 64, 65, 150, 2000] {
            let (mut planes, mut stream) = (Planes::default(), Stream::new(1, 0, Topic::Reference));
            random_window(&mut stream, length, GcContent::new(0.5), &mut window, &mut planes);
            assert_eq!(window.len(), length);
            assert_eq!(planes.strata(), Strata::of(&window));
        }
    }
}
