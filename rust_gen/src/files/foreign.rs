//! Files of other formats, recognised by their first bytes, so that the error says what they are and what to do.

/// How a file of another format begins, its name, and what to do with it.
type Mark = (&'static [u8], &'static str, &'static str);

/// Seen before or after decompression. No text begins like these.
const BINARY: &[Mark] = &[
    (b"\x04\x22\x4d\x18", "lz4", "decompress it (unlz4) or compress it with gzip"),
    (b"\x1f\x9d", "compress (.Z)", "decompress it (uncompress) or compress it with gzip"),
    (b"PK\x03\x04", "a zip archive", "unpack it (unzip) and name the file of reads in it"),
    (b"PK\x05\x06", "a zip archive", "unpack it (unzip) and name the file of reads in it"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive", "unpack it and name the file of reads in it"),
    (b"Rar!", "a rar archive", "unpack it and name the file of reads in it"),
    (
        b"BAM\x01",
        "BAM",
        "helix run reads it under source.kind: fastq; elsewhere take the reads out: samtools fastq reads.bam > reads.fastq",
    ),
    (b"CRAM", "CRAM", "helix run reads it under source.kind: fastq; elsewhere take the reads out: samtools fastq reads.cram > reads.fastq"),
    (b"BCF\x02", "BCF (variants)", "name a file of reads"),
    (b"BAI\x01", "a BAM index", "name the file of reads, not its index"),
    (b"TBI\x01", "a tabix index", "name the file of reads, not its index"),
    (b"CSI\x01", "a CSI index", "name the file of reads, not its index"),
    (b"\x89HDF", "HDF5 (fast5?)", "call the bases first and name the FASTQ file"),
    (b"\x8bPOD", "POD5 (signals)", "call the bases first and name the FASTQ file"),
    (b"NCBI.sra", "SRA", "take the reads out: fasterq-dump"),
    (b"\x43\x27\x41\x1a", "2bit", "convert it: twoBitToFa"),
    (b"\x1a\x41\x27\x43", "2bit", "convert it: twoBitToFa"),
    (b"\xff\xfe", "UTF-16 text", "save it as plain text (UTF-8)"),
    (b"\xfe\xff", "UTF-16 text", "save it as plain text (UTF-8)"),
    (b"%PDF", "PDF", "name a file of reads"),
    (b"\x7fELF", "a program", "name a file of reads"),
];

/// Text that is not FASTA, FASTQ or pairs.
const TEXT: &[Mark] = &[
    (b"@HD\tVN:", "SAM (aligned reads)", "take the reads out: samtools fastq reads.sam > reads.fastq"),
    (b"@SQ\tSN:", "SAM (aligned reads)", "take the reads out: samtools fastq reads.sam > reads.fastq"),
    (b"@RG\tID:", "SAM (aligned reads)", "take the reads out: samtools fastq reads.sam > reads.fastq"),
    (b"@PG\tID:", "SAM (aligned reads)", "take the reads out: samtools fastq reads.sam > reads.fastq"),
    (b"##fileformat=VCF", "VCF (variants)", "name a file of reads"),
    (b"##gff-version", "GFF (annotation)", "name a file of sequences"),
    (b"LOCUS  ", "GenBank", "convert it to FASTA"),
    (b"ID   ", "EMBL", "convert it to FASTA"),
    (b"CLUSTAL", "an alignment (Clustal)", "give unaligned sequences"),
    (b"# STOCKHOLM", "an alignment (Stockholm)", "give unaligned sequences"),
    (b"version https://git-lfs", "a Git LFS pointer", "fetch the file itself: git lfs pull"),
    (b"<", "HTML or XML, perhaps an error page that was saved", "fetch the file again"),
    (b";", "FASTA of the old kind with ';' comments", "remove the lines that begin with ';'"),
];

fn named(marks: &[Mark], head: &[u8]) -> Option<String> {
    marks.iter().find(|(magic, ..)| head.starts_with(magic)).map(|(_, name, advice)| format!("is {name}; {advice}"))
}

/// What a file is that is neither text nor compressed in a way that is read, and what to do.
pub fn binary(head: &[u8]) -> Option<String> {
    let tar = head.get(257..262) == Some(b"ustar");
    if tar { Some("is a tar archive; unpack it (tar xf) and name the file of reads in it".into()) } else { named(BINARY, head) }
}

/// What a text is that begins neither as FASTA nor as FASTQ, and what to do.
pub fn text(head: &[u8]) -> Option<String> {
    let first = head.split(|b| *b == b'\n').next().unwrap_or_default();
    // SAM without its header: at least 11 columns, the second one the flags.
    let columns: Vec<&[u8]> = first.split(|b| *b == b'\t').collect();
    if columns.len() >= 11 && !columns[1].is_empty() && columns[1].iter().all(u8::is_ascii_digit) {
        return Some(
            "is SAM (aligned reads) without a header; take the reads out: samtools fastq -t reference.fa.fai reads.sam > reads.fastq"
                .into(),
        );
    }
    named(TEXT, head)
}

/// Whether a text's first line has columns: two or more, none of them empty, between tabs, commas or semicolons.
pub fn is_table(head: &[u8]) -> bool {
    let line = head.split(|b| *b == b'\n').next().unwrap_or_default();
    [b'\t', b',', b';'].iter().any(|mark| line.contains(mark) && line.split(|b| b == mark).all(|cell| !cell.trim_ascii().is_empty()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_named_with_advice() {
        assert!(binary(b"\x04\x22\x4d\x18").is_some_and(|s| s.starts_with("is lz4; ")));
        let mut tar = vec![b'x'; 512];
        tar[257..262].copy_from_slice(b"ustar");
        assert!(binary(&tar).is_some_and(|s| s.contains("tar archive")));
        assert!(text(b"r1\t0\tchr1\t100\t60\t4M\t*\t0\t0\tACGT\tIIII\n").is_some_and(|s| s.contains("SAM")));
    }

    #[test]
    fn tables_are_recognised_by_their_first_line() {
        for head in [b"id,window,read\nr1,AC,AC\n".as_slice(), b"#id\twindow\tread\n", b"name;seq\r\n", b"\"a\",\"b\"\n", b"r1,ACGT"] {
            assert!(is_table(head), "{head:?}");
        }
        assert!(!is_table(b"") && !is_table(b"ACGT\na,b\n") && !is_table(b",,\n"));
    }

    #[test]
    fn ordinary_reads_are_nothing_else() {
        for head in [b"@r1\nACGT\n".as_slice(), b">x\nAC\n", b"@HD\nACGT\n+\n", b"", b"id\twindow\tread\n"] {
            assert_eq!(binary(head).or_else(|| text(head)), None, "{head:?}");
        }
    }
}
