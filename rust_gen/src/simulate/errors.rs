//! Sequencing errors: substitutions, uniform over the three other bases, each base with its own probability.

use super::ConfigError;
use super::config::{BaseErrorRate, Named};
use super::quality::{PHRED_OFFSET, QualityModel, error_probability};
use super::rng::{Probability, Stream};
use crate::variant::Variant;

/// How often a base is read wrong, by its quality.
#[derive(Clone, Debug)]
pub struct ErrorModel {
    /// Quality characters and, of each, the probability in 2^53. Where all bases have the same, 0 stands for all characters.
    classes: Vec<(u8, u64)>,
    /// The upper 8 bits of each that are not 0; of the others a byte of 0 may still be one.
    coarse: Vec<(u8, u8)>,
    by_quality: bool,
}

/// Sets to 1 the marks of the bases whose byte does not exceed the limit of their quality, or `least`, and to 0 all others.
/// Plain and long, so that the compiler takes 16 at once.
fn mark<const CLASSES: usize>(bytes: &[u8], qual: &[u8], marks: &mut [u8], classes: [(u8, u8); CLASSES], least: u8) {
    for ((mark, byte), q) in marks.iter_mut().zip(bytes).zip(qual) {
        let limit = classes.iter().fold(least, |limit, (character, of)| limit | if q == character { *of } else { 0 });
        *mark = u8::from(*byte <= limit);
    }
}

/// The same, for any number of classes.
fn mark_by_table(bytes: &[u8], qual: &[u8], marks: &mut [u8], classes: &[(u8, u8)]) {
    let mut table = [0; 256];
    classes.iter().for_each(|(character, limit)| table[usize::from(*character)] = *limit);
    for ((mark, byte), q) in marks.iter_mut().zip(bytes).zip(qual) {
        *mark = u8::from(*byte <= table[usize::from(*q)]);
    }
}

/// Memory that is used again for the next read.
#[derive(Debug, Default)]
pub struct Buffers {
    /// Random bytes.
    pub random: Vec<u8>,
    marks: Vec<u8>,
}

/// Window positions of the read's bases, but for those that a truth allele spells or that lie in its reference span.
#[derive(Debug)]
pub struct Outside<'a> {
    truth: &'a [Variant],
    /// Read bases less window bases up to here.
    shift: isize,
}

impl<'a> Outside<'a> {
    /// For a read made of the window by `truth`, in order.
    #[must_use]
    pub const fn new(truth: &'a [Variant]) -> Self {
        Self { truth, shift: 0 }
    }

    /// The window base that read base `at` is; None within a truth. To be asked in ascending order.
    pub fn window_position(&mut self, at: usize) -> Option<usize> {
        while let Some((next, later)) = self.truth.split_first() {
            let start = next.span().start.checked_add_signed(self.shift)?;
            if at < start {
                break;
            }
            if at < start + next.alt.len() {
                return None;
            }
            self.shift += next.alt.len() as isize - next.reference.len() as isize;
            self.truth = later;
        }
        at.checked_add_signed(-self.shift)
    }
}

impl ErrorModel {
    /// From the configuration.
    ///
    /// # Errors
    /// `from_quality` without qualities.
    pub fn new(rate: BaseErrorRate, quality: &QualityModel) -> Result<Self, ConfigError> {
        let (classes, by_quality): (Vec<_>, bool) = match rate {
            BaseErrorRate::Rate(rate) => (vec![(0, Probability::new(rate).threshold())], false),
            BaseErrorRate::Named(Named::FromQuality) if matches!(quality, QualityModel::None) => {
                return Err(ConfigError("base_error_rate: from_quality needs a quality_model".into()));
            }
            BaseErrorRate::Named(Named::FromQuality) => {
                let threshold = |q: u8| Probability::new(error_probability(q)).threshold();
                (quality.scores().iter().map(|q| (q + PHRED_OFFSET, threshold(*q))).collect(), true)
            }
        };
        let coarse = classes.iter().map(|(character, threshold)| (*character, (threshold >> 45).min(255) as u8));
        let coarse = coarse.filter(|(_, upper)| *upper > 0 || !by_quality).collect();
        Ok(Self { classes, coarse, by_quality })
    }

    /// Whether there are any.
    #[must_use]
    pub fn is_off(&self) -> bool {
        self.classes.iter().all(|(_, threshold)| *threshold == 0)
    }

    /// Read positions, in order, where a base of that quality is read wrong; `qual`, of whole blocks, is empty without
    /// qualities.
    ///
    /// A random byte of each base is compared with the upper 8 bits of its probability, many bases at once; only where it does
    /// not exceed them the decision needs another word.
    pub fn draw(&self, stream: &mut Stream, length: usize, qual: &[u8], buffers: &mut Buffers, found: &mut Vec<usize>) {
        found.clear();
        let Buffers { random, marks } = buffers;
        stream.fill(length, random);
        marks.resize(random.len(), 0);
        match *self.coarse {
            [] => mark(random, random, marks, [], 0),
            [(_, limit)] if !self.by_quality => mark(random, random, marks, [], limit),
            [a] => mark(random, qual, marks, [a], 0),
            [a, b] => mark(random, qual, marks, [a, b], 0),
            [a, b, c] => mark(random, qual, marks, [a, b, c], 0),
            [a, b, c, d] => mark(random, qual, marks, [a, b, c, d], 0),
            _ => mark_by_table(random, qual, marks, &self.coarse),
        }
        for (eight, marks) in marks.as_chunks::<8>().0.iter().enumerate() {
            let mut hits = u64::from_le_bytes(*marks);
            while hits != 0 {
                let at = 8 * eight + hits.trailing_zeros() as usize / 8;
                hits &= hits - 1;
                let character = if self.by_quality { qual.get(at).copied().unwrap_or_default() } else { 0 };
                if at < length && self.exactly(stream, character, random[at]) {
                    found.push(at);
                }
            }
        }
    }

    /// Decides for a base whose random byte does not exceed the upper bits of its probability.
    fn exactly(&self, stream: &mut Stream, character: u8, byte: u8) -> bool {
        let of = self.classes.iter().find(|(class, _)| *class == character);
        let draw = u64::from(byte) << 45 | stream.next_u64() >> 19;
        of.is_some_and(|(_, threshold)| draw < *threshold)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulate::rng::Topic;
    use crate::variant::{Edit, Event, normalize};

    #[test]
    fn errors_are_as_frequent_as_their_quality_says() {
        let model = QualityModel::new("binned:[0,2,12,23,37]", None).unwrap();
        let errors = ErrorModel::new(BaseErrorRate::Named(Named::FromQuality), &model).unwrap();
        let n = 1_000_000;
        let (mut qual, mut found) = (Vec::new(), Vec::new());
        model.draw(&mut Stream::new(1, 0, Topic::Qualities), n, &mut Vec::new(), &mut qual);
        errors.draw(&mut Stream::new(1, 0, Topic::Errors), n, &qual, &mut Buffers::default(), &mut found);
        assert!(found.is_sorted());
        for q in model.scores() {
            let of = qual.iter().filter(|c| **c == q + PHRED_OFFSET).count() as f64;
            let wrong = found.iter().filter(|at| qual[**at] == q + PHRED_OFFSET).count() as f64;
            let p = error_probability(q);
            assert!((wrong - of * p).abs() <= 4.0 * (of * p * (1.0 - p)).sqrt(), "Q{q}: {wrong} of {of}");
        }
    }

    #[test]
    fn a_rate_needs_no_qualities() {
        for rate in [0.0, 0.02, 0.5, 1.0] {
            let errors = ErrorModel::new(BaseErrorRate::Rate(rate), &QualityModel::None).unwrap();
            let mut found = Vec::new();
            errors.draw(&mut Stream::new(1, 0, Topic::Errors), 100_000, &[], &mut Buffers::default(), &mut found);
            assert!((found.len() as f64 - 100_000.0 * rate).abs() <= 4.0 * (100_000.0 * rate * (1.0 - rate)).sqrt(), "{rate}");
            assert_eq!(errors.is_off(), rate == 0.0);
        }
        let missing = ErrorModel::new(BaseErrorRate::Named(Named::FromQuality), &QualityModel::None);
        assert!(missing.unwrap_err().0.contains("quality_model"));
    }

    #[test]
    fn read_positions_become_window_positions() {
        let window = b"ACGTACGTACGTACGT";
        let edit = |start, deleted, inserted: &str| normalize(window, &Edit { start, deleted, inserted: inserted.into() }, Event::Complex);
        let truth = [edit(3, 0, "CC").unwrap(), edit(8, 2, "").unwrap()]; // G>GCC at 3, TAC>T at 8
        let mut outside = Outside::new(&truth);
        let found: Vec<_> = (0..16).map(|at| outside.window_position(at)).collect();
        let expected = [Some(0), Some(1), None, None, None, Some(3), Some(4), Some(5), Some(6), None];
        assert_eq!(found[..10], expected);
        assert_eq!(found[10..], [10, 11, 12, 13, 14, 15].map(Some));
    }
}
