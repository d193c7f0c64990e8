//! The keys of `source.mutation`, as the configuration writes them, and what each may hold.

use std::fmt;

use serde::{Deserialize, Deserializer};

/// Every key must be there, those that may be null too: what a run is made of is never left to a default of this crate.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MutationConfig {
    /// Bases of a reference window, 30..=2000.
    pub read_length: usize,
    /// Fraction of G and C in synthetic windows and inserted bases, above 0 and below 1; None: of the reference, or 0.41.
    #[serde(deserialize_with = "present")]
    pub gc_content: Option<f64>,
    /// Probability of 0, 1, 2, … variants, at most 8; None: by `mutation_rate`.
    #[serde(deserialize_with = "present")]
    pub variants_per_read: Option<Vec<f64>>,
    /// Probability that a variant begins at a base; None: by `variants_per_read`.
    #[serde(deserialize_with = "present")]
    pub mutation_rate: Option<f64>,
    /// Relative frequency of each event; None: by `indel_fraction`.
    #[serde(deserialize_with = "present")]
    pub type_weights: Option<TypeWeights>,
    /// Insertions and deletions among the variants, the rest being SNVs; None: by `type_weights`.
    #[serde(deserialize_with = "present")]
    pub indel_fraction: Option<f64>,
    /// Insertions for each deletion, with `indel_fraction`.
    pub ins_del_ratio: f64,
    /// Probability that an indel grows by one more base.
    pub indel_extend_prob: f64,
    /// Longest indel, 1..=49.
    pub max_indel_length: usize,
    /// Transitions for each transversion among the SNVs, above 0.
    pub titv_ratio: f64,
    /// Shortest and longest MNV, 2..=49.
    pub mnv_length: [usize; 2],
    /// Shortest and longest tandem duplication, 1..=49.
    pub dup_length: [usize; 2],
    /// Shortest and longest inversion, 2..=49.
    pub inv_length: [usize; 2],
    /// Least number of bases between two variants' fully-justified intervals.
    pub min_gap: usize,
    /// Least number of bases between such an interval and the ends of the window.
    pub flank: usize,
    /// Probability that a base is read wrong.
    pub base_error_rate: BaseErrorRate,
    /// `none`, `fixed:Q` or `binned:[Q,…]`.
    pub quality_model: String,
    /// How often each bin occurs; None: equally.
    #[serde(deserialize_with = "present")]
    pub quality_weights: Option<Vec<f64>>,
    /// Synthetic windows with homopolymers and short tandem repeats.
    pub low_complexity_fraction: f64,
    /// Probability that a base of the read is N.
    pub n_rate: f64,
    /// Probability that the read was sequenced from the other strand.
    pub strand_flip_prob: f64,
}

/// A field of an Option type that is read by a function must be there; serde takes a missing one for None otherwise.
fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    Option::deserialize(deserializer)
}

/// Relative frequency of each event; one left out has weight 0.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TypeWeights {
    /// Substitutions of one base.
    pub snv: f64,
    /// Insertions of random bases.
    pub ins: f64,
    /// Deletions.
    pub del: f64,
    /// Substitutions of several adjacent bases.
    pub mnv: f64,
    /// Tandem duplications.
    pub dup: f64,
    /// Inversions.
    pub inv: f64,
}

/// How often a base is read wrong.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq)]
#[serde(untagged)]
pub enum BaseErrorRate {
    /// The same everywhere, 0..=1.
    Rate(f64),
    /// As the base's quality says.
    Named(Named),
}

/// The one name that `base_error_rate` may hold.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum Named {
    /// 10^(-Q/10).
    FromQuality,
}

/// A mutation configuration that cannot be used; the text names the key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError(pub String);

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ConfigError {}

impl MutationConfig {
    /// Reads a configuration in JSON; [`MutationConfig::check`] tells whether its values can be used.
    ///
    /// # Errors
    /// Not JSON, or a key that is unknown, missing or of another type.
    pub fn from_json(json: &str) -> Result<Self, ConfigError> {
        serde_json::from_str(json).map_err(|e| ConfigError(format!("mutation: {e}")))
    }

    /// The relative frequencies, whichever key gives them: snv, ins, del, mnv, dup, inv.
    #[must_use]
    pub fn event_weights(&self) -> TypeWeights {
        self.type_weights.unwrap_or_else(|| {
            let indels = self.indel_fraction.unwrap_or_default();
            let ins = indels * self.ins_del_ratio / (1.0 + self.ins_del_ratio);
            TypeWeights { snv: 1.0 - indels, ins, del: indels - ins, ..TypeWeights::default() }
        })
    }

    /// Most window bases that one variant takes.
    #[must_use]
    pub fn longest_variant(&self) -> usize {
        let w = self.event_weights();
        let lengths =
            [(w.ins + w.del, self.max_indel_length), (w.mnv, self.mnv_length[1]), (w.dup, self.dup_length[1]), (w.inv, self.inv_length[1])];
        lengths.iter().filter(|(weight, _)| *weight > 0.0).map(|(_, length)| *length).fold(1, usize::max)
    }

    /// Checks each value and those that depend on one another.
    ///
    /// # Errors
    /// A key out of range, two keys that exclude each other, or variants that cannot fit into the window.
    pub fn check(&self) -> Result<(), ConfigError> {
        let most = self.variants_per_read.as_ref().map_or(1, |weights| weights.len().saturating_sub(1));
        let needed = 2 * self.flank.min(2000) + most * (self.longest_variant() + 2 * self.min_gap.min(2000));
        let fraction = |value: f64| (0.0..=1.0).contains(&value);
        let range = |[least, most]: [usize; 2], from: usize| from <= least && least <= most && most <= 49;
        let rules = [
            ((30..=2000).contains(&self.read_length), "read_length: must be 30..=2000"),
            (self.gc_content.is_none_or(|gc| gc > 0.0 && gc < 1.0), "gc_content: must lie between 0 and 1"),
            (self.variants_per_read.is_some() != self.mutation_rate.is_some(), "mutation_rate: exactly one of it and variants_per_read"),
            (most <= 8, "variants_per_read: at most 8 variants"),
            (self.mutation_rate.is_none_or(|rate| (0.0..1.0).contains(&rate)), "mutation_rate: must be 0 or more and below 1"),
            (self.type_weights.is_some() != self.indel_fraction.is_some(), "indel_fraction: exactly one of it and type_weights"),
            (self.indel_fraction.is_none_or(fraction), "indel_fraction: must be 0..=1"),
            (self.ins_del_ratio >= 0.0 && self.ins_del_ratio.is_finite(), "ins_del_ratio: must be 0 or more"),
            ((0.0..1.0).contains(&self.indel_extend_prob), "indel_extend_prob: must be 0 or more and below 1"),
            ((1..=49).contains(&self.max_indel_length), "max_indel_length: must be 1..=49"),
            (self.titv_ratio > 0.0 && self.titv_ratio.is_finite(), "titv_ratio: must be above 0"),
            (range(self.mnv_length, 2), "mnv_length: least and most, within 2..=49"),
            (range(self.dup_length, 1), "dup_length: least and most, within 1..=49"),
            (range(self.inv_length, 2), "inv_length: least and most, within 2..=49"),
            ((1..=100).contains(&self.min_gap), "min_gap: must be 1..=100"),
            ((1..=100).contains(&self.flank), "flank: must be 1..=100"),
            (needed <= self.read_length, "read_length: too short for that many variants of that length"),
            (
                !matches!(self.base_error_rate, BaseErrorRate::Rate(rate) if !fraction(rate)),
                "base_error_rate: must be 0..=1 or from_quality",
            ),
            (fraction(self.low_complexity_fraction), "low_complexity_fraction: must be 0..=1"),
            (fraction(self.n_rate), "n_rate: must be 0..=1"),
            (fraction(self.strand_flip_prob), "strand_flip_prob: must be 0..=1"),
        ];
        rules.iter().find(|(holds, _)| !holds).map_or(Ok(()), |(_, problem)| Err(ConfigError((*problem).into())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::BENCH;

    #[test]
    fn bad_configurations_name_their_key() {
        let broken = [
            ("\"read_length\": 150", "\"read_length\": 20", "read_length"),
            ("\"gc_content\": 0.41", "\"gc_content\": 1.5", "gc_content"),
            ("\"mutation_rate\": null", "\"mutation_rate\": 0.1", "mutation_rate"),
            ("\"mutation_rate\": null,", "", "mutation_rate"),
            ("\"indel_fraction\": null", "\"indel_fraction\": 0.5", "indel_fraction"),
            ("\"mnv_length\": [2, 3]", "\"mnv_length\": [3, 2]", "mnv_length"),
            ("\"inv_length\": [4, 12]", "\"inv_length\": [4, 50]", "inv_length"),
            ("\"snv\": 0.5", "\"substitution\": 0.5", "substitution"),
            ("\"flank\": 10", "\"flank\": 100", "read_length"),
            ("\"flank\": 10", "\"flanks\": 10", "flanks"),
            ("\"base_error_rate\": 0", "\"base_error_rate\": 2", "base_error_rate"),
            ("\"base_error_rate\": 0", "\"base_error_rate\": \"often\"", "mutation"),
            ("\"n_rate\": 0", "\"n_rate\": -0.5", "n_rate"),
        ];
        for (from, to, named) in broken {
            assert!(BENCH.contains(from), "{from}");
            let error = MutationConfig::from_json(&BENCH.replace(from, to)).and_then(|c| c.check()).unwrap_err();
            assert!(error.0.contains(named), "{to}: {error}");
        }
    }

    #[test]
    fn indels_share_their_fraction_by_the_ratio() {
        let mut config = MutationConfig::from_json(BENCH).unwrap();
        (config.type_weights, config.indel_fraction, config.ins_del_ratio) = (None, Some(0.2), 3.0);
        config.check().unwrap();
        let w = config.event_weights();
        assert!((w.snv - 0.8).abs() < 1e-12 && (w.ins - 0.15).abs() < 1e-12 && (w.del - 0.05).abs() < 1e-12, "{w:?}");
        assert_eq!(config.longest_variant(), 20);
    }
}
