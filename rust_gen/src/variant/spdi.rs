//! SPDI, the notation of NCBI: sequence, position, deletion, insertion (Holmes et al. 2020, PMC7523648).

use super::{Edit, justify};

/// `contig:position:deleted:inserted` of a trimmed edit: position counted from 0 on the contig, alleles contextual, that is
/// spelled over the whole ambiguous region.
///
/// ```
/// use _rust_gen::variant::{Edit, spdi};
/// let edit = Edit { start: 2, deleted: 1, inserted: "".into() };
/// assert_eq!(spdi("chr1", 1000, b"GAAAT", &edit), "chr1:1001:AAA:AA");
/// ```
#[must_use]
pub fn spdi(contig: &str, ref_start: u64, window: &[u8], edit: &Edit) -> String {
    let contextual = justify(window, edit);
    format!("{contig}:{}:{}:{}", ref_start + contextual.start as u64, contextual.deleted, contextual.inserted)
}
