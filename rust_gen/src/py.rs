//! The Python module `helix_ray._rust_gen`: the one file that knows Python. Its stub is `helix_ray/_rust_gen.pyi`.

use std::borrow::Cow;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use pyo3::create_exception;
use pyo3::exceptions::{PyException, PyValueError};
use pyo3::prelude::*;

use crate::files::error::InputError;
use crate::files::fastx::{Kind, Reader, Rules};
use crate::files::lines::Lines;
use crate::files::reference::Reference;
use crate::generate::{GENERATOR_VERSION, Generator};
use crate::mutation::Model;
use crate::place::{Outcome, Placer as CorePlacer};
use crate::strata::{gc_fraction, max_homopolymer};
use crate::variant::Variant;

create_exception!(_rust_gen, InputFileError, PyException, "An input file cannot be used: message, fault, record, line.");

/// A variant as Python sees it: pos, ref, alt, type, event.
type PyVariant = (u32, String, String, &'static str, &'static str);
/// ref_seq, seq, truth, identifiable, gc, max_homopolymer.
type SyntheticColumns = (Vec<String>, Vec<String>, Vec<Vec<PyVariant>>, Vec<bool>, Vec<f64>, Vec<u32>);
/// ordinal, line, name, seq, qual, length, problem.
type FileColumns = (Vec<u64>, Vec<u64>, Vec<String>, Vec<String>, Vec<Option<String>>, Vec<usize>, Vec<Option<String>>);
/// status, contig, ref_start, strand, ref_seq, seq, kept, mapping_quality, gc, max_homopolymer.
type PlacedColumns = (
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

/// Most records of one call: 150 bases each, this is some 500 MB as Python objects.
const MAX_COUNT: usize = 1_000_000;

fn input_error(e: InputError) -> PyErr {
    InputFileError::new_err((e.to_string(), e.fault.name(), e.record, e.line))
}

fn text(bases: Vec<u8>) -> String {
    String::from_utf8(bases).unwrap_or_else(|e| String::from_utf8_lossy(e.as_bytes()).into_owned())
}

/// Records start..start+count as columns: ref_seq, seq, truth, identifiable, gc, max_homopolymer.
#[pyfunction]
fn generate(py: Python<'_>, seed: u64, config_json: &str, start: u64, count: usize) -> PyResult<SyntheticColumns> {
    let model = Model::from_json(config_json).map_err(|e| PyValueError::new_err(e.to_string()))?;
    if count > MAX_COUNT {
        return Err(PyValueError::new_err(format!("count: at most {MAX_COUNT} records a call, found {count}")));
    }
    let end = start.checked_add(count as u64).ok_or_else(|| PyValueError::new_err("start: beyond the last 64-bit index"))?;
    Ok(py.detach(|| {
        let generator = Generator::new(seed, model);
        let mut columns = SyntheticColumns::default();
        for record in (start..end).map(|index| generator.record(index)) {
            columns.0.push(text(record.ref_seq));
            columns.1.push(text(record.seq));
            columns.2.push(record.truth.into_iter().map(py_variant).collect());
            columns.3.push(record.identifiable);
            columns.4.push(record.gc);
            columns.5.push(record.max_homopolymer);
        }
        columns
    }))
}

fn py_variant(v: Variant) -> PyVariant {
    (v.pos.0, v.reference, v.alt, v.kind.name(), v.event.name())
}

/// A FASTA or FASTQ file, plain or gzip, read forward. Reads longer than keep_bases come without their sequence.
#[pyclass(frozen)]
struct FastxReader(Mutex<Reader>);

#[pymethods]
impl FastxReader {
    #[new]
    fn new(py: Python<'_>, path: PathBuf, kind: &str, max_record_bytes: u64, keep_bases: usize, refuse_mates: bool) -> PyResult<Self> {
        let kind = Kind::from_name(kind).ok_or_else(|| PyValueError::new_err(format!("kind: fasta or fastq, found '{kind}'")))?;
        let rules = Rules { max_record_bytes, keep_bases, refuse_mates };
        py.detach(|| Reader::open(&path, kind, rules)).map(|reader| Self(Mutex::new(reader))).map_err(input_error)
    }

    /// The next count records, fewer at the end: ordinal, line, name, seq, qual, length, problem.
    fn read(&self, py: Python<'_>, count: usize) -> PyResult<FileColumns> {
        let read = || {
            let mut reader = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let mut columns = FileColumns::default();
            while columns.0.len() < count {
                let Some(record) = reader.next_record()? else { break };
                columns.0.push(record.ordinal);
                columns.1.push(record.line);
                columns.2.push(record.name);
                columns.3.push(text(record.seq));
                columns.4.push(record.qual.map(text));
                columns.5.push(record.length);
                columns.6.push(record.problem);
            }
            Ok(columns)
        };
        py.detach(read).map_err(input_error)
    }

    /// Passes over the next count records; returns how many there were.
    fn skip(&self, py: Python<'_>, count: u64) -> PyResult<u64> {
        let skip = || {
            let mut reader = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let mut skipped = 0;
            while skipped < count && reader.next_record()?.is_some() {
                skipped += 1;
            }
            Ok(skipped)
        };
        py.detach(skip).map_err(input_error)
    }
}

/// A text file, plain or gzip, read line by line.
#[pyclass(frozen)]
struct LineReader(Mutex<Lines>);

#[pymethods]
impl LineReader {
    #[new]
    fn new(py: Python<'_>, path: PathBuf, max_line_bytes: usize) -> PyResult<Self> {
        py.detach(|| Lines::open(&path, max_line_bytes)).map(|lines| Self(Mutex::new(lines))).map_err(input_error)
    }

    /// The next line that is not blank, without its end, and its number; None at the end.
    fn read(&self, py: Python<'_>) -> PyResult<Option<(u64, Cow<'static, [u8]>)>> {
        let line = py.detach(|| self.0.lock().unwrap_or_else(PoisonError::into_inner).next_line()).map_err(input_error)?;
        Ok(line.map(|(number, line)| (number, Cow::Owned(line))))
    }
}

/// A reference genome, indexed by minimap2.
#[pyclass(frozen)]
struct Placer(CorePlacer);

#[pymethods]
impl Placer {
    #[new]
    #[pyo3(signature = (reference_path, ambiguous_as_n = false))]
    fn new(py: Python<'_>, reference_path: PathBuf, ambiguous_as_n: bool) -> PyResult<Self> {
        py.detach(|| Reference::load(&reference_path).and_then(|reference| CorePlacer::new(reference, ambiguous_as_n)))
            .map(Self)
            .map_err(input_error)
    }

    /// Places reads: status, contig, ref_start, strand, ref_seq, seq, kept, mapping_quality, gc, max_homopolymer.
    fn place(&self, py: Python<'_>, seqs: Vec<String>) -> PyResult<PlacedColumns> {
        let place = || {
            let mut columns = PlacedColumns::default();
            for seq in &seqs {
                let (status, placement) = match self.0.place(seq.as_bytes())? {
                    Outcome::Placed(placement) => ("placed", Some(placement)),
                    Outcome::Unplaced => ("unplaced", None),
                    Outcome::Ambiguous => ("iupac", None),
                };
                let p = placement.as_ref();
                columns.0.push(status);
                columns.1.push(p.map(|p| self.0.reference().contigs[p.contig].name.clone()).unwrap_or_default());
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
        };
        py.detach(place).map_err(input_error)
    }
}

#[pymodule]
fn _rust_gen(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("GENERATOR_VERSION", GENERATOR_VERSION)?;
    module.add("InputFileError", module.py().get_type::<InputFileError>())?;
    module.add_class::<FastxReader>()?;
    module.add_class::<LineReader>()?;
    module.add_class::<Placer>()?;
    module.add_function(wrap_pyfunction!(generate, module)?)
}
