//! Records as columns, the form in which they cross to Python.

use super::{Generator, Record, Scratch};
use crate::variant::{Event, TiTv, Variant, VariantType, spdi};

/// pos, ref, alt, type, event, length, spdi, titv.
pub type VariantRow = (u32, String, String, &'static str, &'static str, usize, String, Option<&'static str>);

/// A column for each field of a record, all of one length.
#[derive(Debug, Default)]
#[expect(missing_docs, reason = "named and described as the fields of Record")]
pub struct Columns {
    pub contig: Vec<String>,
    pub ref_start: Vec<u64>,
    pub strand: Vec<&'static str>,
    pub ref_seq: Vec<String>,
    pub seq: Vec<String>,
    pub qual: Vec<Option<String>>,
    pub truth: Vec<Vec<VariantRow>>,
    pub errors: Vec<Vec<VariantRow>>,
    pub identifiable: Vec<bool>,
    pub checksum: Vec<u64>,
    pub gc: Vec<f64>,
    pub max_homopolymer: Vec<u32>,
    pub max_str: Vec<u32>,
    pub min_gap: Vec<Option<usize>>,
}

impl Columns {
    /// The records of `indices`.
    pub fn of(generator: &Generator, indices: impl IntoIterator<Item = u64>) -> Self {
        let (mut scratch, mut record, mut columns) = (Scratch::default(), Record::default(), Self::default());
        for index in indices {
            generator.fill(index, &mut scratch, &mut record);
            columns.push(generator, &record);
        }
        columns
    }

    fn push(&mut self, generator: &Generator, record: &Record) {
        let contig = generator.contig_name(record);
        let rows = |variants: &[Variant]| variants.iter().map(|v| row(v, &contig, record.ref_start, &record.ref_seq)).collect();
        self.truth.push(rows(&record.truth));
        self.errors.push(rows(&record.errors));
        self.contig.push(contig.into_owned());
        self.ref_start.push(record.ref_start);
        self.strand.push(if record.reverse { "-" } else { "+" });
        self.ref_seq.push(text(&record.ref_seq));
        self.seq.push(text(&record.seq));
        self.qual.push((!record.qual.is_empty()).then(|| text(&record.qual)));
        self.identifiable.push(record.identifiable);
        self.checksum.push(record.checksum);
        self.gc.push(record.strata.gc);
        self.max_homopolymer.push(record.strata.max_homopolymer);
        self.max_str.push(record.strata.max_str);
        self.min_gap.push(record.min_gap);
    }
}

/// A variant of a window as a row.
#[must_use]
pub fn row(v: &Variant, contig: &str, ref_start: u64, window: &[u8]) -> VariantRow {
    let edit = v.edit(window);
    let spdi = spdi(contig, ref_start, window, &edit);
    let (kind, event) = (VariantType::name(v.kind), Event::name(v.event));
    (v.pos.0, v.reference.to_string(), v.alt.to_string(), kind, event, v.length(), spdi, v.titv().map(TiTv::name))
}

fn text(bases: &[u8]) -> String {
    String::from_utf8(bases.to_vec()).unwrap_or_default() // bases and qualities are ASCII
}
