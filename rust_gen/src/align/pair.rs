//! The part of a pair that is left to align once the shared ends are taken off.

/// Fills the word that is read beyond the end of the window or of the read; no base, and never equal to each other.
const PADS: (u8, u8) = (0, 255);
const WORD: usize = 8;

/// Window and read without their shared suffix and prefix, back to front: position 0 is the right-most base.
///
/// With free matches some optimal alignment matches a shared end base by base, so taking it off changes no score.
#[derive(Default)]
pub struct Pair {
    window: Vec<u8>,
    read: Vec<u8>,
    prefix: usize,
    wild: bool,
}

impl Pair {
    /// Takes a pair in place of the last one. The suffix goes first: that leaves a lone gap at its left-most place.
    pub fn load(&mut self, window: &[u8], read: &[u8]) {
        self.wild = window.contains(&b'N') || read.contains(&b'N');
        let suffix = if self.wild { shared(window.iter().rev(), read.iter().rev()) } else { shared_suffix(window, read) };
        let (window, read) = (&window[..window.len() - suffix], &read[..read.len() - suffix]);
        self.prefix = if self.wild { shared(window.iter(), read.iter()) } else { shared_prefix(window, read) };
        for (own, bases, pad) in [(&mut self.window, window, PADS.0), (&mut self.read, read, PADS.1)] {
            own.clear();
            own.extend(bases[self.prefix..].iter().rev());
            own.extend([pad; WORD]);
        }
    }

    /// Bases of the window and of the read that are left.
    pub fn lengths(&self) -> (usize, usize) {
        (self.window.len() - WORD, self.read.len() - WORD)
    }

    /// Bases taken off at the left.
    pub fn prefix(&self) -> usize {
        self.prefix
    }

    /// Whether an N occurs.
    pub fn wild(&self) -> bool {
        self.wild
    }

    /// How many bases match in a row from these positions on. `WILD`: an N may occur, which matches anything.
    pub fn matches<const WILD: bool>(&self, in_window: usize, in_read: usize) -> usize {
        if WILD {
            let (n, m) = self.lengths();
            return shared(self.window[in_window..n].iter(), self.read[in_read..m].iter());
        }
        let mut count = 0;
        loop {
            let differing = word(&self.window, in_window + count) ^ word(&self.read, in_read + count);
            if differing != 0 {
                return count + (differing.trailing_zeros() / 8) as usize;
            }
            count += WORD;
        }
    }

    /// Half the cost of the alignment without gaps, but for one at the left when the lengths differ: no optimum is above.
    pub fn half_straight_score(&self) -> i32 {
        let (n, m) = self.lengths();
        let mismatches = self.window[..n].iter().zip(&self.read[..m]).filter(|(a, b)| !matching(**a, **b)).count();
        let gap = if n == m { 0 } else { super::GAP_OPEN as usize / 2 + n.abs_diff(m) };
        (mismatches * super::MISMATCH as usize / 2 + gap) as i32
    }
}

/// Whether two bases match.
pub fn matching(a: u8, b: u8) -> bool {
    a == b || a == b'N' || b == b'N'
}

fn shared<'a>(window: impl Iterator<Item = &'a u8>, read: impl Iterator<Item = &'a u8>) -> usize {
    window.zip(read).take_while(|(a, b)| matching(**a, **b)).count()
}

fn shared_prefix(a: &[u8], b: &[u8]) -> usize {
    let words = a.chunks_exact(WORD).zip(b.chunks_exact(WORD)).take_while(|(a, b)| a == b).count() * WORD;
    words + a[words..].iter().zip(&b[words..]).take_while(|(a, b)| a == b).count()
}

fn shared_suffix(a: &[u8], b: &[u8]) -> usize {
    let words = a.rchunks_exact(WORD).zip(b.rchunks_exact(WORD)).take_while(|(a, b)| a == b).count() * WORD;
    let (a, b) = (&a[..a.len() - words], &b[..b.len() - words]);
    words + a.iter().rev().zip(b.iter().rev()).take_while(|(a, b)| a == b).count()
}

fn word(bases: &[u8], at: usize) -> u64 {
    bases[at..].first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes))
}
