//! Backfill of texts that another model embedded.

use std::sync::atomic::{AtomicBool, Ordering};

use e2e::{Answer, KINDS, Setup, TestApp, record, unique};
use embedder::{Embedder, Reply, vector_of};
use reqwest::Method;
use serde_json::{Value, json};

use super::{LOCAL_MODEL, MODEL, PATIENT, alert, asked, assert_same_direction, embedding_of, with};

/// Texts that a backfill reads and embeds at a time.
pub(super) const STEP_TEXTS: usize = 20;

async fn post(app: &TestApp, parameters: &str) -> Answer {
    let path = format!("/api/v1/embeddings/backfill?{parameters}");
    app.send(app.request(Method::POST, &path)).await
}

pub(super) async fn backfill(app: &TestApp, parameters: &str) -> Value {
    post(app, parameters).await.expect(200).json()
}

/// Repeats it until nothing is left. Returns how many texts were embedded and how many failed.
async fn backfill_all(app: &TestApp, limit: i64) -> (i64, i64) {
    let (mut embedded, mut failed) = (0, 0);
    let mut after = json!(0);
    while !after.is_null() {
        let done = backfill(app, &format!("limit={limit}&after={after}")).await;
        embedded += done["embedded"].as_i64().unwrap();
        failed += done["failed"].as_i64().unwrap();
        after = done["next"].clone();
    }
    (embedded, failed)
}

pub(super) async fn store_all_kinds_locally(app: &TestApp, embedder: &Embedder) -> Vec<Answer> {
    embedder.reply_with([Reply::status(401)]);
    let mut stored = Vec::new();
    for kind in KINDS {
        let mut record = record(kind);
        // Distinct texts.
        for field in ["signalName", "workflowName", "actionType", "eventType"] {
            if !record[field].is_null() {
                record[field] = json!(unique("text"));
            }
        }
        stored.push(app.post_record(kind, &record).await.expect(201));
    }
    for answer in &stored {
        assert_eq!(embedding_of(app, answer).await.0, LOCAL_MODEL);
    }
    stored
}

async fn search(app: &TestApp, text: &str) -> Value {
    let path = format!("/api/v1/incidents/search?q={text}");
    app.get(&path).await.expect(200).json()
}

#[tokio::test]
async fn what_the_local_model_stood_in_for_is_embedded_again_and_found() {
    let embedder = Embedder::start().await;
    let app = with(&embedder, PATIENT).start().await;
    let stored = store_all_kinds_locally(&app, &embedder).await;
    let texts: Vec<_> = asked(&embedder).concat();
    embedder.reply_with([Reply::Base64(1536)]);
    let found = search(&app, "anything").await;
    assert_eq!(
        (&found["data"], &found["unknown_texts"]),
        (&json!([]), &json!(KINDS.len()))
    );

    let counted = backfill(&app, "limit=0").await;
    assert_eq!(
        counted,
        json!({"model": MODEL, "embedded": 0, "failed": 0, "left": KINDS.len(), "next": 0})
    );
    embedder.reply_with([Reply::Base64(1536)]);
    let done = backfill(&app, "").await;
    assert_eq!(
        done,
        json!({"model": MODEL, "embedded": KINDS.len(), "failed": 0, "left": 0, "next": null})
    );
    assert_eq!(asked(&embedder).len(), 1, "all texts in one call");
    for (answer, text) in stored.iter().zip(&texts) {
        let (model, vector) = embedding_of(&app, answer).await;
        assert_eq!(model, MODEL);
        assert_same_direction(&vector, &vector_of(text, 1536));
    }
    embedder.reply_with([Reply::status(500)]);
    let found = search(&app, &texts[0].replace('\n', "%0A")).await;
    assert_eq!(found["embedding_model"], MODEL);
    assert_eq!(found["data"][0]["similarity"], 1.0);
    assert_eq!(found["unknown_texts"], 0);
    assert_eq!(
        embedder.received().len(),
        0,
        "a text that is stored asks no provider"
    );
}

#[tokio::test]
async fn another_model_takes_over_what_the_one_before_made() {
    let embedder = Embedder::start().await;
    let app = with(&embedder, PATIENT).start().await;
    let stored = app
        .post_remediation(&alert("HighMemoryUsage"))
        .await
        .expect(201);
    let changed = with(&embedder, PATIENT)
        .database(&app.database)
        .variable("embedding_model", "text-embedding-3-small")
        .start()
        .await;
    assert_eq!(search(&changed, "memory").await["unknown_texts"], 1);
    assert_eq!(backfill_all(&changed, 100).await, (1, 0));
    let found = search(&changed, "HighMemoryUsage").await;
    assert_eq!(found["data"][0]["similarity"], 1.0);
    assert_eq!(
        embedding_of(&app, &stored).await.0,
        "text-embedding-3-small"
    );

    let local = Setup::default().database(&app.database).start().await;
    assert_eq!(backfill_all(&local, 100).await, (1, 0));
    assert_eq!(embedding_of(&app, &stored).await.0, LOCAL_MODEL);
    let found = search(&local, "HighMemoryUsage").await;
    assert_eq!(found["data"][0]["similarity"], 1.0);
}

#[tokio::test]
async fn a_text_that_the_model_knows_already_gets_its_vector_however_many_records_it_has() {
    let embedder = Embedder::start().await;
    let app = with(&embedder, PATIENT).start().await;
    embedder.reply_with([Reply::status(401), Reply::Base64(1536)]);
    let before = app
        .post_remediation(&alert("HighMemoryUsage"))
        .await
        .expect(201);
    let since = app
        .post_remediation(&alert("HighMemoryUsage"))
        .await
        .expect(201);
    // More than one statement moves.
    app.database
        .execute(
            "INSERT INTO incident_records (id, incident_id, embedding_id, kind, created_at, content_hash)
             SELECT 1000000 + number, incident_id, embedding_id, kind, created_at, content_hash
             FROM incident_records, generate_series(1, 2500) AS number
             WHERE id = (SELECT min(id) FROM incident_records)",
        )
        .await;
    let provider_calls = embedder.received().len();
    assert_eq!(backfill_all(&app, 100).await, (1, 0));
    for stored in [&before, &since] {
        assert_eq!(embedding_of(&app, stored).await.0, MODEL);
    }
    assert_eq!(
        app.database.count("SELECT count(*) FROM embeddings").await,
        1
    );
    let linked =
        "SELECT count(*) FROM incident_records JOIN embeddings ON embeddings.id = embedding_id";
    assert_eq!(app.database.count(linked).await, 2502);
    assert_eq!(
        embedder.received().len(),
        provider_calls,
        "the cache has it"
    );
}

#[tokio::test]
async fn it_goes_on_where_it_ended_and_past_what_is_refused() {
    let embedder = Embedder::start().await;
    let app = with(&embedder, PATIENT).start().await;
    embedder.reply_with([Reply::status(401)]);
    for text in [
        "Alert", "Refused", "Alert", "Alert", "Refused", "Alert", "Alert",
    ] {
        let stored = app.post_remediation(&alert(&unique(text))).await;
        stored.expect(201);
    }
    app.post_remediation(&alert(" ")).await.expect(201);
    embedder.reply_with([Reply::Refusing("Refused".to_owned())]);
    let first = backfill(&app, "limit=2").await;
    assert_eq!(
        (&first["embedded"], &first["failed"]),
        (&json!(1), &json!(1))
    );
    assert_eq!(first["left"], 7);
    let after = first["next"].as_i64().unwrap();
    let second = backfill(&app, &format!("limit=100&after={after}")).await;
    // Of five texts, one is refused, and the blank one needs no provider.
    assert_eq!(
        (&second["embedded"], &second["failed"]),
        (&json!(4), &json!(2))
    );
    assert_eq!(
        (&second["left"], &second["next"]),
        (&json!(3), &Value::Null)
    );
    // After a refusal, the service sends its own text to check that the provider does not refuse
    // all.
    let texts: Vec<_> = asked(&embedder).iter().map(Vec::len).collect();
    assert_eq!(texts, [2, 1, 1, 1, 5, 2, 2, 1, 1]);

    embedder.reply_with([Reply::Base64(1536)]);
    assert_eq!(
        backfill_all(&app, 1).await,
        (2, 1),
        "again from the beginning"
    );
}

#[tokio::test]
async fn a_provider_that_is_down_changes_nothing() {
    let embedder = Embedder::start().await;
    let app = with(&embedder, "3000").start().await;
    let stored = store_all_kinds_locally(&app, &embedder).await;
    for reply in [
        Reply::status(401),
        Reply::status(503),
        Reply::Silence,
        // Refuses every text.
        Reply::status(400),
        Reply::status(413),
        // Longer than one attempt, shorter than all attempts.
        Reply::Late(std::time::Duration::from_millis(1800)),
    ] {
        embedder.reply_with([reply]);
        let answer = post(&app, "").await.expect_problem(503, "unavailable");
        assert!(!answer.header("retry-after").is_empty(), "{answer:?}");
    }
    // Texts embedded before the failure stay embedded.
    let mut last = None;
    for _ in 0..STEP_TEXTS {
        let alert = alert(&unique("Alert"));
        last = Some(app.post_remediation(&alert).await.expect(201));
    }
    embedder.reply_with([Reply::Base64(1536), Reply::status(401)]);
    let done = backfill(&app, "").await;
    assert_eq!(
        (&done["embedded"], &done["left"]),
        (&json!(STEP_TEXTS), &json!(KINDS.len()))
    );
    assert_eq!(embedding_of(&app, &stored[0]).await.0, MODEL);
    assert_eq!(embedding_of(&app, &last.unwrap()).await.0, LOCAL_MODEL);
}

#[tokio::test]
async fn a_text_that_the_provider_fails_on_does_not_hold_up_the_others() {
    let embedder = Embedder::start().await;
    let app = with(&embedder, PATIENT).start().await;
    embedder.reply_with([Reply::status(401)]);
    for _ in 0..4 {
        let stored = app.post_remediation(&alert(&unique("Alert"))).await;
        stored.expect(201);
    }
    let (good, bad) = (Reply::Base64(1536), Reply::status(403));
    // After a failure, the service sends its own short text to check that the provider is up. Texts
    // that failed together are then sent one by one.
    let replies = [&bad, &good, &bad, &good, &bad, &good, &good, &good];
    embedder.reply_with(replies.map(Reply::clone));
    let first = backfill(&app, "limit=1").await;
    assert_eq!(
        (&first["embedded"], &first["failed"]),
        (&json!(0), &json!(1))
    );
    let after = first["next"].as_i64().unwrap();
    let rest = backfill(&app, &format!("after={after}")).await;
    assert_eq!((&rest["embedded"], &rest["failed"]), (&json!(2), &json!(1)));
    assert_eq!((&rest["left"], &rest["next"]), (&json!(2), &Value::Null));
    let texts: Vec<_> = asked(&embedder).iter().map(Vec::len).collect();
    assert_eq!(texts, [1, 1, 3, 1, 1, 1, 1, 1]);
}

#[tokio::test]
async fn a_model_that_is_too_wide_is_named() {
    let embedder = Embedder::start().await;
    let app = with(&embedder, PATIENT).start().await;
    store_all_kinds_locally(&app, &embedder).await;
    embedder.reply_with([Reply::Decimals(3072)]);
    let answer = post(&app, "").await.expect_problem(503, "unavailable");
    let named = ("embedding_model".to_owned(), "readiness".to_owned());
    assert_eq!(answer.violations(), [named]);
}

#[tokio::test]
async fn a_model_that_cannot_be_used_is_named() {
    let embedder = Embedder::start().await;
    let app = with(&embedder, PATIENT)
        .variable("embedding_base_url", "example.com/v1")
        .start()
        .await;
    let answer = post(&app, "").await.expect_problem(503, "unavailable");
    assert_eq!(
        answer.violations(),
        [("embedding_base_url".to_owned(), "readiness".to_owned())]
    );
}

#[tokio::test]
async fn a_vector_that_leaves_meanwhile_takes_no_link_with_it() {
    let embedder = Embedder::start().await;
    let app = with(&embedder, PATIENT).start().await;
    embedder.reply_with([Reply::status(401), Reply::Base64(1536)]);
    let kept = app
        .post_remediation(&alert("HighMemoryUsage"))
        .await
        .expect(201);
    let leaving = app
        .post_remediation(&alert("HighMemoryUsage"))
        .await
        .expect(201);
    let leaving = leaving.json()["id"].as_i64().unwrap();
    // As when a month's records leave.
    let mut client = app.database.connect().await;
    let removal = client.transaction().await.unwrap();
    removal
        .batch_execute("LOCK TABLE incident_records IN SHARE ROW EXCLUSIVE MODE")
        .await
        .unwrap();
    let removed = async {
        let waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted
            AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
        while app.database.count(waiting).await == 0 {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        removal
            .batch_execute(&format!(
                "DELETE FROM incident_records WHERE id = {leaving};
                 DELETE FROM embeddings WHERE model = '{MODEL}'"
            ))
            .await
            .unwrap();
        removal.commit().await.unwrap();
    };
    let (done, ()) = tokio::join!(backfill(&app, ""), removed);
    assert_eq!((&done["embedded"], &done["left"]), (&json!(1), &json!(0)));
    let (model, vector) = embedding_of(&app, &kept).await;
    assert_eq!(model, MODEL);
    assert_same_direction(&vector, &vector_of("HighMemoryUsage", 1536));
}

#[tokio::test]
async fn a_record_that_left_leaves_its_text_as_it_is() {
    let embedder = Embedder::start().await;
    let app = with(&embedder, PATIENT).start().await;
    embedder.reply_with([Reply::status(401), Reply::Base64(1536)]);
    app.post_remediation(&alert("HighMemoryUsage"))
        .await
        .expect(201);
    app.database.execute("DELETE FROM audit_records").await;
    assert_eq!(backfill_all(&app, 100).await, (0, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn it_runs_beside_writes_and_beside_itself_and_loses_nothing() {
    const TEXTS: usize = 12;
    let embedder = Embedder::start().await;
    let app = with(&embedder, PATIENT).start().await;
    embedder.reply_in_turn([Reply::status(401), Reply::Base64(1536)]);
    let texts: Vec<_> = (0..TEXTS).map(|_| unique("Alert")).collect();
    let is_over = AtomicBool::new(false);
    let write = async |writer: usize| {
        let mut stored = 0;
        for text in texts.iter().cycle().skip(writer).take(8 * TEXTS) {
            app.store("remediation", &alert(text)).await;
            stored += 1;
        }
        stored
    };
    let writers = async {
        let stored: Vec<usize> = futures::future::join_all((0..4).map(write)).await;
        is_over.store(true, Ordering::Relaxed);
        stored.iter().sum::<usize>()
    };
    let backfills = (0..2).map(async |_| {
        while !is_over.load(Ordering::Relaxed) {
            let answer = post(&app, "limit=5").await;
            assert!([200, 503].contains(&answer.status), "{answer:?}");
        }
    });
    let (stored, _) = tokio::join!(writers, futures::future::join_all(backfills));

    embedder.reply_with([Reply::Base64(1536)]);
    let (_, failed) = backfill_all(&app, 100).await;
    assert_eq!(failed, 0);
    let linked = "SELECT count(*) FROM incident_records AS link
        JOIN audit_records AS record USING (id, kind, created_at, content_hash)
        JOIN embeddings AS text ON text.id = link.embedding_id
        WHERE text.model = 'text-embedding-ada-002'
          AND text.text_hash = sha256(convert_to(record.content::jsonb ->> 'signalName', 'UTF8'))";
    assert_eq!(
        usize::try_from(app.database.count(linked).await),
        Ok(stored)
    );
    let count = app.database.count("SELECT count(*) FROM embeddings").await;
    assert_eq!(usize::try_from(count), Ok(TEXTS));
}
