//! Vectors of the model.

#![allow(clippy::expect_used, clippy::indexing_slicing)]
#![allow(clippy::float_cmp, reason = "equal bit for bit is what is claimed")]

mod common;

use common::{model, model_folder, similarity};
use minilm::{DIMENSIONS, Model, TOKENS_MAX};

fn embed(text: &str) -> Vec<f32> {
    model().embed(text).expect("the model embeds").vector
}

fn similarity_of(one: &str, other: &str) -> f32 {
    similarity(&embed(one), &embed(other))
}

/// Expected values come from a NumPy implementation with 64-bit floats and the Python tokenizer.
#[test]
fn a_vector_is_the_one_that_another_implementation_makes_of_the_same_weights() {
    let expected = [
        (
            "This is an example sentence",
            [
                0.067_656, 0.063_495, 0.048_713, 0.079_304, 0.037_448, 0.002_652, 0.039_374,
                -0.007_098,
            ],
        ),
        (
            "Each sentence is converted",
            [
                0.086_438, 0.102_762, 0.005_394, 0.002_044, -0.009_963, 0.025_385, 0.049_287,
                -0.030_626,
            ],
        ),
    ];
    for (text, components) in expected {
        let vector = embed(text);
        for (index, component) in components.into_iter().enumerate() {
            let difference: f32 = vector[index] - component;
            assert!(
                difference.abs() < 1e-5,
                "{text}, {index}: {}",
                vector[index]
            );
        }
    }
}

/// Expected cosines come from the NumPy implementation.
#[test]
fn similarities_are_those_that_another_implementation_finds() {
    let weather = "The weather is lovely today.";
    let sunny = "It's so sunny outside!";
    let stadium = "He drove to the stadium.";
    for (one, other, expected) in [
        (weather, sunny, 0.665_955),
        (weather, stadium, 0.104_584),
        (sunny, stadium, 0.141_145),
    ] {
        let found = similarity_of(one, other);
        let difference: f32 = found - expected;
        assert!(difference.abs() < 1e-4, "{one} / {other}: {found}");
    }
}

const INCIDENTS: [(&str, &str); 4] = [
    (
        "HighMemoryUsage: container api-server was killed because it ran out of memory; \
         raise its memory limit",
        "OOMKilled: the api-server container exceeded its memory limit and was restarted; \
         increase the limit",
    ),
    (
        "Certificate of the ingress expires in two days; renew the TLS certificate",
        "TLS certificate for ingress about to expire, renewal needed",
    ),
    (
        "DiskPressure: node worker-3 has no space left on /var/lib/containerd; \
         remove unused images",
        "The node's disk is full, image layers fill /var/lib/containerd; \
         prune unused images on worker-3",
    ),
    (
        "CrashLoopBackOff after a bad deployment; roll back to the previous revision",
        "The new revision keeps crashing on start; undo the rollout",
    ),
];

#[test]
fn an_incident_in_other_words_is_near_and_every_other_incident_is_far() {
    for (index, (text, reworded)) in INCIDENTS.iter().enumerate() {
        let near = similarity_of(text, reworded);
        assert!(near > 0.65, "{text} / {reworded}: {near}");
        for (_, other) in INCIDENTS.iter().skip(index + 1) {
            let far = similarity_of(text, other);
            assert!(far < 0.5, "{text} / {other}: {far}");
        }
    }
}

#[test]
fn every_text_has_a_vector_of_384_components_and_length_1() {
    let long = "The pod was evicted. ".repeat(2_000);
    for text in [
        "OOMKilled",
        " ",
        "\n\t",
        "\0",
        "[SEP] [MASK] [PAD]",
        "日本語のポッドがメモリ不足で終了しました",
        "🔥🔥🔥",
        "e\u{301}\u{202e}\u{feff}",
        &"x".repeat(10_000),
        &long,
    ] {
        let vector = embed(text);
        assert_eq!(vector.len(), DIMENSIONS, "{text:.20}");
        let length = similarity(&vector, &vector).sqrt();
        assert!((length - 1.0).abs() < 1e-5, "{text:.20}: {length}");
    }
    assert_eq!(DIMENSIONS, 384);
}

#[test]
fn a_text_is_cut_after_256_tokens_and_not_before() {
    let fits = "pod ".repeat(TOKENS_MAX - 2);
    let longer = format!("{fits}certificate");
    let shorter = "pod ".repeat(TOKENS_MAX - 3) + "certificate";
    let of = |text: &str| model().embed(text).expect("the model embeds");
    assert_eq!(of(&fits).tokens, TOKENS_MAX);
    assert_eq!(of(&fits), of(&longer));
    assert_eq!(of(&shorter).tokens, TOKENS_MAX);
    assert_ne!(of(&fits), of(&shorter));
}

#[test]
fn case_and_accents_make_no_difference_and_words_do() {
    assert_eq!(embed("naïve Café"), embed("NAIVE CAFE"));
    assert_eq!(embed("caf\u{e9}"), embed("cafe\u{301}"));
    assert_ne!(embed("naive cafe"), embed("naive tea"));
}

#[test]
fn a_model_of_another_shape_is_refused() {
    let folder = std::env::temp_dir().join(format!("minilm-shape-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let config = std::fs::read_to_string(model_folder().join("config.json"))
        .expect("the model's config.json")
        .replace("\"num_hidden_layers\": 6", "\"num_hidden_layers\": 12");
    std::fs::write(folder.join("config.json"), config).expect("a file");
    let refused = Model::load(&folder).err().map(|error| error.to_string());
    std::fs::remove_dir_all(&folder).expect("a folder to remove");
    let refused = refused.expect("it is refused");
    assert!(
        refused.contains("another model than all-MiniLM-L6-v2"),
        "{refused}"
    );
}

#[test]
fn a_folder_without_a_model_is_refused_by_the_name_of_the_missing_file() {
    let refused = Model::load("/nonexistent".as_ref())
        .err()
        .expect("an error");
    let refused = format!("{refused:#}");
    assert!(
        refused.contains("/nonexistent/model.safetensors"),
        "{refused}"
    );
}
