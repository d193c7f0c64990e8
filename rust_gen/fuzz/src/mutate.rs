//! A small seeded mutator, for machines without a coverage-guided fuzzer: specimens spliced, cut, repeated and damaged.

/// Pieces that mean something to the parsers.
const PIECES: [&[u8]; 24] = [
    b"\n",
    b"\r\n",
    b"\r",
    b"@",
    b">",
    b"+",
    b"\n\n",
    b"\n@",
    b"\n>",
    b"\n+\n",
    b"@r\nAC\n+\nII\n",
    b">r\nAC\n",
    b"/1",
    b"/2",
    b" 1:N:0:",
    b"\0",
    b"\xff",
    b"N",
    b"-",
    b" ",
    b"\t",
    b"\xef\xbb\xbf",
    b"@HD\tVN:",
    b"\x1f\x8b",
];

/// A xorshift generator: the same seed gives the same inputs.
pub struct Mutator {
    state: u64,
}

impl Mutator {
    /// `seed` may be any number.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self { state: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1 }
    }

    fn below(&mut self, bound: usize) -> usize {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        (self.state >> 11) as usize % bound.max(1)
    }

    /// Another input, made of the specimens; at most a few kilobytes.
    pub fn next(&mut self, specimens: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = specimens[self.below(specimens.len())].clone();
        for _ in 0..=self.below(6) {
            let at = self.below(bytes.len() + 1);
            let to = (at + self.below(40)).min(bytes.len());
            match self.below(8) {
                0 => bytes.truncate(at),
                1 => drop(bytes.drain(at..to)),
                2 => bytes.splice(at..at, PIECES[self.below(PIECES.len())].iter().copied()).for_each(drop),
                3 => bytes.splice(at..to, PIECES[self.below(PIECES.len())].iter().copied()).for_each(drop),
                4 if at < bytes.len() => bytes[at] = self.below(256) as u8,
                5 => {
                    let other = &specimens[self.below(specimens.len())];
                    let from = self.below(other.len() + 1);
                    bytes.splice(at.., other[from..].iter().copied()).for_each(drop);
                }
                6 => {
                    let part = bytes[at..to].repeat(1 + self.below(12));
                    bytes.splice(at..at, part).for_each(drop);
                }
                _ => {
                    let run = vec![b"ACGTN\nI@"[self.below(8)]; self.below(900)];
                    bytes.splice(at..at, run).for_each(drop);
                }
            }
        }
        bytes.truncate(8192);
        bytes
    }
}
