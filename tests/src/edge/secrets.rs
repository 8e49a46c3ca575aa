//! No answer and no log line repeats a password, a token, a key, a connection string, an
//! email, a question or an answer, whatever goes wrong.

use std::net::SocketAddr;

use rustix::process::Signal;
use serde_json::{Value, json};

use super::{
    CHAT, HEALTH, LOGIN, RAG, REGISTER, SAVE, STREAM,
    settings::{send, start},
};
use crate::{
    retrieval::book_at,
    support::{
        binaries::Process,
        client::{Answer, Call},
        database, embeddings,
        model::{Fake, Reply, Step, texts},
    },
};

// Words that occur nowhere else, one for each thing that must not be said.
const IN_PASSWORD: &str = "Zpassw0rdZ";
const IN_EMAIL: &str = "zemailz";
const IN_QUESTION: &str = "zquestionz";
const IN_ANSWER: &str = "zanswerz";
const IN_SELECTION: &str = "zselectionz";
const IN_HISTORY: &str = "zhistoryz";
const IN_JWT_KEY: &str = "zjwtkeyz";
const IN_INTERNAL_KEY: &str = "zinternalkeyz";
const IN_LLM_KEY: &str = "zllmkeyz";
const IN_EMBEDDING_KEY: &str = "zembeddingkeyz";
const IN_QDRANT_KEY: &str = "zqdrantkeyz";
const IN_DATABASE_URL: &str = "zdatabasez";
const IN_USER_ID: &str = "zuseridz";
const IN_IDEMPOTENCY_KEY: &str = "zidempotencyz";
const IN_PATH: &str = "zpathz";

/// How every token of ours begins.
const TOKEN: &str = "eyJ";

const ALL: [&str; 16] = [
    TOKEN,
    IN_PASSWORD,
    IN_EMAIL,
    IN_QUESTION,
    IN_ANSWER,
    IN_SELECTION,
    IN_HISTORY,
    IN_JWT_KEY,
    IN_INTERNAL_KEY,
    IN_LLM_KEY,
    IN_EMBEDDING_KEY,
    IN_QDRANT_KEY,
    IN_DATABASE_URL,
    IN_USER_ID,
    IN_IDEMPOTENCY_KEY,
    IN_PATH,
];

fn internal_key() -> String {
    format!("the {IN_INTERNAL_KEY} of the server")
}

/// Every function of the bundle with the same settings, and what their answers may repeat.
struct Bundle(Vec<(&'static str, Process, SocketAddr)>);

impl Bundle {
    async fn start(settings: &[(&str, &str)]) -> Self {
        let mut functions = Vec::new();
        for path in [REGISTER, LOGIN, SAVE, CHAT, STREAM, RAG, HEALTH] {
            let (process, address) = start(path, settings).await;
            functions.push((path, process, address));
        }
        Self(functions)
    }

    async fn call(&self, path: &str, call: &Call) -> Answer {
        let (.., address) = self.0.iter().find(|it| it.0 == path).unwrap();
        let answer = send(*address, call).await;
        // What is wrong is said without repeating what was sent; so are the headers.
        if answer.status() >= 400 {
            assert_silent(answer.text());
        }
        assert_silent(&format!("{:?}", answer.head.headers));
        answer
    }

    async fn post(&self, path: &str, body: &Value) -> Answer {
        self.call(path, &Call::post(path, body).header("x-api-key", &internal_key()))
            .await
    }

    /// Ends every function; returns all that they said.
    async fn end(self) -> String {
        let mut said = String::new();
        for (_, mut process, _) in self.0 {
            process.signal(Signal::TERM);
            process.wait().await;
            said += &process.output();
        }
        said
    }
}

#[track_caller]
fn assert_silent(text: &str) {
    for word in ALL {
        if let Some(at) = text.find(word) {
            let from = text[..at].rfind('\n').map_or(0, |it| it + 1);
            let line = text[from..].lines().next().unwrap_or_default();
            panic!("{word} was said: {line}");
        }
    }
}

/// Everything that a caller can do, right and wrong.
async fn use_everything(bundle: &Bundle, model: &Fake) {
    let token = sign_in(bundle).await;
    save(bundle).await;
    for path in [CHAT, STREAM] {
        ask(bundle, model, path, token.as_deref()).await;
    }
    look_up(bundle).await;
    stray(bundle).await;
}

/// How the question is put everywhere.
fn question() -> String {
    format!("{IN_QUESTION} How often is the wick trimmed?")
}

/// Accounts; the token, if there is a database.
async fn sign_in(bundle: &Bundle) -> Option<String> {
    let email = format!("{IN_EMAIL}@example.org");
    let password = format!("{IN_PASSWORD} and more");
    let account = json!({ "email": email, "password": password });
    bundle.post(REGISTER, &account).await;
    bundle.post(REGISTER, &account).await;
    let signed_in = bundle.post(LOGIN, &account).await;
    bundle.post(LOGIN, &json!({ "email": email, "password": IN_PASSWORD })).await;
    for path in [REGISTER, LOGIN] {
        for body in [
            json!({ "email": IN_EMAIL, "password": IN_PASSWORD.repeat(9) }),
            json!({ "email": format!("{IN_EMAIL}\0@x.example"), "password": "\0" }),
            json!({ "email": [email], "password": { IN_PASSWORD: IN_PASSWORD } }),
            json!({ "email": 7, "password": IN_PASSWORD }),
            json!([email, password]),
            json!(email),
        ] {
            bundle.post(path, &body).await;
        }
    }
    let token = signed_in.json()["access_token"].as_str().map(str::to_owned);
    assert_eq!(token.is_some(), signed_in.status() == 200);
    token
}

async fn save(bundle: &Bundle) {
    let question = question();
    let save = json!({ "user_id": IN_USER_ID, "query": question, "response": IN_ANSWER });
    for body in
        [&save, &json!({ "user_id": IN_USER_ID, "query": question, "response": "" })]
    {
        for key in ["", IN_IDEMPOTENCY_KEY, "a b\u{fc}zidempotencyz"] {
            let mut call = Call::post(SAVE, body).header("x-api-key", &internal_key());
            if !key.is_empty() {
                call = call.header("idempotency-key", key);
            }
            bundle.call(SAVE, &call).await;
        }
    }
    let key = Call::post(
        SAVE,
        &json!({ "user_id": IN_USER_ID, "query": "q", "response": "a" }),
    )
    .header("x-api-key", &internal_key())
    .header("idempotency-key", IN_IDEMPOTENCY_KEY);
    bundle.call(SAVE, &key).await;
}

async fn ask(bundle: &Bundle, model: &Fake, path: &str, token: Option<&str>) {
    let question = question();
    let refused = json!({ "error": { "message":
        format!("Incorrect key {IN_LLM_KEY}: {IN_QUESTION}") } });
    let mut broken = texts(&["It is ", IN_ANSWER]);
    broken.push(Step::Drop);
    for reply in [
        Reply::says(&["It is ", IN_ANSWER, " [1]."]),
        Reply::says(&["NOT_IN_THE_BOOK"]),
        Reply::status(401, &refused),
        Reply::status(400, &refused),
        Reply::Whole(broken),
        Reply::Whole(vec![Step::Event(format!("{{\"{IN_ANSWER}"))]),
        Reply::Whole(vec![Step::Event(refused.to_string())]),
    ] {
        model.reply(reply);
        let body = json!({
            "message": { "content": question, "user_id": IN_USER_ID,
                "metadata": { "context": "selected-text", "selected_text": IN_SELECTION } },
        });
        bundle.post(path, &body).await;
    }
    if let Some(token) = token {
        let call = Call::post(path, &json!({ "query_text": question }))
            .header("authorization", &format!("Bearer {token}"));
        assert_eq!(bundle.call(path, &call).await.status(), 200);
    }
    for body in [
        json!({ "query_text": question, "context_mode": IN_SELECTION }),
        json!({ "query_text": question, "conversation_id": IN_QUESTION }),
        json!({ "query_text": { IN_QUESTION: 1 } }),
        json!({ "query_text": question, "history": [{ "role": IN_HISTORY, "content": "" }] }),
        json!({ "query_text": format!("{IN_QUESTION}\0") }),
        json!({ "message": { "content": [IN_QUESTION] } }),
    ] {
        bundle.post(path, &body).await;
    }
}

async fn look_up(bundle: &Bundle) {
    let question = question();
    let history = json!({ "query_text": question,
        "history": [{ "role": "user", "content": IN_HISTORY }] });
    bundle.call(CHAT, &Call::post(CHAT, &history)).await;

    for body in [
        json!({ "query": question, "history": [IN_HISTORY] }),
        json!({ "query": question, "mode": IN_QUESTION }),
        json!({ "query": question, "top_k": IN_QUESTION }),
        json!({ "query": question, "filter": { "path_prefix": IN_QUESTION } }),
    ] {
        bundle.post(RAG, &body).await;
    }
}

async fn stray(bundle: &Bundle) {
    let question = question();
    for path in [REGISTER, LOGIN, SAVE, CHAT, STREAM, RAG, HEALTH] {
        for call in [
            Call::post(path, &json!({ "query_text": question }))
                .header("authorization", &format!("Bearer {IN_JWT_KEY}.{IN_PASSWORD}.x")),
            Call::post(path, &json!({ "query_text": question }))
                .header("x-api-key", &format!("{IN_INTERNAL_KEY}?")),
            Call::new("POST", path)
                .header("content-type", "application/json")
                .bytes(format!("{{\"query_text\":\"{IN_QUESTION}")),
            Call::new("POST", path).header("content-type", IN_EMAIL).bytes(IN_EMAIL),
            Call::new("PUT", &format!("{path}?email={IN_EMAIL}")),
            Call::new("OPTIONS", &format!("/reset/{IN_PATH}"))
                .header("origin", &format!("https://{IN_EMAIL}.example")),
            Call::get(&format!("/reset/{IN_PATH}?token={IN_PASSWORD}")),
            Call::new("POST", &format!("/reset/{IN_PATH}")).bytes(vec![b' '; 2 << 20]),
        ] {
            bundle.call(path, &call).await;
        }
    }
    let deep = Call::get("/health?deep=1").header("x-api-key", &internal_key());
    assert_silent(bundle.call(HEALTH, &deep).await.text());
    assert_silent(bundle.call(HEALTH, &Call::get(HEALTH)).await.text());
}

async fn said_with(changed: &[(&str, &str)]) -> String {
    let model = Fake::start();
    let vectors = embeddings::Fake::start();
    let fault =
        json!({ "error": { "message": format!("{IN_EMBEDDING_KEY} {IN_QUESTION}") } });
    vectors.then(401, None, fault);
    let database = database::fresh().await;
    // The sockets of the tests' cluster ask for no password, and so take any.
    let database = database.replacen("app@", &format!("app:{IN_DATABASE_URL}@"), 1);
    assert!(database.contains(IN_DATABASE_URL));
    let book = book_at("0123456789abcdef", true);
    let (shelf, model_url, vectors_url) =
        (book.shelf(), model.openai_url(), vectors.url());
    let jwt_key = format!("{IN_JWT_KEY} and as many bytes as it needs");
    let internal_key = internal_key();
    let mut settings = vec![
        ("DATABASE_URL", database.as_str()),
        ("BOOK_SHELF", shelf),
        ("JWT_SECRET_KEY", &jwt_key),
        ("INTERNAL_API_KEY", &internal_key),
        ("ALLOW_GUESTS", "yes"),
        ("BCRYPT_COST", "4"),
        ("EMBEDDING_BASE_URL", &vectors_url),
        ("EMBEDDING_MODEL", "words"),
        ("EMBEDDING_API_KEY", IN_EMBEDDING_KEY),
        ("LLM_PROVIDER", "openai"),
        ("LLM_BASE_URL", &model_url),
        ("LLM_API_KEY", IN_LLM_KEY),
        ("LLM_MODEL", "fake-1"),
    ];
    settings.retain(|(name, _)| !changed.iter().any(|it| it.0 == *name));
    settings.extend(changed);
    let bundle = Bundle::start(&settings).await;
    use_everything(&bundle, &model).await;
    if changed.iter().all(|it| it.0 == "LOG_LEVEL") {
        // Their keys and words were really at stake.
        assert!(!vectors.calls().is_empty() && !model.requests().is_empty());
    }
    bundle.end().await
}

#[tokio::test]
async fn nothing_of_it_is_said_at_debug_nor_at_trace() {
    for level in ["DEBUG", "TRACE"] {
        let said = said_with(&[("LOG_LEVEL", level)]).await;
        assert!(said.contains("answered"), "nothing was logged:\n{said}");
        assert_silent(&said);
    }
}

#[tokio::test]
async fn nothing_of_it_is_said_while_everything_is_down() {
    let away = format!("postgresql://app:{IN_DATABASE_URL}@127.0.0.1:9/x");
    let key = format!("{IN_QDRANT_KEY}-1");
    let folder = tempfile::tempdir().unwrap();
    let storage = format!("file:{}", folder.path().display());
    for more in
        [&[("FALLBACK_STORAGE", storage.as_str())][..], &[("BOOK_SHELF", "/nowhere")]]
    {
        let mut changed = vec![
            ("LOG_LEVEL", "DEBUG"),
            ("DATABASE_URL", &away),
            ("QDRANT_URL", "http://127.0.0.1:9"),
            ("QDRANT_API_KEY", &key),
            ("LLM_BASE_URL", "http://127.0.0.1:9/v1"),
            ("EMBEDDING_BASE_URL", "http://127.0.0.1:9/v1"),
        ];
        changed.extend(more);
        let said = said_with(&changed).await;
        assert!(said.contains("database is unavailable"), "it was not down:\n{said}");
        assert_silent(&said);
    }
}

#[tokio::test]
async fn nothing_of_a_setting_that_cannot_be_read_is_said() {
    for url in [
        format!("postgresql://app:{IN_DATABASE_URL}@h/x?sslmode={IN_DATABASE_URL}"),
        format!("postgresql://app:{IN_DATABASE_URL}@h:port/x"),
        format!("postgresql://app:p@h/x?{IN_DATABASE_URL}@=1"),
        format!("{IN_DATABASE_URL}://app@h/x"),
        format!("host=h password={IN_DATABASE_URL} {IN_DATABASE_URL}"),
        IN_DATABASE_URL.to_owned(),
    ] {
        let settings = [
            ("DATABASE_URL", url.as_str()),
            ("BCRYPT_COST", "4"),
            ("LOG_LEVEL", "DEBUG"),
        ];
        let (mut process, address) = start(REGISTER, &settings).await;
        let body = json!({ "email": "reader@example.org", "password": "correct horse" });
        let answer = send(address, &Call::post(REGISTER, &body)).await;
        answer.assert_problem(503, "misconfigured");
        process.signal(Signal::TERM);
        process.wait().await;
        assert!(process.output().contains("DATABASE_URL"), "{}", process.output());
        assert_silent(&process.output());
    }
}
