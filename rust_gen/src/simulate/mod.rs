//! The synthetic source: reads with known variants, each a pure function of seed, configuration and index.
//!
//! A record is made in this order, each step with random numbers of its own ([`rng::Topic`]):
//! window ([`window`], [`tracts`] or [`genome`]) → number, types and lengths of variants ([`model`]) → their places and
//! alleles ([`spacing`]) → the read → qualities ([`quality`]) → sequencing errors ([`errors`]) → N → strand.
//!
//! # Where the distributions are not the ideal ones
//! * A set of places whose fully-justified intervals do not keep `min_gap` and `flank` is drawn again, alleles included.
//!   Number, types and lengths stay, so these are exact; places are uniform over those that hold, which keeps indels out
//!   of repeats that are too near to a neighbour or to the window's ends.
//! * After [`generate::ATTEMPTS`] draws (nearly never: see there) the variants that stand too near to the one before them
//!   are left out.
//! * Indel lengths are geometric; what lies beyond `max_indel_length` is that length.
//! * With `mutation_rate` the number of variants is binomial, cut where no more fit into the window.
//! * The bases of an MNV are uniform over the three others; only SNVs have a Ti/Tv.
//! * An inversion that equals what it replaces is drawn again at another place.
//! * Sequencing errors and N spare the bases that a truth allele spells; elsewhere P(error | Q) is exact.
//! * Qualities are drawn base by base and alike at every cycle; those of a sequencer fall towards the end and come in runs.
//! * Probabilities are integers over 2^53; an inserted base is G or C at a resolution of 2^-31.

pub mod checksum;
pub mod columns;
pub mod config;
pub mod errors;
pub mod generate;
pub mod genome;
pub mod lengths;
pub mod model;
pub mod packed;
pub mod planes;
pub mod quality;
pub mod rng;
pub mod spacing;
pub mod strata;
pub mod text;
pub mod tracts;
pub mod window;

pub use config::{ConfigError, MutationConfig};
pub use generate::{GENERATOR_VERSION, Generator, Record, Scratch};
pub use genome::Genome;
