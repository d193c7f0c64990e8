//! Windows drawn from a reference genome.

use super::ConfigError;
use super::rng::Stream;
use crate::reference::{Contig, Reference};

/// A reference genome in memory and its stretches of pure A, C, G and T.
#[derive(Debug)]
pub struct Genome {
    contigs: Vec<Contig>,
    stretches: Vec<Stretch>,
    gc: f64,
}

#[derive(Clone, Copy, Debug)]
struct Stretch {
    contig: usize,
    start: usize,
    length: usize,
}

impl Genome {
    /// Takes the contigs of a reference; one byte a base.
    #[must_use]
    pub fn new(reference: Reference) -> Self {
        let contigs = reference.contigs;
        let mut stretches = Vec::new();
        let (mut strong, mut bases) = (0, 0);
        for (contig, sequence) in contigs.iter().enumerate() {
            let mut start = 0;
            for part in sequence.bases.split(|base| !b"ACGT".contains(base)) {
                if !part.is_empty() {
                    stretches.push(Stretch { contig, start, length: part.len() });
                    strong += part.iter().filter(|base| matches!(base, b'G' | b'C')).count();
                    bases += part.len();
                }
                start += part.len() + 1;
            }
        }
        Self { contigs, stretches, gc: if bases > 0 { strong as f64 / bases as f64 } else { 0.0 } }
    }

    /// Its contigs, in the order of the file.
    #[must_use]
    pub fn contigs(&self) -> &[Contig] {
        &self.contigs
    }

    /// Fraction of G and C among its A, C, G and T.
    #[must_use]
    pub const fn gc_content(&self) -> f64 {
        self.gc
    }

    /// All windows of `length` bases that hold nothing but A, C, G and T.
    ///
    /// # Errors
    /// There is none.
    pub fn windows(&self, length: usize) -> Result<Windows, ConfigError> {
        let mut total = 0;
        let mut stretches = Vec::new();
        for stretch in self.stretches.iter().filter(|s| s.length >= length) {
            total += (stretch.length - length + 1) as u64;
            stretches.push((total, *stretch));
        }
        if total == 0 {
            return Err(ConfigError(format!("read_length: the reference holds no {length} bases in a row that are all A, C, G or T")));
        }
        Ok(Windows { total, stretches, length })
    }
}

/// The windows of one length, equally likely.
#[derive(Clone, Debug)]
pub struct Windows {
    total: u64,
    /// Windows up to and including those of the stretch.
    stretches: Vec<(u64, Stretch)>,
    length: usize,
}

impl Windows {
    /// How many there are.
    #[must_use]
    pub const fn count(&self) -> u64 {
        self.total
    }

    /// One of them: its contig and where it starts there.
    pub fn draw(&self, stream: &mut Stream) -> (usize, usize) {
        let number = stream.below(self.total);
        let (end, stretch) = self.stretches[self.stretches.partition_point(|(end, _)| *end <= number)];
        (stretch.contig, stretch.start + stretch.length - self.length - (end - 1 - number) as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulate::rng::Topic;
    use std::collections::HashMap;

    fn genome(contigs: &[&str]) -> Genome {
        let contigs = contigs.iter().enumerate().map(|(i, bases)| Contig { name: format!("c{i}"), bases: bases.as_bytes().to_vec() });
        Genome::new(Reference { path: "test.fa".into(), contigs: contigs.collect() })
    }

    #[test]
    fn every_pure_window_is_equally_likely() {
        let genome = genome(&["ACGTNNACGTACGTRAC", "NNN", "GGGGG"]);
        let windows = genome.windows(4).unwrap();
        assert_eq!(windows.count(), 1 + 5 + 2);
        let mut stream = Stream::new(1, 0, Topic::Reference);
        let mut seen: HashMap<(usize, usize), u32> = HashMap::new();
        (0..80_000).for_each(|_| *seen.entry(windows.draw(&mut stream)).or_default() += 1);
        let mut places: Vec<_> = seen.keys().copied().collect();
        places.sort_unstable();
        assert_eq!(places, [(0, 0), (0, 6), (0, 7), (0, 8), (0, 9), (0, 10), (2, 0), (2, 1)]);
        assert!(seen.values().all(|n| n.abs_diff(10_000) < 500), "{seen:?}");
        for (contig, start) in places {
            assert!(genome.contigs()[contig].bases[start..start + 4].iter().all(|base| b"ACGT".contains(base)));
        }
    }

    #[test]
    fn gc_leaves_other_codes_out() {
        assert_eq!(genome(&["GCNN", "AATTSS"]).gc_content(), 2.0 / 6.0);
    }

    #[test]
    fn a_reference_without_a_window_is_refused() {
        assert!(genome(&["ACGTNACGT"]).windows(5).unwrap_err().0.contains("read_length"));
    }
}
