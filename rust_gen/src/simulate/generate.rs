//! Synthetic reads: record `index` is a pure function of the seed, the mutation configuration, the reference and
//! `GENERATOR_VERSION`.

use std::borrow::Cow;
use std::sync::Arc;

use super::checksum::checksum_of;
use super::config::{ConfigError, MutationConfig};
use super::errors::{Buffers, Outside};
use super::genome::{Genome, Windows};
use super::model::{Model, Plan, other_base};
use super::planes::Planes;
use super::quality::{PHRED_OFFSET, UNREAD};
use super::rng::{Stream, Streams, Topic};
use super::spacing::{IDENTIFIABLE_FLANK, IDENTIFIABLE_GAP, Placed, min_gap, spaced};
use super::strata::Strata;
use super::tracts::write_tracts;
use super::window::random_window;
use crate::variant::normalize::left_aligned;
use crate::variant::variant::apply_into;
use crate::variant::{Interval, Variant};

/// Raised whenever the bytes of any record change. The golden hashes in `tests/golden.rs` guard it.
pub const GENERATOR_VERSION: u32 = 2;

/// Sets of places tried before the variants that stand too near are left out. With the presets 98 of 100 sets hold at once, so
/// that this never happens in practice; it exists so that every configuration ends.
pub const ATTEMPTS: u32 = 128;

/// One synthetic read beside its reference window.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Record {
    /// Its number.
    pub index: u64,
    /// The reference's contig; None: the window is synthetic, a contig of its own.
    pub contig: Option<usize>,
    /// Bases of the contig before the window.
    pub ref_start: u64,
    /// Whether it was sequenced from the other strand. All that is here is told on the reference's strand.
    pub reverse: bool,
    /// The reference window, upper-case ACGT.
    pub ref_seq: Vec<u8>,
    /// The observed sequence.
    pub seq: Vec<u8>,
    /// Phred+33, as long as `seq`; empty without a quality model.
    pub qual: Vec<u8>,
    /// The injected variants, by position; applied to `ref_seq` they give the read without errors.
    pub truth: Vec<Variant>,
    /// Sequencing errors, by position; applied together with the truth they give `seq`, but for N.
    pub errors: Vec<Variant>,
    /// Whether all differences lie so far apart that one answer only is right.
    pub identifiable: bool,
    /// See [`checksum`](super::checksum::checksum).
    pub checksum: u64,
    /// Properties of the window.
    pub strata: Strata,
    /// Least number of bases between the fully-justified intervals of neighbouring truths; None with fewer than two.
    pub min_gap: Option<usize>,
}

/// Buffers that are used again for the next record.
#[derive(Debug, Default)]
pub struct Scratch {
    planes: Planes,
    /// Whether they hold the bases of the window: random bases come with them, others are packed when they are asked for.
    packed: bool,
    plans: Vec<Plan>,
    placed: Vec<Placed>,
    buffers: Buffers,
    wrong: Vec<usize>,
    unread: Vec<usize>,
    differences: Vec<Interval>,
}

/// Generates records of one seed and one model.
///
/// ```
/// use _rust_gen::{simulate::Generator, variant::apply};
/// let json = r#"{"read_length": 150, "gc_content": null, "variants_per_read": [0, 1], "mutation_rate": null,
///     "type_weights": {"snv": 1}, "indel_fraction": null, "ins_del_ratio": 1, "indel_extend_prob": 0.3,
///     "max_indel_length": 20, "titv_ratio": 2.1, "mnv_length": [2, 3], "dup_length": [2, 12], "inv_length": [4, 12],
///     "min_gap": 10, "flank": 10, "base_error_rate": 0, "quality_model": "none", "quality_weights": null,
///     "low_complexity_fraction": 0, "n_rate": 0, "strand_flip_prob": 0}"#;
/// let record = Generator::from_json(42, json, None).unwrap().record(7);
/// assert_eq!(record.truth.len(), 1);
/// assert_eq!(apply(&record.ref_seq, &record.truth).unwrap(), record.seq);
/// ```
#[derive(Clone, Debug)]
pub struct Generator {
    streams: Streams,
    model: Model,
    genome: Option<(Arc<Genome>, Windows)>,
}

impl Generator {
    /// A generator for `seed`, with windows of `genome` or synthetic ones.
    ///
    /// # Errors
    /// A configuration that cannot be used, or a genome without windows of that length.
    pub fn new(seed: u64, config: &MutationConfig, genome: Option<Arc<Genome>>) -> Result<Self, ConfigError> {
        let model = Model::new(config, genome.as_ref().map(|g| g.gc_content()))?;
        let genome = genome.map(|g| g.windows(config.read_length).map(|windows| (g, windows))).transpose()?;
        Ok(Self { streams: Streams::new(seed), model, genome })
    }

    /// As [`Generator::new`], from a configuration in JSON.
    ///
    /// # Errors
    /// As [`Generator::new`].
    pub fn from_json(seed: u64, json: &str, genome: Option<Arc<Genome>>) -> Result<Self, ConfigError> {
        Self::new(seed, &MutationConfig::from_json(json)?, genome)
    }

    /// Bases of a reference window.
    #[must_use]
    pub const fn read_length(&self) -> usize {
        self.model.read_length
    }

    /// The name of a record's contig.
    #[must_use]
    pub fn contig_name(&self, record: &Record) -> Cow<'_, str> {
        let contig = self.genome.as_ref().zip(record.contig).and_then(|((genome, _), i)| genome.contigs().get(i));
        contig.map_or_else(|| format!("hx{}", record.index).into(), |contig| contig.name.as_str().into())
    }

    /// Record `index`, whatever was generated before.
    #[must_use]
    pub fn record(&self, index: u64) -> Record {
        let mut record = Record::default();
        self.fill(index, &mut Scratch::default(), &mut record);
        record
    }

    /// Makes `record` that of `index`, in the memory that it has.
    pub fn fill(&self, index: u64, scratch: &mut Scratch, record: &mut Record) {
        self.read(index, scratch, record);
        record.min_gap = min_gap(scratch.placed.iter().map(|p| p.interval));
        record.identifiable = self.identifiable(scratch, record);
        if !scratch.packed {
            scratch.planes.pack(&record.ref_seq);
        }
        record.strata = scratch.planes.strata();
        let truth = record.truth.iter().map(|v| (u64::from(v.pos.0), &*v.reference, &*v.alt));
        record.checksum = checksum_of(&record.ref_seq, &record.seq, Some(truth));
    }

    /// As [`Generator::fill`], without what is derived from the rest: `min_gap`, `identifiable`, `strata` and `checksum`
    /// stay what they were.
    pub fn read(&self, index: u64, scratch: &mut Scratch, record: &mut Record) {
        let stream = |topic| self.streams.of(index, topic);
        record.index = index;
        scratch.packed = self.draw_window(&stream, record, &mut scratch.planes);
        let window = record.ref_seq.as_slice();

        self.model.plan(&mut stream(Topic::Types), &mut scratch.plans);
        let placed = &mut scratch.placed;
        placed.clear();
        if !scratch.plans.is_empty() {
            let streams = [&mut stream(Topic::Positions), &mut stream(Topic::Alleles)];
            if !self.model.place(window, &scratch.plans, ATTEMPTS, streams, placed) {
                self.model.thin(window, placed);
            }
        }
        record.truth.clear();
        record.truth.extend(placed.iter().filter_map(|p| left_aligned(window, &p.edit, p.left, p.event)));
        // Gap and flank are at least 1, so that no anchor is part of another variant or missing: the truth applies.
        let applied = apply_into(window, &record.truth, &mut record.seq);
        debug_assert_eq!(applied, Ok(()));

        let random = &mut scratch.buffers.random;
        self.model.quality.draw(&mut stream(Topic::Qualities), record.seq.len(), random, &mut record.qual);
        self.misread(&stream, scratch, record);
        record.qual.truncate(record.seq.len());
        record.reverse = self.model.flip.threshold() > 0 && stream(Topic::Strand).chance(self.model.flip);
    }

    /// The fixed rule, whatever the configured gap and flank.
    fn identifiable(&self, scratch: &mut Scratch, record: &Record) -> bool {
        let Scratch { placed, unread, differences, .. } = scratch;
        let window = record.ref_seq.len();
        let truth = placed.iter().map(|p| p.interval);
        if record.errors.is_empty() && unread.is_empty() {
            return spaced(truth, window, IDENTIFIABLE_GAP, IDENTIFIABLE_FLANK);
        }
        let base = |start: usize| Interval { start, end: start + 1 };
        differences.clear();
        differences.extend(truth);
        differences.extend(record.errors.iter().map(|e| base(e.span().start)));
        differences.extend(unread.iter().copied().map(base));
        differences.sort_unstable_by_key(|interval| (interval.start, interval.end));
        spaced(differences.iter().copied(), window, IDENTIFIABLE_GAP, IDENTIFIABLE_FLANK)
    }

    /// Whether `planes` hold the window too.
    fn draw_window(&self, stream: &impl Fn(Topic) -> Stream, record: &mut Record, planes: &mut Planes) -> bool {
        let model = &self.model;
        let mut reference = stream(Topic::Reference);
        if let Some((genome, windows)) = &self.genome {
            let (contig, start) = windows.draw(&mut reference);
            (record.contig, record.ref_start) = (Some(contig), start as u64);
            record.ref_seq.clear();
            record.ref_seq.extend_from_slice(&genome.contigs()[contig].bases[start..start + model.read_length]);
            return false;
        }
        (record.contig, record.ref_start) = (None, 0);
        random_window(&mut reference, model.read_length, model.gc, &mut record.ref_seq, planes);
        if model.low_complexity.threshold() > 0 {
            let mut complexity = stream(Topic::Complexity);
            if complexity.chance(model.low_complexity) {
                write_tracts(&mut complexity, &mut record.ref_seq, model.gc);
                return false;
            }
        }
        true
    }

    /// Sequencing errors and N.
    fn misread(&self, stream: &impl Fn(Topic) -> Stream, scratch: &mut Scratch, record: &mut Record) {
        let Scratch { buffers, wrong, unread, .. } = scratch;
        record.errors.clear();
        unread.clear();
        if !self.model.errors.is_off() {
            let mut errors = stream(Topic::Errors);
            self.model.errors.draw(&mut errors, record.seq.len(), &record.qual, buffers, wrong);
            let mut outside = Outside::new(&record.truth);
            for at in wrong.iter().copied() {
                let base = other_base(&mut errors, record.seq[at]);
                if let Some(start) = outside.window_position(at) {
                    record.errors.push(Variant::substitution(start, record.seq[at], base));
                    record.seq[at] = base;
                }
            }
        }
        if self.model.unread.threshold() == 0 {
            return;
        }
        let mut lost = stream(Topic::Unread);
        let mut outside = Outside::new(&record.truth);
        for at in 0..record.seq.len() {
            let hit = lost.chance(self.model.unread);
            let Some(start) = outside.window_position(at).filter(|_| hit) else { continue };
            record.seq[at] = b'N';
            record.qual.iter_mut().skip(at).take(1).for_each(|q| *q = UNREAD + PHRED_OFFSET);
            unread.push(start);
        }
        // Nobody can tell what an N was read as.
        record.errors.retain(|e| unread.binary_search(&e.span().start).is_err());
    }
}
