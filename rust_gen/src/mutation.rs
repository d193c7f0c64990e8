//! The mutation model: how many variants a read gets, of which types and lengths, where.

use std::fmt;

use serde::Deserialize;

use crate::normalize::{Interval, justified};
use crate::rng::{Probability, Stream, Weighted};
use crate::variant::{Edit, Event};
use crate::window::{GcContent, random_bases};

/// The keys of `source.mutation`, as the configuration writes them.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MutationConfig {
    /// Bases of a reference window, 30..=2000.
    pub read_length: usize,
    /// Fraction of G and C, above 0 and below 1.
    pub gc_content: f64,
    /// Probability of 0, 1, 2, … variants, at most 8.
    pub variants_per_read: Vec<f64>,
    /// Relative frequency of each type.
    pub type_weights: TypeWeights,
    /// Probability that an indel grows by one more base.
    pub indel_extend_prob: f64,
    /// Longest indel, 1..=49.
    pub max_indel_length: usize,
    /// Transitions for each transversion, above 0.
    pub titv_ratio: f64,
    /// Least number of bases between two variants' fully-justified intervals.
    pub min_gap: usize,
    /// Least number of bases between such an interval and the ends of the window.
    pub flank: usize,
}

/// Relative frequency of each type; a type left out has weight 0.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TypeWeights {
    /// Substitutions of one base.
    pub snv: f64,
    /// Insertions.
    pub ins: f64,
    /// Deletions.
    pub del: f64,
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

/// A variant's type and length before it has a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    event: Event,
    length: usize,
}

impl Plan {
    const fn deleted(self) -> usize {
        match self.event {
            Event::Snv => 1,
            Event::Ins => 0,
            Event::Del => self.length,
        }
    }
}

/// A checked model, ready to draw from.
#[derive(Clone, Debug)]
pub struct Model {
    /// Bases of a reference window.
    pub read_length: usize,
    /// Its G and C.
    pub gc: GcContent,
    counts: Weighted,
    types: Weighted,
    extend: Probability,
    max_indel_length: usize,
    transition: Probability,
    min_gap: usize,
    flank: usize,
}

impl Model {
    /// Reads and checks a configuration in JSON.
    ///
    /// # Errors
    /// A key that is unknown, missing or out of range, or variants that cannot fit into the window.
    pub fn from_json(json: &str) -> Result<Self, ConfigError> {
        let config: MutationConfig = serde_json::from_str(json).map_err(|e| ConfigError(format!("mutation: {e}")))?;
        Self::new(&config)
    }

    /// Checks a configuration.
    ///
    /// # Errors
    /// As [`Model::from_json`].
    pub fn new(c: &MutationConfig) -> Result<Self, ConfigError> {
        let most = c.variants_per_read.len().saturating_sub(1);
        let needed = 2 * c.flank + most * (c.max_indel_length + 2 * c.min_gap);
        let rules = [
            ((30..=2000).contains(&c.read_length), "read_length: must be 30..=2000"),
            (c.gc_content > 0.0 && c.gc_content < 1.0, "gc_content: must lie between 0 and 1"),
            (most <= 8, "variants_per_read: at most 8 variants"),
            ((0.0..1.0).contains(&c.indel_extend_prob), "indel_extend_prob: must be 0 or more and below 1"),
            ((1..=49).contains(&c.max_indel_length), "max_indel_length: must be 1..=49"),
            (c.titv_ratio > 0.0 && c.titv_ratio.is_finite(), "titv_ratio: must be above 0"),
            ((1..=100).contains(&c.min_gap), "min_gap: must be 1..=100"),
            ((1..=100).contains(&c.flank), "flank: must be 1..=100"),
            (needed <= c.read_length, "read_length: too short for that many variants of that length"),
        ];
        if let Some((_, problem)) = rules.iter().find(|(holds, _)| !holds) {
            return Err(ConfigError((*problem).into()));
        }
        let weights = [c.type_weights.snv, c.type_weights.ins, c.type_weights.del];
        let weighted = |name: &str, w: &[f64]| {
            Weighted::new(w).ok_or_else(|| ConfigError(format!("{name}: must not be negative, and one must be above 0")))
        };
        Ok(Self {
            read_length: c.read_length,
            gc: GcContent::new(c.gc_content),
            counts: weighted("variants_per_read", &c.variants_per_read)?,
            types: weighted("type_weights", &weights)?,
            extend: Probability::new(c.indel_extend_prob),
            max_indel_length: c.max_indel_length,
            transition: Probability::new(c.titv_ratio / (1.0 + c.titv_ratio)),
            min_gap: c.min_gap,
            flank: c.flank,
        })
    }

    /// Draws number, types and lengths of one read's variants. Indel lengths are geometric, cut at the maximum.
    pub fn plan(&self, types: &mut Stream) -> Vec<Plan> {
        let count = types.choose(&self.counts);
        (0..count).map(|_| self.plan_one(types)).collect()
    }

    fn plan_one(&self, types: &mut Stream) -> Plan {
        let event = [Event::Snv, Event::Ins, Event::Del][types.choose(&self.types)];
        let mut length = 1;
        while event != Event::Snv && length < self.max_indel_length && types.chance(self.extend) {
            length += 1;
        }
        Plan { event, length }
    }

    /// Puts the planned variants into `window`, in order, uniformly over all placements that keep the gaps as injected.
    pub fn place(&self, window: &[u8], plans: &[Plan], positions: &mut Stream, alleles: &mut Stream) -> Vec<Edit> {
        let footprint: usize = plans.iter().map(|plan| plan.deleted()).sum();
        let gaps = self.min_gap * plans.len().saturating_sub(1);
        let free = window.len() - 2 * self.flank - footprint - gaps;
        let mut cursor = self.flank;
        let offsets = sorted_offsets(positions, plans.len(), free);
        plans
            .iter()
            .zip(offsets)
            .map(|(plan, offset)| {
                let start = cursor + offset;
                cursor += plan.deleted() + self.min_gap;
                let inserted = match plan.event {
                    Event::Snv => vec![self.substitute(alleles, window[start])],
                    Event::Ins => random_bases(alleles, plan.length, self.gc),
                    Event::Del => Vec::new(),
                };
                Edit { start, deleted: plan.deleted(), inserted }
            })
            .collect()
    }

    fn substitute(&self, alleles: &mut Stream, base: u8) -> u8 {
        let (transition, transversions) = match base {
            b'A' => (b'G', *b"CT"),
            b'G' => (b'A', *b"CT"),
            b'C' => (b'T', *b"AG"),
            _ => (b'C', *b"AG"),
        };
        if alleles.chance(self.transition) { transition } else { transversions[alleles.below(2) as usize] }
    }

    /// Whether the fully-justified intervals of `edits` keep the least gap and flank: then the truth is identifiable.
    #[must_use]
    pub fn identifiable(&self, window: &[u8], edits: &[Edit]) -> bool {
        let mut clear = self.flank; // the first interval may start here
        for edit in edits {
            let Interval { start, end } = justified(window, edit);
            if start < clear || end + self.flank > window.len() {
                return false;
            }
            clear = end + self.min_gap;
        }
        true
    }
}

/// `count` values of `0..=most` in ascending order, every multiset equally likely: distinct values of a range longer by
/// `count - 1` (Floyd's sampling), each lessened by its rank.
fn sorted_offsets(stream: &mut Stream, count: usize, most: usize) -> Vec<usize> {
    let range = most + count;
    let mut chosen: Vec<usize> = Vec::with_capacity(count);
    for top in range - count..range {
        let value = stream.below(top as u64 + 1) as usize;
        chosen.push(if chosen.contains(&value) { top } else { value });
    }
    chosen.sort_unstable();
    chosen.iter().enumerate().map(|(rank, value)| value - rank).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Topic;
    use std::collections::HashMap;

    #[test]
    fn offsets_are_uniform_over_multisets() {
        let mut seen: HashMap<Vec<usize>, u32> = HashMap::new();
        let mut stream = Stream::new(5, 0, Topic::Positions);
        for _ in 0..60_000 {
            *seen.entry(sorted_offsets(&mut stream, 2, 3)).or_default() += 1;
        }
        assert_eq!(seen.len(), 10, "multisets of two out of four values");
        assert!(seen.values().all(|n| n.abs_diff(6000) < 300), "{seen:?}");
    }

    #[test]
    fn substitution_never_keeps_the_base() {
        let model = Model::from_json(crate::testing::DEFAULT).unwrap();
        let mut stream = Stream::new(5, 0, Topic::Alleles);
        for base in *b"ACGT" {
            assert!((0..1000).all(|_| model.substitute(&mut stream, base) != base));
        }
    }

    #[test]
    fn bad_configurations_name_their_key() {
        let broken = [
            ("\"read_length\":150", "\"read_length\":20", "read_length"),
            ("\"gc_content\":0.41", "\"gc_content\":1.5", "gc_content"),
            ("\"snv\":0.6", "\"snv\":-1", "type_weights"),
            ("\"snv\":0.6", "\"mnv\":0.6", "mnv"),
            ("\"flank\":10", "\"flank\":100", "read_length"),
            ("\"flank\":10", "\"flanks\":10", "flanks"),
        ];
        for (from, to, named) in broken {
            let json = crate::testing::DEFAULT.replace(from, to);
            let error = Model::from_json(&json).unwrap_err();
            assert!(error.0.contains(named), "{to}: {error}");
        }
    }
}
