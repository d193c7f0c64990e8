//! Damaged compressed data, and files of lines: an end or an error, in bounded time and memory, and never a panic. `FUZZ_INPUTS`
//! asks for more inputs of each kind.

#[path = "../fuzz/src/mutate.rs"]
mod mutate;

mod common;

use std::io::{Cursor, Read, Write};

use _rust_gen::files::codec::Codec;
use _rust_gen::files::lines::Lines;
use common::Dir;

/// As much as an input may expand before it is left: a decoder is not to be run to the end of a bomb.
const MOST_BYTES: u64 = 1 << 20;

fn inputs() -> u64 {
    std::env::var("FUZZ_INPUTS").map_or(300, |text| text.parse().expect("FUZZ_INPUTS: a number"))
}

fn text() -> Vec<u8> {
    (0..40).flat_map(|n| format!("@r{n}\nACGTTGCA{n}\n+\nIIIIIIII\n").into_bytes()).collect()
}

fn compressed(codec: Codec, text: &[u8]) -> Vec<u8> {
    match codec {
        Codec::Gzip => common::gzip(text),
        Codec::Bzip2 => {
            let mut out = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::best());
            out.write_all(text).and_then(|()| out.finish()).unwrap()
        }
        Codec::Xz => {
            let mut out = liblzma::write::XzEncoder::new(Vec::new(), 0);
            out.write_all(text).and_then(|()| out.finish()).unwrap()
        }
        Codec::Zstd => {
            let mut out = zstd::stream::write::Encoder::new(Vec::new(), 3).unwrap();
            out.include_checksum(true).unwrap();
            out.write_all(text).and_then(|()| out.finish()).unwrap()
        }
    }
}

fn decoded(codec: Codec, bytes: Vec<u8>) -> std::io::Result<Vec<u8>> {
    let mut out = Vec::new();
    codec.decoder(Cursor::new(bytes))?.take(MOST_BYTES).read_to_end(&mut out).map(|_| out)
}

fn damaged(codec: Codec) {
    let whole = compressed(codec, &text());
    assert_eq!(Codec::of(&whole), Some(codec));
    assert_eq!(decoded(codec, [whole.clone(), whole.clone()].concat()).unwrap(), text().repeat(2));
    for cut in 1..whole.len() {
        assert!(decoded(codec, whole[..cut].to_vec()).is_err(), "{codec:?}, cut to {cut} bytes");
        let mut flipped = whole.clone();
        flipped[cut] ^= 0x41;
        assert!(decoded(codec, flipped).map_or(true, |found| found == text()), "{codec:?}, byte {cut} changed: other text, and no error");
    }
    let mut mutator = mutate::Mutator::new(1);
    let specimens = [whole, compressed(codec, b""), text()];
    for _ in 0..inputs() {
        if let Err(error) = decoded(codec, mutator.next(&specimens)) {
            assert!(error.to_string().contains("; copy "), "{error}");
        }
    }
}

#[test]
fn gzip() {
    damaged(Codec::Gzip);
}

#[test]
fn bzip2_() {
    damaged(Codec::Bzip2);
}

#[test]
fn xz() {
    damaged(Codec::Xz);
}

#[test]
fn zstd_() {
    damaged(Codec::Zstd);
}

#[test]
fn lines() {
    let dir = Dir::new();
    let mut mutator = mutate::Mutator::new(1);
    let specimens =
        [b"id\twindow\tread\r\np1\tACGT\tACGA\n\n".to_vec(), b"{\"id\": \"p1\", \"window\": \"AC\", \"read\": \"AC\"}\n".to_vec()];
    for _ in 0..inputs() {
        let bytes = mutator.next(&specimens);
        let Ok(mut lines) = Lines::open(&dir.file("pairs", &bytes), 600) else { continue };
        let mut last = 0;
        while let Ok(Some((number, line))) = lines.next_line() {
            assert!(number > last && line.len() <= 600 && !line.contains(&b'\n'));
            last = number;
        }
    }
}
