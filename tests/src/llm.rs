//! The model's room, against a model on loopback.

use futures_util::{StreamExt, TryStreamExt};
use serde_json::json;
use shared::{
    App, Error,
    config::Env,
    llm::{Delta, Deltas, Prompt, Usage},
};

use crate::support::model::{Fake, REQUEST_ID, Reply, Step, USAGE, texts};

const KEY: &str = "sk-test_0123456789abcdef";

/// OpenAI's wire and Gemini's: most of what follows holds on both.
fn settings(fake: &Fake) -> [Env; 2] {
    let key = Env::from([("LLM_API_KEY", KEY), ("LLM_MODEL", "fake-1")]);
    [
        key.clone().with("LLM_BASE_URL", &fake.openai_url()),
        key.with("LLM_PROVIDER", "gemini").with("LLM_BASE_URL", &fake.url()),
    ]
}

fn apps(fake: &Fake) -> [App; 2] {
    settings(fake).map(App::new)
}

/// Short limits for what must time out; the others keep their seconds.
fn hasty(fake: &Fake, limit: &str) -> [App; 2] {
    settings(fake).map(|env| App::new(env.with(limit, "0.05")))
}

fn prompt() -> Prompt {
    Prompt {
        system: "Answer from the passages.".to_owned(),
        user: "my secret question".to_owned(),
    }
}

async fn ask(app: &App) -> shared::Result<Deltas> {
    app.llm().await?.stream(&prompt()).await
}

/// The error before the first text.
async fn refusal(app: &App) -> Error {
    ask(app).await.err().expect("the model gives no answer")
}

/// The text so far, and how it ended.
async fn outcome(app: &App) -> (String, Option<Error>) {
    let mut text = String::new();
    let mut deltas = ask(app).await.expect("the model begins");
    while let Some(delta) = deltas.next().await {
        match delta {
            Ok(Delta::Text(more)) => text.push_str(&more),
            Ok(Delta::Usage(_) | Delta::Cut) => {}
            Err(err) => {
                assert!(deltas.next().await.is_none(), "an error is the last item");
                return (text, Some(err));
            }
        }
    }
    (text, None)
}

fn is_llm(err: &Error) -> bool {
    matches!(err, Error::Unavailable { service: "llm", .. })
}

#[tokio::test]
async fn text_and_count_arrive_on_both_wires() {
    let fake = Fake::start();
    for app in apps(&fake) {
        fake.reply(Reply::says(&["In ", "the ", "book [1]."]));
        let deltas: Vec<_> = ask(&app).await.unwrap().try_collect().await.unwrap();
        let (input_tokens, output_tokens) = USAGE;
        let usage = Usage { input_tokens, output_tokens, estimated: false };
        let mut expected: Vec<_> =
            ["In ", "the ", "book [1]."].map(|text| Delta::Text(text.to_owned())).into();
        expected.push(Delta::Usage(usage));
        assert_eq!(deltas, expected);
        assert_eq!(app.llm().await.unwrap().model(), "fake-1");
    }
}

#[tokio::test]
async fn a_provider_may_be_silent_about_the_count() {
    let fake = Fake::start();
    fake.silence();
    for app in apps(&fake) {
        let deltas: Vec<_> = ask(&app).await.unwrap().try_collect().await.unwrap();
        assert_eq!(deltas, [Delta::Text("Fine.".to_owned())]);
    }
}

#[tokio::test]
async fn events_may_be_cut_anywhere() {
    let fake = Fake::start();
    let tokens = ["Größe ", "€ 5\n", "😀 «fin»"];
    for size in [1, 2, 3, 7] {
        fake.cut(size);
        for app in apps(&fake) {
            fake.reply(Reply::says(&tokens));
            let (text, err) = outcome(&app).await;
            assert_eq!(text, tokens.concat());
            assert!(err.is_none());
        }
    }
}

#[tokio::test]
async fn every_token_is_handed_on_before_the_next_is_made() {
    let fake = Fake::start();
    for app in apps(&fake) {
        let steps = fake.stepped();
        steps.send(Step::Text("0".to_owned())).unwrap();
        let mut deltas = ask(&app).await.unwrap();
        for n in 0..5 {
            let text = Delta::Text(n.to_string());
            assert_eq!(deltas.next().await.unwrap().unwrap(), text);
            steps.send(Step::Text((n + 1).to_string())).unwrap();
        }
        drop(steps);
        let rest: Vec<_> = deltas.try_collect().await.unwrap();
        assert_eq!(rest[0], Delta::Text("5".to_owned()));
        assert!(matches!(rest[1..], [Delta::Usage(_)]));
    }
}

#[tokio::test]
async fn each_vendor_is_asked_in_its_own_way() {
    let fake = Fake::start();
    for app in apps(&fake) {
        outcome(&app).await;
    }
    let azure = Env::from([
        ("LLM_PROVIDER", "azure"),
        ("AZURE_OPENAI_API_KEY", KEY),
        ("LLM_MODEL", "my-deployment"),
    ]);
    let base = format!("{}/openai/v1", fake.url());
    outcome(&App::new(azure.with("LLM_BASE_URL", &base))).await;

    let [openai, gemini, azure] = fake.requests().try_into().unwrap();
    assert_eq!(openai.line, "POST /v1/chat/completions");
    assert_eq!(openai.headers["authorization"], format!("Bearer {KEY}"));
    assert_eq!(openai.headers["content-type"], "application/json");
    assert_eq!(openai.body["model"], "fake-1");
    assert_eq!(openai.body["max_tokens"], 1024);

    let line = "POST /v1beta/models/fake-1:streamGenerateContent?alt=sse";
    assert_eq!(gemini.line, line);
    assert_eq!(gemini.headers["x-goog-api-key"], KEY);
    assert_eq!(gemini.body["contents"][0]["parts"][0]["text"], "my secret question");

    assert_eq!(azure.line, "POST /openai/v1/chat/completions");
    assert_eq!(azure.headers["api-key"], KEY);
    assert!(!azure.headers.contains_key("authorization"));
    assert_eq!(azure.body["max_completion_tokens"], 1024);
}

#[tokio::test]
async fn a_refusal_is_told_by_its_status_and_code_only() {
    let fake = Fake::start();
    let message = format!("Incorrect key {KEY} for: my secret question");
    for (number, code) in [(400, "bad"), (401, "invalid_api_key"), (500, "server_error")]
    {
        for app in apps(&fake) {
            fake.reply(Reply::status(
                number,
                &json!({ "error": { "message": message, "type": KEY, "code": code } }),
            ));
            let asked = fake.requests().len();
            let err = refusal(&app).await;
            assert!(is_llm(&err));
            assert_eq!(err.to_string(), "llm is unavailable.");
            assert_eq!(
                err.chain(),
                format!(
                    "llm is unavailable: status {number}, code {code}, \
                     request {REQUEST_ID}, retry after - s"
                )
            );
            assert_eq!(fake.requests().len(), asked + 1, "no retry");
        }
    }
}

#[tokio::test]
async fn a_key_never_gets_into_an_error() {
    let fake = Fake::start();
    let error = json!({ "error": { "message": KEY, "type": KEY, "code": KEY } });
    let replies: [(usize, fn() -> Reply); 6] = [
        // A connection that breaks is tried once more.
        (2, || Reply::HangUp),
        (1, || Reply::Cut(Vec::new())),
        (1, || Reply::Whole(vec![Step::Event(KEY.to_owned())])),
        (1, || Reply::Whole(vec![Step::Event(format!("{{\"choices\":\"{KEY}\"}}"))])),
        (1, || Reply::Status(302, vec![("location", KEY.to_owned())], KEY.to_owned())),
        (1, || Reply::Status(429, vec![("retry-after", KEY.to_owned())], KEY.to_owned())),
    ];
    for app in apps(&fake) {
        for (times, reply) in replies {
            (0..times).for_each(|_| fake.reply(reply()));
            let err = refusal(&app).await;
            let told = format!("{} {err:?}", err.chain());
            assert!(is_llm(&err), "{told}");
            assert!(!told.contains(KEY) && !told.contains(&fake.url()), "{told}");
        }
        fake.reply(Reply::status(403, &error));
        assert!(!refusal(&app).await.chain().contains(KEY));
        fake.reply(Reply::Whole(vec![Step::Event(error.to_string())]));
        assert!(!refusal(&app).await.chain().contains(KEY));
    }
}

#[tokio::test]
async fn a_short_wait_is_waited_for_once() {
    let fake = Fake::start();
    let busy = |status, wait: &str| {
        let body = json!({ "error": { "code": "rate_limit_exceeded" } });
        let headers = vec![("retry-after", wait.to_owned())];
        Reply::Status(status, headers, body.to_string())
    };
    for app in apps(&fake) {
        for status in [429, 503] {
            fake.reply(busy(status, "0"));
            fake.reply(Reply::says(&["At last."]));
            assert_eq!(outcome(&app).await.0, "At last.");
        }
        fake.reply(busy(429, "0"));
        fake.reply(busy(429, "0"));
        assert!(refusal(&app).await.chain().contains("status 429"));

        let asked = fake.requests().len();
        fake.reply(busy(429, "20"));
        let chain = refusal(&app).await.chain();
        assert!(chain.contains("code rate_limit_exceeded"), "{chain}");
        assert!(chain.ends_with("retry after 20 s"), "{chain}");
        assert_eq!(fake.requests().len(), asked + 1);
    }
}

#[tokio::test]
async fn a_connection_that_died_before_the_reply_is_tried_once_more() {
    let fake = Fake::start();
    for app in apps(&fake) {
        fake.reply(Reply::HangUp);
        fake.reply(Reply::says(&["Here."]));
        assert_eq!(outcome(&app).await.0, "Here.");
    }
    let gone = apps(&fake);
    let url = fake.url();
    drop(fake);
    for app in gone {
        let err = refusal(&app).await;
        assert!(is_llm(&err));
        assert!(!err.chain().contains(&url), "{}", err.chain());
    }
}

#[tokio::test]
async fn silence_before_the_first_token_is_a_timeout() {
    let fake = Fake::start();
    for app in hasty(&fake, "LLM_FIRST_TOKEN_TIMEOUT") {
        fake.reply(Reply::Whole(vec![Step::Stall]));
        assert!(matches!(refusal(&app).await, Error::Timeout));
    }
    fake.hung_up().await;
}

#[tokio::test]
async fn silence_between_tokens_is_a_timeout_and_keeps_the_text() {
    let fake = Fake::start();
    for app in hasty(&fake, "LLM_TOKEN_TIMEOUT") {
        let mut steps = texts(&["Half an ", "answer"]);
        steps.push(Step::Stall);
        fake.reply(Reply::Whole(steps));
        let (text, err) = outcome(&app).await;
        assert_eq!(text, "Half an answer");
        assert!(matches!(err, Some(Error::Timeout)));
    }
    fake.hung_up().await;
}

#[tokio::test]
async fn a_reply_that_breaks_off_is_an_error_after_its_text() {
    let fake = Fake::start();
    let with = |last: Option<Step>| {
        let mut steps = texts(&["Half"]);
        steps.extend(last);
        Reply::Cut(steps)
    };
    for app in apps(&fake) {
        for last in [None, Some(Step::Drop), Some(Step::Event("{\"cand".to_owned()))] {
            fake.reply(with(last));
            let (text, err) = outcome(&app).await;
            assert_eq!(text, "Half");
            assert!(is_llm(&err.unwrap()));
        }
    }
}

#[tokio::test]
async fn an_error_in_the_stream_is_an_error_after_its_text() {
    let fake = Fake::start();
    let error =
        json!({ "error": { "code": "overloaded", "message": "my secret question" } });
    for app in apps(&fake) {
        let mut steps = texts(&["Half"]);
        steps.push(Step::Event(error.to_string()));
        fake.reply(Reply::Whole(steps));
        let (text, err) = outcome(&app).await;
        let chain = err.unwrap().chain();
        assert_eq!(text, "Half");
        assert!(chain.ends_with("the reply ended in an error: overloaded"), "{chain}");
    }
}

#[tokio::test]
async fn a_finished_reply_may_close_without_an_end_mark() {
    let fake = Fake::start();
    for app in apps(&fake) {
        for last in [Step::Drop, Step::Stall] {
            let mut steps = texts(&["Whole."]);
            steps.extend([Step::Finish, last]);
            fake.reply(Reply::Cut(steps));
            let (text, err) = outcome(&app).await;
            assert_eq!(text, "Whole.");
            assert!(err.is_none());
        }
    }
}

#[tokio::test]
async fn dropping_the_stream_hangs_up() {
    for which in 0..2 {
        let fake = Fake::start();
        let app = &apps(&fake)[which];
        let mut steps = texts(&["One ", "two"]);
        steps.push(Step::Stall);
        fake.reply(Reply::Whole(steps));
        let mut deltas = ask(app).await.unwrap();
        deltas.next().await.unwrap().unwrap();
        drop(deltas);
        fake.hung_up().await;
    }
}

#[tokio::test]
async fn a_connection_serves_one_reply_after_the_other() {
    let fake = Fake::start();
    for app in apps(&fake) {
        let mut ports = Vec::new();
        for _ in 0..3 {
            assert_eq!(outcome(&app).await.0, "Fine.");
            ports.push(fake.requests().last().unwrap().port);
        }
        assert_eq!(ports, [ports[0]; 3]);
    }
}

#[tokio::test]
async fn a_check_costs_nothing() {
    let fake = Fake::start();
    for app in apps(&fake) {
        let llm = app.llm().await.unwrap();
        llm.check().await.unwrap();
        fake.reply(Reply::status(
            401,
            &json!({ "error": { "code": "invalid_api_key" } }),
        ));
        let err = llm.check().await.unwrap_err();
        assert!(is_llm(&err) && err.chain().contains("401"));
    }
    let lines: Vec<_> = fake.requests().into_iter().map(|it| it.line).collect();
    let (openai, gemini) = ("GET /v1/models", "GET /v1beta/models?pageSize=1");
    assert_eq!(lines, [openai, openai, gemini, gemini]);
    assert!(
        fake.requests().iter().all(|it| it.headers.values().any(|v| v.contains(KEY)))
    );
}

#[tokio::test]
async fn a_script_is_played_under_the_same_limits() {
    let env = |script| Env::from([("LLM_PROVIDER", "scripted"), ("LLM_SCRIPT", script)]);
    let hasty = |script| {
        let env = env(script).with("LLM_FIRST_TOKEN_TIMEOUT", "0.05");
        App::new(env.with("LLM_TOKEN_TIMEOUT", "0.05"))
    };
    let (text, err) = outcome(&App::new(env("One |two"))).await;
    assert!(text == "One two" && err.is_none());
    let (text, err) = outcome(&App::new(env("One |{{fail}}|two"))).await;
    assert!(text == "One " && is_llm(&err.unwrap()));
    let (text, err) = outcome(&hasty("One |{{stall}}")).await;
    assert!(text == "One " && matches!(err, Some(Error::Timeout)));
    assert!(matches!(refusal(&hasty("{{stall}}|One")).await, Error::Timeout));
}
