//! Inversions: a stretch of the window that the read holds as its reverse complement.
//!
//! An optimal alignment shows a short inversion as a handful of mismatches and gaps with matching bases between them. One
//! event is one variant, so differences that lie together are looked at as a whole.

use super::Block;
use crate::variant::{Allele, Edit};

/// Differences with fewer matching bases than this between them are looked at together.
const CLUSTER_GAP: usize = 10;
/// Bases of an inversion once its ends are trimmed. Shorter ones are a run of mismatches anyway; longer ones are no small variants.
const LENGTHS: std::ops::RangeInclusive<usize> = 4..=50;

/// Groups of neighbouring blocks.
pub fn clusters(blocks: &[Block]) -> impl Iterator<Item = &[Block]> {
    blocks.chunk_by(|a, b| b.window.start - a.window.end < CLUSTER_GAP)
}

/// The cluster as one substitution, when the read's part is the reverse complement of the window's. An N hides an inversion.
pub fn inversion(window: &[u8], read: &[u8], cluster: &[Block]) -> Option<Edit> {
    let (first, last) = (cluster.first()?, cluster.last()?);
    let mut start = first.window.start;
    let mut old = &window[start..last.window.end];
    let mut new = &read[first.read.start..last.read.end];
    if old.len() != new.len() {
        return None;
    }
    while let ([a, .., b], [c, .., d]) = (old, new) {
        // An inversion's ends agree both or neither. A gap may lie outside of it, so one end alone is trimmed as well.
        match (a == c, b == d) {
            (true, _) => {
                (old, new) = (&old[1..], &new[1..]);
                start += 1;
            }
            (false, true) => (old, new) = (&old[..old.len() - 1], &new[..new.len() - 1]),
            (false, false) => break,
        }
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

    fn found(window: &str, read: &str) -> Vec<Option<(usize, usize, String)>> {
        let (window, read) = (window.as_bytes(), read.as_bytes());
        let blocks = Aligner::default().align(window, read).blocks;
        let text = |e: Edit| (e.start, e.deleted, e.inserted.to_string());
        clusters(&blocks).map(|cluster| inversion(window, read, cluster).map(text)).collect()
    }

    #[test]
    fn one_with_matches_inside_is_whole() {
        // TACGC -> GCGTA: the C in the middle cannot match, the C and G beside it do not either.
        assert_eq!(found("GGATTCAGATACGCTTTGACCAGG", "GGATTCAGAGCGTATTTGACCAGG"), [Some((9, 5, "GCGTA".into()))]);
        // TACATA -> TATGTA: trimmed to CA -> TG, which is no more than two mismatches.
        assert_eq!(found("GGATTCAGTACATACTTGACCAGG", "GGATTCAGTATGTACTTGACCAGG"), [None]);
        // GTTAAA -> TTTAAC: matches inside.
        assert_eq!(found("CCATTCAGGTTAAAGTTGACCAGG", "CCATTCAGTTTAACGTTGACCAGG"), [Some((8, 6, "TTTAAC".into()))]);
    }

    #[test]
    fn one_that_aligns_with_gaps_is_whole() {
        // GAAAAAAAA -> TTTTTTTTC would be nine mismatches (36); beside T's that is an insertion and a deletion (48): no.
        // AACTTAAC -> GTTAAGTT: with gaps 20, without 24.
        let blocks = Aligner::default().align(b"CCATGCAGAACTTAACGCTGACCAGG", b"CCATGCAGGTTAAGTTGCTGACCAGG");
        assert!(blocks.blocks.iter().any(|block| block.window.len() != block.read.len()), "{blocks:?}");
        assert_eq!(found("CCATGCAGAACTTAACGCTGACCAGG", "CCATGCAGGTTAAGTTGCTGACCAGG"), [Some((8, 8, "GTTAAGTT".into()))]);
    }

    #[test]
    fn what_is_no_inversion_is_not_one() {
        assert_eq!(found("GGATTCAGATACGCTTTGACCAGG", "GGATTCAGAGCGTTTTTGACCAGG"), [None]);
        assert_eq!(found("GGATTCAGATACGCTTTGACCAGG", "GGATTCAGAGCNTATTTGACCAGG"), [None]);
        assert_eq!(found("GGATTCAGATACGCTTTGACCAGG", "GGATTCAGATTACGCTTTGACCAGG"), [None]);
    }

    #[test]
    fn ten_matching_bases_part_clusters() {
        assert_eq!(found("AACGTACGTACTGG", "CACGTACGTACGGG").len(), 2);
        assert_eq!(found("AACGTACGTATGG", "CACGTACGTAGGG").len(), 1);
    }
}
