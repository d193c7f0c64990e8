//! Sequence files: FASTA and FASTQ, plain or compressed, record by record, and what can be wrong with them.
//!
//! Bytes flow `input` (the file, decompressed) → `start` (its first bytes: which format is this?) → `tap` (bounded, can go
//! back) → `fastx` (needletail's parsers, and what to do where they stop) → `record` (one read, checked).

pub mod codec;
pub mod columns;
pub mod error;
pub mod fastx;
mod foreign;
pub mod input;
pub mod kind;
pub mod lines;
mod mates;
mod messages;
pub mod record;
pub mod reference;
mod start;
mod tap;
