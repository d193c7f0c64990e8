//! The VCF form: parsimonious and left-aligned (Tan, Abecasis and Kang 2015, doi:10.1093/bioinformatics/btv112).

use std::fmt;

use super::justify::slack;
use super::{Allele, Edit, Event, OneBased, Variant, VariantType, trim};

/// Why alleles have no normal form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NormalizeError {
    /// The window does not hold the reference allele there; what it holds, cut to the window.
    Mismatch {
        /// Position, counted from 1.
        pos: u64,
        /// What the window holds there, if that is within it.
        found: Option<String>,
    },
    /// The whole window is deleted: no base is left to anchor on.
    NoAnchor,
}

impl fmt::Display for NormalizeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mismatch { pos, found: Some(found) } => write!(f, "ref: the window holds '{found}' at {pos}"),
            Self::Mismatch { pos, found: None } => write!(f, "pos: {pos} and the reference allele do not lie within the window"),
            Self::NoAnchor => f.write_str("ref: the whole window is deleted, which VCF cannot say without a base to anchor on"),
        }
    }
}

impl std::error::Error for NormalizeError {}

/// The VCF form of an edit; None when it changes nothing, or leaves no base of the window to anchor on.
///
/// An indel at the very start of the window is anchored on the base after it, as VCF asks.
///
/// ```
/// use _rust_gen::variant::{normalize, Edit, Event, OneBased};
/// // One A less in GAAAT can be any of the three; VCF takes the first and anchors on the G.
/// let found = normalize(b"GAAAT", &Edit { start: 3, deleted: 1, inserted: "".into() }, Event::Del).unwrap();
/// assert_eq!((found.pos, found.reference.as_str(), found.alt.as_str()), (OneBased(1), "GA", "G"));
/// ```
#[must_use]
pub fn normalize(window: &[u8], edit: &Edit, event: Event) -> Option<Variant> {
    let edit = trim(window, edit)?;
    left_aligned(window, &edit, slack(window, &edit).0, event)
}

/// The VCF form of a trimmed edit that can be moved by `left` bases to the left.
#[must_use]
pub fn left_aligned(window: &[u8], edit: &Edit, left: usize, event: Event) -> Option<Variant> {
    let kind = VariantType::of(edit.deleted, edit.inserted.len())?;
    if kind == VariantType::Snv {
        return Some(Variant { event, ..Variant::substitution(edit.start, window[edit.start], edit.inserted[0]) });
    }
    let start = edit.start - left;
    let end = start + edit.deleted;
    if !matches!(kind, VariantType::Ins | VariantType::Del) {
        let reference = Allele::part(window, start, edit.deleted);
        return Some(Variant { pos: OneBased(start as u32 + 1), reference, alt: edit.inserted.clone(), kind, event });
    }
    let turn = if edit.inserted.is_empty() { 0 } else { left % edit.inserted.len() };
    let (head, tail) = edit.inserted.split_at(edit.inserted.len() - turn);
    if start == 0 {
        let anchor = window.get(end..=end)?;
        let (reference, alt) = (Allele::part(window, 0, end + 1), Allele::join(&[tail, head, anchor]));
        return Some(Variant { pos: OneBased(1), reference, alt, kind, event });
    }
    let anchor = window[start - 1];
    let alt = if turn == 0 { Allele::behind(anchor, &edit.inserted) } else { Allele::join(&[&[anchor], tail, head]) };
    Some(Variant { pos: OneBased(start as u32), reference: Allele::part(window, start - 1, edit.deleted + 1), alt, kind, event })
}

/// The edit that VCF-like alleles describe, checked against the window and trimmed; None when the alleles are equal.
/// `pos` counts from 1; alleles may be empty, and an empty reference allele stands before the base at `pos`.
///
/// # Errors
/// The window does not hold `reference` at `pos`.
pub fn trimmed_edit(window: &[u8], pos: u64, reference: &[u8], alt: &[u8]) -> Result<Option<Edit>, NormalizeError> {
    let start = pos.checked_sub(1).and_then(|start| usize::try_from(start).ok());
    let held = start.and_then(|start| window.get(start..start.checked_add(reference.len())?));
    match (start, held) {
        (Some(start), Some(held)) if held == reference => Ok(trim(window, &Edit { start, deleted: reference.len(), inserted: alt.into() })),
        (_, held) => Err(NormalizeError::Mismatch { pos, found: held.map(|h| String::from_utf8_lossy(h).into_owned()) }),
    }
}

/// The VCF form of alleles as a caller gives them; None when they are equal. Its event is `complex`: alleles do not tell.
///
/// # Errors
/// The window does not hold `reference` at `pos`, or is deleted whole.
pub fn normalize_alleles(window: &[u8], pos: u64, reference: &[u8], alt: &[u8]) -> Result<Option<Variant>, NormalizeError> {
    let Some(edit) = trimmed_edit(window, pos, reference, alt)? else { return Ok(None) };
    let left = slack(window, &edit).0;
    left_aligned(window, &edit, left, Event::Complex).map(Some).ok_or(NormalizeError::NoAnchor)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edit(start: usize, deleted: usize, inserted: &str) -> Edit {
        Edit { start, deleted, inserted: inserted.into() }
    }

    fn vcf(window: &str, edit: &Edit) -> (u32, String, String, &'static str) {
        let v = normalize(window.as_bytes(), edit, Event::Complex).expect("an edit");
        (v.pos.0, v.reference.to_string(), v.alt.to_string(), v.kind.name())
    }

    #[test]
    fn known_forms() {
        let cases = [
            ("ACGT", edit(1, 1, "T"), (2, "C", "T", "SNV")),
            ("ACGT", edit(1, 2, "TA"), (2, "CG", "TA", "MNV")),
            ("ACGT", edit(1, 2, "CA"), (3, "G", "A", "SNV")),
            ("ACGT", edit(1, 1, "TT"), (2, "C", "TT", "DELINS")),
            ("GCACACAT", edit(5, 2, ""), (1, "GCA", "G", "DEL")),
            ("GCACACAT", edit(7, 0, "CA"), (1, "G", "GCA", "INS")),
            ("GCACACAT", edit(2, 0, "AC"), (1, "G", "GCA", "INS")),
            ("AAAT", edit(1, 1, ""), (1, "AA", "A", "DEL")),
            ("AAAT", edit(2, 0, "A"), (1, "A", "AA", "INS")),
        ];
        for (window, edit, (pos, reference, alt, kind)) in cases {
            assert_eq!(vcf(window, &edit), (pos, reference.into(), alt.into(), kind), "{window} {edit:?}");
        }
    }

    #[test]
    fn an_edit_that_changes_nothing_is_none() {
        assert_eq!(normalize(b"ACGT", &edit(1, 2, "CG"), Event::Snv), None);
        assert_eq!(normalize(b"ACGT", &edit(2, 0, ""), Event::Snv), None);
        assert_eq!(normalize(b"AC", &edit(0, 2, ""), Event::Del), None);
    }

    #[test]
    fn alleles_are_checked_against_the_window() {
        let found = |pos, reference: &str, alt: &str| normalize_alleles(b"GAAAT", pos, reference.as_bytes(), alt.as_bytes());
        assert_eq!(found(4, "AT", "T").unwrap().unwrap().pos, OneBased(1));
        assert_eq!(found(2, "A", "A"), Ok(None));
        assert_eq!(found(2, "C", "A"), Err(NormalizeError::Mismatch { pos: 2, found: Some("A".into()) }));
        for pos in [0, 6, u64::MAX] {
            assert_eq!(found(pos, "A", "C"), Err(NormalizeError::Mismatch { pos, found: None }));
        }
        assert_eq!(found(1, "GAAAT", ""), Err(NormalizeError::NoAnchor));
    }
}
