//! The model or the database is away, breaks off or says nothing.

use serde_json::json;

use super::{CHAT, STREAM, ask, ask_as, last, logged, question};
use crate::support::{
    self, database,
    house::{self, OIL, asking},
    model::{Fake, Reply as Said, say},
};

#[tokio::test]
async fn a_model_that_is_away_leaves_the_passages() {
    let (env, _) = house::bundle(&[]).await;
    let model = Fake::start();
    let env = asking(env, &model);
    for is_broken in [true, false] {
        for _ in 0..2 {
            let broken = || Said::Status(500, vec![], "{}".to_owned());
            model.reply(if is_broken { broken() } else { Said::HangUp });
        }
        let whole = last(&ask(&env, STREAM, question(OIL)).await);
        assert_eq!(whole["degraded"], json!(["llm"]));
        assert!(!whole["sources"].as_array().unwrap().is_empty());
    }
}

#[tokio::test]
async fn an_answer_that_breaks_off_says_so_and_what_there_was_is_kept() {
    let (env, url) = house::bundle(&[]).await;
    let model = Fake::start();
    let env = asking(env, &model).with("LLM_TOKEN_TIMEOUT", "0.2");
    let steps = model.stepped();
    say(&steps, "Every four hours [1]");
    let reply = ask_as(&env, "ada", STREAM, OIL, json!({})).await;
    let end = last(&reply);
    assert_eq!(end["status"], "error");
    assert_eq!(end["code"], "timeout");
    assert_eq!(end["retryable"], true);
    drop(steps);
    assert_eq!(logged(&url, "response_content").await, "Every four hours [1]");
    assert_eq!(logged(&url, "error_code").await, "timeout");
    let db = database::client(&url).await;
    let kept = "select count(*) from messages where status = 'interrupted'";
    assert_eq!(database::count(&db, kept).await, 1);
}

#[tokio::test]
async fn a_model_that_is_silent_until_the_deadline_leaves_the_passages() {
    let (env, _) = house::bundle(&[]).await;
    let model = Fake::start();
    let env = asking(env, &model).with("AGENT_TIMEOUT", "1");
    let _steps = model.stepped();
    let whole = last(&ask(&env, STREAM, question(OIL)).await);
    assert_eq!(whole["degraded"], json!(["llm"]));
}

#[tokio::test]
async fn a_panic_while_answering_is_an_error_event_or_a_500() {
    let (env, url) = house::bundle(&[]).await;
    let env = house::scripted(env, "Every |{{panic}}");
    let end = last(&ask_as(&env, "ada", STREAM, OIL, json!({})).await);
    assert_eq!((&end["status"], &end["code"]), (&json!("error"), &json!("internal")));
    let reply = ask(&env, CHAT, question(OIL)).await;
    assert_eq!(reply.problem(), (500, "internal".into()));
    let db = database::client(&url).await;
    assert_eq!(database::count(&db, "select count(*) from interaction_logs").await, 2);
    // What the reader has seen is kept.
    let kept = "select count(*) from messages
                where status = 'interrupted' and content ->> 'text' = 'Every '";
    assert_eq!(database::count(&db, kept).await, 1);
}

#[tokio::test]
async fn without_postgres_the_answer_comes_and_the_exchange_comes_home_later() {
    let (env, url) = house::bundle(&[]).await;
    let waiting = tempfile::tempdir().unwrap();
    let away = env
        .clone()
        .with("DATABASE_URL", "postgresql://app@%2Fnowhere/x")
        .with("FALLBACK_STORAGE", &format!("file:{}", waiting.path().display()));
    let whole = last(&ask_as(&away, "ada", STREAM, OIL, json!({})).await);
    assert_eq!(whole["degraded"], json!(["database"]));
    assert_eq!(whole["saved"], false);
    assert!(!whole["sources"].as_array().unwrap().is_empty());

    let db = database::client(&url).await;
    for _ in 0..2 {
        support::lectern(
            &["replay", "--from", &format!("file:{}", waiting.path().display())],
            &env,
        )
        .await;
        let kept = "select count(*) from messages where role = 'assistant'";
        assert_eq!(database::count(&db, kept).await, 1);
        assert_eq!(
            database::count(&db, "select count(*) from interaction_logs").await,
            1
        );
    }
}
