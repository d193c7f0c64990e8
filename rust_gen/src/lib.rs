//! The data source of Helix-Throttle: seeded synthetic reads with known variants, FASTA/FASTQ reading, placement,
//! and the exact alignment of a read to its window.
//!
//! The crate knows no Python except in `py`, which the feature `python` adds. No code of ours is unsafe; `py` may hold
//! what PyO3's macros expand to.

#[forbid(unsafe_code)]
pub mod align;
#[forbid(unsafe_code)]
pub mod files;
#[forbid(unsafe_code)]
pub mod place;
#[forbid(unsafe_code)]
pub mod simulate;
#[forbid(unsafe_code)]
pub mod variant;

#[cfg(feature = "python")]
mod py;

#[cfg(test)]
mod testing {
    /// The preset `bench`, with every key.
    pub const BENCH: &str = include_str!("../tests/presets/bench.json");
}
