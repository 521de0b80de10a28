//! How PostgreSQL runs the functions of the schema.

use e2e::{Database, Setup, connect, remediation};

/// PostgreSQL plans other SQL functions again for each statement that calls them, which cost a list
/// half of its time.
#[tokio::test]
async fn sql_functions_that_are_an_expression_are_inlined() {
    let database = Database::create().await;
    let client = database.connect().await;
    let functions = "
        SELECT proname::text, format(
            'EXPLAIN (VERBOSE) SELECT %s(%s) FROM (SELECT %s OFFSET 0) AS given',
            oid::regproc, string_agg('a' || number, ', ' ORDER BY number),
            string_agg(format('NULL::%s AS a%s', type::regtype, number), ', ' ORDER BY number))
        FROM pg_proc, unnest(proargtypes) WITH ORDINALITY AS argument (type, number)
        WHERE pronamespace = current_schema()::regnamespace
            AND prosqlbody IS NOT NULL AND prosqlbody::text NOT LIKE '%{SUBLINK %'
        GROUP BY oid";
    let functions = client.query(functions, &[]).await.unwrap();
    let calls: Vec<String> = functions
        .iter()
        .map(|row| format!("{}(", row.get::<_, String>(0)))
        .collect();
    assert!(calls.len() > 10, "{calls:?}");
    for row in functions {
        let plan = client.query(&row.get::<_, String>(1), &[]).await.unwrap();
        let plan: Vec<String> = plan.iter().map(|line| line.get(0)).collect();
        let plan = plan.join("\n");
        let called = calls.iter().find(|call| plan.contains(*call));
        assert_eq!(called, None, "{plan}");
    }
}

/// Whoever may write must not make a function do more that runs as the owner of the tables.
#[tokio::test]
async fn a_type_of_the_writers_own_is_not_taken_for_that_of_the_schema() {
    let app = Setup::default().start().await;
    app.post_remediation(&remediation()).await.expect(201);
    let writer = connect(&app.database.writer_url()).await;
    writer
        .batch_execute(
            "CREATE FUNCTION pg_temp.run(public.vector) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN
                 RAISE EXCEPTION 'run as %', current_user;
             END $$;
             CREATE DOMAIN pg_temp.vector AS public.vector CHECK (pg_temp.run(VALUE))",
        )
        .await
        .unwrap();
    // A session keeps what it has compiled, for its own calls and for those of the owner's functions.
    for call in [
        "SELECT read_embedding('[1]')",
        "SELECT embedding_code(read_embedding('[1]'))",
        "SELECT renew_embedding(id, 'other', '[1]', 10) FROM embeddings",
    ] {
        writer.batch_execute(call).await.unwrap();
    }
    let renewed = "SELECT count(*) FROM embeddings WHERE model = 'other'";
    assert_eq!(app.database.count(renewed).await, 1);
}

/// The code of a vector that is padded from some dimensions: of each level in turn, which components
/// are above it.
fn code(vector: &[f32], levels: &[f64]) -> String {
    let square = |component: &f32| f64::from(*component) * f64::from(*component);
    let norm = vector.iter().map(square).sum::<f64>().sqrt();
    let root = (vector.len() as f64).sqrt();
    let is_above = |component: &f32, level: f64| {
        let unit = (f64::from(*component) / norm) as f32;
        unit > (level / root) as f32
    };
    let bits = levels.iter().flat_map(|level| {
        vector
            .iter()
            .map(move |component| is_above(component, *level))
    });
    bits.map(|is_above| if is_above { '1' } else { '0' })
        .collect()
}

#[tokio::test]
async fn the_padding_of_a_code_compares_components_with_more_levels() {
    let database = Database::create().await;
    let client = database.connect().await;
    let coded = async |vector: &[f32]| -> String {
        let statement = "SELECT embedding_code(read_embedding($1))::text";
        let written = format!("{vector:?}");
        let row = client.query_one(statement, &[&written]).await.unwrap();
        row.get(0)
    };
    let eight = [-1.22, -0.76, -0.43, -0.14, 0.14, 0.43, 0.76, 1.22];
    for (dimensions, levels) in [
        (192, &eight[..]),
        (384, &[-0.84, -0.25, 0.25, 0.84]),
        (768, &[-0.43, 0.43]),
        (1536, &[0.0]),
    ] {
        let vector: Vec<f32> = (1..=dimensions)
            .map(|number| (number as f32).sin())
            .collect();
        assert_eq!(coded(&vector).await, code(&vector, levels), "{dimensions}");
    }
    let mut one = [0.0; 1536];
    one[999] = 1.0;
    assert_eq!(coded(&one).await, code(&one, &[0.0]));
}

/// A look-up of stored records is planned over all partitions: for each new text, it took two fifths
/// of a write.
#[tokio::test]
async fn a_write_looks_for_stored_records_only_if_it_may_be_a_replay() {
    let database = Database::create().await;
    let client = database.connect().await;
    client
        .batch_execute("SET track_functions = 'pl'; BEGIN")
        .await
        .unwrap();
    let write = r#"SELECT write_audit_records('[{
        "kind": "aianalysis", "created_at": "2026-11-01T10:00:00Z", "content": "{}",
        "content_hash": "\\x0000000000000000000000000000000000000000000000000000000000000001",
        "correlation_id": "req-1", "namespace": "ns", "name": "aia-1", "phase": "Completed",
        "progress": 0, "cluster": "eu", "projection": {}, "model": "m", "is_name": false,
        "text_hash": "\\x0000000000000000000000000000000000000000000000000000000000000002",
        "embedding": "[1]", "log_nonce": "\\x00000000000000000000000000000003", "commitment": "c"
    }]', NULL, false)::text"#;
    for (is_replay, look_ups) in [(false, 0), (true, 1)] {
        let written: String = client.query_one(write, &[]).await.unwrap().get(0);
        assert_eq!(written.contains("recorded_by"), is_replay, "{written}");
        let calls = "SELECT coalesce(sum(calls), 0)::bigint FROM pg_stat_xact_user_functions
            WHERE funcname = 'find_audit_records'";
        let calls: i64 = client.query_one(calls, &[]).await.unwrap().get(0);
        assert_eq!(calls, look_ups, "{written}");
    }
}
