//! Normal forms of an edit: VCF (parsimonious and left-aligned; Tan, Abecasis and Kang 2015, 10.1093/bioinformatics/btv112)
//! and the fully-justified interval (VOCA; Holmes et al. 2020, PMC7523648).

use crate::variant::{Edit, Event, OneBased, Variant, VariantType};

/// The window bases that an edit may be said to lie in: from `start` to `end`, counted between bases from 0.
/// An insertion that fits at one place only has an empty interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interval {
    /// Number of bases before the interval.
    pub start: usize,
    /// Number of bases up to its end.
    pub end: usize,
}

/// Removes the bases that both alleles share, first at the end, then at the start. None when nothing is left: no edit.
#[must_use]
pub fn trim(window: &[u8], edit: &Edit) -> Option<Edit> {
    let mut removed = &window[edit.start..edit.start + edit.deleted];
    let mut inserted = edit.inserted.as_slice();
    let mut start = edit.start;
    while let (Some((a, rest_a)), Some((b, rest_b))) = (removed.split_last(), inserted.split_last()) {
        if a != b {
            break;
        }
        (removed, inserted) = (rest_a, rest_b);
    }
    while let (Some((a, rest_a)), Some((b, rest_b))) = (removed.split_first(), inserted.split_first()) {
        if a != b {
            break;
        }
        (removed, inserted) = (rest_a, rest_b);
        start += 1;
    }
    if removed.is_empty() && inserted.is_empty() {
        return None;
    }
    Some(Edit { start, deleted: removed.len(), inserted: inserted.to_vec() })
}

/// How far a trimmed edit can be moved to the left and to the right without changing its result.
fn slack(window: &[u8], edit: &Edit) -> (usize, usize) {
    let allele = match (edit.deleted, edit.inserted.is_empty()) {
        (0, _) => edit.inserted.as_slice(),
        (deleted, true) => &window[edit.start..edit.start + deleted],
        _ => return (0, 0), // a replacement has one place
    };
    let n = allele.len();
    let before = window[..edit.start].iter().rev();
    let left = before.enumerate().take_while(|(i, base)| **base == allele[n - 1 - i % n]).count();
    let after = window[edit.start + edit.deleted..].iter();
    let right = after.enumerate().take_while(|(i, base)| **base == allele[i % n]).count();
    (left, right)
}

/// The fully-justified interval of a trimmed edit.
#[must_use]
pub fn justified(window: &[u8], edit: &Edit) -> Interval {
    let (left, right) = slack(window, edit);
    Interval { start: edit.start - left, end: edit.start + edit.deleted + right }
}

/// The VCF form of an edit; None when it changes nothing.
///
/// An indel at the very start of the window is anchored on the base after it, as VCF asks.
///
/// ```
/// use _rust_gen::{normalize::normalize, variant::{Edit, Event, OneBased}};
/// // One A less in GAAAT can be any of the three; VCF takes the first and anchors on the G.
/// let found = normalize(b"GAAAT", &Edit { start: 3, deleted: 1, inserted: vec![] }, Event::Del).unwrap();
/// assert_eq!((found.pos, found.reference.as_str(), found.alt.as_str()), (OneBased(1), "GA", "G"));
/// ```
#[must_use]
pub fn normalize(window: &[u8], edit: &Edit, event: Event) -> Option<Variant> {
    let mut edit = trim(window, edit)?;
    let kind = match (edit.deleted, edit.inserted.len()) {
        (0, _) => VariantType::Ins,
        (_, 0) => VariantType::Del,
        (1, 1) => VariantType::Snv,
        (a, b) if a == b => VariantType::Mnv,
        _ => VariantType::Delins,
    };
    let (left, _) = slack(window, &edit);
    edit.start -= left;
    if !edit.inserted.is_empty() {
        let turn = left % edit.inserted.len();
        edit.inserted.rotate_right(turn);
    }
    let mut start = edit.start;
    let mut end = start + edit.deleted;
    let mut alt = edit.inserted;
    if matches!(kind, VariantType::Ins | VariantType::Del) {
        if start > 0 {
            start -= 1;
            alt.insert(0, window[start]);
        } else {
            alt.push(*window.get(end)?); // a window that is deleted whole has no anchor and no VCF form
            end += 1;
        }
    }
    Some(Variant { pos: OneBased(start as u32 + 1), reference: text(&window[start..end]), alt: text(&alt), kind, event })
}

fn text(bases: &[u8]) -> String {
    bases.iter().copied().map(char::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edit(start: usize, deleted: usize, inserted: &str) -> Edit {
        Edit { start, deleted, inserted: inserted.into() }
    }

    fn vcf(window: &str, edit: &Edit) -> (u32, String, String, &'static str) {
        let v = normalize(window.as_bytes(), edit, Event::Snv).expect("an edit");
        (v.pos.0, v.reference, v.alt, v.kind.name())
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
    fn fully_justified_intervals() {
        let span = |window: &str, e| {
            let i = justified(window.as_bytes(), &e);
            (i.start, i.end)
        };
        assert_eq!(span("GAAAT", edit(2, 1, "")), (1, 4));
        assert_eq!(span("GAAAT", edit(2, 0, "A")), (1, 4));
        assert_eq!(span("GAAAT", edit(2, 0, "C")), (2, 2));
        assert_eq!(span("GCACACAT", edit(3, 0, "CA")), (1, 7));
        assert_eq!(span("GCACACAT", edit(1, 2, "")), (1, 7));
        assert_eq!(span("ACGT", edit(1, 1, "T")), (1, 2));
    }
}
