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
}
