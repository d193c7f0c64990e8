//! A checksum of what must not change between the generator and the database: window, read and truth.

/// Odd constants with as many ones as zeros; the first two are SplitMix64's.
const KEYS: [u64; 3] = [0x9e37_79b9_7f4a_7c15, 0xbf58_476d_1ce4_e5b9, 0x94d0_49bb_1331_11eb];

/// Halves of the 128-bit product, folded: each input bit reaches every output bit (the step of wyhash and rapidhash).
const fn fold(a: u64, b: u64) -> u64 {
    let wide = (a as u128) * (b as u128);
    wide as u64 ^ (wide >> 64) as u64
}

/// Bytes, 32 at a time in two chains that do not wait for one another, the last ones filled up with zeros; and their number,
/// which tells those zeros from bytes.
fn of_bytes(bytes: &[u8], seed: u64) -> u64 {
    let (blocks, tail) = bytes.as_chunks::<32>();
    let (mut first, mut second) = (seed, seed ^ KEYS[2]);
    let mut block = |block: &[u8; 32]| {
        let word = |i: usize| u64::from_le_bytes(std::array::from_fn(|byte| block[8 * i + byte]));
        first = fold(word(0) ^ first, word(1) ^ KEYS[1]);
        second = fold(word(2) ^ second, word(3) ^ KEYS[1]);
    };
    blocks.iter().for_each(&mut block);
    if !tail.is_empty() {
        let mut last = [0; 32];
        last[..tail.len()].copy_from_slice(tail);
        block(&last);
    }
    fold(first ^ KEYS[0], second ^ bytes.len() as u64)
}

/// An allele: its bytes and their number, nearly always in one word.
fn of_allele(bases: &[u8]) -> u64 {
    if bases.len() > 7 {
        of_bytes(bases, KEYS[0])
    } else {
        bases.iter().fold(bases.len() as u64, |word, base| word << 8 | u64::from(*base))
    }
}

/// A variant of the truth: position from 1, reference allele, alternative allele.
pub type Alleles<'a> = (u64, &'a [u8], &'a [u8]);

/// 64 bits of window, read and truth. A truth that is unknown and one
/// that is known to be empty differ. Not cryptographic: it detects corruption, not forgery.
///
/// ```
/// use _rust_gen::simulate::checksum::checksum;
/// assert_ne!(checksum(b"ACGT", b"ACGT", None), checksum(b"ACGT", b"ACGT", Some(&[])));
/// ```
#[must_use]
pub fn checksum(window: &[u8], seq: &[u8], truth: Option<&[Alleles<'_>]>) -> u64 {
    checksum_of(window, seq, truth.map(|variants| variants.iter().copied()))
}

/// As [`checksum`], of a truth that lies elsewhere in another form.
pub fn checksum_of<'a>(window: &[u8], seq: &[u8], truth: Option<impl ExactSizeIterator<Item = Alleles<'a>>>) -> u64 {
    // Window and read apart: the processor works on both at once.
    let mut hash = fold(of_bytes(window, KEYS[0]) ^ KEYS[1], of_bytes(seq, KEYS[1]) ^ KEYS[2]);
    let mut add = |word: u64| hash = fold(hash ^ KEYS[0], word ^ KEYS[1]);
    match truth {
        None => add(0),
        Some(variants) => {
            add(1 + variants.len() as u64);
            for (pos, reference, alt) in variants {
                [pos, of_allele(reference), of_allele(alt)].into_iter().for_each(&mut add);
            }
        }
    }
    hash
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn every_part_counts() {
        let (window, seq) = (b"ACGTACGTACGTACGTACGT".as_slice(), b"ACGTACGTACGAACGTACGT".as_slice());
        let snv: Alleles<'_> = (12, b"T", b"A");
        let mut seen = HashSet::new();
        let truths: [Option<&[_]>; 6] =
            [None, Some(&[]), Some(&[snv]), Some(&[snv, snv]), Some(&[(13, b"T", b"A")]), Some(&[(12, b"TA", b"")])];
        for truth in truths {
            assert!(seen.insert(checksum(window, seq, truth)));
            assert!(seen.insert(checksum(seq, window, truth)));
        }
        for i in 0..seq.len() {
            for base in *b"ACGTN\0" {
                let mut changed = seq.to_vec();
                changed[i] = base;
                assert_eq!(seen.insert(checksum(window, &changed, None)), changed != seq);
            }
        }
        for length in 0..40 {
            assert!(seen.insert(checksum(&vec![0; length], b"", None)), "{length} zeros");
        }
    }

    #[test]
    fn it_stays_what_it_is() {
        let found = [checksum(b"", b"", None), checksum(b"ACGT", b"AGT", Some(&[(1, b"AC", b"A")]))];
        assert_eq!(found, [0x8723_f6e0_437e_7c9b, 0xcbbd_e4c3_78d6_99ba], "{found:#x?}");
    }
}
