//! Inversions: a stretch of the window that the read holds as its reverse complement.
//!
//! An optimal alignment shows a short inversion as a handful of mismatches and gaps with matching bases between them. One
//! event is one variant, so neighbouring differences are looked at as a whole. No distance limits them but the length of an
//! inversion: the further apart, the more bases between them must be a palindrome, which chance does not make.

use super::Block;
use crate::variant::{Allele, Edit};

/// Bases of an inversion once its ends are trimmed. Shorter ones are a run of mismatches anyway; longer ones are no small variants.
const LENGTHS: std::ops::RangeInclusive<usize> = 4..=50;

/// The inversion that begins with the first of these blocks: as one substitution, and how many of the blocks it takes. Of
/// several the longest, since what lies within an inversion symmetrically looks like one too. One block alone is a run of mismatches as
/// it is. An N hides an inversion.
pub fn inversion(window: &[u8], read: &[u8], blocks: &[Block]) -> Option<(Edit, usize)> {
    let first = blocks.first()?;
    let near = blocks.iter().take_while(|block| block.window.start - first.window.start < *LENGTHS.end()).count();
    (2..=near).rev().find_map(|count| Some((whole(window, read, first, &blocks[count - 1])?, count)))
}

/// All from one block to another as one substitution, if that is an inversion.
fn whole(window: &[u8], read: &[u8], first: &Block, last: &Block) -> Option<Edit> {
    let mut start = first.window.start;
    let mut old = &window[start..last.window.end];
    let mut new = &read[first.read.start..last.read.end];
    if old.len() != new.len() {
        return None;
    }
    // An inversion's ends agree both or neither, but a gap may have slid out of it on one side.
    while let ([a, rest_a @ ..], [b, rest_b @ ..]) = (old, new)
        && a == b
    {
        (start, old, new) = (start + 1, rest_a, rest_b);
    }
    while let ([rest_a @ .., a], [rest_b @ .., b]) = (old, new)
        && a == b
    {
        (old, new) = (rest_a, rest_b);
    }
    let inverted = LENGTHS.contains(&old.len()) && old.iter().rev().zip(new).all(|(old, new)| complement(*old) == Some(*new));
    inverted.then(|| Edit { start, deleted: old.len(), inserted: Allele::from(new) })
}

fn complement(base: u8) -> Option<u8> {
    match base {
        b'A' => Some(b'T'),
        b'C' => Some(b'G'),
        b'G' => Some(b'C'),
        b'T' => Some(b'A'),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::Aligner;
    use super::*;

    fn found(window: &str, read: &str) -> Option<(usize, usize, String)> {
        let (window, read) = (window.as_bytes(), read.as_bytes());
        let blocks = Aligner::default().align(window, read).blocks;
        (0..blocks.len()).find_map(|i| inversion(window, read, &blocks[i..])).map(|(e, _)| (e.start, e.deleted, e.inserted.to_string()))
    }

    #[test]
    fn one_with_matches_inside_is_whole() {
        // TACATA -> TATGTA: trimmed to CA -> TG, which is no more than two mismatches.
        assert_eq!(found("GGATTCAGTACATACTTGACCAGG", "GGATTCAGTATGTACTTGACCAGG"), None);
        // GTTAAA -> TTTAAC: matches inside.
        assert_eq!(found("CCATTCAGGTTAAAGTTGACCAGG", "CCATTCAGTTTAACGTTGACCAGG"), Some((8, 6, "TTTAAC".into())));
    }

    #[test]
    fn one_that_aligns_with_gaps_is_whole() {
        // AACTTAAC -> GTTAAGTT: with gaps 20, without 24.
        let blocks = Aligner::default().align(b"CCATGCAGAACTTAACGCTGACCAGG", b"CCATGCAGGTTAAGTTGCTGACCAGG");
        assert!(blocks.blocks.iter().any(|block| block.window.len() != block.read.len()), "{blocks:?}");
        assert_eq!(found("CCATGCAGAACTTAACGCTGACCAGG", "CCATGCAGGTTAAGTTGCTGACCAGG"), Some((8, 8, "GTTAAGTT".into())));
    }

    #[test]
    fn what_is_no_inversion_is_not_one() {
        assert_eq!(found("GGATTCAGATACGCTTTGACCAGG", "GGATTCAGAGCGTTTTTGACCAGG"), None);
        assert_eq!(found("GGATTCAGATACGCTTTGACCAGG", "GGATTCAGAGCNTATTTGACCAGG"), None);
        assert_eq!(found("GGATTCAGATACGCTTTGACCAGG", "GGATTCAGATTACGCTTTGACCAGG"), None);
    }

    #[test]
    fn neighbours_are_left_out() {
        // An SNV, six bases on the inversion GTTAAA -> TTTAAC, four bases on an insertion.
        assert_eq!(found("CCATTCAGGTTAAAGTTGACCAGG", "CTATTCAGTTTAACGTTGCACCAGG"), Some((8, 6, "TTTAAC".into())));
    }

    #[test]
    fn the_longest_is_taken() {
        // Whatever lies symmetrically within ACTAGTGA -> TCACTAGT is inverted as well.
        assert_eq!(found("GGTTCAACTAGTGATTCGAG", "GGTTCATCACTAGTTTCGAG"), Some((6, 8, "TCACTAGT".into())));
    }
}
