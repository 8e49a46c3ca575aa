//! The house that most tests visit: a whole bundle with a database and a book of its own, and
//! the people at its door.

use serde_json::json;
use shared::{
    auth::Signer,
    config::Env,
    conversations::{Exchange, Owner, Status},
    db::Client,
};
use time::OffsetDateTime;
use uuid::Uuid;

use super::{book, database, model::Fake};

/// The key of the trusted server in front.
pub(crate) const KEY: &str = "an internal key";

/// The same as a header.
pub(crate) const FRONT: (&str, &str) = ("x-api-key", KEY);

/// What tokens are signed with.
pub(crate) const SECRET: &str = "a secret that is known to these tests only";

/// A question that the book answers.
pub(crate) const OIL: &str = "How often is the wick trimmed?";

/// Settings of a whole bundle on this database, open to guests, without a model and without
/// a book.
pub(crate) fn settings(database: &str) -> Env {
    Env::from([
        ("ALLOW_GUESTS", "yes"),
        ("BCRYPT_COST", "4"),
        ("BOOK_BASE_URL", "https://book.example/"),
        ("CONDENSE_TIMEOUT", "0"),
        ("DATABASE_URL", database),
        ("EMBEDDING_PROVIDER", "none"),
        ("INTERNAL_API_KEY", KEY),
        ("JWT_SECRET_KEY", SECRET),
        ("LLM_PROVIDER", "extractive"),
    ])
}

/// The same with the sample book on a new database, which is named too. `more` comes last; an
/// empty value unsets.
pub(crate) async fn bundle(more: &[(&str, &str)]) -> (Env, String) {
    let url = database::fresh().await;
    let env = settings(&url).with("BOOK_SHELF", &book::shelf().await);
    (more.iter().fold(env, |env, (name, value)| env.with(name, value)), url)
}

/// The same with a model that says this.
pub(crate) fn scripted(env: Env, script: &str) -> Env {
    env.with("LLM_PROVIDER", "scripted").with("LLM_SCRIPT", script)
}

/// The same with a model that the test plays.
pub(crate) fn asking(env: Env, model: &Fake) -> Env {
    env.with("LLM_PROVIDER", "openai")
        .with("LLM_BASE_URL", &model.openai_url())
        .with("LLM_API_KEY", "sk-test")
        .with("LLM_MODEL", "fake-1")
}

/// Somebody who has an account.
pub(crate) async fn account(db: &Client) -> Uuid {
    let id = Uuid::now_v7();
    let sql = format!("insert into users (id, subject) values ('{id}', '{id}')");
    db.batch_execute(&sql).await.unwrap();
    id
}

/// The `Authorization` of this user, who need not exist.
pub(crate) fn bearer(user: Uuid) -> String {
    let signer = Signer::from_env(&Env::from([("JWT_SECRET_KEY", SECRET)])).unwrap();
    format!("Bearer {}", signer.sign(user).unwrap().0)
}

/// A question with its whole answer, as it is handed to the store.
pub(crate) fn exchange(
    owner: Owner,
    conversation: Uuid,
    [question, answer]: [&str; 2],
) -> Exchange {
    let at = OffsetDateTime::now_utc();
    Exchange {
        client_id: None,
        replaces: None,
        id: Uuid::now_v7(),
        question_id: Uuid::now_v7(),
        owner,
        conversation_id: Some(conversation),
        question: question.to_owned(),
        written: None,
        answer: answer.to_owned(),
        sources: json!([]),
        markers: json!([]),
        status: Status::Complete,
        asked_at: at,
        answered_at: at,
        first_token_ms: None,
        model: "scripted".to_owned(),
        usage: json!({}),
        error_code: None,
        metadata: json!({}),
    }
}
