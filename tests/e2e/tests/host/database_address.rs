//! Invalid settings of the database's address.

use e2e::{Database, Server, Setup, TestApp, remediation};
use kubeapi::KubeApi;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};

/// Returns the messages of readiness and of the log about a record that is not stored.
async fn words_about(app: &TestApp, variable: &str) -> (String, String) {
    let unready = app
        .get("/health/ready")
        .await
        .expect_problem(503, "unavailable");
    let named: Vec<_> = unready
        .violations()
        .into_iter()
        .map(|(field, _)| field)
        .collect();
    assert_eq!(named, [variable], "{unready:?}");
    let refused = app.post_remediation(&remediation()).await;
    if variable.contains("reader") {
        refused.expect(201);
        let refused = app.get("/api/v1/incidents").await;
        assert_refused_without_reason(refused.expect_problem(503, "unavailable"));
    } else {
        assert_refused_without_reason(refused.expect_problem(503, "unavailable"));
    }
    let message = unready.json()["errors"][0]["message"]
        .as_str()
        .unwrap()
        .to_owned();
    (message, app.log())
}

fn assert_refused_without_reason(answer: e2e::Answer) {
    assert!(!answer.header("retry-after").is_empty(), "{answer:?}");
    assert_eq!(
        answer.json()["detail"],
        "the database is unavailable; retry the same request"
    );
}

#[tokio::test]
async fn a_url_that_cannot_be_used_is_named_with_what_it_must_be() {
    let database = Database::create().await;
    let good = database.writer_url().to_string();
    let name = database.url.path();
    let host = database.host();
    for (url, words) in [
        (String::new(), "must be postgres://"),
        (
            format!("host={host} password=hidden"),
            "must be postgres://",
        ),
        (format!("jdbc:{good}"), "not a JDBC URL"),
        (
            format!("mysql://u:hidden@{host}{name}"),
            "must begin with postgres://",
        ),
        (
            format!("postgres://u:hidden@{host},{host}{name}"),
            "must name one host",
        ),
        (
            format!("postgres://u:hid/den@{host}{name}"),
            "percent-encoded",
        ),
        (format!("{good}?sslrootcert=hidden"), "a parameter"),
        (format!("{good}?sslmode=verify-full"), "an sslmode"),
        (format!("{good}?connect_timeout=hidden"), "Spin's client"),
        (format!("{good}?sslmode=require"), "TLS failed"),
        (
            good.replace("e2e_writer", "nobody_hidden"),
            "refuses the login",
        ),
        (
            good.replace(name, "/hidden"),
            "a database that the server does not have",
        ),
    ] {
        for variable in ["database_url", "database_reader_url"] {
            let app = Setup::default()
                .database(&database)
                .variable(variable, &url)
                .start()
                .await;
            let (message, log) = words_about(&app, variable).await;
            assert!(message.contains(words), "{url}: {message}");
            assert!(log.contains(words), "{url}: {log}");
            for shown in [&message, &log] {
                assert!(!shown.contains("hid"), "{url}: {shown}");
            }
        }
    }
}

#[tokio::test]
async fn white_space_around_the_url_is_no_part_of_it() {
    let database = Database::create().await;
    let app = Setup::default()
        .database(&database)
        .variable("database_url", format!(" {}\n", database.writer_url()))
        .variable(
            "database_reader_url",
            format!("{}\r\n", database.reader_url()),
        )
        .start()
        .await;
    app.get("/health/ready").await.expect(200);
    app.post_remediation(&remediation()).await.expect(201);
}

#[tokio::test]
async fn a_host_that_is_not_granted_is_named_with_its_variable() {
    let database = Database::create().await;
    for variable in ["database_host", "database_reader_host"] {
        let app = Setup::default()
            .database(&database)
            .variable(variable, "127.0.0.1:1")
            .start()
            .await;
        let (message, log) = words_about(&app, variable).await;
        assert!(
            message.contains("does not name the host:port of"),
            "{message}"
        );
        assert!(log.contains("may not connect to"), "{log}");
        // Spin has a line of its own, with the address.
        let mut lines = log.lines().filter(|line| line.starts_with('{'));
        assert!(!lines.any(|line| line.contains(&database.host())), "{log}");
    }
}

#[tokio::test]
async fn a_wrong_password_is_named_and_not_tried_again() {
    let server = Server::start(100).await;
    let database = server.create_database().await;
    server.ask_for_passwords().await;
    let app = Setup::default().database(&database).start().await;
    app.get("/health/ready").await.expect(200);

    let mut wrong = database.writer_url();
    wrong.set_password(Some("hidden")).unwrap();
    let app = Setup::default()
        .database(&database)
        .variable("database_url", wrong.as_str())
        .start()
        .await;
    let (message, log) = words_about(&app, "database_url").await;
    assert!(message.contains("refuses the login"), "{message}");
    assert!(
        !log.contains("hidden") && !log.contains("\"retries\":1"),
        "{log}"
    );
}

#[tokio::test]
async fn a_server_that_is_not_there_is_named_as_that() {
    let app = Setup::default().database_host("127.0.0.1:1").start().await;
    let (message, _) = words_about(&app, "database_url").await;
    assert!(
        message.contains("a server that cannot be reached"),
        "{message}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_nobody_vouches_for_is_named() {
    // Agrees to TLS as PostgreSQL does, then forwards to a server with another authority.
    let other = KubeApi::start().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let host = listener.local_addr().unwrap().to_string();
    let address = other.host();
    let served = tokio::spawn(async move {
        loop {
            let (mut client, _) = listener.accept().await.unwrap();
            let mut request = [0; 8];
            client.read_exact(&mut request).await.unwrap();
            client.write_all(b"S").await.unwrap();
            let mut server = TcpStream::connect(&address).await.unwrap();
            tokio::spawn(async move {
                let _ = copy_bidirectional(&mut client, &mut server).await;
            });
        }
    });
    let app = Setup::default()
        .variable("database_url", format!("postgres://u:p@{host}/d"))
        .variable("database_host", host)
        .start()
        .await;
    let (message, _) = words_about(&app, "database_url").await;
    assert!(
        message.contains("its certificate is not trusted"),
        "{message}"
    );
    served.abort();
}
