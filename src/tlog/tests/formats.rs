//! Notes, keys, checkpoints, proofs, paths and entries in text.

#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "what fails here is to stop the test"
)]

use proptest::prelude::*;
use tlog::audit::{join_bundle, split_bundle};
use tlog::{
    Checkpoint, Entry, Envelope, KeyError, NoteError, ProofError, ProofFile, SignerKey, TilePath,
    VerifierKey, commitment, digest_ids, entry_hash, hash_leaf, hash_node, is_key_name,
    is_origin_of, origin_of,
};

const KEY: &str = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k";
const NOTE: &str = "This is an example message.\n\n\u{2014} example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n";

fn signer() -> SignerKey {
    SignerKey::from_seed("example.com/log", &[9; 32])
}

#[test]
fn the_example_of_signed_notes_is_verified() {
    let key = VerifierKey::parse(KEY).unwrap();
    assert_eq!(key.open(NOTE), Ok("This is an example message.\n"));
    assert_eq!(key.to_string(), KEY);
}

#[test]
fn an_altered_note_is_refused() {
    let key = VerifierKey::parse(KEY).unwrap();
    for (from, to, error) in [
        ("message", "massage", NoteError::Signature),
        ("yaQM=", "yaQI=", NoteError::Signature),
        ("foo Uw2QO", "bar Uw2QO", NoteError::OtherKey),
        ("foo Uw2QO", "foo Vw2QO", NoteError::OtherKey),
        ("yaQM=", "yaQM", NoteError::Form),
        ("\u{2014}", "-", NoteError::Form),
        ("\n\n", "\n", NoteError::Form),
        ("=\n", "=", NoteError::Form),
        ("example", "example\r", NoteError::Form),
        (
            "Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=",
            "Uw2QOg==",
            NoteError::Signature,
        ),
    ] {
        let altered = NOTE.replacen(from, to, 1);
        assert_ne!(altered, NOTE);
        assert_eq!(key.open(&altered), Err(error), "{from} {to}");
    }
    let long = format!("{}\n{}", "a".repeat(70_000), NOTE);
    assert_eq!(key.open(&long), Err(NoteError::Form));
}

#[test]
fn signatures_of_others_are_passed_over() {
    let note = signer().sign("text\n");
    let other = SignerKey::from_seed("other", &[1; 32]).sign("text\n");
    let both = format!("{other}{}", note.split_once("\n\n").unwrap().1);
    assert_eq!(signer().verifier().open(&both), Ok("text\n"));
    assert_eq!(signer().verifier().open(&other), Err(NoteError::OtherKey));
}

#[test]
fn the_text_forms_of_keys_are_read_back() {
    let key = signer();
    let parsed = SignerKey::parse(&key.to_secret_text()).unwrap();
    assert_eq!(parsed.to_secret_text(), key.to_secret_text());
    assert_eq!(parsed.name(), "example.com/log");
    let public = key.verifier().to_string();
    assert_eq!(VerifierKey::parse(&public).unwrap(), key.verifier());
    assert_eq!(
        VerifierKey::parse(&format!(" {public}\n")).unwrap(),
        key.verifier()
    );
}

#[test]
fn an_altered_key_is_refused() {
    for (from, to) in [
        ("530d903a", "530d903b"),
        ("foo", "fop"),
        ("AekyeR", "AekyeS"),
    ] {
        assert_eq!(
            VerifierKey::parse(&KEY.replace(from, to)),
            Err(KeyError::Hash),
            "{to}"
        );
    }
    let form = |text: &str| matches!(VerifierKey::parse(text), Err(KeyError::Form(_)));
    for (from, to) in [
        ("+AekyeR", "+BekyeR"),
        ("530d903a", "0d903a"),
        ("U2k", "U2"),
        ("example.com/foo", ""),
        ("foo", "f o"),
    ] {
        assert!(form(&KEY.replace(from, to)), "{to}");
    }
    let secret = signer().to_secret_text();
    assert!(matches!(
        SignerKey::parse(&secret.replace("log", "lag")),
        Err(KeyError::Hash)
    ));
    assert!(matches!(SignerKey::parse(KEY), Err(KeyError::Form(_))));
    assert!(matches!(SignerKey::parse(""), Err(KeyError::Form(_))));
}

#[test]
fn a_private_key_is_not_shown() {
    let shown = format!("{:?}", signer());
    assert_eq!(shown, "SignerKey(\"example.com/log\")");
    assert!(format!("{:?}", signer().verifier()).starts_with("example.com/log+"));
}

#[test]
fn key_names_have_no_spaces_and_plus_signs() {
    for name in ["", "a b", "a+b", "a\u{a0}b", "a\n"] {
        assert!(!is_key_name(name), "{name:?}");
    }
    assert!(is_key_name("example.com/log"));
}

fn checkpoint() -> Checkpoint {
    Checkpoint {
        origin: "example.com/log/7-1-5".to_owned(),
        size: 300,
        root: hash_leaf(b"root"),
    }
}

#[test]
fn a_checkpoint_is_opened_by_its_key() {
    let note = checkpoint().sign(&signer());
    assert!(note.contains("\n\n\u{2014} example.com/log/7-1-5 "));
    assert_eq!(
        Checkpoint::open(&note, &signer().verifier()),
        Ok(checkpoint())
    );
    assert_eq!(Checkpoint::read_unverified(&note), Ok(checkpoint()));
    let other = SignerKey::from_seed("example.com/log", &[1; 32]).verifier();
    assert_eq!(Checkpoint::open(&note, &other), Err(NoteError::OtherKey));
    let altered = note.replace("\n300\n", "\n301\n");
    assert_eq!(
        Checkpoint::open(&altered, &signer().verifier()),
        Err(NoteError::Signature)
    );
}

#[test]
fn a_note_of_another_form_is_no_checkpoint() {
    let key = signer();
    let root = entry_hash(&checkpoint().root);
    let read = |text: String| Checkpoint::read_unverified(&key.sign(&text)).is_ok();
    assert!(read(format!("a\n0\n{root}\n")));
    assert!(read(format!("a\n12\n{root}\nextension\n")));
    for text in [
        format!("\n0\n{root}\n"),
        format!("a\n00\n{root}\n"),
        format!("a\n-1\n{root}\n"),
        format!("a\n\n{root}\n"),
        "a\n0\nAAAA\n".to_owned(),
        "a\n0\n".to_owned(),
        "a\n".to_owned(),
        format!("a\n99999999999999999999\n{root}\n"),
        format!("a\n0\n{root}\n\nb\n"),
    ] {
        assert!(!read(text.clone()), "{text:?}");
    }
}

#[test]
fn origins_extend_the_name_of_their_log() {
    let origin = origin_of("example.com/log", "7-1-5", 0xd1);
    assert_eq!(origin, "example.com/log/7-1-5-000000d1");
    assert!(is_origin_of(&origin, "example.com/log"));
    for origin in [
        "example.com/log",
        "example.com/log/",
        "example.com/logs/7-1-5",
        "",
    ] {
        assert!(!is_origin_of(origin, "example.com/log"), "{origin}");
    }
}

/// A proof of the first of two leaves.
fn proof() -> ProofFile {
    let other = hash_leaf(b"other");
    let checkpoint = Checkpoint {
        size: 2,
        root: hash_node(&hash_leaf(b"entry"), &other),
        ..checkpoint()
    };
    ProofFile {
        entry: b"entry".to_vec(),
        index: 0,
        hashes: vec![other],
        checkpoint: checkpoint.sign(&signer()),
    }
}

#[test]
fn a_proof_file_is_read_back_and_verified() {
    let text = proof().to_string();
    assert!(text.starts_with("c2sp.org/tlog-proof@v1\nextra ZW50cnk=\nindex 0\n"));
    assert_eq!(ProofFile::parse(&text), Some(proof()));
    assert_eq!(
        proof()
            .verify(&signer().verifier())
            .map(|checkpoint| checkpoint.size),
        Ok(2)
    );
}

#[test]
fn an_altered_proof_file_is_refused() {
    let key = signer().verifier();
    for change in [
        (|proof| proof.entry.push(0)) as fn(&mut ProofFile),
        |proof| proof.index = 1,
        |proof| proof.hashes[0][0] ^= 1,
        |proof| proof.hashes.clear(),
        |proof| proof.hashes.push([0; 32]),
    ] {
        let mut altered = proof();
        change(&mut altered);
        assert_eq!(altered.verify(&key), Err(ProofError::Inclusion));
    }
    let mut altered = proof();
    altered.checkpoint = altered.checkpoint.replace("\n2\n", "\n3\n");
    assert_eq!(
        altered.verify(&key),
        Err(ProofError::Checkpoint(NoteError::Signature))
    );
    let text = proof().to_string();
    for (from, to) in [
        ("@v1", "@v2"),
        ("extra ", "Extra "),
        ("index 0", "index 00"),
        ("index 0", "index -0"),
        ("extra ZW50cnk=\n", ""),
        ("\n\n", "\n"),
        ("ZW50cnk=\n", "ZW50cnk=\r\n"),
        ("ZW50cnk=", "ZW50cnk"),
    ] {
        assert_eq!(
            ProofFile::parse(&text.replacen(from, to, 1)),
            None,
            "{to:?}"
        );
    }
    let mut long = proof();
    long.hashes = vec![[0; 32]; 65];
    assert_eq!(ProofFile::parse(&long.to_string()), None);
}

#[test]
fn a_tile_has_one_path() {
    let path = |level, index, width| {
        Some(TilePath {
            level,
            index,
            width,
        })
    };
    assert_eq!(TilePath::parse("0/x001/067.p/3"), path(Some(0), 1067, 3));
    assert_eq!(TilePath::parse("entries/000"), path(None, 0, 256));
    assert_eq!(
        TilePath::parse("63/x001/x234/067"),
        path(Some(63), 1_234_067, 256)
    );
    for text in [
        "",
        "0",
        "0/",
        "0/0",
        "0/00",
        "0/0000",
        "0/x000",
        "0/x000/001",
        "0/001/067",
        "0/x001",
        "0/x001/x067",
        "0/X001/067",
        "00/000",
        "64/000",
        "-1/000",
        "data/000",
        "0/000.p/0",
        "0/000.p/256",
        "0/000.p/01",
        "0/000.p/",
        "0/000.p",
        "0/000.p/1/2",
        "0/000/",
        "/0/000",
        "0/+01",
        "0/x999/x999/x999/x999/x999/x999/x999/999",
    ] {
        assert_eq!(TilePath::parse(text), None, "{text}");
    }
}

const RECORD: &str = r#"{"commitment":"47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=","id":7,"kind":"remediation","month":"2025-11","recorded_at":"2025-11-02T10:00:00.000000Z","version":1}"#;
const HOLD: &str = r#"{"commitment":"47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=","id":7,"kind":"hold","recorded_at":"2025-11-02T10:00:00.000000Z","version":1}"#;
const RETENTION: &str = r#"{"digest":"47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=","kind":"retention","month":"2025-11","policy":"retention_months=12","record_kind":"workflow","recorded_at":"2025-11-02T10:00:00.000000Z","recorded_by":"maintenance","records":3,"version":1}"#;
const ORIGIN: &str = r#"{"key":"k","kind":"origin","origin":"o","previous":{"origin":"p","root":"47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=","size":3},"recorded_at":"2025-11-02T10:00:00.000000Z","version":1}"#;

#[test]
fn entries_of_each_kind_are_read_back_in_canonical_form() {
    for text in [RECORD, HOLD, RETENTION, ORIGIN] {
        let entry = Entry::parse(text).unwrap();
        assert_eq!(entry.to_text().unwrap(), text);
    }
    assert!(
        matches!(Entry::parse(RECORD), Some(Entry::Stored(entry)) if entry.commitment().is_some())
    );
    assert!(matches!(Entry::parse(HOLD), Some(Entry::Stored(entry)) if entry.month.is_none()));
    assert!(matches!(Entry::parse(RETENTION), Some(Entry::Retention(_))));
    assert!(matches!(Entry::parse(ORIGIN), Some(Entry::Origin(_))));
}

#[test]
fn an_entry_with_another_field_is_refused() {
    for text in [RECORD, HOLD, RETENTION, ORIGIN] {
        assert_eq!(Entry::parse(&text.replacen('{', "{\"a\":1,", 1)), None);
        assert_eq!(
            Entry::parse(&text.replacen("\"kind\"", "\"kinds\"", 1)),
            None
        );
        assert_eq!(
            Entry::parse(&text.replacen("\"version\":1", "\"version\":-1", 1)),
            None
        );
    }
    assert_eq!(
        Entry::parse(&ORIGIN.replace("\"size\"", "\"a\":1,\"size\"")),
        None
    );
    assert_eq!(Entry::parse("null"), None);
}

#[test]
fn an_envelope_is_committed_to_in_canonical_form() {
    let envelope = Envelope {
        cluster: "eu-1".to_owned(),
        content_hash: "h".to_owned(),
        correlation_id: "req-1".to_owned(),
        created_at: "2025-11-01T10:00:00.000000Z".to_owned(),
        recorded_by: None,
    };
    let text = r#"{"cluster":"eu-1","content_hash":"h","correlation_id":"req-1","created_at":"2025-11-01T10:00:00.000000Z","recorded_by":null}"#;
    let nonce = [5; 16];
    assert_eq!(
        envelope.commitment(&nonce).unwrap(),
        commitment(&nonce, text.as_bytes())
    );
    assert_ne!(
        envelope.commitment(&[6; 16]).unwrap(),
        commitment(&nonce, text.as_bytes())
    );
}

#[test]
fn the_digest_of_ids_is_that_of_their_blocks() {
    use sha2::{Digest as _, Sha256};
    let first = Sha256::digest([0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1, 0]);
    let second = Sha256::digest([0, 0, 0, 0, 0, 1, 0, 0]);
    let expected: tlog::Hash = Sha256::digest([first, second].concat()).into();
    assert_eq!(digest_ids([1, 256, 65_536]), expected);
    assert_eq!(digest_ids([]), tlog::hash_empty());
}

#[test]
fn a_bundle_that_is_cut_off_is_refused() {
    let bundle = join_bundle([&b"one"[..], b"", b"three"]).unwrap();
    assert_eq!(
        split_bundle(&bundle),
        Some(vec![&b"one"[..], b"", b"three"])
    );
    assert_eq!(split_bundle(&bundle[..bundle.len() - 1]), None);
    assert_eq!(split_bundle(&bundle[..1]), None);
    assert_eq!(join_bundle([&[0; 65_536][..]]), None);
}

proptest! {
    #[test]
    fn the_path_of_every_tile_is_read_back(
        level in prop::option::of(0u8..64), index in any::<u64>(), shift in 0u32..64, width in 1u64..=256,
    ) {
        let path = TilePath { level, index: index >> shift, width };
        prop_assert_eq!(TilePath::parse(&path.to_string()), Some(path));
    }

    #[test]
    fn no_text_makes_a_parser_fail(text in "\\PC{0,80}", lines in "[a-z0-9+/=\n\u{2014} ]{0,200}") {
        for text in [&text, &lines] {
            let _ = (TilePath::parse(text), ProofFile::parse(text), Entry::parse(text));
            let _ = (Checkpoint::read_unverified(text), VerifierKey::parse(text), SignerKey::parse(text).is_ok());
            let _ = split_bundle(text.as_bytes());
        }
    }
}
