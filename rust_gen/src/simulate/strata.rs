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
