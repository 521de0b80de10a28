//! Who may place, release and read holds.

use e2e::{Answer, TestApp};
use kubeapi::{Rule, Token};
use reqwest::Method;
use serde_json::{Value, json};

use super::{HOLDS, hold, posted, release_path};
use crate::access::{
    MODES, NAMESPACE, PROCESSOR, READER, STRANGER, WRITER, cluster, get_as, with, write_as,
};

const KEEPER: &str = "token.of.keeper";
const KEEPER_USER: &str = "kim";
const OTHER_KEEPER: &str = "token.of.another-keeper";
const OTHER_KEEPER_USER: &str = "lee";

async fn place_as(app: &TestApp, token: &str, hold: &Value) -> Answer {
    let request = posted(app, HOLDS, hold.to_string());
    app.send(request.bearer_auth(token)).await
}

async fn release_as(app: &TestApp, token: &str, id: &Value) -> Answer {
    let body = json!({"reason": "done"}).to_string();
    let request = posted(app, &release_path(id), body);
    app.send(request.bearer_auth(token)).await
}

#[tokio::test]
async fn only_who_may_update_places_and_releases_and_only_readers_read() {
    let kube = cluster().await;
    for (token, user) in [(KEEPER, KEEPER_USER), (OTHER_KEEPER, OTHER_KEEPER_USER)] {
        kube.issue(token, Token::of(user));
        kube.allow(Rule::on_service(user, NAMESPACE, "hold"));
    }
    for mode in MODES {
        let app = with(&kube, mode).start().await;
        let sent = hold();
        for token in [READER, WRITER, PROCESSOR, STRANGER] {
            let answer = place_as(&app, token, &sent).await;
            answer.expect_problem(403, "forbidden");
        }
        let anonymous = app.send(posted(&app, HOLDS, sent.to_string())).await;
        anonymous.expect_problem(401, "unauthorized");
        assert_eq!(app.database.count("SELECT count(*) FROM holds").await, 0);

        let placed = place_as(&app, KEEPER, &sent).await.expect(201);
        let again = place_as(&app, OTHER_KEEPER, &sent).await.expect(201);
        assert_eq!(again.header("idempotent-replayed"), "true");
        // The commitment is the first one's, with its sender.
        assert_eq!(again.json(), placed.json());
        let location = placed.header("location");
        let id = &placed.json()["id"];
        for token in [READER, WRITER, PROCESSOR, STRANGER] {
            let answer = release_as(&app, token, id).await;
            answer.expect_problem(403, "forbidden");
        }
        for path in [HOLDS, location] {
            for token in [KEEPER, WRITER, STRANGER] {
                let answer = get_as(&app, token, path).await;
                answer.expect_problem(403, "forbidden");
            }
            app.get(path).await.expect_problem(401, "unauthorized");
            get_as(&app, PROCESSOR, path).await.expect(200);
            let request = app.request(Method::HEAD, path).bearer_auth(READER);
            app.send(request).await.expect(200);
        }
        write_as(&app, KEEPER)
            .await
            .expect_problem(403, "forbidden");

        let before = get_as(&app, READER, location).await.expect(200).json();
        assert_eq!(before["recorded_by"], KEEPER_USER);
        assert_eq!(before["release"], Value::Null);
        let committed = super::commitment(
            &before["log"]["nonce"],
            &json!({"hold": sent, "recorded_by": KEEPER_USER}),
        );
        assert_eq!(placed.json()["log"]["commitment"], committed);
        let released = release_as(&app, OTHER_KEEPER, id).await.expect(201);
        let release = &released.json()["release"];
        assert_eq!(release["recorded_by"], OTHER_KEEPER_USER);
        let again = release_as(&app, KEEPER, id).await.expect(201);
        assert_eq!(again.header("idempotent-replayed"), "true");
        assert_eq!(again.json()["release"]["recorded_by"], OTHER_KEEPER_USER);
        let envelope = json!({"reason": "done", "recorded_by": OTHER_KEEPER_USER});
        let entries = super::entries(&app, "hold_release", id).await;
        let committed = super::commitment(&release["log"]["nonce"], &envelope);
        assert_eq!(entries[0]["commitment"], committed);
    }
}
