//! Small variants: as an edit of a window, and in VCF form.

use std::fmt;

/// A position within a window, counted from 1 as in VCF.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OneBased(pub u32);

/// What a variant is, as a function of its alleles.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum VariantType {
    /// One base substituted.
    Snv,
    /// Several adjacent bases substituted by as many.
    Mnv,
    /// Bases added.
    Ins,
    /// Bases removed.
    Del,
    /// Bases replaced by another number of bases.
    Delins,
}

impl VariantType {
    /// The name used in records and tables.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Snv => "SNV",
            Self::Mnv => "MNV",
            Self::Ins => "INS",
            Self::Del => "DEL",
            Self::Delins => "DELINS",
        }
    }
}

/// What the generator did. Kept beside the type, since for instance a duplication is an insertion in VCF.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Event {
    /// Substituted one base.
    Snv,
    /// Inserted random bases.
    Ins,
    /// Deleted bases.
    Del,
}

impl Event {
    /// The name used in records and in the configuration's `type_weights`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Snv => "snv",
            Self::Ins => "ins",
            Self::Del => "del",
        }
    }
}

/// An edit between two bases: from `start` (counted from 0), `deleted` bases go and `inserted` come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edit {
    /// Number of window bases before the edit.
    pub start: usize,
    /// Number of window bases removed.
    pub deleted: usize,
    /// Bases put in their place.
    pub inserted: Vec<u8>,
}

/// A variant in VCF form: parsimonious, left-aligned, indels with one anchor base.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variant {
    /// Position of the first base of `reference`.
    pub pos: OneBased,
    /// Reference allele, not empty.
    pub reference: String,
    /// Alternative allele, not empty.
    pub alt: String,
    /// What the alleles are.
    pub kind: VariantType,
    /// What the generator did.
    pub event: Event,
}

/// Why variants could not be applied to a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ApplyError {
    /// The variant begins before the previous one ended, or out of order.
    Overlap(OneBased),
    /// The window does not hold the reference allele there.
    Mismatch(OneBased),
}

impl fmt::Display for ApplyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Overlap(pos) => write!(f, "the variant at {} overlaps the one before it", pos.0),
            Self::Mismatch(pos) => write!(f, "the window does not hold the reference allele at {}", pos.0),
        }
    }
}

impl std::error::Error for ApplyError {}

/// The sequence that results when `variants`, ordered by position, are applied to `window`.
///
/// # Errors
/// Variants that overlap or contradict the window.
///
/// ```
/// use _rust_gen::variant::{apply, Event, OneBased, Variant, VariantType};
/// let snv = Variant { pos: OneBased(2), reference: "C".into(), alt: "T".into(), kind: VariantType::Snv, event: Event::Snv };
/// assert_eq!(apply(b"ACGT", &[snv]).unwrap(), b"ATGT");
/// ```
pub fn apply(window: &[u8], variants: &[Variant]) -> Result<Vec<u8>, ApplyError> {
    let mut out = Vec::with_capacity(window.len() + 32);
    let mut done = 0;
    for variant in variants {
        let start = (variant.pos.0 as usize).checked_sub(1).ok_or(ApplyError::Mismatch(variant.pos))?;
        let end = start + variant.reference.len();
        if start < done {
            return Err(ApplyError::Overlap(variant.pos));
        }
        if window.get(start..end) != Some(variant.reference.as_bytes()) {
            return Err(ApplyError::Mismatch(variant.pos));
        }
        out.extend_from_slice(&window[done..start]);
        out.extend_from_slice(variant.alt.as_bytes());
        done = end;
    }
    out.extend_from_slice(&window[done..]);
    Ok(out)
}

/// The sequence that results from `edits`, ordered and not overlapping.
#[must_use]
pub fn apply_edits(window: &[u8], edits: &[Edit]) -> Vec<u8> {
    let mut out = Vec::with_capacity(window.len() + 32);
    let mut done = 0;
    for edit in edits {
        out.extend_from_slice(&window[done..edit.start]);
        out.extend_from_slice(&edit.inserted);
        done = edit.start + edit.deleted;
    }
    out.extend_from_slice(&window[done..]);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variant(pos: u32, reference: &str, alt: &str) -> Variant {
        Variant { pos: OneBased(pos), reference: reference.into(), alt: alt.into(), kind: VariantType::Delins, event: Event::Snv }
    }

    #[test]
    fn applies_each_type_in_order() {
        let calls = [variant(1, "A", "T"), variant(3, "G", "GTT"), variant(5, "ACG", "A")];
        assert_eq!(apply(b"ACGTACGT", &calls).unwrap(), b"TCGTTTAT");
    }

    #[test]
    fn refuses_what_contradicts_the_window() {
        assert_eq!(apply(b"ACGT", &[variant(2, "G", "T")]), Err(ApplyError::Mismatch(OneBased(2))));
        assert_eq!(apply(b"ACGT", &[variant(4, "TA", "T")]), Err(ApplyError::Mismatch(OneBased(4))));
        assert_eq!(apply(b"ACGT", &[variant(0, "A", "T")]), Err(ApplyError::Mismatch(OneBased(0))));
        let twice = [variant(2, "CG", "C"), variant(3, "G", "T")];
        assert_eq!(apply(b"ACGT", &twice), Err(ApplyError::Overlap(OneBased(3))));
    }
}
