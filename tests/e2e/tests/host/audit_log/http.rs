//! What the log's routes answer.

use e2e::{KINDS, Setup, record, remediation};
use reqwest::Method;
use serde_json::{Value, json};
use tlog::{Entry, Envelope, ProofFile, StoredEntry, from_base64, verify_consistency};

use super::{checkpoint, entries, hash, id_of, key, store};

#[tokio::test]
async fn an_empty_log_has_a_checkpoint_and_no_tiles() {
    let app = Setup::default().start().await;
    let empty = checkpoint(&app).await;
    assert_eq!((empty.size, empty.root), (0, tlog::hash_empty()));
    assert!(tlog::is_origin_of(&empty.origin, "data-storage.test"));
    for path in ["0/000", "0/000.p/1", "entries/000.p/1", "1/000.p/1"] {
        let path = format!("/log/v1/tile/{path}");
        app.get(&path).await.expect_problem(404, "not-found");
    }
    let again = checkpoint(&app).await;
    assert_eq!(again, empty);
}

#[tokio::test]
async fn a_record_is_proven_as_it_was_stored() {
    let app = Setup::default().start().await;
    // The log has no origin before its first checkpoint.
    let first = app.post_remediation(&remediation()).await.expect(201);
    assert_eq!(first.json()["log"]["origin"], Value::Null);
    checkpoint(&app).await;
    for kind in KINDS {
        let sent = record(kind);
        let stored = app.post_record(kind, &sent).await.expect(201);
        let receipt = &stored.json()["log"];
        let id = id_of(&stored);
        assert_eq!(receipt["status"], "pending");
        assert_eq!(
            receipt["proof"],
            format!("/api/v1/audit/records/{id}/proof")
        );

        let proof = app
            .get(receipt["proof"].as_str().unwrap())
            .await
            .expect(200);
        assert_eq!(proof.header("content-type"), "text/plain; charset=utf-8");
        let proof = ProofFile::parse(&proof.text).unwrap();
        let proven = proof.verify(&key()).unwrap();
        assert_eq!(receipt["origin"], proven.origin);

        let entry = String::from_utf8(proof.entry.clone()).unwrap();
        let Some(Entry::Stored(entry)) = Entry::parse(&entry) else {
            panic!("{entry}");
        };
        let found = app
            .get(&format!("/api/v1/audit/records/{id}"))
            .await
            .expect(200);
        let found = found.json();
        let log = &found["log"];
        let envelope: Envelope = serde_json::from_value(log["envelope"].clone()).unwrap();
        let nonce = from_base64(log["nonce"].as_str().unwrap()).unwrap();
        let commitment = envelope.commitment(&nonce.try_into().unwrap()).unwrap();
        assert_eq!(hash(&receipt["commitment"]), commitment);
        assert_eq!(
            entry,
            StoredEntry {
                commitment: tlog::entry_hash(&commitment),
                id,
                kind: kind.to_owned(),
                month: Some("2026-11".to_owned()),
                recorded_at: stored.json()["createdAt"].as_str().unwrap().to_owned(),
                version: 1,
            }
        );
        assert_eq!(found["recorded_at"], stored.json()["createdAt"]);
        assert_eq!(log["index"], proof.index);
        let canonical = serde_json_canonicalizer::to_string(&sent).unwrap();
        assert_eq!(
            envelope.content_hash,
            tlog::to_base64(&records::sha256(&canonical))
        );
        assert_eq!(envelope.correlation_id, sent["correlationId"]);
        assert_eq!(envelope.created_at, "2026-11-01T10:00:00.000000Z");
        assert_eq!(
            (envelope.cluster.as_str(), envelope.recorded_by),
            ("local", None)
        );
    }
}

#[tokio::test]
async fn a_record_is_returned_byte_for_byte_in_canonical_form() {
    let app = Setup::default().start().await;
    let mut sent = remediation();
    sent["message"] = json!("é \u{1f600} \\ \" \u{7} 1e3");
    sent["labels"] = json!({"z": "1", "a": "2", "€": "3"});
    let stored = app.post_remediation(&sent).await.expect(201);
    let id = id_of(&stored);
    let path = format!("/api/v1/audit/records/{id}");
    let found = app.get(&path).await.expect(200);
    let canonical = serde_json_canonicalizer::to_string(&sent).unwrap();
    assert!(
        found.text.contains(&format!("\"record\":{canonical}")),
        "{found:?}"
    );
    let json = found.json();
    assert_eq!(json["kind"], "remediation");
    assert_eq!(json["embedding"], json!({"id": id, "model": "static-v1"}));
    assert_eq!(
        stored.header("location"),
        format!("/api/v1/incidents/{}", json["incident_id"])
    );
    assert_eq!(json["recorded_by"], Value::Null);
    // Its tag changes once the record has a leaf.
    checkpoint(&app).await;
    let found = app.get(&path).await.expect(200);
    let tag = found.header("etag").to_owned();
    let known = app.request(Method::GET, &path).header("if-none-match", tag);
    app.send(known).await.expect(304);
    app.send(app.request(Method::HEAD, &path)).await.expect(200);
    app.get("/api/v1/audit/records/999999")
        .await
        .expect_problem(404, "not-found");
    for id in ["0", "01", "x", "-1", "9223372036854775808"] {
        let refused = app.get(&format!("/api/v1/audit/records/{id}")).await;
        let refused = refused.expect_problem(400, "validation");
        assert_eq!(
            refused.violations(),
            [("id".to_owned(), "format".to_owned())]
        );
        let refused = app.get(&format!("/api/v1/audit/records/{id}/proof")).await;
        refused.expect_problem(400, "validation");
    }
    app.get("/api/v1/audit/records/999999/proof")
        .await
        .expect_problem(404, "not-found");
}

#[tokio::test]
async fn records_are_listed_in_the_order_of_the_log_once_they_are_in_it() {
    let app = Setup::default().start().await;
    let mut stored = Vec::new();
    for _ in 0..7 {
        stored.push(store(&app).await);
    }
    let size = checkpoint(&app).await.size;
    let order = super::ids(&entries(&app, size).await);
    let mut path = "/api/v1/audit/records?limit=3".to_owned();
    let mut listed = Vec::new();
    loop {
        let page = app.get(&path).await.expect(200);
        let json = page.json();
        assert_eq!(json["pagination"]["limit"], 3);
        let data = json["data"].as_array().unwrap();
        assert!(data.len() <= 3);
        listed.extend(data.iter().map(|record| record["id"].as_i64().unwrap()));
        let Some(cursor) = json["pagination"]["next_cursor"].as_str() else {
            let resume = json["pagination"]["resume_cursor"].as_str().unwrap();
            let updates = format!("/api/v1/audit/records?limit=3&cursor={resume}");
            assert_eq!(page.header("link"), format!("<{updates}>; rel=\"monitor\""));
            break;
        };
        assert_eq!(json["pagination"]["resume_cursor"], cursor);
        path = format!("/api/v1/audit/records?limit=3&cursor={cursor}");
        assert_eq!(page.header("link"), format!("<{path}>; rel=\"next\""));
    }
    assert_eq!(listed, order);
    stored.sort_unstable();
    listed.sort_unstable();
    assert_eq!(listed, stored);

    let lines = app
        .request(Method::GET, "/api/v1/audit/records")
        .header("accept", "application/x-ndjson");
    let lines = app.send(lines).await.expect(200);
    assert_eq!(lines.header("content-type"), "application/x-ndjson");
    let ids = lines.text.lines().map(|line| -> i64 {
        let record: Value = serde_json::from_str(line).unwrap();
        record["id"].as_i64().unwrap()
    });
    assert_eq!(ids.collect::<Vec<_>>(), order);
    for query in [
        "limit=0",
        "limit=1001",
        "cursor=x",
        "cursor=",
        "order=x",
        "limit=1&limit=2",
    ] {
        let refused = app.get(&format!("/api/v1/audit/records?{query}")).await;
        refused.expect_problem(400, "validation");
    }
}

#[tokio::test]
async fn a_write_that_prefers_to_wait_gets_index_and_proof() {
    let app = Setup::default().start().await;
    let sent = remediation();
    let post = || {
        app.request(Method::POST, "/api/v1/audit/remediation")
            .header("content-type", "application/json")
            .header("prefer", "respond-async, wait=5")
            .body(sent.to_string())
    };
    for is_replayed in [false, true] {
        let stored = app.send(post()).await.expect(201);
        assert_eq!(stored.header("preference-applied"), "wait=5");
        assert_eq!(stored.header("idempotent-replayed") == "true", is_replayed);
        let receipt = &stored.json()["log"];
        assert_eq!(receipt["status"], "included");
        let proof = ProofFile::parse(receipt["inclusion"].as_str().unwrap()).unwrap();
        proof.verify(&key()).unwrap();
        assert_eq!(receipt["index"], proof.index);
    }
    let replayed = app.post_remediation(&sent).await.expect(201);
    assert_eq!(replayed.json()["log"]["status"], "included");
    assert_eq!(replayed.json()["log"]["index"], 0);
    assert_eq!(replayed.json()["log"].get("inclusion"), None);
}

#[tokio::test]
async fn a_later_log_is_proven_to_contain_an_earlier_one() {
    let app = Setup::default().start().await;
    let mut earlier = vec![checkpoint(&app).await];
    for _ in 0..5 {
        store(&app).await;
        earlier.push(checkpoint(&app).await);
    }
    for old in &earlier {
        let path = format!("/api/v1/log/consistency?from={}", old.size);
        let proof = app.get(&path).await.expect(200).json();
        let new = proof["checkpoint"].as_str().unwrap();
        let new = tlog::Checkpoint::open(new, &key()).unwrap();
        assert_eq!(
            (&proof["from"], &proof["to"]),
            (&old.size.into(), &new.size.into())
        );
        let hashes: Vec<_> = proof["proof"]
            .as_array()
            .unwrap()
            .iter()
            .map(hash)
            .collect();
        assert!(verify_consistency(
            old.size, new.size, &hashes, &old.root, &new.root
        ));
    }
    for (query, rule) in [
        ("from=6", "range"),
        ("", "required"),
        ("from=-1", "range"),
        ("from=x", "type"),
    ] {
        let refused = app.get(&format!("/api/v1/log/consistency?{query}")).await;
        let refused = refused.expect_problem(400, "validation");
        assert_eq!(
            refused.violations(),
            [("from".to_owned(), rule.to_owned())],
            "{query}"
        );
    }
}

#[tokio::test]
async fn tiles_may_be_kept_for_ever_and_checkpoints_may_not() {
    let app = Setup::default().start().await;
    store(&app).await;
    checkpoint(&app).await;
    for path in ["/log/v1/tile/0/000.p/1", "/log/v1/tile/entries/000.p/1"] {
        let tile = app.send(app.request(Method::HEAD, path)).await.expect(200);
        assert_eq!(tile.header("content-type"), "application/octet-stream");
        assert_eq!(
            tile.header("cache-control"),
            "private, max-age=31536000, immutable"
        );
    }
    let checkpoint = app.get("/log/v1/checkpoint").await.expect(200);
    assert_eq!(
        checkpoint.header("content-type"),
        "text/plain; charset=utf-8"
    );
    assert_eq!(checkpoint.header("cache-control"), "no-store");
    for path in [
        "0/000",
        "0/000.p/2",
        "1/000",
        "0/001.p/1",
        "0/0",
        "0/000.p/0",
        "x/000",
        "entries/000.p/2",
        "0/x999/x999/x999/x999/x999/x999/999",
        "63/000",
        "64/000",
        "0/000/",
        "0/000?x=1",
    ] {
        let refused = app.get(&format!("/log/v1/tile/{path}")).await;
        assert!(
            refused.status == 404 || refused.status == 400,
            "{refused:?}"
        );
    }
}

#[tokio::test]
async fn the_state_of_the_log_is_shown() {
    let app = Setup::default()
        .variable("log_signing_key", "")
        .start()
        .await;
    let state = app.get("/api/v1/log").await.expect(200).json();
    let nothing =
        json!({"origin": null, "size": 0, "root": null, "checkpoint_at": null, "pending": 0});
    assert_eq!(state, nothing);
    store(&app).await;
    let state = app.get("/api/v1/log").await.expect(200).json();
    assert_eq!(state["pending"], 1);

    let app = Setup::default().database(&app.database).start().await;
    let signed = checkpoint(&app).await;
    let state = app.get("/api/v1/log").await.expect(200).json();
    assert_eq!(state["origin"], signed.origin);
    assert_eq!((&state["size"], &state["pending"]), (&json!(1), &json!(0)));
    assert_eq!(hash(&state["root"]), signed.root);
    assert!(state["checkpoint_at"].as_str().unwrap().ends_with('Z'));
}

#[tokio::test]
async fn without_a_key_records_are_stored_and_wait() {
    let app = Setup::default()
        .variable("log_signing_key", " ")
        .start()
        .await;
    let stored = app.post_remediation(&remediation()).await.expect(201);
    assert_eq!(stored.json()["log"]["origin"], Value::Null);
    assert_eq!(stored.json()["log"]["status"], "pending");
    let id = id_of(&stored);
    app.get(&format!("/api/v1/audit/records/{id}"))
        .await
        .expect(200);
    for path in [
        "/log/v1/checkpoint",
        "/api/v1/log/consistency?from=0",
        &format!("/api/v1/audit/records/{id}/proof"),
    ] {
        let refused = app.get(path).await.expect_problem(503, "unavailable");
        let expected = ("log_signing_key".to_owned(), "readiness".to_owned());
        assert_eq!(refused.violations(), [expected], "{path}");
    }
    let ready = app.get("/health/ready").await.expect(200).json();
    assert_eq!(ready["warnings"][0]["field"], "log_signing_key");

    let app = Setup::default().database(&app.database).start().await;
    let ready = app.get("/health/ready").await.expect(200).json();
    assert_eq!(ready.get("warnings"), None);
    assert_eq!(checkpoint(&app).await.size, 1);
    app.get(&format!("/api/v1/audit/records/{id}/proof"))
        .await
        .expect(200);
}

#[tokio::test]
async fn an_invalid_key_is_named_and_records_are_stored() {
    let private = e2e::LOG_SIGNING_KEY;
    for (signing, previous, variable) in [
        ("x", "", "log_signing_key"),
        (&private[..private.len() - 4], "", "log_signing_key"),
        (&private.replace("test", "best"), "", "log_signing_key"),
        (private, "x", "log_previous_key"),
    ] {
        let app = Setup::default()
            .variable("log_signing_key", signing)
            .variable("log_previous_key", previous)
            .start()
            .await;
        store(&app).await;
        for path in ["/health/ready", "/log/v1/checkpoint"] {
            let refused = app.get(path).await.expect_problem(503, "unavailable");
            let expected = (variable.to_owned(), "readiness".to_owned());
            assert_eq!(refused.violations(), [expected], "{path}");
            assert!(!refused.text.contains(&private[..40]), "{refused:?}");
        }
        assert!(!app.log().contains("PRIVATE+KEY+data"), "{}", app.log());
    }
}
