//! Synthetic reads: record `index` is a pure function of the seed, the mutation configuration and `GENERATOR_VERSION`.

use crate::mutation::Model;
use crate::normalize::normalize;
use crate::rng::{Stream, Topic};
use crate::strata::{gc_fraction, max_homopolymer};
use crate::variant::{Edit, Event, Variant, apply, apply_edits};
use crate::window::random_bases;

/// Raised whenever the bytes of any record change. The golden hashes in `tests/golden.rs` guard it.
pub const GENERATOR_VERSION: u32 = 1;

/// Placements tried with the full spacing rule before a read is given up to a looser one. With the default
/// configuration about one placement in two holds, so the second rule is never reached; it exists so that every
/// configuration that passes the check ends.
const ATTEMPTS: u32 = 512;

/// One synthetic read beside its reference window.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// The reference window, upper-case ACGT.
    pub ref_seq: Vec<u8>,
    /// The observed sequence.
    pub seq: Vec<u8>,
    /// The injected variants, by position; applied to `ref_seq` they give `seq`.
    pub truth: Vec<Variant>,
    /// Whether the spacing rule holds, so that one answer only is right.
    pub identifiable: bool,
    /// Fraction of G and C in the window.
    pub gc: f64,
    /// Longest run of one base in the window.
    pub max_homopolymer: u32,
}

/// Generates records of one seed and one model.
///
/// ```
/// use _rust_gen::{generate::Generator, mutation::Model, variant::apply};
/// let json = r#"{"read_length":150,"gc_content":0.41,"variants_per_read":[0,1],"type_weights":{"snv":1},
///     "indel_extend_prob":0.3,"max_indel_length":20,"titv_ratio":2.1,"min_gap":10,"flank":10}"#;
/// let record = Generator::new(42, Model::from_json(json).unwrap()).record(7);
/// assert_eq!(record.truth.len(), 1);
/// assert_eq!(apply(&record.ref_seq, &record.truth).unwrap(), record.seq);
/// ```
#[derive(Clone, Debug)]
pub struct Generator {
    seed: u64,
    model: Model,
}

impl Generator {
    /// A generator for `seed`.
    #[must_use]
    pub const fn new(seed: u64, model: Model) -> Self {
        Self { seed, model }
    }

    /// Record `index`, whatever was generated before.
    #[must_use]
    pub fn record(&self, index: u64) -> Record {
        let stream = |topic| Stream::new(self.seed, index, topic);
        let window = random_bases(&mut stream(Topic::Reference), self.model.read_length, self.model.gc);
        let mut plans = self.model.plan(&mut stream(Topic::Types));
        let (mut positions, mut alleles) = (stream(Topic::Positions), stream(Topic::Alleles));
        loop {
            let mut loose = None;
            for _ in 0..ATTEMPTS {
                let edits = self.model.place(&window, &plans, &mut positions, &mut alleles);
                let identifiable = self.model.identifiable(&window, &edits);
                if !identifiable && loose.is_some() {
                    continue;
                }
                if let Some((seq, truth)) = rebuilt(&window, &edits) {
                    if identifiable {
                        return finish(window, seq, truth, true);
                    }
                    loose = Some((seq, truth));
                }
            }
            if let Some((seq, truth)) = loose {
                return finish(window, seq, truth, false);
            }
            plans.pop(); // no placement rebuilds the read: one variant less. Without variants every placement does.
        }
    }
}

/// The read and its truth in VCF form, if the one can be rebuilt from the other.
fn rebuilt(window: &[u8], edits: &[Edit]) -> Option<(Vec<u8>, Vec<Variant>)> {
    let seq = apply_edits(window, edits);
    let truth = edits.iter().map(|edit| normalize(window, edit, event(edit))).collect::<Option<Vec<_>>>()?;
    (apply(window, &truth).as_deref() == Ok(seq.as_slice())).then_some((seq, truth))
}

const fn event(edit: &Edit) -> Event {
    match (edit.deleted, edit.inserted.is_empty()) {
        (0, _) => Event::Ins,
        (_, true) => Event::Del,
        _ => Event::Snv,
    }
}

fn finish(ref_seq: Vec<u8>, seq: Vec<u8>, truth: Vec<Variant>, identifiable: bool) -> Record {
    let (gc, max_homopolymer) = (gc_fraction(&ref_seq), max_homopolymer(&ref_seq));
    Record { ref_seq, seq, truth, identifiable, gc, max_homopolymer }
}
