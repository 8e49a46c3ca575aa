//! Asking the book, whole and streamed, with everything around it up or down.

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::{Value, json};
use shared::{auth::Signer, config::Env};
use uuid::Uuid;

use crate::support::{
    self, Reply, book, database,
    model::{Fake, Reply as Said, Step},
};

const CHAT: &str = "/api/v1/chat";
const STREAM: &str = "/api/v1/chat/stream";
const KEY: &str = "an internal key";
const OIL: &str = "How often is the wick trimmed?";

/// A bundle with a database and a book, open to guests, without a model.
async fn bundle() -> (Env, String) {
    let url = database::fresh().await;
    let env = Env::from([
        ("ALLOW_GUESTS", "1"),
        ("BOOK_BASE_URL", "https://book.example/"),
        ("INTERNAL_API_KEY", KEY),
        ("CONDENSE_TIMEOUT", "0"),
        ("EMBEDDING_PROVIDER", "none"),
        ("LLM_PROVIDER", "extractive"),
    ]);
    (env.with("DATABASE_URL", &url).with("BOOK_SHELF", &book::shelf().await), url)
}

/// The same with this model.
fn asking(env: Env, model: &Fake) -> Env {
    env.with("LLM_PROVIDER", "openai")
        .with("LLM_BASE_URL", &model.openai_url())
        .with("LLM_API_KEY", "sk-test")
        .with("LLM_MODEL", "fake-1")
}

fn question(text: &str) -> Value {
    json!({ "message": { "content": text } })
}

/// Asks as a guest.
async fn ask(env: &Env, path: &str, body: Value) -> Reply {
    support::call(&support::router(env.clone()), "POST", path, &[], body).await
}

/// Asks as a reader whom a trusted server names.
async fn ask_as(env: &Env, user: &str, path: &str, text: &str, more: Value) -> Reply {
    let mut body = json!({ "message": { "content": text, "user_id": user } });
    body.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap_or_default());
    support::call(
        &support::router(env.clone()),
        "POST",
        path,
        &[("x-api-key", KEY)],
        body,
    )
    .await
}

/// The last event of a stream, after a look at the others.
fn last(reply: &Reply) -> Value {
    assert_eq!(reply.status, 200, "{}", reply.text);
    let mut events = reply.events();
    let last = events.pop().unwrap();
    let text: String = events
        .iter()
        .map(|it| {
            assert_eq!(it["status"], "partial");
            it["content"].as_str().unwrap()
        })
        .collect();
    if last["status"] == "success" {
        assert_eq!(last["content"], text, "the deltas are not the answer");
    }
    last
}

#[tokio::test]
async fn without_a_model_the_best_passages_are_quoted_and_linked() {
    let (env, _) = bundle().await;
    let reply = ask(&env, CHAT, question(OIL)).await;
    assert_eq!(reply.status, 200, "{}", reply.text);
    insta::assert_json_snapshot!(reply.json(), {
        ".response.message_id" => "[id]",
        ".response.timestamp" => "[time]",
        ".response.book_version" => "[version]",
        ".response.sources[].id" => "[id]",
        ".response.sources[].score" => insta::rounded_redaction(4),
    });
    for source in reply.json()["response"]["sources"].as_array().unwrap() {
        let (start, end) =
            (source["start"].as_u64().unwrap(), source["end"].as_u64().unwrap());
        let path = source["path"].as_str().unwrap();
        assert_eq!(book::slice(path, start, end), source["quote"].as_str().unwrap());
    }
}

#[tokio::test]
async fn a_stream_tells_the_answer_piece_by_piece_and_then_whole() {
    let (env, _) = bundle().await;
    let reply = ask(&env, STREAM, question(OIL)).await;
    let whole = last(&reply);
    let id = reply.headers["x-message-id"].to_str().unwrap();
    assert_eq!(whole["message_id"], id);
    assert_eq!(Uuid::parse_str(id).unwrap().get_version_num(), 7);
    assert_eq!(whole.get("conversation_id"), None);
    assert_eq!(whole.get("saved"), None);
    for (name, value) in [
        ("content-type", "text/event-stream"),
        ("cache-control", "no-cache, no-transform"),
        ("x-accel-buffering", "no"),
    ] {
        assert_eq!(reply.headers[name], value);
    }
}

#[tokio::test]
async fn numbers_that_point_to_nothing_never_leave() {
    let (env, _) = bundle().await;
    let model = Fake::start();
    model.reply(Said::says(&[
        "Every four hours [",
        "1",
        "] [9",
        "9].",
        " Really [1][77].",
    ]));
    let whole = last(&ask(&asking(env, &model), STREAM, question(OIL)).await);
    assert_eq!(whole["content"], "Every four hours [1] . Really [1].");
    assert_eq!(whole["sources"].as_array().unwrap().len(), 1);
    assert_eq!(whole["sources"][0]["n"], 1);
    let quote = whole["sources"][0]["quote"].as_str().unwrap();
    assert!(quote.contains("every four hours"), "{quote}");
    assert_eq!(whole["unsupported"], false);
    assert_eq!(whole["usage"]["estimated"], false);
}

#[tokio::test]
async fn an_answer_without_a_citation_is_unsupported() {
    let (env, url) = bundle().await;
    let model = Fake::start();
    model.reply(Said::says(&["I just know [42]."]));
    let whole = last(&ask(&asking(env, &model), STREAM, question(OIL)).await);
    assert_eq!(whole["unsupported"], true);
    assert_eq!(whole["sources"], json!([]));
    assert_eq!(logged(&url, "metadata->>'reason'").await, "no_valid_citation");
}

#[tokio::test]
async fn a_refusal_has_no_sources_and_its_signal_never_leaves() {
    let (env, url) = bundle().await;
    let model = Fake::start();
    model.reply(Said::says(&["NOT_IN", "_THE_BOOK", " [1]"]));
    let reply = ask(&asking(env, &model), STREAM, question("Is the wick of silk?")).await;
    let whole = last(&reply);
    assert_eq!(whole["refused"], true);
    assert_eq!(whole["sources"], json!([]));
    assert!(!reply.text.contains("NOT_IN"), "{}", reply.text);
    assert_eq!(logged(&url, "metadata->>'reason'").await, "model_refused");
}

#[tokio::test]
async fn a_question_that_finds_nothing_asks_no_model() {
    let (env, _) = bundle().await;
    let model = Fake::start();
    let whole = last(&ask(&asking(env, &model), STREAM, question("zzzz qqqq")).await);
    assert_eq!(whole["refused"], true);
    assert!(model.requests().is_empty());
}

#[tokio::test]
async fn a_known_reader_is_remembered_and_a_stranger_sees_nothing() {
    let (env, url) = bundle().await;
    let model = Fake::start();
    let env = asking(env, &model);
    model.reply(Said::says(&["Every four hours [1]."]));
    let first = last(&ask_as(&env, "ada", STREAM, OIL, json!({})).await);
    assert_eq!(first["saved"], true);
    let conversation = first["conversation_id"].clone();

    model.reply(Said::says(&["Because it smokes [1]."]));
    let more = json!({ "conversation_id": conversation });
    let second = last(&ask_as(&env, "ada", STREAM, "And why?", more.clone()).await);
    assert_eq!(second["conversation_id"], conversation);
    let asked = model.requests().pop().unwrap().body.to_string();
    assert!(asked.contains(OIL) && asked.contains("Every four hours [1]."), "{asked}");

    let db = database::client(&url).await;
    assert_eq!(database::count(&db, "select count(*) from messages").await, 4);
    assert_eq!(database::count(&db, "select count(*) from interaction_logs").await, 2);

    for (user, more) in [
        ("bob", more),
        ("ada", json!({ "conversation_id": Uuid::now_v7() })),
        ("ada", json!({ "conversation_id": "x' or '1'='1" })),
    ] {
        let reply = ask_as(&env, user, CHAT, OIL, more).await;
        assert_eq!(reply.status, 404, "{}", reply.text);
        assert_eq!(reply.json()["code"], "not-found");
    }
}

#[tokio::test]
async fn a_follow_up_is_condensed_for_the_search_if_the_model_is_quick() {
    let (env, _) = bundle().await;
    let model = Fake::start();
    let env = asking(env, &model).with("CONDENSE_TIMEOUT", "5");
    let mut body = question("How is it cleaned?");
    body["history"] = json!([{ "role": "user", "content": "Tell me about the lens." }]);
    model.reply(Said::says(&["How is the Fresnel lens cleaned?"]));
    model.reply(Said::says(&["With rouge [1]."]));
    let whole = last(&ask(&env, STREAM, body.clone()).await);
    assert_eq!(whole["sources"][0]["path"], "lamps/lens.md");
    assert_eq!(model.requests().len(), 2);
    let usage = whole["usage"]["input_tokens"].as_u64().unwrap();

    // A first question is asked as it is; a model that is late changes nothing.
    model.reply(Said::says(&["With rouge [1]."]));
    let first = last(&ask(&env, STREAM, question("How is the lens cleaned?")).await);
    assert!(first["usage"]["input_tokens"].as_u64().unwrap() < usage);
    assert_eq!(model.requests().len(), 3);
    let hasty = env.with("CONDENSE_TIMEOUT", "0.05");
    let _never = model.stepped();
    model.reply(Said::says(&["With rouge [1]."]));
    let late = last(&ask(&hasty, STREAM, body).await);
    assert_eq!(late["sources"][0]["path"], "lamps/lens.md");
}

#[tokio::test]
async fn a_question_that_the_book_hardly_covers_can_be_refused() {
    let (env, url) = bundle().await;
    let text = "Which wick suits a submarine reactor of plutonium?";
    assert_eq!(last(&ask(&env, STREAM, question(text)).await)["refused"], false);
    let strict = env.with("MIN_COVERAGE", "0.5");
    let refused = last(&ask(&strict, STREAM, question(text)).await);
    assert_eq!(refused["refused"], true);
    assert_eq!(refused["sources"], json!([]));
    assert!(refused["content"].as_str().unwrap().contains("https://book.example/"));
    assert_eq!(logged(&url, "metadata->>'reason'").await, "low_coverage");
    assert_eq!(last(&ask(&strict, STREAM, question(OIL)).await)["refused"], false);
}

#[tokio::test]
async fn a_guests_history_is_given_to_the_model_and_not_kept() {
    let (env, url) = bundle().await;
    let model = Fake::start();
    model.reply(Said::says(&["Because it smokes [1]."]));
    let mut body = question("And why?");
    body["history"] = json!([
        { "role": "user", "content": OIL },
        { "role": "assistant", "content": "Every four hours." },
    ]);
    last(&ask(&asking(env, &model), STREAM, body).await);
    let asked = model.requests().pop().unwrap().body.to_string();
    assert!(asked.contains("Every four hours."), "{asked}");
    let db = database::client(&url).await;
    assert_eq!(database::count(&db, "select count(*) from messages").await, 0);
    assert_eq!(database::count(&db, "select count(*) from interaction_logs").await, 1);
}

#[tokio::test]
async fn a_selection_is_the_first_source_wherever_it_comes_from() {
    let (env, _) = bundle().await;
    let model = Fake::start();
    let env = asking(env, &model);
    for (selected, path) in [
        ("A keeper trims the\n wick every four hours", json!("lamps/oil.md")),
        ("Words of another book", Value::Null),
    ] {
        model.reply(Said::says(&["So it says [1]."]));
        let body = json!({
            "query_text": OIL, "context_mode": "selected-text", "selected_text": selected,
        });
        let whole = last(&ask(&env, STREAM, body).await);
        let source = &whole["sources"][0];
        assert_eq!(source["n"], 1);
        assert_eq!(source["path"], path);
        assert_eq!(source["url"].is_null(), path.is_null());
        let asked = model.requests().pop().unwrap().body.to_string();
        assert!(asked.contains(&selected.replace('\n', "\\n")), "{asked}");
    }
}

#[tokio::test]
async fn a_model_that_is_away_leaves_the_passages() {
    let (env, _) = bundle().await;
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
    let (env, url) = bundle().await;
    let model = Fake::start();
    let env = asking(env, &model).with("LLM_TOKEN_TIMEOUT", "0.2");
    let steps = model.stepped();
    steps.send(Step::Text("Every four hours [1]".into())).unwrap();
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
    let (env, _) = bundle().await;
    let model = Fake::start();
    let env = asking(env, &model).with("AGENT_TIMEOUT", "1");
    let _steps = model.stepped();
    let whole = last(&ask(&env, STREAM, question(OIL)).await);
    assert_eq!(whole["degraded"], json!(["llm"]));
}

#[tokio::test]
async fn past_the_days_cap_answers_are_quoted() {
    let (env, _) = bundle().await;
    let model = Fake::start();
    let env = asking(env, &model).with("DAILY_ANSWERS", "1");
    // What asks no model does not count.
    let nothing = last(&ask(&env, STREAM, question("Xylophon?")).await);
    assert_eq!(nothing["refused"], true);
    model.reply(Said::says(&["Every four hours [1]."]));
    assert_eq!(
        last(&ask(&env, STREAM, question(OIL)).await)["content"],
        "Every four hours [1]."
    );
    let capped = last(&ask(&env, STREAM, question(OIL)).await);
    assert!(capped["content"].as_str().unwrap().starts_with("**["), "{capped}");
    assert_eq!(model.requests().len(), 1);
}

#[tokio::test]
async fn the_days_cap_holds_exactly_when_many_ask_at_once() {
    let (env, url) = bundle().await;
    let model = Fake::start();
    let env = asking(env, &model).with("DAILY_ANSWERS", "3");
    let asked = (0..8).map(|_| ask(&env, CHAT, question(OIL)));
    for reply in join_all(asked).await {
        assert_eq!(reply.status, 200, "{}", reply.text);
    }
    assert_eq!(model.requests().len(), 3);
    let db = database::client(&url).await;
    assert_eq!(database::count(&db, "select answers from daily_answers").await, 3);
}

#[tokio::test]
async fn a_follow_up_that_is_condensed_counts_once() {
    let (env, _) = bundle().await;
    let model = Fake::start();
    let env =
        asking(env, &model).with("DAILY_ANSWERS", "1").with("CONDENSE_TIMEOUT", "2");
    let mut body = question("And why?");
    body["history"] = json!([{ "role": "user", "content": OIL }]);
    model.reply(Said::says(&["Why is the wick trimmed?"]));
    model.reply(Said::says(&["It smokes [1]."]));
    let answer = last(&ask(&env, STREAM, body.clone()).await);
    assert_eq!(answer["content"], "It smokes [1].");
    ask(&env, STREAM, body).await;
    assert_eq!(model.requests().len(), 2);
}

/// Asks, and does this while the model is silent; then it says its words.
async fn meanwhile(
    env: &Env,
    model: &Fake,
    call: (&[(&str, &str)], Value),
    deed: impl Future<Output = ()>,
) -> Value {
    let steps = model.stepped();
    let before = model.requests().len();
    let router = support::router(env.clone());
    let answer = support::call(&router, "POST", STREAM, call.0, call.1);
    let while_it_is_written = async {
        while model.requests().len() == before {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        deed.await;
        steps.send(Step::Text("Every four hours [1].".to_owned())).unwrap();
        drop(steps);
    };
    let (reply, ()) = tokio::join!(answer, while_it_is_written);
    let answer = last(&reply);
    assert_eq!(answer["content"], "Every four hours [1].");
    answer
}

#[tokio::test]
async fn a_conversation_that_is_deleted_stays_so_and_its_answer_is_logged() {
    let (env, url) = bundle().await;
    let model = Fake::start();
    let env = asking(env, &model);
    let first = last(&ask_as(&env, "ada", STREAM, OIL, json!({})).await);
    let conversation = first["conversation_id"].as_str().unwrap();
    let body = json!({ "message": { "content": "And why?", "user_id": "ada" },
        "conversation_id": conversation });
    let path = format!("/api/v1/conversations/{conversation}?user_id=ada");
    let key = [("x-api-key", KEY)];
    let router = support::router(env.clone());
    let delete = async {
        let gone = support::call(&router, "DELETE", &path, &key, Value::Null).await;
        assert_eq!(gone.status, 204, "{}", gone.text);
    };
    let answer = meanwhile(&env, &model, (&key, body), delete).await;
    assert_eq!((&answer["saved"], answer.get("conversation_id")), (&json!(false), None));
    let db = database::client(&url).await;
    assert_eq!(database::count(&db, "select count(*) from conversations").await, 0);
    assert_eq!(
        database::count(
            &db,
            "select count(*) from interaction_logs where response_content <> ''"
        )
        .await,
        2
    );
}

#[tokio::test]
async fn an_account_that_goes_leaves_a_log_row_without_a_word() {
    let (env, url) = bundle().await;
    let model = Fake::start();
    let secret = ("JWT_SECRET_KEY", "a secret that has more than 32 bytes");
    let env = asking(env, &model).with(secret.0, secret.1);
    let db = database::client(&url).await;
    let id = Uuid::now_v7();
    let sql = format!("insert into users (id, subject) values ('{id}', '{id}')");
    db.batch_execute(&sql).await.unwrap();
    let token = Signer::from_env(&Env::from([secret])).unwrap().sign(id).unwrap().0;
    let token = format!("Bearer {token}");
    let leave = async { db.batch_execute("delete from users").await.unwrap() };
    let call = (&[("authorization", token.as_str())][..], question(OIL));
    let answer = meanwhile(&env, &model, call, leave).await;
    assert_eq!(answer["saved"], false);
    let rows = "select count(*) from interaction_logs
                where user_id is null and request_content = '' and response_content = ''
                  and agent_model = 'fake-1'";
    assert_eq!(database::count(&db, rows).await, 1);
}

#[tokio::test]
async fn a_panic_while_answering_is_an_error_event_or_a_500() {
    let (env, url) = bundle().await;
    let env = env.with("LLM_PROVIDER", "scripted").with("LLM_SCRIPT", "Every |{{panic}}");
    let end = last(&ask(&env, STREAM, question(OIL)).await);
    assert_eq!((&end["status"], &end["code"]), (&json!("error"), &json!("internal")));
    let reply = ask(&env, CHAT, question(OIL)).await;
    assert_eq!(reply.status, 500);
    assert_eq!(reply.json()["code"], "internal");
    let db = database::client(&url).await;
    assert_eq!(database::count(&db, "select count(*) from interaction_logs").await, 2);
}

#[tokio::test]
async fn without_postgres_the_answer_comes_and_the_exchange_comes_home_later() {
    let (env, url) = bundle().await;
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

#[tokio::test]
async fn text_that_looks_like_code_is_answered_like_any_text() {
    let (env, url) = bundle().await;
    for text in [
        "'; drop table users; -- wick",
        "<script>alert(1)</script> wick",
        "what does `--release` do to the wick?",
        "wick ${HOME} {{x}} %s \\",
        "wick 🕯\u{202e}\u{200b}",
    ] {
        let reply = ask(&env, CHAT, question(text)).await;
        assert_eq!(reply.status, 200, "{text}: {}", reply.text);
        assert_eq!(logged(&url, "request_content").await, text);
    }
}

#[tokio::test]
async fn what_is_wrong_with_a_body_is_said_by_field() {
    let (env, url) = bundle().await;
    let long = "x".repeat(4001);
    for (body, field) in [
        (json!({}), "message"),
        (json!({ "message": {} }), "message.content"),
        (json!({ "message": { "content": 7 } }), "message.content"),
        (question("  "), "message.content"),
        (question(&long), "message.content"),
        (question("a\0b"), "message.content"),
        (json!({ "query_text": "" }), "query_text"),
        (json!({ "query_text": "x", "message": { "content": "x" } }), "query_text"),
        (json!({ "query_text": "x", "context_mode": "page" }), "context_mode"),
        (json!({ "query_text": "x", "context_mode": "selected-text" }), "selected_text"),
        (
            json!({ "query_text": "x", "context_mode": "selected-text",
                    "selected_text": "y".repeat(8001) }),
            "selected_text",
        ),
        (
            json!({ "query_text": "x",
                    "history": vec![json!({ "role": "user", "content": "y" }); 11] }),
            "history",
        ),
        (
            json!({ "query_text": "x", "history": [{ "role": "system", "content": "y" }] }),
            "history[0].role",
        ),
    ] {
        for path in [CHAT, STREAM] {
            let reply = ask(&env, path, body.clone()).await;
            assert_eq!(reply.status, 422, "{body}: {}", reply.text);
            assert_eq!(reply.json()["errors"][0]["field"], field, "{}", reply.text);
            assert_eq!(reply.headers["content-type"], "application/problem+json");
        }
    }
    let db = database::client(&url).await;
    assert_eq!(database::count(&db, "select count(*) from interaction_logs").await, 0);
}

#[tokio::test]
async fn strangers_stay_out_and_nobody_speaks_for_another() {
    let (env, _) = bundle().await;
    let closed = env.clone().with("ALLOW_GUESTS", "0");
    for (env, headers, status) in [
        (&closed, vec![], 401),
        (&env, vec![("authorization", "Bearer nonsense")], 503),
        (&env, vec![("x-api-key", "wrong")], 401),
        (&env, vec![("authorization", "Basic x")], 503),
    ] {
        for path in [CHAT, STREAM, "/api/v1/rag/query"] {
            let router = support::router((*env).clone());
            let reply =
                support::call(&router, "POST", path, &headers, question(OIL)).await;
            assert_eq!(reply.status, status, "{path} {headers:?}: {}", reply.text);
        }
    }
    let signing = env.with("JWT_SECRET_KEY", "a secret that has more than 32 bytes");
    let headers = [("authorization", "Bearer nonsense")];
    let router = support::router(signing);
    let reply = support::call(&router, "POST", CHAT, &headers, question(OIL)).await;
    assert_eq!(reply.status, 401, "{}", reply.text);
}

/// A column of the newest log row, as text.
async fn logged(url: &str, column: &str) -> String {
    let db = database::client(url).await;
    let sql = format!(
        "select ({column})::text from interaction_logs order by request_timestamp desc limit 1"
    );
    db.query_typed_one(&sql, &[]).await.unwrap().get(0)
}
