//! A change of a window, before it has a normal form.

use super::Allele;

/// An edit between two bases: from `start` (counted from 0), `deleted` bases go and `inserted` come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edit {
    /// Number of window bases before the edit.
    pub start: usize,
    /// Number of window bases removed.
    pub deleted: usize,
    /// Bases put in their place.
    pub inserted: Allele,
}

/// Removes the bases that both alleles share, first at the end, then at the start. None when nothing is left: no edit.
///
/// The order does not matter: it could only where both ends share more bases than the shorter allele has, and there that
/// allele is used up either way, which leaves an indel whose place is settled afterwards.
#[must_use]
pub fn trim(window: &[u8], edit: &Edit) -> Option<Edit> {
    let removed = &window[edit.start..edit.start + edit.deleted];
    let inserted = &*edit.inserted;
    let end = removed.iter().rev().zip(inserted.iter().rev()).take_while(|(a, b)| a == b).count();
    let (removed, inserted) = (&removed[..removed.len() - end], &inserted[..inserted.len() - end]);
    let front = removed.iter().zip(inserted).take_while(|(a, b)| a == b).count();
    if front == removed.len().max(inserted.len()) {
        return None;
    }
    if front + end == 0 {
        return Some(edit.clone());
    }
    Some(Edit { start: edit.start + front, deleted: removed.len() - front, inserted: inserted[front..].into() })
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

    #[test]
    fn shared_ends_go() {
        let trimmed = |start, deleted, inserted: &str| {
            trim(b"ACGTACGT", &Edit { start, deleted, inserted: inserted.into() }).map(|e| (e.start, e.deleted, e.inserted.to_string()))
        };
        assert_eq!(trimmed(1, 2, "CA"), Some((2, 1, "A".into())));
        assert_eq!(trimmed(1, 2, "C"), Some((2, 1, String::new())));
        assert_eq!(trimmed(1, 1, "CC"), Some((1, 0, "C".into())));
        assert_eq!(trimmed(0, 3, "TCT"), Some((0, 3, "TCT".into())));
        assert_eq!(trimmed(1, 2, "CG"), None);
        assert_eq!(trimmed(8, 0, ""), None);
    }
}
