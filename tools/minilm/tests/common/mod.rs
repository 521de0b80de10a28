#![allow(unreachable_pub, reason = "a module of several test programs")]

use std::path::PathBuf;
use std::sync::{Arc, LazyLock};

use minilm::Model;

static MODEL: LazyLock<Arc<Model>> =
    LazyLock::new(|| Arc::new(Model::load(&model_folder()).expect("the model loads")));

pub fn model() -> Arc<Model> {
    Arc::clone(&MODEL)
}

pub fn model_folder() -> PathBuf {
    std::env::var_os("MINILM_MODEL")
        .expect(
            "MINILM_MODEL names a folder with all-MiniLM-L6-v2: \
             `cargo xtask test --only minilm` downloads it and sets this",
        )
        .into()
}

pub fn similarity(one: &[f32], other: &[f32]) -> f32 {
    one.iter().zip(other).map(|(a, b)| a * b).sum()
}
