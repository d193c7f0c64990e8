//! Properties of a window by which accuracy is reported apart.

/// Fraction of G and C among all bases; 0 for an empty sequence.
#[must_use]
pub fn gc_fraction(bases: &[u8]) -> f64 {
    if bases.is_empty() {
        return 0.0;
    }
    bases.iter().filter(|base| matches!(base, b'G' | b'C')).count() as f64 / bases.len() as f64
}

/// Length of the longest run of one base.
#[must_use]
pub fn max_homopolymer(bases: &[u8]) -> u32 {
    let (mut longest, mut run, mut last) = (0, 0, 0);
    for &base in bases {
        run = if base == last { run + 1 } else { 1 };
        longest = longest.max(run);
        last = base;
    }
    longest
}

/// Bases of the longest tandem repeat whose unit has 2 to 6 bases and stands there at least twice, a last copy that is cut
/// short included; 0 when there is none. A run of one base is none: it is a homopolymer.
#[must_use]
pub fn max_str(bases: &[u8]) -> u32 {
    let mut longest = 0;
    for unit in 2..=6 {
        let mut run = 0;
        for (i, pair) in bases.windows(unit + 1).enumerate() {
            run = if pair[0] == pair[unit] { run + 1 } else { 0 };
            if run >= unit && run + unit > longest && bases[i..=i + unit].iter().any(|base| *base != pair[0]) {
                longest = run + unit;
            }
        }
    }
    longest as u32
}

/// What is known of a window by its bases alone.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Strata {
    /// Fraction of G and C.
    pub gc: f64,
    /// Length of the longest run of one base.
    pub max_homopolymer: u32,
    /// Bases of the longest tandem repeat; see [`max_str`].
    pub max_str: u32,
}

impl Strata {
    /// Of a window.
    #[must_use]
    pub fn of(window: &[u8]) -> Self {
        Self { gc: gc_fraction(window), max_homopolymer: max_homopolymer(window), max_str: max_str(window) }
    }
}

/// Units of low-complexity repeats and the bases from which they count: GIAB's over 6, 11, 15 and 20 bases.
const SIMPLE: [(usize, usize); 4] = [(1, 7), (2, 11), (3, 15), (4, 20)];

/// GC in tenths of the `around` bases to either side of start..end, the longest run of one base that touches it, and whether a
/// low-complexity region comes nearer than `slop` bases. Runs and regions are looked for as far as a region can begin.
pub fn surroundings(window: &[u8], start: usize, end: usize, around: usize, slop: usize) -> (usize, usize, bool) {
    let near = |reach: usize| (start.saturating_sub(reach), &window[start.saturating_sub(reach)..window.len().min(end + reach)]);
    let (_, counted) = near(around);
    let gc = counted.iter().filter(|&&b| b == b'G' || b == b'C').count();
    let (first, bases) = near(slop + 20);
    let (low, high) = (start - first, end - first);
    let (mut longest, mut at) = (0, 0);
    for run in bases.chunk_by(|a, b| a == b) {
        if at <= high && at + run.len() >= low {
            longest = longest.max(run.len());
        }
        at += run.len();
    }
    let (mut simple, mut at) = (false, 0);
    while at < bases.len() && !simple {
        let repeats = |&&(unit, length): &&(usize, usize)| bases.get(at..at + length).is_some_and(|r| r[unit..] == r[..length - unit]);
        let length = SIMPLE.iter().find(repeats).map_or(0, |&(_, length)| length);
        simple = length > 0 && at < high + slop && at + length + slop > low;
        at += length.max(1);
    }
    ((10 * gc / counted.len().max(1)).min(9), longest, simple)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts() {
        assert_eq!(gc_fraction(b"GATC"), 0.5);
        assert_eq!(gc_fraction(b""), 0.0);
        assert_eq!(max_homopolymer(b"GATTTC"), 3);
        assert_eq!(max_homopolymer(b""), 0);
    }

    #[test]
    fn tandem_repeats() {
        let cases =
            [("", 0), ("AC", 0), ("ACAC", 4), ("GACACAT", 5), ("AAAAAAAA", 0), ("ACGACGAT", 7), ("TACGTATACGTAT", 13), ("GATTACAC", 4)];
        for (bases, found) in cases {
            assert_eq!(max_str(bases.as_bytes()), found, "{bases}");
        }
    }
}
