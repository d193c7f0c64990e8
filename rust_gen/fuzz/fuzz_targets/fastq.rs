//! Any bytes, read as FASTQ.

#![no_main]

use _rust_gen::files::kind::Kind;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| rust_gen_fuzz::check::check(Kind::Fastq, bytes));
