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
        let bases = Bases { strong, second, within: ones(self.length) };
        let (alike, repeats) = bases.repeats();
        let gc = strong.iter().map(|word| word.count_ones()).sum::<u32>();
        Strata {
            gc: if self.length == 0 { 0.0 } else { f64::from(gc) / self.length as f64 },
            max_homopolymer: if self.length == 0 { 0 } else { longest_homopolymer(&alike) },
            max_str: longest_repeat(repeats),
        }
    }
}

/// A bit for each base of a window.
type Plane<const WORDS: usize> = [u64; WORDS];

struct Bases<const WORDS: usize> {
    strong: Plane<WORDS>,
    second: Plane<WORDS>,
    /// Where there is a base.
    within: Plane<WORDS>,
}

impl<const WORDS: usize> Bases<WORDS> {
    /// Where a base equals the one `K` further on.
    #[inline]
    fn equal<const K: u32>(&self) -> Plane<WORDS> {
        let (a, b, c) = (shifted::<K, WORDS>(&self.strong), shifted::<K, WORDS>(&self.second), shifted::<K, WORDS>(&self.within));
        std::array::from_fn(|i| !((self.strong[i] ^ a[i]) | (self.second[i] ^ b[i])) & c[i])
    }

    /// Where 2, 3, … 7 bases in a row are the same; and, for units of 2 to 6 bases, where the first two copies of a tandem repeat
    /// begin. The shifts are constants, which is much faster.
    #[inline]
    fn repeats(&self) -> ([Plane<WORDS>; 6], [Plane<WORDS>; 5]) {
        let both = |a: &Plane<WORDS>, b: Plane<WORDS>| -> Plane<WORDS> { std::array::from_fn(|i| a[i] & b[i]) };
        let without = |a: Plane<WORDS>, b: &Plane<WORDS>| -> Plane<WORDS> { std::array::from_fn(|i| a[i] & !b[i]) };
        let two = self.equal::<1>();
        let three = both(&two, shifted::<1, WORDS>(&two));
        let four = both(&three, shifted::<2, WORDS>(&two));
        let five = both(&four, shifted::<3, WORDS>(&two));
        let six = both(&five, shifted::<4, WORDS>(&two));
        let seven = both(&six, shifted::<5, WORDS>(&two));
        // Two copies of `k` bases are `k` in a row that equal the one `k` further on, unless all of them are the same.
        let by_two = shortened::<1, WORDS>(without(self.equal::<2>(), &three));
        let by_three = shortened::<1, WORDS>(shortened::<1, WORDS>(without(self.equal::<3>(), &four)));
        let by_four = shortened::<2, WORDS>(shortened::<1, WORDS>(without(self.equal::<4>(), &five)));
        let by_five = shortened::<1, WORDS>(shortened::<2, WORDS>(shortened::<1, WORDS>(without(self.equal::<5>(), &six))));
        let by_six = shortened::<2, WORDS>(shortened::<2, WORDS>(shortened::<1, WORDS>(without(self.equal::<6>(), &seven))));
        ([two, three, four, five, six, seven], [by_two, by_three, by_four, by_five, by_six])
    }
}

fn any<const WORDS: usize>(plane: &Plane<WORDS>) -> bool {
    plane.iter().fold(0, |any, word| any | word) != 0
}

/// Bases of the longest homopolymer, from where 2, 3, … 7 bases in a row are the same: few windows have a longer one.
fn longest_homopolymer<const WORDS: usize>(alike: &[Plane<WORDS>; 6]) -> u32 {
    let mut length = 1 + alike.iter().map(|plane| u32::from(any(plane))).sum::<u32>();
    let mut plane = alike[5];
    while any(&plane) {
        plane = shortened::<1, WORDS>(plane);
        length += u32::from(any(&plane));
    }
    length
}

/// Bases of the longest tandem repeat. All units are looked at together: one loop, whose end is hard to foresee, not five.
fn longest_repeat<const WORDS: usize>(begins: [Plane<WORDS>; 5]) -> u32 {
    let found = |begins: &[Plane<WORDS>; 5]| begins.iter().flatten().fold(0, |any, word| any | word) != 0;
    // Nearly every window has a repeat of 6 bases or more: of AC, say, two that begin two bases apart.
    let [two, three, four, five, six] = begins;
    let mut begins = [shortened::<2, WORDS>(two), three, four, five, six];
    if !found(&begins) {
        return if any(&shortened::<1, WORDS>(two)) { 5 } else { 4 * u32::from(any(&two)) };
    }
    let mut length = 5;
    while found(&begins) {
        length += 1; // there is a repeat of that many bases: of a unit whose two copies are longer, of more than that many
        for (plane, two_copies) in begins.iter_mut().zip([4, 6, 8, 10, 12]) {
            if length >= two_copies {
                *plane = shortened::<1, WORDS>(*plane);
            }
        }
    }
    length
}

/// The first `count` bits.
fn ones<const WORDS: usize>(count: usize) -> Plane<WORDS> {
    std::array::from_fn(|i| match count.saturating_sub(64 * i) {
        left @ 0..64 => (1 << left) - 1,
        _ => u64::MAX,
    })
}

/// The plane moved towards its begin by 1 to 63 bits. Each word is rotated and takes its upper bits from the next one: what
/// one would write first becomes a double shift, which takes some processors three times as long.
#[inline]
fn shifted<const BY: u32, const WORDS: usize>(plane: &Plane<WORDS>) -> Plane<WORDS> {
    let turned = plane.map(|word| word.rotate_right(BY));
    let lower = u64::MAX >> BY;
    std::array::from_fn(|i| {
        let next = if i + 1 < WORDS { turned[i + 1] } else { 0 };
        next ^ ((turned[i] ^ next) & lower)
    })
}

/// Takes `BY` bits from the end of each run that is longer, and leaves nothing of the others.
#[inline]
fn shortened<const BY: u32, const WORDS: usize>(plane: Plane<WORDS>) -> Plane<WORDS> {
    let later = shifted::<BY, WORDS>(&plane);
    std::array::from_fn(|i| plane[i] & later[i])
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
