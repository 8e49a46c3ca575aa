//! An answer whose maker was taken for dead, and was not.

use serde_json::json;
use tokio_postgres::types::Type;
use uuid::Uuid;

use super::{STREAM, as_user, bundle, post, question};
use crate::support::{
    self, database, eventually,
    house::OIL,
    model::{Fake, say},
};

#[tokio::test]
async fn an_answer_that_was_taken_for_dead_is_whole_in_the_end() {
    let model = Fake::start();
    let (env, url) = bundle(&model).await;
    let db = database::client(&url).await;
    for user in ["ann", ""] {
        let steps = model.stepped();
        let here = support::router(env.clone());
        let mut body = question(user);
        if user.is_empty() {
            body = json!({ "query_text": OIL });
        }
        let mut live = post(&here, STREAM, &[], body).await;
        say(&steps, "Every four hours [1].");
        live.next().await;
        // Its maker was frozen, or lost the database, for longer than the lease.
        let id: Uuid = live.id.parse().unwrap();
        let settled = eventually(async || {
            db.batch_execute(
                "update runs set seen_at = seen_at - interval '1 minute'
                 where ended_at is null and exists (select 1 from run_batches)",
            )
            .await
            .unwrap();
            tools::prune::prune(&env).await.unwrap();
            let row = db
                .query_typed_opt(
                    "select error_code from interaction_logs where id = $1",
                    &[(&id, Type::UUID)],
                )
                .await
                .unwrap();
            row.map(|it| it.get::<_, Option<String>>(0))
        })
        .await;
        assert_eq!(settled.as_deref(), Some("interrupted"));
        say(&steps, " It spits [1].");
        drop(steps);
        let told = live.rest().await;
        let row = db
            .query_typed_one(
                "select response_content, error_code from interaction_logs where id = $1",
                &[(&id, Type::UUID)],
            )
            .await
            .unwrap();
        assert_eq!(row.get::<_, &str>(0), "Every four hours [1]. It spits [1].");
        assert_eq!(row.get::<_, Option<&str>>(1), None);
        if user.is_empty() {
            continue;
        }
        let last = told.events().pop().unwrap();
        let path = format!(
            "/api/v1/conversations/{}",
            last["conversation_id"].as_str().unwrap()
        );
        let kept = as_user(&env, user, "GET", &path).await.json();
        assert_eq!(kept["messages"].as_array().unwrap().len(), 2, "{kept}");
        assert_eq!(kept["messages"][1]["content"], "Every four hours [1]. It spits [1].");
        assert_eq!(kept["messages"][1]["status"], "complete");
    }
}

#[tokio::test]
async fn what_was_deleted_meanwhile_stays_deleted() {
    let model = Fake::start();
    let (env, url) = bundle(&model).await;
    let db = database::client(&url).await;
    let steps = model.stepped();
    let here = support::router(env.clone());
    let mut live = post(&here, STREAM, &[], question("ann")).await;
    say(&steps, "Every four hours [1].");
    live.next().await;
    let path = format!("/api/v1/conversations/{}", live.conversation);
    eventually(async || {
        let forsaken = "update runs set seen_at = seen_at - interval '1 minute'
                        where exists (select 1 from run_batches)";
        db.batch_execute(forsaken).await.unwrap();
        let kept = as_user(&env, "ann", "GET", &path).await.json();
        (kept["messages"][1]["status"] == "interrupted").then_some(())
    })
    .await;
    assert_eq!(as_user(&env, "ann", "DELETE", &path).await.status, 204);
    drop(steps);
    live.rest().await;
    assert_eq!(as_user(&env, "ann", "GET", &path).await.status, 404);
    for left in ["messages", "conversations", "run_batches"] {
        let left = format!("select count(*) from {left}");
        assert_eq!(database::count(&db, &left).await, 0);
    }
}
