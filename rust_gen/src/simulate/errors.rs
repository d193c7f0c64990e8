//! Sequencing errors: substitutions, uniform over the three other bases, each base with its own probability.

use super::ConfigError;
use super::config::{BaseErrorRate, Named};
use super::quality::{PHRED_OFFSET, QualityModel, error_probability};
use super::rng::{Probability, Stream};
use crate::variant::Variant;

/// How often a base is read wrong, by its quality.
#[derive(Clone, Debug)]
pub struct ErrorModel {
    /// Of each quality character the probability in 2^53; of none, when all bases have the same.
    by_quality: Option<Box<[u64; 256]>>,
    /// Its upper 8 bits.
    coarse: Box<[u8; 256]>,
    uniform: u64,
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
        let split = |threshold: u64| (threshold >> 45).min(255) as u8;
        match rate {
            BaseErrorRate::Rate(rate) => {
                let uniform = Probability::new(rate).threshold();
                Ok(Self { by_quality: None, coarse: Box::new([split(uniform); 256]), uniform })
            }
            BaseErrorRate::Named(Named::FromQuality) => {
                if matches!(quality, QualityModel::None) {
                    return Err(ConfigError("base_error_rate: from_quality needs a quality_model".into()));
                }
                let mut exact = Box::new([0; 256]);
                for q in quality.scores() {
                    exact[usize::from(q + PHRED_OFFSET)] = Probability::new(error_probability(q)).threshold();
                }
                Ok(Self { coarse: Box::new(exact.map(split)), by_quality: Some(exact), uniform: 0 })
            }
        }
    }

    /// Whether there are any.
    #[must_use]
    pub const fn is_off(&self) -> bool {
        self.by_quality.is_none() && self.uniform == 0
    }

    /// Read positions, in order, where a base of that quality is read wrong; `qual` is empty without qualities.
    ///
    /// A random byte a base is compared with the upper 8 bits of its probability; only where the two are equal, or the
    /// byte is below, the decision needs another word, or none.
    pub fn draw(&self, stream: &mut Stream, length: usize, qual: &[u8], found: &mut Vec<usize>) {
        found.clear();
        let mut start = 0;
        while start < length {
            let bytes = stream.next_u64().to_le_bytes();
            let end = (start + 8).min(length);
            for (at, byte) in (start..end).zip(bytes) {
                let character = usize::from(qual.get(at).copied().unwrap_or_default());
                if byte <= self.coarse[character] && self.exactly(stream, character, byte) {
                    found.push(at);
                }
            }
            start = end;
        }
    }

    /// Decides for a base whose random byte does not exceed its probability's.
    fn exactly(&self, stream: &mut Stream, character: usize, byte: u8) -> bool {
        let threshold = self.by_quality.as_ref().map_or(self.uniform, |exact| exact[character]);
        let draw = u64::from(byte) << 45 | stream.next_u64() >> 19;
        draw < threshold
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
        model.draw(&mut Stream::new(1, 0, Topic::Qualities), n, &mut qual);
        errors.draw(&mut Stream::new(1, 0, Topic::Errors), n, &qual, &mut found);
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
            errors.draw(&mut Stream::new(1, 0, Topic::Errors), 100_000, &[], &mut found);
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
