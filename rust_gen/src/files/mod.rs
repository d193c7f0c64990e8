//! Sequence files: FASTA and FASTQ, plain or gzip, record by record, and what can be wrong with them.

pub mod error;
pub mod fastx;
pub mod input;
pub mod record;
pub mod reference;
mod tap;
