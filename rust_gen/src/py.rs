//! The Python module `helix_ray._rust_gen`: the one file that knows Python. Its stub is `helix_ray/_rust_gen.pyi`.

use std::borrow::Cow;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use pyo3::create_exception;
use pyo3::exceptions::{PyException, PyValueError};
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedStr;
use pyo3::types::{PyBool, PyBytes, PyList, PyString, PyTuple};

use crate::align::batch::{self, CallRow};
use crate::files::columns::{self, FileColumns};
use crate::files::error::InputError;
use crate::files::fastx::{Reader, Rules};
use crate::files::kind::Kind;
use crate::files::lines::Lines;
use crate::files::reference::Reference;
use crate::place::{PlacedColumns, Placer as CorePlacer};
use crate::simulate::checksum::checksum_of;
use crate::simulate::columns::{Columns, row};
use crate::simulate::packed::packed;
use crate::simulate::text::fastq;
use crate::simulate::{GENERATOR_VERSION, Generator, Genome as CoreGenome, strata};
use crate::variant::normalize::trimmed_edit;
use crate::variant::{Edit, Event, NormalizeError, Variant, justify, normalize};

create_exception!(_rust_gen, InputFileError, PyException, "An input file cannot be used: message, fault, record, line.");

/// pos, ref, alt, type, length, spdi, titv.
type Described = (u32, String, String, &'static str, usize, String, Option<&'static str>);
/// Most records of one call: 150 bases each, this is some 500 MB as Python objects.
const MAX_COUNT: usize = 1_000_000;

fn input_error(e: InputError) -> PyErr {
    InputFileError::new_err((e.to_string(), e.fault.name(), e.record, e.line))
}

fn refused(reason: impl ToString) -> PyErr {
    PyValueError::new_err(reason.to_string())
}

/// The generator that the arguments describe, and the indices of the records asked for.
fn asked(seed: u64, config_json: &str, start: u64, count: usize, genome: Option<&Genome>) -> PyResult<(Generator, Range<u64>)> {
    let generator = Generator::from_json(seed, config_json, genome.map(|g| Arc::clone(&g.0))).map_err(refused)?;
    if count > MAX_COUNT {
        return Err(refused(format!("count: at most {MAX_COUNT} records a call, found {count}")));
    }
    let end = start.checked_add(count as u64).ok_or_else(|| refused("start: beyond the last 64-bit index"))?;
    Ok((generator, start..end))
}

/// Records start..start+count as 14 columns.
#[pyfunction]
#[pyo3(signature = (seed, config_json, start, count, genome=None))]
fn generate<'py>(
    py: Python<'py>,
    seed: u64,
    config_json: &str,
    start: u64,
    count: usize,
    genome: Option<&Genome>,
) -> PyResult<Bound<'py, PyTuple>> {
    let (generator, indices) = asked(seed, config_json, start, count, genome)?;
    let c = py.detach(|| Columns::of(&generator, indices));
    let first = (c.contig, c.ref_start, c.strand, c.ref_seq, c.seq, c.qual, c.truth).into_pyobject(py)?;
    let rest = (c.errors, c.identifiable, c.checksum, c.gc, c.max_homopolymer, c.max_str, c.min_gap).into_pyobject(py)?;
    PyTuple::new(py, first.iter().chain(rest.iter()).collect::<Vec<_>>())
}

/// Records start..start+count as FASTQ text.
#[pyfunction]
#[pyo3(signature = (seed, config_json, start, count, genome=None))]
fn generate_fastq<'py>(
    py: Python<'py>,
    seed: u64,
    config_json: &str,
    start: u64,
    count: usize,
    genome: Option<&Genome>,
) -> PyResult<Bound<'py, PyBytes>> {
    let (generator, indices) = asked(seed, config_json, start, count, genome)?;
    Ok(PyBytes::new(py, &py.detach(|| fastq(&generator, indices))))
}

/// Records start..start+count, each as a pickle of the fields of `Read`.
#[pyfunction]
#[pyo3(signature = (seed, config_json, start, count, genome=None))]
fn packed_reads<'py>(
    py: Python<'py>,
    seed: u64,
    config_json: &str,
    start: u64,
    count: usize,
    genome: Option<&Genome>,
) -> PyResult<Vec<Bound<'py, PyBytes>>> {
    let (generator, indices) = asked(seed, config_json, start, count, genome)?;
    Ok(py.detach(|| packed(&generator, indices)).iter().map(|read| PyBytes::new(py, read)).collect())
}

/// Rows as the text format of PostgreSQL's COPY. A list of words or numbers is an array; what is no text, boolean or list stands there
/// as `str` spells it.
#[pyfunction]
fn copy_text<'py>(py: Python<'py>, rows: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyBytes>> {
    let mut out = Vec::new();
    for row in rows.try_iter()? {
        for value in row?.cast::<PyTuple>()?.iter_borrowed() {
            if value.is_none() {
                out.extend_from_slice(b"\\N");
            } else if let Ok(text) = value.cast::<PyString>() {
                escaped(text.to_str()?, &mut out);
            } else if let Ok(truth) = value.cast::<PyBool>() {
                out.push(if truth.is_true() { b't' } else { b'f' });
            } else if let Ok(list) = value.cast::<PyList>() {
                let words = list.iter().map(|word| Ok(word.str()?.to_str()?.to_owned())).collect::<PyResult<Vec<_>>>()?;
                escaped(&format!("{{{}}}", words.join(",")), &mut out);
            } else {
                escaped(value.str()?.to_str()?, &mut out);
            }
            out.push(b'\t');
        }
        out.pop();
        out.push(b'\n');
    }
    Ok(PyBytes::new(py, &out))
}

fn escaped(text: &str, out: &mut Vec<u8>) {
    let special = |byte: &u8| matches!(byte, 8..=13 | b'\\');
    let mut rest = text.as_bytes();
    while let Some(at) = rest.iter().position(special) {
        out.extend_from_slice(&rest[..at]);
        out.extend_from_slice(&[b'\\', if rest[at] == b'\\' { b'\\' } else { b"btnvfr"[usize::from(rest[at] - 8)] }]);
        rest = &rest[at + 1..];
    }
    out.extend_from_slice(rest);
}

/// A reference genome in memory, from which windows are drawn.
#[pyclass(frozen)]
struct Genome(Arc<CoreGenome>);

#[pymethods]
impl Genome {
    #[new]
    fn new(py: Python<'_>, reference_path: PathBuf) -> PyResult<Self> {
        let load = || Reference::load(&reference_path).map(CoreGenome::new);
        py.detach(load).map(|genome| Self(Arc::new(genome))).map_err(input_error)
    }
}

/// 64 bits of window, read and truth (pos, ref, alt).
#[pyfunction]
fn checksum(ref_seq: &str, seq: &str, truth: Option<Vec<(u64, String, String)>>) -> u64 {
    let truth = truth.as_ref().map(|truth| truth.iter().map(|(pos, r, a)| (*pos, r.as_bytes(), a.as_bytes())));
    checksum_of(ref_seq.as_bytes(), seq.as_bytes(), truth)
}

/// The trimmed edit that alleles describe, None if they are equal. ASCII only: positions count bytes.
fn edit_of(window: &str, pos: u64, r#ref: &str, alt: &str) -> PyResult<Option<Edit>> {
    if let Some(text) = [window, r#ref, alt].into_iter().find(|text| !text.is_ascii()) {
        return Err(refused(format!("not bases: '{text}'")));
    }
    trimmed_edit(window.as_bytes(), pos, r#ref.as_bytes(), alt.as_bytes()).map_err(refused)
}

fn known_edit(window: &str, pos: u64, r#ref: &str, alt: &str) -> PyResult<Edit> {
    edit_of(window, pos, r#ref, alt)?.ok_or_else(|| refused("ref and alt are equal: no variant"))
}

fn vcf_form(window: &str, edit: &Edit) -> PyResult<Variant> {
    normalize(window.as_bytes(), edit, Event::Complex).ok_or_else(|| refused(NormalizeError::NoAnchor))
}

/// The VCF form of alleles: pos, ref, alt, type.
#[pyfunction]
#[pyo3(name = "normalize")]
fn normalize_alleles(window: &str, pos: u64, r#ref: &str, alt: &str) -> PyResult<(u64, String, String, Option<&'static str>)> {
    let Some(edit) = edit_of(window, pos, r#ref, alt)? else { return Ok((pos, r#ref.into(), alt.into(), None)) };
    let v = vcf_form(window, &edit)?;
    Ok((v.pos.0.into(), v.reference.to_string(), v.alt.to_string(), Some(v.kind.name())))
}

/// A variant's normal form and what follows from it: pos, ref, alt, type, length, spdi, titv.
#[pyfunction]
fn describe(window: &str, pos: u64, r#ref: &str, alt: &str, contig: &str, ref_start: u64) -> PyResult<Described> {
    let found = vcf_form(window, &known_edit(window, pos, r#ref, alt)?)?;
    let (pos, r#ref, alt, kind, _, length, spdi, titv) = row(&found, contig, ref_start, window.as_bytes());
    Ok((pos, r#ref, alt, kind, length, spdi, titv))
}

/// The fully-justified form of alleles: start (from 0), deleted, inserted.
#[pyfunction]
#[pyo3(name = "justify")]
fn justify_alleles(window: &str, pos: u64, r#ref: &str, alt: &str) -> PyResult<(usize, String, String)> {
    let found = justify(window.as_bytes(), &known_edit(window, pos, r#ref, alt)?);
    Ok((found.start, found.deleted.to_string(), found.inserted.to_string()))
}

/// GC in tenths, longest touching run and low complexity of the place start..end.
#[pyfunction]
fn surroundings(window: &str, start: usize, end: usize, around: usize, slop: usize) -> PyResult<(usize, usize, bool)> {
    if start > end || start > window.len() {
        return Err(refused(format!("{start}..{end} does not begin in a window of {} bases", window.len())));
    }
    Ok(strata::surroundings(window.as_bytes(), start, end, around, slop))
}

/// Scores and calls (pos, ref, alt, type) of reads against their windows.
#[pyfunction]
fn align(py: Python<'_>, windows: Vec<PyBackedStr>, reads: Vec<PyBackedStr>) -> PyResult<(Vec<u32>, Vec<Vec<CallRow>>)> {
    py.detach(|| batch::align(&windows, &reads)).map_err(PyValueError::new_err)
}

/// A FASTA or FASTQ file, plain or compressed, read forward. Reads longer than keep_bases come without their sequence.
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
        let read = || columns::read(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner), count);
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

/// A text file, plain or compressed, read line by line.
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
    fn new(py: Python<'_>, reference_path: PathBuf, ambiguous_as_n: bool) -> PyResult<Self> {
        py.detach(|| Reference::load(&reference_path).and_then(|reference| CorePlacer::new(reference, ambiguous_as_n)))
            .map(Self)
            .map_err(input_error)
    }

    /// Places reads: status, contig, ref_start, strand, ref_seq, seq, kept, mapping_quality, gc, max_homopolymer.
    fn place(&self, py: Python<'_>, seqs: Vec<String>) -> PyResult<PlacedColumns> {
        py.detach(|| self.0.place_all(&seqs)).map_err(input_error)
    }
}

#[pymodule]
fn _rust_gen(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("GENERATOR_VERSION", GENERATOR_VERSION)?;
    module.add("InputFileError", module.py().get_type::<InputFileError>())?;
    module.add_class::<FastxReader>()?;
    module.add_class::<LineReader>()?;
    module.add_class::<Placer>()?;
    module.add_class::<Genome>()?;
    module.add_function(wrap_pyfunction!(align, module)?)?;
    module.add_function(wrap_pyfunction!(generate, module)?)?;
    module.add_function(wrap_pyfunction!(generate_fastq, module)?)?;
    module.add_function(wrap_pyfunction!(packed_reads, module)?)?;
    module.add_function(wrap_pyfunction!(copy_text, module)?)?;
    module.add_function(wrap_pyfunction!(checksum, module)?)?;
    module.add_function(wrap_pyfunction!(normalize_alleles, module)?)?;
    module.add_function(wrap_pyfunction!(describe, module)?)?;
    module.add_function(wrap_pyfunction!(surroundings, module)?)?;
    module.add_function(wrap_pyfunction!(justify_alleles, module)?)
}
