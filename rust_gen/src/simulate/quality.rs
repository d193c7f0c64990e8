//! Base qualities: Phred scores, written as Phred+33.

use super::ConfigError;
use super::rng::{BLOCK, Stream, Weighted};

/// Added to a Phred score to make it a printable character.
pub const PHRED_OFFSET: u8 = 33;
/// Highest score that has a printable character.
pub const HIGHEST: u8 = 93;
/// The score of a base that was not read.
pub const UNREAD: u8 = 2;

/// 10^(-q/10) for q = 0..=9, correctly rounded. Constants, since powf may differ between machines.
const TENTHS: [f64; 10] = [
    1.0,
    0.794_328_234_724_281_5,
    0.630_957_344_480_193_2,
    0.501_187_233_627_272_2,
    0.398_107_170_553_497_25,
    0.316_227_766_016_837_94,
    0.251_188_643_150_958,
    0.199_526_231_496_887_95,
    0.158_489_319_246_111_35,
    0.125_892_541_179_416_73,
];

/// Probability that a base of Phred score `q` is wrong: 10^(-q/10) (Ewing and Green 1998, doi:10.1101/gr.8.3.186).
#[must_use]
pub fn error_probability(q: u8) -> f64 {
    let power = (0..q / 10).fold(1.0, |power, _| power * 10.0); // exact up to 10^22
    TENTHS[usize::from(q % 10)] / power
}

/// How the qualities of a read are drawn: each base on its own, the same at every cycle.
#[derive(Clone, Debug)]
pub enum QualityModel {
    /// Reads without qualities.
    None,
    /// The same score everywhere.
    Fixed(u8),
    /// One of a few scores, by weight.
    Binned(Box<Bins>),
}

/// Scores by weight, told by random bytes: as many of the 256 values as a score's share fills whole mean that score, and the
/// few that are left over draw once more, exactly. Most bases so take one byte and a few comparisons, many bases at once.
#[derive(Clone, Debug)]
pub struct Bins {
    characters: Vec<u8>,
    /// What the byte 0 means.
    lowest: u8,
    /// From which byte on there is another character, and what it differs by; the last one may be 0: draw once more.
    steps: Vec<(u8, u8)>,
    rest: Option<Weighted>,
}

impl QualityModel {
    /// From `none`, `fixed:Q` or `binned:[Q,…]`, and the weights of the bins, equal ones if None.
    ///
    /// # Errors
    /// Another text, a score above 93, weights without bins, or not as many as bins.
    pub fn new(text: &str, weights: Option<&[f64]>) -> Result<Self, ConfigError> {
        let bad = || ConfigError(format!("quality_model: none, fixed:Q or binned:[Q,…] with Q 0..={HIGHEST}, found '{text}'"));
        let score = |text: &str| text.trim().parse::<u8>().ok().filter(|q| *q <= HIGHEST).ok_or_else(bad);
        if let Some(list) = text.strip_prefix("binned:") {
            let list = list.trim().strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).ok_or_else(bad)?;
            let scores = list.split(',').map(score).collect::<Result<Vec<_>, _>>()?;
            let equal = vec![1.0; scores.len()];
            let weights = weights.unwrap_or(&equal);
            if weights.len() != scores.len() {
                return Err(ConfigError(format!("quality_weights: {} weights for {} bins", weights.len(), scores.len())));
            }
            return Ok(Self::Binned(Box::new(Bins::new(&scores, weights)?)));
        }
        if weights.is_some() {
            return Err(ConfigError("quality_weights: only with quality_model binned:[…]".into()));
        }
        match text.strip_prefix("fixed:") {
            Some(q) => Ok(Self::Fixed(score(q)?)),
            None if text == "none" => Ok(Self::None),
            None => Err(bad()),
        }
    }

    /// The scores that may occur.
    #[must_use]
    pub fn scores(&self) -> Vec<u8> {
        match self {
            Self::None => Vec::new(),
            Self::Fixed(q) => vec![*q],
            Self::Binned(bins) => bins.characters.iter().map(|character| character - PHRED_OFFSET).collect(),
        }
    }

    /// Replaces the content of `out` by `length` qualities and as many more as fill a block; it stays empty with the model
    /// `none`. `random` is a buffer.
    pub fn draw(&self, stream: &mut Stream, length: usize, random: &mut Vec<u8>, out: &mut Vec<u8>) {
        out.clear();
        match self {
            Self::None => {}
            Self::Fixed(q) => out.resize(length.next_multiple_of(BLOCK), q + PHRED_OFFSET),
            Self::Binned(bins) => bins.draw(stream, length, random, out),
        }
    }
}

impl Bins {
    fn new(scores: &[u8], weights: &[f64]) -> Result<Self, ConfigError> {
        let bad = || ConfigError("quality_weights: must not be negative, and one must be above 0".into());
        let all = Weighted::new(weights).ok_or_else(bad)?;
        let characters: Vec<u8> = scores.iter().map(|q| q + PHRED_OFFSET).collect();
        let (mut steps, mut rest) = (Vec::new(), Vec::new());
        let (mut filled, mut last) = (0, 0);
        for (character, share) in characters.iter().zip(all.shares()) {
            let whole = (share >> 45) as usize; // of 2^53 to 256 values
            if whole > 0 {
                steps.push((filled as u8, character.wrapping_sub(last)));
                last = *character;
            }
            filled += whole;
            rest.push((share & ((1 << 45) - 1)) as f64); // below 2^45: exact
        }
        if filled < 256 {
            steps.push((filled as u8, 0u8.wrapping_sub(last)));
        }
        let (_, lowest) = steps.remove(0); // shares add up, so that there is one, and the first begins at 0
        Ok(Self { characters, lowest, steps, rest: Weighted::new(&rest) })
    }

    fn draw(&self, stream: &mut Stream, length: usize, random: &mut Vec<u8>, out: &mut Vec<u8>) {
        stream.fill(length, random);
        out.resize(random.len(), 0);
        match *self.steps {
            [] => out.fill(self.lowest),
            [a] => self.look_up(random, out, [a]),
            [a, b] => self.look_up(random, out, [a, b]),
            [a, b, c] => self.look_up(random, out, [a, b, c]),
            [a, b, c, d] => self.look_up(random, out, [a, b, c, d]),
            [a, b, c, d, ref more @ ..] => {
                self.look_up(random, out, [a, b, c, d]);
                more.iter().for_each(|(from, difference)| add_from(out, random, *from, *difference));
            }
        }
        for eight in out.as_chunks_mut::<8>().0 {
            let mut again = zeros(*eight);
            while again != 0 {
                let slot = again.trailing_zeros() as usize / 8;
                again &= again - 1;
                eight[slot] = self.rest.as_ref().map_or(self.characters[0], |rest| self.characters[stream.choose(rest)]);
            }
        }
    }

    /// Bytes to characters, all steps at once. Plain and long, so that the compiler takes 16 at once; so is [`add_from`].
    fn look_up<const STEPS: usize>(&self, bytes: &[u8], characters: &mut [u8], steps: [(u8, u8); STEPS]) {
        for (character, byte) in characters.iter_mut().zip(bytes) {
            *character = steps.iter().fold(self.lowest, |c, (from, difference)| c.wrapping_add(if byte >= from { *difference } else { 0 }));
        }
    }
}

/// Adds `difference` to the characters whose byte is `from` or above.
fn add_from(characters: &mut [u8], bytes: &[u8], from: u8, difference: u8) {
    for (character, byte) in characters.iter_mut().zip(bytes) {
        *character = character.wrapping_add(if *byte >= from { difference } else { 0 });
    }
}

/// The highest bit of each of eight bytes that is 0, the others being printable characters, that is 33..=126: these reach 128
/// when 95 are added.
const fn zeros(bytes: [u8; 8]) -> u64 {
    !u64::from_le_bytes(bytes).wrapping_add(u64::from_le_bytes([95; 8])) & u64::from_le_bytes([128; 8])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulate::rng::Topic;

    #[test]
    fn probabilities_are_those_of_phred() {
        for q in 0..=HIGHEST {
            let exact = 10f64.powf(-f64::from(q) / 10.0);
            assert!((error_probability(q) / exact - 1.0).abs() < 1e-14, "{q}");
        }
    }

    #[test]
    fn bins_occur_by_weight() {
        let n = 400_000;
        for weights in [vec![0.002, 0.03, 0.068, 0.9], vec![1.0, 0.0, 1.0, 1.0], vec![0.0, 0.0, 0.0, 1.0]] {
            let model = QualityModel::new("binned:[2,12, 23,37]", Some(&weights)).unwrap();
            let mut out = Vec::new();
            model.draw(&mut Stream::new(1, 0, Topic::Qualities), n, &mut Vec::new(), &mut out);
            out.truncate(n);
            let total: f64 = weights.iter().sum();
            for (q, weight) in [2, 12, 23, 37].iter().zip(&weights) {
                let p = weight / total;
                let found = out.iter().filter(|c| **c == q + PHRED_OFFSET).count() as f64 / n as f64;
                assert!((found - p).abs() <= 4.0 * (p * (1.0 - p) / n as f64).sqrt(), "{q}: {found} instead of {p}");
            }
        }
    }

    #[test]
    fn fixed_and_none() {
        let drawn = |text: &str| {
            let mut out = b"rest".to_vec();
            QualityModel::new(text, None).unwrap().draw(&mut Stream::new(1, 0, Topic::Qualities), 3, &mut Vec::new(), &mut out);
            out.truncate(3);
            String::from_utf8(out).unwrap()
        };
        assert_eq!((drawn("none"), drawn("fixed:17")), (String::new(), "222".into()));
    }

    #[test]
    fn what_is_no_quality_model() {
        for text in ["", "fixed", "fixed:", "fixed:94", "fixed:-1", "binned:[]", "binned:2,12", "binned:[2,x]", "phred"] {
            assert!(QualityModel::new(text, None).unwrap_err().0.starts_with("quality_model"), "{text}");
        }
        for (text, weights) in [("none", [1.0, 1.0]), ("binned:[2]", [1.0, 1.0]), ("binned:[2,3]", [0.0, 0.0])] {
            assert!(QualityModel::new(text, Some(&weights)).unwrap_err().0.starts_with("quality_weights"), "{text}");
        }
    }
}
