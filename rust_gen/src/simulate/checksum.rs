//! A checksum of what must not change between the generator and the database: window, read and truth.

/// Odd constants with as many ones as zeros; the first two are SplitMix64's.
const KEYS: [u64; 3] = [0x9e37_79b9_7f4a_7c15, 0xbf58_476d_1ce4_e5b9, 0x94d0_49bb_1331_11eb];

/// Halves of the 128-bit product, folded: each input bit reaches every output bit (the step of wyhash and rapidhash).
const fn fold(a: u64, b: u64) -> u64 {
    let wide = (a as u128) * (b as u128);
    wide as u64 ^ (wide >> 64) as u64
}

struct Hash(u64);

impl Hash {
    const fn word(&mut self, word: u64) {
        self.0 = fold(self.0 ^ KEYS[0], word ^ KEYS[1]);
    }

    /// The bytes, 16 at a time, the last ones filled up with zeros, and their number, which tells those zeros from bytes.
    fn bytes(&mut self, bytes: &[u8]) {
        let (blocks, tail) = bytes.as_chunks::<16>();
        let mut block = |block: &[u8; 16]| {
            let wide = u128::from_le_bytes(*block);
            self.0 = fold(wide as u64 ^ KEYS[2] ^ self.0, (wide >> 64) as u64 ^ KEYS[1]);
        };
        blocks.iter().for_each(&mut block);
        if !tail.is_empty() {
            let mut last = [0; 16];
            last[..tail.len()].copy_from_slice(tail);
            block(&last);
        }
        self.word(bytes.len() as u64);
    }
}

/// 64 bits of window, read and truth (position from 1, reference allele, alternative allele). A truth that is unknown and one
/// that is known to be empty differ. Not cryptographic: it detects corruption, not forgery.
///
/// ```
/// use _rust_gen::simulate::checksum::checksum;
/// assert_ne!(checksum(b"ACGT", b"ACGT", None), checksum(b"ACGT", b"ACGT", Some(&[])));
/// ```
#[must_use]
pub fn checksum(window: &[u8], seq: &[u8], truth: Option<&[(u64, &[u8], &[u8])]>) -> u64 {
    checksum_of(window, seq, truth.map(|variants| variants.iter().copied()))
}

/// As [`checksum`], of a truth that lies elsewhere in another form.
pub fn checksum_of<'a>(window: &[u8], seq: &[u8], truth: Option<impl ExactSizeIterator<Item = (u64, &'a [u8], &'a [u8])>>) -> u64 {
    let mut hash = Hash(0);
    hash.bytes(window);
    hash.bytes(seq);
    match truth {
        None => hash.word(0),
        Some(variants) => {
            hash.word(1 + variants.len() as u64);
            for (pos, reference, alt) in variants {
                hash.word(pos);
                hash.bytes(reference);
                hash.bytes(alt);
            }
        }
    }
    hash.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn every_part_counts() {
        let (window, seq) = (b"ACGTACGTACGTACGTACGT".as_slice(), b"ACGTACGTACGAACGTACGT".as_slice());
        let snv: (u64, &[u8], &[u8]) = (12, b"T", b"A");
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
        for length in 0..20 {
            assert!(seen.insert(checksum(&vec![0; length], b"", None)), "{length} zeros");
        }
    }

    #[test]
    fn it_stays_what_it_is() {
        let found = [checksum(b"", b"", None), checksum(b"ACGT", b"AGT", Some(&[(1, b"AC", b"A")]))];
        assert_eq!(found, [0, 0], "{found:#x?}");
    }
}
