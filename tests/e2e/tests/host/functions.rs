//! How PostgreSQL runs the functions of the schema.

use e2e::Database;

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
    assert!(functions.len() > 5, "{}", functions.len());
    for row in functions {
        let (name, explain): (String, String) = (row.get(0), row.get(1));
        let plan = client.query(&explain, &[]).await.unwrap();
        let plan: Vec<String> = plan.iter().map(|line| line.get(0)).collect();
        let plan = plan.join("\n");
        assert!(!plan.contains(&format!("{name}(")), "{name}: {plan}");
    }
}
