//! Recognises a file in which the two mates of each pair follow each other.

/// Watches the first four headers of a file. Two mates in a row may be chance (`chunk/1`, `chunk/2`, `chunk/3`); two pairs,
/// or a file that is one pair, are not.
#[derive(Default)]
pub struct Mates {
    first: Option<(Vec<u8>, u8)>,
    seen: u8,
    pairs: u8,
}

impl Mates {
    /// Takes a well-formed record's header; true when it proves the file to be interleaved.
    pub fn see(&mut self, header: &[u8]) -> bool {
        if self.seen >= 4 {
            return false;
        }
        self.seen += 1;
        let mate = mate(header).map(|(name, number)| (name.to_vec(), number));
        if self.seen % 2 == 1 {
            self.first = mate;
            return false;
        }
        let both = self.first.take().zip(mate);
        self.pairs += u8::from(both.is_some_and(|(a, b)| a.0 == b.0 && (a.1, b.1) == (b'1', b'2')));
        self.pairs == 2
    }

    /// Whether a file of just the records seen is one pair.
    pub const fn ended(&self) -> bool {
        self.seen == 2 && self.pairs == 1
    }
}

/// Name and number of a mate: `name/1`, Casava's `name 1:N:0:INDEX`, or the SRA's `RUN.SPOT.1`.
fn mate(header: &[u8]) -> Option<(&[u8], u8)> {
    let mut words = header.split(|b| b.is_ascii_whitespace());
    let name = words.next().unwrap_or_default();
    match (name, words.next().unwrap_or_default()) {
        ([stem @ .., b'/', number @ (b'1' | b'2')], _) => Some((stem, *number)),
        (_, [number @ (b'1' | b'2'), b':', ..]) => Some((name, *number)),
        ([stem @ .., b'.', number @ (b'1' | b'2')], _) if is_spot(stem) => Some((stem, *number)),
        _ => None,
    }
}

/// `RUN.SPOT`: without the number of the spot, `name.1` and `name.2` are two reads.
fn is_spot(stem: &[u8]) -> bool {
    let spot = stem.rsplit(|b| *b == b'.').next().unwrap_or_default();
    spot.len() + 1 < stem.len() && !spot.is_empty() && spot.iter().all(u8::is_ascii_digit)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proven(headers: &[&str]) -> bool {
        let mut mates = Mates::default();
        headers.iter().any(|h| mates.see(h.as_bytes())) || mates.ended()
    }

    #[test]
    fn pairs_are_recognised_by_both_namings() {
        assert!(proven(&["a/1", "a/2", "b/1", "b/2"]));
        assert!(proven(&["a/1 x", "a/2 x"]));
        assert!(proven(&["SRR1.1.1 1 length=9", "SRR1.1.2 1 length=9", "SRR1.2.1 2 length=9", "SRR1.2.2 2 length=9"]));
        assert!(proven(&["ERR7.10.1", "ERR7.10.2", "ERR7.11.1", "ERR7.11.2"]) && proven(&["DRR3.5.1", "DRR3.5.2"]));
        assert!(proven(&["a 1:N:0:ACGT", "a 2:N:0:ACGT", "b 1:Y:0:", "b 2:Y:0:"]));
    }

    #[test]
    fn one_file_of_pairs_and_numbered_reads_are_not() {
        assert!(!proven(&["a/1", "b/1", "c/1", "d/1"]));
        assert!(!proven(&["a/2", "b/2"]));
        assert!(!proven(&["chunk/1", "chunk/2", "chunk/3", "chunk/4"]));
        assert!(!proven(&["a", "a", "b", "b"]));
        assert!(!proven(&["SRR1.1", "SRR1.2", "SRR1.3", "SRR1.4"]) && !proven(&["SRR1.1", "SRR1.2"]));
        assert!(!proven(&["a.1.1", "a.2.1", "a.3.1", "a.4.1"]) && !proven(&["v.1.1", "v.1.2", "v.1.3", "v.1.4"]));
        assert!(!proven(&["a/1", "b/2"]) && !proven(&[]) && !proven(&["a/1"]));
    }
}
