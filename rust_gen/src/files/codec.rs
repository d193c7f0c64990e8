//! The compressions that are read, and their failures in the same words.

use std::io::{self, BufReader, Read};

use super::input::Bytes;

/// An input file is compressed so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Codec {
    /// Of one member or of many, as BGZF has.
    Gzip,
    /// Of one stream or of many, as pbzip2 writes.
    Bzip2,
    /// Of one stream or of many.
    Xz,
    /// Of one frame or of many, skippable ones too.
    Zstd,
}

/// What a decoder may hold in memory: as much as `xz -9` and `zstd --ultra -22` ask for.
const MOST_BYTES: u64 = 160 << 20;
const MOST_ZSTD_WINDOW_LOG: u32 = 27;

impl Codec {
    /// By a file's first bytes, six at least.
    pub fn of(head: &[u8]) -> Option<Self> {
        let skippable = head.first().is_some_and(|byte| byte & 0xf0 == 0x50) && head[1..].starts_with(b"\x2a\x4d\x18");
        [(Self::Gzip, b"\x1f\x8b".as_slice()), (Self::Bzip2, b"BZh"), (Self::Xz, b"\xfd7zXZ\0"), (Self::Zstd, b"\x28\xb5\x2f\xfd")]
            .into_iter()
            .find_map(|(codec, magic)| head.starts_with(magic).then_some(codec))
            .or(skippable.then_some(Self::Zstd))
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Bzip2 => "bzip2",
            Self::Xz => "xz",
            Self::Zstd => "zstd",
        }
    }

    /// What a file needs that is compressed so where only gzip is read.
    pub fn advice(self) -> String {
        format!("is {}; decompress it ({}) or compress it with gzip", self.name(), self.tool())
    }

    /// The program that decompresses.
    pub const fn tool(self) -> &'static str {
        match self {
            Self::Gzip => "gunzip",
            Self::Bzip2 => "bunzip2",
            Self::Xz => "unxz",
            Self::Zstd => "unzstd",
        }
    }

    /// What `file` holds, decompressed. Whatever follows the last member is an error; of xz the padding that its format allows
    /// is none.
    ///
    /// # Errors
    /// No memory.
    pub fn decoder(self, file: impl Read + Send + 'static) -> io::Result<Bytes> {
        let file = BufReader::with_capacity(1 << 16, file);
        let source: Bytes = match self {
            Self::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(file)),
            Self::Bzip2 => Box::new(bzip2::bufread::MultiBzDecoder::new(file)),
            Self::Xz => {
                let stream = liblzma::stream::Stream::new_stream_decoder(MOST_BYTES, liblzma::stream::CONCATENATED)?;
                Box::new(liblzma::bufread::XzDecoder::new_stream(file, stream))
            }
            Self::Zstd => {
                let mut decoder = zstd::stream::read::Decoder::with_buffer(file)?;
                decoder.window_log_max(MOST_ZSTD_WINDOW_LOG)?;
                Box::new(decoder)
            }
        };
        Ok(Box::new(Decoded { source, codec: self }))
    }

    fn explained(self, error: &io::Error) -> io::Error {
        let (name, words) = (self.name(), error.to_string());
        let kind = if error.kind() == io::ErrorKind::UnexpectedEof { error.kind() } else { io::ErrorKind::InvalidData };
        let message = if kind == io::ErrorKind::UnexpectedEof {
            format!("the {name} data end early: the file is cut short; copy it again")
        } else if ["invalid gzip header", "bz2 header missing", "Unknown frame descriptor"].iter().any(|end| words.ends_with(end)) {
            format!("what follows the {name} data is not {name}: the file is damaged or was added to; copy it again")
        } else {
            format!("the {name} data are damaged ({words}); copy the file again")
        };
        io::Error::new(kind, message)
    }
}

struct Decoded {
    source: Bytes,
    codec: Codec,
}

impl Read for Decoded {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        // What the operating system says is about the file, everything else about what it holds.
        let ours = |e: &io::Error| e.raw_os_error().is_none() && e.kind() != io::ErrorKind::Interrupted;
        self.source.read(buffer).map_err(|e| if ours(&e) { self.codec.explained(&e) } else { e })
    }
}
