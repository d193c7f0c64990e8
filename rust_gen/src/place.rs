//! Places reads on a reference with minimap2 and cuts the window that each of them covers.

use std::sync::OnceLock;

use minimap2::{Aligner, Built, Mapping, Preset, Strand};

use crate::files::columns::text;
use crate::files::error::{Fault, InputError};
use crate::files::record::{ambiguities_to_n, is_plain};
use crate::files::reference::Reference;
use crate::simulate::strata::{gc_fraction, max_homopolymer};

/// Reads up to this length are placed with minimap2's preset `sr`, which its authors made for some 100 to 300 bases and which
/// allows gaps of 100; longer ones with `map-ont`, which also finds them when they are noisy.
pub const SHORT_READ_BASES: usize = 500;

/// What became of one read.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// The read lies there.
    Placed(Placement),
    /// minimap2 found no place.
    Unplaced,
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
}

/// status (placed, unplaced, iupac), contig, ref_start, strand, ref_seq, seq, kept, mapping_quality, gc, max_homopolymer.
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
    /// Built when the first long read comes.
    long: OnceLock<Result<Aligner<Built>, InputError>>,
}

impl Placer {
    /// Indexes a reference for short reads. With `ambiguous_as_n` the ambiguity codes of reads and of the reference count as
    /// N; without, a read that has or meets one is [`Outcome::Ambiguous`].
    ///
    /// # Errors
    /// minimap2 cannot index the file.
    pub fn new(mut reference: Reference, ambiguous_as_n: bool) -> Result<Self, InputError> {
        let short = index(&reference, Preset::Sr)?;
        if ambiguous_as_n {
            reference.contigs.iter_mut().for_each(|contig| ambiguities_to_n(&mut contig.bases));
        }
        Ok(Self { reference, ambiguous_as_n, short, long: OnceLock::new() })
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
        if read.is_empty() || i32::try_from(read.len()).is_err() {
            return Ok(Outcome::Unplaced);
        }
        let aligner = if read.len() <= SHORT_READ_BASES {
            &self.short
        } else {
            self.long.get_or_init(|| index(&self.reference, Preset::MapOnt)).as_ref().map_err(Clone::clone)?
        };
        let found = aligner.map(read, false, false, None, None, None).map_err(|e| self.failed(e))?;
        let primary = found.iter().find(|m| m.is_primary && !m.is_supplementary && m.alignment.is_some());
        let Some(mapping) = primary else { return Ok(Outcome::Unplaced) };
        let placement = self.cut(read, mapping).ok_or_else(|| self.failed("its contigs are not those that were read"))?;
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
                Outcome::Placed(placement) => ("placed", Some(placement)),
                Outcome::Unplaced => ("unplaced", None),
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
        Some(Placement { contig: number, ref_start, reverse, window, seq, kept, mapping_quality: m.mapq })
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

/// minimap2 reads the file a second time: the crate's way to index several sequences from memory is unsound.
fn index(reference: &Reference, preset: Preset) -> Result<Aligner<Built>, InputError> {
    let mut builder = Aligner::builder().preset(preset).with_cigar();
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
