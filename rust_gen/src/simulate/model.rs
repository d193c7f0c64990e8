//! The mutation model: how many variants a read gets, of which events and lengths, and what they write.

use super::config::{ConfigError, MutationConfig};
use super::errors::ErrorModel;
use super::lengths::{Geometric, Uniform};
use super::quality::QualityModel;
use super::rng::{Probability, Stream, Weighted};
use super::window::{GcContent, random_base};
use crate::variant::{Allele, Edit, Event};

/// G and C of synthetic windows when nothing says otherwise: about that of the human genome.
pub const DEFAULT_GC: f64 = 0.41;

const EVENTS: [Event; 6] = [Event::Snv, Event::Ins, Event::Del, Event::Mnv, Event::Dup, Event::Inv];

/// A variant's event and length before it has a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// What is done.
    pub event: Event,
    /// To how many bases.
    pub length: usize,
}

impl Plan {
    /// Window bases that it takes. Those that a duplication copies are its own, though none is deleted.
    #[must_use]
    pub const fn footprint(self) -> usize {
        match self.event {
            Event::Ins => 0,
            _ => self.length,
        }
    }
}

/// A checked model, ready to draw from.
#[derive(Clone, Debug)]
pub struct Model {
    /// Bases of a reference window.
    pub read_length: usize,
    /// G and C of synthetic windows and inserted bases.
    pub gc: GcContent,
    /// Least number of bases between two variants' fully-justified intervals.
    pub min_gap: usize,
    /// Least number of bases between such an interval and the ends of the window.
    pub flank: usize,
    /// Synthetic windows with repeats.
    pub low_complexity: Probability,
    /// How qualities are drawn.
    pub quality: QualityModel,
    /// How bases are read wrong.
    pub errors: ErrorModel,
    /// How often a base is N.
    pub unread: Probability,
    /// How often a read comes from the other strand.
    pub flip: Probability,
    counts: Weighted,
    events: Weighted,
    indel: Geometric,
    mnv: Uniform,
    dup: Uniform,
    inv: Uniform,
    transition: Probability,
}

impl Model {
    /// Checks a configuration. `reference_gc` is the reference's G and C, if windows come from one.
    ///
    /// # Errors
    /// A key that is out of range, or variants that cannot fit into the window.
    pub fn new(c: &MutationConfig, reference_gc: Option<f64>) -> Result<Self, ConfigError> {
        c.check()?;
        let weighted = |name: &str, w: &[f64]| {
            Weighted::new(w).ok_or_else(|| ConfigError(format!("{name}: must not be negative, and one must be above 0")))
        };
        let counts = match (&c.variants_per_read, c.mutation_rate) {
            (Some(weights), _) => weighted("variants_per_read", weights)?,
            (None, rate) => weighted("mutation_rate", &binomial(c.read_length, rate.unwrap_or_default()))?,
        };
        let w = c.event_weights();
        let quality = QualityModel::new(&c.quality_model, c.quality_weights.as_deref())?;
        Ok(Self {
            read_length: c.read_length,
            gc: GcContent::new(c.gc_content.or(reference_gc).unwrap_or(DEFAULT_GC)),
            min_gap: c.min_gap,
            flank: c.flank,
            low_complexity: Probability::new(c.low_complexity_fraction),
            errors: ErrorModel::new(c.base_error_rate, &quality)?,
            quality,
            unread: Probability::new(c.n_rate),
            flip: Probability::new(c.strand_flip_prob),
            counts,
            events: weighted("type_weights", &[w.snv, w.ins, w.del, w.mnv, w.dup, w.inv])?,
            indel: Geometric::new(c.indel_extend_prob, c.max_indel_length),
            mnv: Uniform::new(c.mnv_length),
            dup: Uniform::new(c.dup_length),
            inv: Uniform::new(c.inv_length),
            transition: Probability::new(c.titv_ratio / (1.0 + c.titv_ratio)),
        })
    }

    /// Draws events and lengths of one read's variants, as many as fit into the window.
    pub fn plan(&self, types: &mut Stream, plans: &mut Vec<Plan>) {
        plans.clear();
        let mut room = self.read_length - 2 * self.flank;
        for _ in 0..types.choose(&self.counts) {
            let plan = self.plan_one(types);
            if plan.footprint() > room {
                return;
            }
            plans.push(plan);
            room -= plan.footprint();
            match room.checked_sub(self.min_gap) {
                Some(rest) => room = rest,
                None => return,
            }
        }
    }

    fn plan_one(&self, types: &mut Stream) -> Plan {
        let event = EVENTS[types.choose(&self.events)];
        let length = match event {
            Event::Snv | Event::Complex => 1,
            Event::Ins | Event::Del => self.indel.draw(types),
            Event::Mnv => self.mnv.draw(types),
            Event::Dup => self.dup.draw(types),
            Event::Inv => self.inv.draw(types),
        };
        Plan { event, length }
    }

    /// What a plan does to the window at `start`.
    pub fn edit(&self, window: &[u8], plan: Plan, start: usize, alleles: &mut Stream) -> Edit {
        let bases = &window[start..start + plan.footprint()];
        match plan.event {
            Event::Ins => {
                let mut inserted = Allele::new();
                (0..plan.length).for_each(|_| inserted.push(random_base(alleles.next_u64() as u32, self.gc)));
                Edit { start, deleted: 0, inserted }
            }
            Event::Del => Edit { start, deleted: plan.length, inserted: Allele::new() },
            Event::Dup => Edit { start: start + plan.length, deleted: 0, inserted: Allele::part(window, start, plan.length) },
            Event::Inv => {
                let mut inserted = Allele::new();
                bases.iter().rev().for_each(|base| inserted.push(complement(*base)));
                Edit { start, deleted: plan.length, inserted }
            }
            Event::Mnv => {
                let mut inserted = Allele::new();
                bases.iter().for_each(|base| inserted.push(other_base(alleles, *base)));
                Edit { start, deleted: plan.length, inserted }
            }
            Event::Snv | Event::Complex => Edit { start, deleted: 1, inserted: Allele::single(self.substitute(alleles, bases[0])) },
        }
    }

    /// One draw: the upper bits say whether it is a transition, the lowest one which transversion else.
    fn substitute(&self, alleles: &mut Stream, base: u8) -> u8 {
        let draw = alleles.next_u64();
        let transversion = usize::from(draw >> 11 >= self.transition.threshold());
        OTHERS[number(base)][transversion * (1 + (draw & 1) as usize)]
    }
}

/// The other bases of A, C, T and G: the transition, then the two transversions.
const OTHERS: [[u8; 3]; 4] = [*b"GCT", *b"TAG", *b"CAG", *b"ACT"];

/// 0 to 3 for A, C, T and G, by two bits of their ASCII code. A table look-up does what a branch would often guess wrong.
const fn number(base: u8) -> usize {
    (base >> 1 & 3) as usize
}

/// One of the three other bases, equally likely.
pub fn other_base(stream: &mut Stream, base: u8) -> u8 {
    OTHERS[number(base)][stream.below(3) as usize]
}

/// The base on the other strand; N is its own.
#[must_use]
pub const fn complement(base: u8) -> u8 {
    match base {
        b'A' => b'T',
        b'C' => b'G',
        b'G' => b'C',
        b'T' => b'A',
        other => other,
    }
}

/// Relative frequencies of 0..=n successes, by the ratio of neighbours from the mode outwards: only +, -, * and /, whose
/// results IEEE 754 fixes, and nothing that underflows matters.
fn binomial(n: usize, p: f64) -> Vec<f64> {
    let mode = (((n + 1) as f64 * p) as usize).min(n);
    let mut weights = vec![0.0; n + 1];
    weights[mode] = 1.0;
    let odds = p / (1.0 - p);
    for k in mode..n {
        weights[k + 1] = weights[k] * ((n - k) as f64 / (k + 1) as f64) * odds;
    }
    for k in (1..=mode).rev() {
        weights[k - 1] = weights[k] * (k as f64 / (n - k + 1) as f64) / odds;
    }
    weights
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulate::rng::Topic;
    use crate::variant::TiTv;

    fn bench() -> Model {
        Model::new(&MutationConfig::from_json(crate::testing::BENCH).unwrap(), None).unwrap()
    }

    #[test]
    fn substitution_never_keeps_the_base() {
        let mut stream = Stream::new(5, 0, Topic::Alleles);
        for base in *b"ACGT" {
            assert_eq!(TiTv::of(base, OTHERS[number(base)][0]), TiTv::Transition);
            assert!((0..1000).all(|_| bench().substitute(&mut stream, base) != base && other_base(&mut stream, base) != base));
        }
    }

    #[test]
    fn each_event_writes_what_it_says() {
        let (model, window) = (bench(), b"AACCGGTTAC");
        let mut stream = Stream::new(5, 0, Topic::Alleles);
        let mut edit = |event, length, start| {
            let e = model.edit(window, Plan { event, length }, start, &mut stream);
            (e.start, e.deleted, e.inserted.to_string())
        };
        assert_eq!(edit(Event::Del, 3, 2), (2, 3, String::new()));
        assert_eq!(edit(Event::Dup, 3, 2), (5, 0, "CCG".into()));
        assert_eq!(edit(Event::Inv, 4, 6), (6, 4, "GTAA".into()));
        let (start, deleted, inserted) = edit(Event::Ins, 5, 2);
        assert_eq!((start, deleted, inserted.len()), (2, 0, 5));
        let (_, deleted, inserted) = edit(Event::Mnv, 3, 1);
        assert!(deleted == 3 && inserted.bytes().zip(*b"ACC").all(|(new, old)| new != old));
    }

    #[test]
    fn binomial_weights_add_up() {
        for (n, p) in [(150, 0.001), (70, 0.3), (2000, 0.9), (30, 0.0)] {
            let weights = binomial(n, p);
            let total: f64 = weights.iter().sum();
            let mean: f64 = weights.iter().enumerate().map(|(k, w)| k as f64 * w / total).sum();
            assert!((mean - n as f64 * p).abs() < 1e-6 * (1.0 + n as f64), "{n} {p}: {mean}");
        }
        assert!((binomial(150, 0.001)[1] / binomial(150, 0.001)[0] - 150.0 * 0.001 / 0.999).abs() < 1e-12);
    }

    #[test]
    fn a_full_window_gets_no_more_variants() {
        let mut config = MutationConfig::from_json(crate::testing::BENCH).unwrap();
        (config.variants_per_read, config.mutation_rate) = (None, Some(0.5));
        let model = Model::new(&config, None).unwrap();
        let mut plans = Vec::new();
        for index in 0..200 {
            model.plan(&mut Stream::new(1, index, Topic::Types), &mut plans);
            let taken: usize = plans.iter().map(|p| p.footprint()).sum();
            assert!(!plans.is_empty() && taken + 10 * (plans.len() - 1) <= 130, "{plans:?}");
        }
    }
}
