//! A variant in VCF form, and what results when variants are applied.

use std::fmt;

use super::{Allele, Edit, Event, TiTv, VariantType, trim};

/// A position within a window, counted from 1 as in VCF.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OneBased(pub u32);

/// A variant in VCF form: parsimonious, left-aligned, indels with one anchor base.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variant {
    /// Position of the first base of `reference`.
    pub pos: OneBased,
    /// Reference allele, not empty.
    pub reference: Allele,
    /// Alternative allele, not empty.
    pub alt: Allele,
    /// What the alleles are.
    pub kind: VariantType,
    /// What the generator did.
    pub event: Event,
}

impl Variant {
    /// One base substituted by another, at `start` bases from the window's begin.
    #[inline]
    #[must_use]
    pub fn substitution(start: usize, from: u8, to: u8) -> Self {
        Self {
            pos: OneBased(start as u32 + 1),
            reference: Allele::single(from),
            alt: Allele::single(to),
            kind: VariantType::Snv,
            event: Event::Snv,
        }
    }

    /// Window bases that the reference allele covers, the anchor included, counted from 0.
    #[must_use]
    pub fn span(&self) -> std::ops::Range<usize> {
        let start = self.pos.0 as usize - 1;
        start..start + self.reference.len()
    }

    /// What it does to the window, without the anchor.
    ///
    /// # Panics
    /// It does not lie within `window`.
    #[must_use]
    pub fn edit(&self, window: &[u8]) -> Edit {
        let whole = Edit { start: self.span().start, deleted: self.reference.len(), inserted: self.alt.clone() };
        trim(window, &whole).unwrap_or(whole)
    }

    /// Changed bases: 1 for an SNV, the bases of an MNV, those inserted or deleted, the longer allele of a DELINS.
    #[must_use]
    pub fn length(&self) -> usize {
        match self.kind {
            VariantType::Snv | VariantType::Mnv | VariantType::Delins => self.reference.len().max(self.alt.len()),
            VariantType::Ins | VariantType::Del => self.reference.len().abs_diff(self.alt.len()),
        }
    }

    /// Transition or transversion; None unless it is an SNV.
    #[must_use]
    pub fn titv(&self) -> Option<TiTv> {
        (self.kind == VariantType::Snv).then(|| TiTv::of(self.reference[0], self.alt[0]))
    }
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
/// use _rust_gen::variant::{apply, Variant};
/// assert_eq!(apply(b"ACGT", &[Variant::substitution(1, b'C', b'T')]).unwrap(), b"ATGT");
/// ```
pub fn apply(window: &[u8], variants: &[Variant]) -> Result<Vec<u8>, ApplyError> {
    let mut out = Vec::with_capacity(window.len() + 32);
    apply_into(window, variants, &mut out)?;
    Ok(out)
}

/// As [`apply`], into a buffer that is cleared first.
///
/// # Errors
/// As [`apply`]; the buffer then holds a part.
pub fn apply_into(window: &[u8], variants: &[Variant], out: &mut Vec<u8>) -> Result<(), ApplyError> {
    out.clear();
    out.extend_from_slice(window);
    let mut done = 0;
    for variant in variants {
        let start = (variant.pos.0 as usize).checked_sub(1).ok_or(ApplyError::Mismatch(variant.pos))?;
        let end = start + variant.reference.len();
        if start < done {
            return Err(ApplyError::Overlap(variant.pos));
        }
        if window.get(start..end) != Some(&*variant.reference) {
            return Err(ApplyError::Mismatch(variant.pos));
        }
        // What comes after the variant is the window's own, from `end` on.
        let at = out.len() - (window.len() - start);
        if let [base] = *variant.alt
            && variant.reference.len() == 1
        {
            out[at] = base;
        } else {
            out.truncate(at);
            out.extend_from_slice(&variant.alt);
            out.extend_from_slice(&window[end..]);
        }
        done = end;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variant(pos: u32, reference: &str, alt: &str) -> Variant {
        let kind = VariantType::Delins;
        Variant { pos: OneBased(pos), reference: reference.into(), alt: alt.into(), kind, event: Event::Complex }
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

    #[test]
    fn lengths_count_changed_bases() {
        let of = |kind, reference, alt| Variant { kind, ..variant(1, reference, alt) }.length();
        assert_eq!(of(VariantType::Snv, "A", "T"), 1);
        assert_eq!(of(VariantType::Mnv, "AC", "TG"), 2);
        assert_eq!(of(VariantType::Ins, "A", "ACC"), 2);
        assert_eq!(of(VariantType::Del, "ACCC", "A"), 3);
        assert_eq!(of(VariantType::Delins, "ACC", "TG"), 3);
    }
}
