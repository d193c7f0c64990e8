//! Records a second of the generator on one core, without Python: `cargo bench`. Best of many short stretches: on a busy
//! machine most of them are interrupted or slowed down by neighbours.

use std::hint::black_box;
use std::time::Instant;

use _rust_gen::simulate::text::write_fastq;
use _rust_gen::simulate::{Generator, Record, Scratch};

const BENCH: &str = include_str!("../tests/presets/bench.json");
const WGSIM: &str = include_str!("../tests/presets/wgsim.json");
const HUMAN: &str = include_str!("../tests/presets/human.json");

fn main() {
    let with_errors = BENCH
        .replace(r#""base_error_rate": 0"#, r#""base_error_rate": "from_quality""#)
        .replace(r#""quality_model": "none""#, r#""quality_model": "binned:[2,12,23,37]""#)
        .replace(r#""quality_weights": null"#, r#""quality_weights": [0.002, 0.03, 0.068, 0.9]"#);
    let variants = |json: &str, weights: &str| json.replace("[0.25, 0.35, 0.2, 0.2]", weights);
    let models = [
        ("bench, 0 variants", variants(BENCH, "[1]")),
        ("bench, 1 variant", variants(BENCH, "[0, 1]")),
        ("bench, 3 variants", variants(BENCH, "[0, 0, 0, 1]")),
        ("bench", BENCH.into()),
        ("bench, qualities and errors, 0 variants", variants(&with_errors, "[1]")),
        ("bench, qualities and errors, 1 variant", variants(&with_errors, "[0, 1]")),
        ("bench, qualities and errors, 3 variants", variants(&with_errors, "[0, 0, 0, 1]")),
        ("bench, qualities and errors", with_errors.clone()),
        ("bench, equally frequent qualities", with_errors.replace("[0.002, 0.03, 0.068, 0.9]", "null")),
        ("wgsim", WGSIM.into()),
        ("human", HUMAN.into()),
    ];
    println!("{:<42} {:>10} {:>10} {:>10} {:>16}", "model", "reads/s", "Mbases/s", "FASTQ/s", "whole records/s");
    for (label, json) in models {
        let generator = Generator::from_json(42, &json, None).expect("a valid model");
        let best = |what| (0..100).map(|_| rate(&generator, what)).fold(0.0, f64::max);
        let (reads, text, records) = (best(What::Read), best(What::Fastq), best(What::Record));
        let bases = generator.read_length() as f64;
        println!("{label:<42} {reads:>10.0} {:>10.0} {text:>10.0} {records:>16.0}", reads * bases / 1e6);
    }
}

#[derive(Clone, Copy)]
enum What {
    /// Window, truth, read, qualities, errors.
    Read,
    /// That, as text.
    Fastq,
    /// That, with what is derived from it: identifiable, strata, checksum.
    Record,
}

fn rate(generator: &Generator, what: What) -> f64 {
    let (mut scratch, mut record, mut out) = (Scratch::default(), Record::default(), Vec::new());
    let start = Instant::now();
    let records = 2000;
    for index in 0..records {
        if index % 1000 == 0 {
            out.clear();
        }
        match what {
            What::Read => generator.read(index, &mut scratch, black_box(&mut record)),
            What::Record => generator.fill(index, &mut scratch, black_box(&mut record)),
            What::Fastq => {
                generator.read(index, &mut scratch, &mut record);
                write_fastq(&record, &mut out);
            }
        }
    }
    black_box(&out);
    records as f64 / start.elapsed().as_secs_f64()
}
