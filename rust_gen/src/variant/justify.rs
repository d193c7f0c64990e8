//! The fully-justified form: all the window bases that an edit may be said to lie in, and the alleles spelled over them.
//! VOCA, as in SPDI's contextual alleles (Holmes et al. 2020, PMC7523648).

use super::{Allele, Edit};

/// The window bases that an edit may be said to lie in: from `start` to `end`, counted between bases from 0.
/// An insertion that fits at one place only has an empty interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interval {
    /// Number of bases before the interval.
    pub start: usize,
    /// Number of bases up to its end.
    pub end: usize,
}

/// How far a trimmed edit can be moved to the left and to the right without changing its result.
#[inline]
#[must_use]
pub fn slack(window: &[u8], edit: &Edit) -> (usize, usize) {
    let end = edit.start + edit.deleted;
    match (edit.deleted, edit.inserted.len()) {
        (deleted, 0) if deleted > 0 => {
            // A base enters the gap at one end where the one that leaves it at the other end is the same.
            let left = (1..=edit.start).take_while(|i| window[edit.start - i] == window[end - i]).count();
            let right = (end..window.len()).take_while(|i| window[*i] == window[i - deleted]).count();
            (left, right)
        }
        (0, inserted) if inserted > 0 => {
            let allele = &*edit.inserted;
            let before = |i: usize| if i <= inserted { allele[inserted - i] } else { window[edit.start + inserted - i] };
            let after = |i: usize| if i < inserted { allele[i] } else { window[end + i - inserted] };
            let left = (1..=edit.start).take_while(|i| window[edit.start - i] == before(*i)).count();
            let right = (0..window.len() - end).take_while(|i| window[end + i] == after(*i)).count();
            (left, right)
        }
        _ => (0, 0), // a replacement has one place
    }
}

/// The fully-justified interval of a trimmed edit.
///
/// ```
/// use _rust_gen::variant::{Edit, Interval, justified};
/// // One A less in GAAAT may be any of the three.
/// let edit = Edit { start: 2, deleted: 1, inserted: "".into() };
/// assert_eq!(justified(b"GAAAT", &edit), Interval { start: 1, end: 4 });
/// ```
#[must_use]
pub fn justified(window: &[u8], edit: &Edit) -> Interval {
    let (left, right) = slack(window, edit);
    Interval { start: edit.start - left, end: edit.start + edit.deleted + right }
}

/// An edit with its alleles spelled over its whole interval, either of which may be empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contextual {
    /// Number of window bases before it.
    pub start: usize,
    /// The window's bases there.
    pub deleted: Allele,
    /// What they become.
    pub inserted: Allele,
}

/// The fully-justified form of a trimmed edit.
#[must_use]
pub fn justify(window: &[u8], edit: &Edit) -> Contextual {
    let Interval { start, end } = justified(window, edit);
    let inserted = Allele::join(&[&window[start..edit.start], &edit.inserted, &window[edit.start + edit.deleted..end]]);
    Contextual { start, deleted: window[start..end].into(), inserted }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edit(start: usize, deleted: usize, inserted: &str) -> Edit {
        Edit { start, deleted, inserted: inserted.into() }
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

    #[test]
    fn alleles_are_spelled_over_the_interval() {
        let spelled = |window: &str, e| {
            let c = justify(window.as_bytes(), &e);
            (c.start, c.deleted.to_string(), c.inserted.to_string())
        };
        assert_eq!(spelled("GAAAT", edit(2, 1, "")), (1, "AAA".into(), "AA".into()));
        assert_eq!(spelled("GCACACAT", edit(3, 0, "CA")), (1, "CACACA".into(), "CACACACA".into()));
        assert_eq!(spelled("ACGT", edit(1, 1, "T")), (1, "C".into(), "T".into()));
        assert_eq!(spelled("GAAAT", edit(5, 0, "C")), (5, String::new(), "C".into()));
    }
}
