//! The bodies of the fuzz targets. They run on stable Rust too: `cargo test` of the crate includes these files.

pub mod check;
pub mod mutate;
