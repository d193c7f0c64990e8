//! Small, portable random numbers: SplitMix64 to seed, xoshiro256++ to draw (Blackman and Vigna, prng.di.unimi.it).
//!
//! Every decision compares integers; no logarithm or other library function that may differ between machines is used, so
//! the same seed gives the same bases everywhere.

/// What a stream of random numbers decides. Each topic of a record has a stream of its own, so that a topic added later
/// leaves the others' draws where they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Topic {
    /// The bases of the reference window.
    Reference,
    /// How many variants, of which types and lengths.
    Types,
    /// Where the variants lie.
    Positions,
    /// Substituted and inserted bases.
    Alleles,
    /// Whether the window gets repeats, and which.
    Complexity,
    /// The quality of each base.
    Qualities,
    /// Which bases are read wrong, and as what.
    Errors,
    /// Which bases are not read at all.
    Unread,
    /// From which strand the read comes.
    Strand,
}

/// How many topics there are.
const TOPICS: usize = Topic::Strand as usize + 1;

impl Topic {
    const ALL: [Self; TOPICS] = [
        Self::Reference,
        Self::Types,
        Self::Positions,
        Self::Alleles,
        Self::Complexity,
        Self::Qualities,
        Self::Errors,
        Self::Unread,
        Self::Strand,
    ];

    const fn key(self) -> u64 {
        match self {
            Self::Reference => u64::from_le_bytes(*b"hx.refer"),
            Self::Types => u64::from_le_bytes(*b"hx.types"),
            Self::Positions => u64::from_le_bytes(*b"hx.posit"),
            Self::Alleles => u64::from_le_bytes(*b"hx.allel"),
            Self::Complexity => u64::from_le_bytes(*b"hx.compl"),
            Self::Qualities => u64::from_le_bytes(*b"hx.quali"),
            Self::Errors => u64::from_le_bytes(*b"hx.error"),
            Self::Unread => u64::from_le_bytes(*b"hx.unrea"),
            Self::Strand => u64::from_le_bytes(*b"hx.stran"),
        }
    }
}

/// Bytes that loops over many of them take at once, so that no rest is left to be done one by one.
pub const BLOCK: usize = 32;

const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

const fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A probability as the integer below which 53 random bits must fall.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Probability(u64);

impl Probability {
    /// From a fraction in 0..=1; values outside are clamped.
    #[must_use]
    pub fn new(fraction: f64) -> Self {
        Self((fraction.clamp(0.0, 1.0) * (1u64 << 53) as f64).round() as u64)
    }

    /// The threshold, in 0..=2^53.
    #[must_use]
    pub const fn threshold(self) -> u64 {
        self.0
    }
}

/// Choice among outcomes by weight, as cumulative integer thresholds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Weighted(Vec<u64>);

impl Weighted {
    /// From weights that are finite, not negative and not all zero; anything else is None.
    #[must_use]
    pub fn new(weights: &[f64]) -> Option<Self> {
        let total: f64 = weights.iter().sum();
        if !total.is_finite() || total <= 0.0 || weights.iter().any(|w| *w < 0.0) {
            return None;
        }
        let last = weights.iter().rposition(|w| *w > 0.0)?;
        let mut sum = 0.0;
        let limits = weights.iter().enumerate().map(|(i, w)| {
            sum += w;
            if i >= last { 1 << 53 } else { Probability::new(sum / total).0 }
        });
        Some(Self(limits.collect()))
    }

    /// The probability of each outcome, in 2^53.
    pub fn shares(&self) -> impl Iterator<Item = u64> + '_ {
        let before = std::iter::once(0).chain(self.0.iter().copied());
        self.0.iter().zip(before).map(|(limit, before)| limit - before)
    }
}

/// The streams of one record, of a run with one seed.
///
/// ```
/// use _rust_gen::simulate::rng::{Streams, Topic};
/// let streams = Streams::new(42);
/// assert_eq!(streams.of(7, Topic::Types).next_u64(), streams.of(7, Topic::Types).next_u64());
/// assert_ne!(streams.of(7, Topic::Types).next_u64(), streams.of(8, Topic::Types).next_u64());
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Streams([u64; TOPICS]);

impl Streams {
    /// Of a run with `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(Topic::ALL.map(|topic| mix(seed.wrapping_add(topic.key()))))
    }

    /// The stream of `topic` for record `index`.
    #[inline(always)]
    #[must_use]
    pub fn of(&self, index: u64, topic: Topic) -> Stream {
        let start = mix(self.0[topic as usize] ^ mix(index.wrapping_add(GOLDEN)));
        let after = |n: u64| mix(start.wrapping_add(GOLDEN.wrapping_mul(n)));
        Stream([start, after(1), after(2), after(3)])
    }
}

/// Random numbers: xoshiro256++, its state four hashes of seed, index and topic as SplitMix64 makes them.
#[derive(Clone, Debug)]
pub struct Stream([u64; 4]);

impl Stream {
    /// As [`Streams::of`], for one use.
    #[must_use]
    pub fn new(seed: u64, index: u64, topic: Topic) -> Self {
        Streams::new(seed).of(index, topic)
    }

    /// Random bytes, at least `length`: whole blocks of [`BLOCK`].
    pub fn fill(&mut self, length: usize, out: &mut Vec<u8>) {
        out.resize(length.next_multiple_of(BLOCK), 0);
        out.as_chunks_mut::<8>().0.iter_mut().for_each(|eight| *eight = self.next_u64().to_le_bytes());
    }

    /// 64 random bits.
    #[inline]
    pub fn next_u64(&mut self) -> u64 {
        let s = &mut self.0;
        let out = s[0].wrapping_add(s[3]).rotate_left(23).wrapping_add(s[0]);
        let t = s[1] << 17;
        s[2] ^= s[0];
        s[3] ^= s[1];
        s[1] ^= s[2];
        s[0] ^= s[3];
        s[2] ^= t;
        s[3] = s[3].rotate_left(45);
        out
    }

    /// 64 independent bits, each 1 with the given probability.
    ///
    /// Compares 64 random fractions with the probability at once, bit by bit from the highest: a lane is decided where its
    /// bit differs from the probability's, so some seven words decide all 64.
    #[inline]
    pub fn mask(&mut self, p: Probability) -> u64 {
        if p.0 >> 53 != 0 {
            return u64::MAX;
        }
        let (mut ones, mut undecided, mut rest) = (0, u64::MAX, p.0 << 11);
        while undecided != 0 && rest != 0 {
            let word = self.next_u64();
            let bit = ((rest as i64) >> 63) as u64; // all ones or all zeros
            ones |= undecided & !word & bit;
            undecided &= !(word ^ bit);
            rest <<= 1;
        }
        ones
    }

    /// True with the given probability.
    #[inline]
    pub fn chance(&mut self, p: Probability) -> bool {
        (self.next_u64() >> 11) < p.0
    }

    /// Uniform in `0..n`, without bias (Lemire 2019, doi:10.1145/3230636); `n` must be above 0.
    #[inline]
    pub fn below(&mut self, n: u64) -> u64 {
        loop {
            let wide = u128::from(self.next_u64()) * u128::from(n);
            let low = wide as u64;
            if low >= n || low >= n.wrapping_neg() % n {
                return (wide >> 64) as u64;
            }
        }
    }

    /// Index of an outcome, by weight.
    pub fn choose(&mut self, weights: &Weighted) -> usize {
        let draw = self.next_u64() >> 11;
        // Of a few limits counting all takes less than branches that are guessed wrong.
        match weights.0.len() {
            0..=16 => weights.0.iter().map(|limit| usize::from(*limit <= draw)).sum(),
            _ => weights.0.partition_point(|limit| *limit <= draw),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn xoshiro_follows_its_published_recurrence() {
        let mut stream = Stream([1, 2, 3, 4]);
        // First outputs of xoshiro256++ from the state 1, 2, 3, 4, as in the reference implementation.
        let expected = [41_943_041, 58_720_359, 3_588_806_011_781_223, 3_591_011_842_654_386];
        assert_eq!(expected.map(|_| stream.next_u64()), expected);
    }

    #[test]
    fn masks_have_their_probability() {
        let mut stream = Stream::new(4, 0, Topic::Errors);
        for p in [0.0, 0.0002, 0.063, 0.41, 0.5, 0.9, 1.0] {
            let words = 20_000;
            let mut lanes = [0u32; 64];
            for _ in 0..words {
                let mask = stream.mask(Probability::new(p));
                lanes.iter_mut().enumerate().for_each(|(i, n)| *n += u32::from(mask >> i & 1 == 1));
            }
            let sigma = (f64::from(words) * p * (1.0 - p)).sqrt();
            assert!(lanes.iter().all(|n| (f64::from(*n) - f64::from(words) * p).abs() <= 4.5 * sigma), "{p}: {lanes:?}");
        }
    }

    #[test]
    fn topics_indices_and_seeds_differ() {
        let first = |seed, index, topic| Stream::new(seed, index, topic).next_u64();
        let base = first(1, 1, Topic::Types);
        assert_ne!(base, first(1, 1, Topic::Alleles));
        assert_ne!(base, first(1, 2, Topic::Types));
        assert_ne!(base, first(2, 1, Topic::Types));
    }

    #[test]
    fn weights_of_zero_are_never_chosen() {
        let weights = Weighted::new(&[0.0, 1.0, 0.0, 3.0, 0.0]).expect("valid weights");
        let mut stream = Stream::new(3, 0, Topic::Types);
        let mut seen = [0; 5];
        for _ in 0..40_000 {
            seen[stream.choose(&weights)] += 1;
        }
        assert_eq!((seen[0], seen[2], seen[4]), (0, 0, 0));
        assert!((f64::from(seen[1]) / 40_000.0 - 0.25).abs() < 0.01, "{seen:?}");
    }

    #[test]
    fn bad_weights_are_refused() {
        assert_eq!(Weighted::new(&[]), None);
        assert_eq!(Weighted::new(&[0.0]), None);
        assert_eq!(Weighted::new(&[-1.0, 2.0]), None);
        assert_eq!(Weighted::new(&[f64::NAN]), None);
    }

    #[test]
    fn certainty_and_impossibility_are_exact() {
        let mut stream = Stream::new(9, 9, Topic::Alleles);
        assert!((0..1000).all(|_| stream.chance(Probability::new(1.0))));
        assert!((0..1000).all(|_| !stream.chance(Probability::new(0.0))));
    }
}
