//! The corpus: every input that reached something new, and every one that a target has failed on, still passes.
#![cfg(test)]

use std::{fs, path::Path};

use test_fuzz::TARGETS;

#[test]
fn every_input_of_the_corpus_passes_its_target() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    for (name, target) in TARGETS {
        let mut inputs = 0;
        for entry in fs::read_dir(corpus.join(name)).unwrap() {
            let path = entry.unwrap().path();
            let bytes = fs::read(&path).unwrap();
            println!("{}", path.display());
            target(&bytes);
            inputs += 1;
        }
        assert!(inputs > 10, "{name} has {inputs} inputs");
    }
}
