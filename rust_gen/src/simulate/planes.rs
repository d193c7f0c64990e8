//! The strata of a window, 64 bases at a time.
//!
//! In ASCII, bit 1 is set in C and G, and bit 2 in G and T, so that these two bits tell the four bases apart. A window becomes
//! two long integers of them; a base equals the one `k` further on where neither integer differs from itself shifted by `k`.

use super::strata::Strata;

/// Words for the reads that most runs have: up to 192 bases.
const SHORT: usize = 3;
/// Words for the longest: 2,048 bases.
const LONG: usize = 32;

/// The bases of a window as two bits each, 64 bases a word, the first one lowest. Bits beyond the window are 0.
#[derive(Clone, Debug, Default)]
pub struct Planes {
    length: usize,
    /// Set in C and G.
    strong: Vec<u64>,
    /// Set in G and T.
    second: Vec<u64>,
}

impl Planes {
    /// Forgets its bases, to take `length` new ones.
    pub fn clear(&mut self, length: usize) {
        self.length = length;
        self.strong.clear();
        self.second.clear();
    }

    /// The next 64 bases; beyond the window they may be anything.
    pub fn push(&mut self, strong: u64, second: u64) {
        let within = match self.length.saturating_sub(64 * self.strong.len()) {
            left @ 0..64 => (1 << left) - 1,
            _ => u64::MAX,
        };
        self.strong.push(strong & within);
        self.second.push(second & within);
    }

    /// Takes the bases of a window, which must all be A, C, G or T.
    pub fn pack(&mut self, window: &[u8]) {
        self.clear(window.len());
        for block in window.chunks(64) {
            let mut bases = [0; 64];
            bases[..block.len()].copy_from_slice(block);
            // One bit of each of eight bytes, brought together in the highest byte.
            let gather = |eight: &[u8; 8], bit: u32| {
                (((u64::from_le_bytes(*eight) >> bit) & 0x0101_0101_0101_0101).wrapping_mul(0x0102_0408_1020_4080) >> 56) as u8
            };
            let eights = bases.as_chunks::<8>().0;
            let word = |bit| u64::from_le_bytes(std::array::from_fn(|i| gather(&eights[i], bit)));
            self.push(word(1), word(2));
        }
    }

    /// The same as [`Strata::of`], for at most 2,048 bases.
    ///
    /// ```
    /// use _rust_gen::simulate::{planes::Planes, strata::Strata};
    /// let mut planes = Planes::default();
    /// planes.pack(b"GATTACACACA");
    /// assert_eq!(planes.strata(), Strata::of(b"GATTACACACA"));
    /// ```
    ///
    /// # Panics
    /// There are more than 2,048 bases.
    #[must_use]
    pub fn strata(&self) -> Strata {
        if self.length <= 64 * SHORT { self.strata_in::<SHORT>() } else { self.strata_in::<LONG>() }
    }

    fn strata_in<const WORDS: usize>(&self) -> Strata {
        let (mut strong, mut second) = ([0; WORDS], [0; WORDS]);
        for (i, (a, b)) in self.strong.iter().zip(&self.second).enumerate() {
            (strong[i], second[i]) = (*a, *b);
        }
        let bases = Bases { strong, second, length: self.length };
        let next = bases.equal::<1>();
        // The shifts are constants, which the compiler makes one instruction a word.
        let mut longest = 0;
        let one_base = bases.repeat::<2, 1>(&next, next, &mut longest);
        let one_base = bases.repeat::<3, 2>(&next, one_base, &mut longest);
        let one_base = bases.repeat::<4, 3>(&next, one_base, &mut longest);
        let one_base = bases.repeat::<5, 4>(&next, one_base, &mut longest);
        bases.repeat::<6, 5>(&next, one_base, &mut longest);
        let gc = strong.iter().map(|word| word.count_ones()).sum::<u32>();
        Strata {
            gc: if self.length == 0 { 0.0 } else { f64::from(gc) / self.length as f64 },
            max_homopolymer: if self.length == 0 { 0 } else { lengthened(next, 0) as u32 + 1 },
            max_str: longest as u32,
        }
    }
}

/// A bit for each base of a window.
type Plane<const WORDS: usize> = [u64; WORDS];

struct Bases<const WORDS: usize> {
    strong: Plane<WORDS>,
    second: Plane<WORDS>,
    length: usize,
}

impl<const WORDS: usize> Bases<WORDS> {
    /// Where a base equals the one `K` further on.
    #[inline]
    fn equal<const K: usize>(&self) -> Plane<WORDS> {
        let (a, b) = (shifted::<K, WORDS>(&self.strong), shifted::<K, WORDS>(&self.second));
        let mut equal: Plane<WORDS> = std::array::from_fn(|i| !((self.strong[i] ^ a[i]) | (self.second[i] ^ b[i])));
        let last = self.length.saturating_sub(K); // from here on there is no base `K` further on
        for (i, word) in equal.iter_mut().enumerate().skip(last / 64) {
            *word &= if i == last / 64 { (1 << (last % 64)) - 1 } else { 0 };
        }
        equal
    }

    /// Looks for tandem repeats with a unit of `K` bases. `next` is where a base equals the next one, `one_base` where `K` in a
    /// row are the same, `LESS` one less than `K`. Gives back where `K + 1` are.
    #[inline]
    fn repeat<const K: usize, const LESS: usize>(&self, next: &Plane<WORDS>, one_base: Plane<WORDS>, longest: &mut usize) -> Plane<WORDS> {
        let (later, equal) = (shifted::<LESS, WORDS>(next), self.equal::<K>());
        let one_base: Plane<WORDS> = std::array::from_fn(|i| one_base[i] & later[i]);
        let repeats: Plane<WORDS> = std::array::from_fn(|i| equal[i] & !one_base[i]);
        // Two copies are a run of `K`: a bit is left where such a run begins.
        let copies = match K {
            2 => shortened::<1, WORDS>(repeats),
            3 => shortened::<1, WORDS>(shortened::<1, WORDS>(repeats)),
            4 => shortened::<2, WORDS>(shortened::<1, WORDS>(repeats)),
            5 => shortened::<1, WORDS>(shortened::<2, WORDS>(shortened::<1, WORDS>(repeats))),
            _ => shortened::<2, WORDS>(shortened::<2, WORDS>(shortened::<1, WORDS>(repeats))),
        };
        let run = lengthened(copies, LESS);
        if run > LESS {
            *longest = run.max(longest.saturating_sub(K)) + K;
        }
        one_base
    }
}

/// The plane moved towards its begin by 1 to 63 bits.
#[inline]
fn shifted<const BY: usize, const WORDS: usize>(plane: &Plane<WORDS>) -> Plane<WORDS> {
    std::array::from_fn(|i| plane[i] >> BY | if i + 1 < WORDS { plane[i + 1] << (64 - BY) } else { 0 })
}

/// Takes `BY` bits from the end of each run that is longer, and leaves nothing of the others.
#[inline]
fn shortened<const BY: usize, const WORDS: usize>(plane: Plane<WORDS>) -> Plane<WORDS> {
    let later = shifted::<BY, WORDS>(&plane);
    std::array::from_fn(|i| plane[i] & later[i])
}

/// `taken` and the length of the longest run, from each of which that many have been taken.
fn lengthened<const WORDS: usize>(mut plane: Plane<WORDS>, taken: usize) -> usize {
    let mut width = taken;
    while plane.iter().fold(0, |any, word| any | word) != 0 {
        plane = shortened::<1, WORDS>(plane);
        width += 1;
    }
    width
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn packed(window: &[u8]) -> Planes {
        let mut planes = Planes::default();
        planes.pack(window);
        planes
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn strata_are_those_counted_base_by_base(window in "[ACGT]{0,300}|[AC]{0,260}|([ACGT]{0,20}(A{0,40}|(AC){0,30}|(ACG){0,60})){0,4}") {
            prop_assert_eq!(packed(window.as_bytes()).strata(), Strata::of(window.as_bytes()));
        }
    }

    #[test]
    fn runs_across_words() {
        for length in [1, 2, 63, 64, 65, 127, 128, 129, 191, 192, 193, 2000] {
            for unit in ["A", "AC", "ACG", "ACGTTA", "ACGTTAG"] {
                let window: Vec<u8> = unit.bytes().cycle().take(length).collect();
                assert_eq!(packed(&window).strata(), Strata::of(&window), "{unit} {length}");
            }
        }
    }
}
