//! The data source of Helix-Throttle: seeded synthetic reads with known variants, FASTA/FASTQ reading, placement.
//!
//! The crate knows no Python except in `py`, which the feature `python` adds. No code of ours is unsafe; `py` may hold
//! what PyO3's macros expand to.

#[forbid(unsafe_code)]
pub mod files;
#[forbid(unsafe_code)]
pub mod generate;
#[forbid(unsafe_code)]
pub mod mutation;
#[forbid(unsafe_code)]
pub mod normalize;
#[forbid(unsafe_code)]
pub mod place;
#[forbid(unsafe_code)]
pub mod rng;
#[forbid(unsafe_code)]
pub mod strata;
#[forbid(unsafe_code)]
pub mod variant;
#[forbid(unsafe_code)]
pub mod window;

#[cfg(feature = "python")]
mod py;

#[cfg(test)]
mod testing {
    /// The default of `source.mutation`.
    pub const DEFAULT: &str = r#"{"read_length":150,"gc_content":0.41,"variants_per_read":[0.25,0.35,0.2,0.2],"type_weights":{"snv":0.6,"ins":0.2,"del":0.2},"indel_extend_prob":0.3,"max_indel_length":20,"titv_ratio":2.1,"min_gap":10,"flank":10}"#;
}
