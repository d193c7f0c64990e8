//! Records a second of the generator on one core, without Python: `cargo bench`.

use std::hint::black_box;
use std::time::{Duration, Instant};

use _rust_gen::generate::Generator;
use _rust_gen::mutation::Model;

fn main() {
    println!("{:>12} {:>14} {:>12}", "variants", "records/s", "Mbases/s");
    for (label, weights) in [("0", "1"), ("1", "0,1"), ("3", "0,0,0,1"), ("default mix", "0.25,0.35,0.2,0.2")] {
        let json = format!(
            r#"{{"read_length":150,"gc_content":0.41,"variants_per_read":[{weights}],"type_weights":{{"snv":0.6,"ins":0.2,"del":0.2}},
            "indel_extend_prob":0.3,"max_indel_length":20,"titv_ratio":2.1,"min_gap":10,"flank":10}}"#
        );
        let generator = Generator::new(42, Model::from_json(&json).expect("a valid model"));
        let best = (0..5).map(|_| rate(&generator)).fold(0.0, f64::max);
        println!("{label:>12} {best:>14.0} {:>12.0}", best * 150.0 / 1e6);
    }
}

fn rate(generator: &Generator) -> f64 {
    let start = Instant::now();
    let mut count = 0;
    while start.elapsed() < Duration::from_millis(200) {
        for index in count..count + 1000 {
            black_box(generator.record(index));
        }
        count += 1000;
    }
    count as f64 / start.elapsed().as_secs_f64()
}
