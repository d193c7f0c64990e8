//! Places reads on a reference with minimap2 and cuts the window that each of them covers.

use std::sync::OnceLock;

use minimap2::{Aligner, Built, Mapping, Preset, PresetSet, Strand};

use crate::files::columns::text;
use crate::files::error::{Fault, InputError};
use crate::files::record::{ambiguities_to_n, is_plain};
use crate::files::reference::Reference;
use crate::simulate::strata::{gc_fraction, max_homopolymer};

/// Reads up to this length are placed with minimap2's preset `sr`, which its authors made for some 100 to 300 bases and which
/// allows gaps of 100; longer ones with `map-ont`, which also finds them when they are noisy.
pub const SHORT_READ_BASES: usize = 500;
/// Reads up to this length are placed with denser and shorter seeds than `sr` has: two of its seeds need some 50 bases.
pub const TINY_READ_BASES: usize = 100;
/// Shorter reads are never placed: chance gives too many of them a place.
pub const LEAST_READ_BASES: usize = 25;

/// What became of one read.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// The read lies there.
    Placed(Placement),
    /// minimap2 found no place.
    Unplaced,
    /// The read has fewer than [`LEAST_READ_BASES`] bases.
    TooShort,
    /// The read, or the window found for it, holds an ambiguity code other than N.
    Ambiguous,
}

/// The primary alignment of a read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placement {
    /// Which contig, as an index into the reference.
    pub contig: usize,
    /// Bases of the contig before the window.
    pub ref_start: usize,
    /// Whether the read was reverse-complemented.
    pub reverse: bool,
    /// Exactly the bases of the contig that the alignment spans.
    pub window: Vec<u8>,
    /// The aligned part of the read, on the strand of the reference.
    pub seq: Vec<u8>,
    /// Where that part begins and ends in the read as given.
    pub kept: (usize, usize),
    /// Mapping quality, 0..=60.
    pub mapping_quality: u32,
    /// Whether the read lies as well elsewhere.
    pub repeated: bool,
}

/// status (placed, repeated, unplaced, too_short, iupac), contig, ref_start, strand, ref_seq, seq, kept, mapping_quality, gc, max_homopolymer.
pub type PlacedColumns = (
    Vec<&'static str>,
    Vec<String>,
    Vec<usize>,
    Vec<&'static str>,
    Vec<String>,
    Vec<String>,
    Vec<(usize, usize)>,
    Vec<u32>,
    Vec<f64>,
    Vec<u32>,
);

/// A reference ready to place reads on.
pub struct Placer {
    reference: Reference,
    ambiguous_as_n: bool,
    short: Aligner<Built>,
    /// Built when the first such read comes.
    tiny: OnceLock<Result<Aligner<Built>, InputError>>,
    long: OnceLock<Result<Aligner<Built>, InputError>>,
}

impl Placer {
    /// Indexes a reference for short reads. With `ambiguous_as_n` the ambiguity codes of reads and of the reference count as
    /// N; without, a read that has or meets one is [`Outcome::Ambiguous`].
    ///
    /// # Errors
    /// minimap2 cannot index the file.
    pub fn new(mut reference: Reference, ambiguous_as_n: bool) -> Result<Self, InputError> {
        let short = index(&reference, Aligner::builder().preset(Preset::Sr))?;
        if ambiguous_as_n {
            reference.contigs.iter_mut().for_each(|contig| ambiguities_to_n(&mut contig.bases));
        }
        Ok(Self { reference, ambiguous_as_n, short, tiny: OnceLock::new(), long: OnceLock::new() })
    }

    /// The reference.
    #[must_use]
    pub const fn reference(&self) -> &Reference {
        &self.reference
    }

    /// Places one read of upper-case IUPAC codes. Secondary and supplementary alignments are ignored.
    ///
    /// # Errors
    /// The reference file was changed while it was loaded.
    pub fn place(&self, read: &[u8]) -> Result<Outcome, InputError> {
        let masked = self.ambiguous_as_n.then(|| {
            let mut read = read.to_vec();
            ambiguities_to_n(&mut read);
            read
        });
        let read = masked.as_deref().unwrap_or(read);
        if !is_plain(read) {
            return Ok(Outcome::Ambiguous);
        }
        if read.len() < LEAST_READ_BASES {
            return Ok(Outcome::TooShort);
        }
        if i32::try_from(read.len()).is_err() {
            return Ok(Outcome::Unplaced);
        }
        let tiny = read.len() <= TINY_READ_BASES;
        let aligner = if tiny {
            self.tiny.get_or_init(|| index(&self.reference, tiny_settings(&self.reference))).as_ref().map_err(Clone::clone)?
        } else if read.len() <= SHORT_READ_BASES {
            &self.short
        } else {
            let settings = || Aligner::builder().preset(Preset::MapOnt);
            self.long.get_or_init(|| index(&self.reference, settings())).as_ref().map_err(Clone::clone)?
        };
        let found = aligner.map(read, false, false, None, None, None).map_err(|e| self.failed(e))?;
        let primary = found.iter().find(|m| m.is_primary && !m.is_supplementary && m.alignment.is_some());
        let Some(mapping) = primary else { return Ok(Outcome::Unplaced) };
        let mut placement = self.cut(read, mapping).ok_or_else(|| self.failed("its contigs are not those that were read"))?;
        let others = found.iter().filter(|other| !std::ptr::eq(*other, mapping));
        let next_best = others.map(score).max().unwrap_or(0);
        placement.repeated = next_best >= score(mapping);
        if tiny {
            placement.mapping_quality = tiny_quality(mapping, next_best.max(tiny_least_score(self.reference.bases())));
        }
        Ok(if is_plain(&placement.window) { Outcome::Placed(placement) } else { Outcome::Ambiguous })
    }

    /// Places many reads. The columns of a read that was not placed are empty, but for its status.
    ///
    /// # Errors
    /// As [`Placer::place`].
    pub fn place_all<T: AsRef<[u8]>>(&self, reads: &[T]) -> Result<PlacedColumns, InputError> {
        let mut columns = PlacedColumns::default();
        for read in reads {
            let (status, placement) = match self.place(read.as_ref())? {
                Outcome::Placed(placement) => (if placement.repeated { "repeated" } else { "placed" }, Some(placement)),
                Outcome::Unplaced => ("unplaced", None),
                Outcome::TooShort => ("too_short", None),
                Outcome::Ambiguous => ("iupac", None),
            };
            let p = placement.as_ref();
            columns.0.push(status);
            columns.1.push(p.map(|p| self.reference.contigs[p.contig].name.clone()).unwrap_or_default());
            columns.2.push(p.map_or(0, |p| p.ref_start));
            columns.3.push(if p.is_some_and(|p| p.reverse) { "-" } else { "+" });
            columns.6.push(p.map_or((0, 0), |p| p.kept));
            columns.7.push(p.map_or(0, |p| p.mapping_quality));
            columns.8.push(p.map_or(0.0, |p| gc_fraction(&p.window)));
            columns.9.push(p.map_or(0, |p| max_homopolymer(&p.window)));
            let (window, seq) = placement.map(|p| (p.window, p.seq)).unwrap_or_default();
            columns.4.push(text(window));
            columns.5.push(text(seq));
        }
        Ok(columns)
    }

    fn failed(&self, message: &str) -> InputError {
        InputError::new(Fault::Unusable, &self.reference.path, format!("minimap2: {message}; was the file changed meanwhile?"))
    }

    /// None when the alignment does not fit the reference in memory.
    fn cut(&self, read: &[u8], m: &Mapping) -> Option<Placement> {
        let number = usize::try_from(m.target_id).ok()?;
        let contig = self.reference.contigs.get(number)?;
        if m.target_name.as_deref() != Some(&contig.name) || usize::try_from(m.target_len) != Ok(contig.bases.len()) {
            return None;
        }
        let ref_start = usize::try_from(m.target_start).ok()?;
        let window = contig.bases.get(ref_start..usize::try_from(m.target_end).ok()?)?.to_vec();
        let kept = (usize::try_from(m.query_start).ok()?, usize::try_from(m.query_end).ok()?);
        let part = read.get(kept.0..kept.1)?;
        let reverse = m.strand == Strand::Reverse;
        let seq = if reverse { reverse_complement(part) } else { part.to_vec() };
        Some(Placement { contig: number, ref_start, reverse, window, seq, kept, mapping_quality: m.mapq, repeated: false })
    }
}

/// The other strand of a sequence of A, C, G, T and N.
#[must_use]
pub fn reverse_complement(bases: &[u8]) -> Vec<u8> {
    let other = |base: &u8| match base {
        b'A' => b'T',
        b'C' => b'G',
        b'G' => b'C',
        b'T' => b'A',
        other => *other,
    };
    bases.iter().rev().map(other).collect()
}

/// `sr` with shorter and denser seeds, of which one is enough: a read of 25 bases with a difference in its middle leaves 12 on
/// each side. Longer seeds in a larger reference keep their places few, and the index small.
fn tiny_settings(reference: &Reference) -> Aligner<PresetSet> {
    let bases = reference.bases();
    let mut builder = Aligner::builder().preset(Preset::Sr);
    (builder.idxopt.k, builder.idxopt.w) = match bases {
        0..10_000_000 => (11, 1),
        10_000_000..300_000_000 => (13, 3),
        _ => (15, 5),
    };
    (builder.mapopt.min_cnt, builder.mapopt.min_chain_score, builder.mapopt.min_dp_max) = (1, 10, tiny_least_score(bases));
    builder
}

/// Of an alignment of a tiny read, two a matching base: six bases more than chance gives any read somewhere, but so few that a
/// shortest read which matches has quality 24 in any reference.
fn tiny_least_score(reference_bases: usize) -> i32 {
    2 * ((2.0 * reference_bases as f64).log(4.0).ceil() as i32 + 6).clamp(13, 21)
}

fn score(mapping: &Mapping) -> i32 {
    mapping.alignment.as_ref().and_then(|found| found.alignment_score).unwrap_or(0)
}

/// minimap2 bounds its quality by the length of the chain, which leaves short reads next to nothing. As its second bound, which
/// follows BWA-MEM: 6 for each base by which the next best place is worse, or else the least that would be found.
fn tiny_quality(mapping: &Mapping, next_best: i32) -> u32 {
    let identity = f64::from(mapping.match_len) / f64::from(mapping.block_len.max(1));
    let lead = f64::from((score(mapping) - next_best).max(0)) / 2.0;
    (6.02 * identity * identity * lead + 0.5).min(60.0) as u32
}

/// minimap2 reads the file a second time: the crate's way to index several sequences from memory is unsound.
fn index(reference: &Reference, settings: Aligner<PresetSet>) -> Result<Aligner<Built>, InputError> {
    let mut builder = settings.with_cigar();
    builder.idxopt.batch_size = i64::MAX as u64; // one index, however large: mapping qualities are comparable then
    builder
        .with_index(&reference.path, None)
        .map_err(|e| InputError::new(Fault::Unusable, &reference.path, format!("minimap2 cannot index it: {e}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reverse_complements() {
        assert_eq!(reverse_complement(b"ACGTN"), b"NACGT");
    }
}
