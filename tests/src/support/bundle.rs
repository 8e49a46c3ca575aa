//! What the real functions need around them: a database, a book, and a model that the test
//! plays.

use std::{process::Stdio, sync::mpsc::Sender};

use bytes::Bytes;
use serde_json::json;
use tempfile::TempDir;
use tokio::task::JoinSet;
use tokio_postgres::{Client, NoTls};

use super::{
    binaries::{PATIENCE, binary},
    client::{Answer, Call, Events},
    database,
    model::{Fake, Step},
};

/// The key of the trusted server in front.
const KEY: &str = "the key of the server in front";

/// One page. The answer is in its last sentence.
const PAGE: &str = "# The lighthouse\n\n## The lamp\n\n\
    The lamp burns rape oil. The keeper trims its wick every four hours.\n";

/// A question that the page answers.
pub(crate) const QUESTION: &str = "How often does the keeper trim the wick of the lamp?";

/// What the model says, token by token.
pub(crate) const TOKENS: [&str; 3] = ["The wick ", "is trimmed ", "every four hours."];

/// Everything together; gone when it is dropped.
pub(crate) struct Bundle {
    /// The model that the functions ask.
    pub(crate) model: Fake,
    database: String,
    shelf: String,
    model_url: String,
    _folder: TempDir,
}

impl Bundle {
    /// An empty database with our tables, and the book made by `lectern ingest`.
    pub(crate) async fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder for the book");
        let pages = folder.path().join("pages");
        std::fs::create_dir(&pages).expect("a fresh folder");
        std::fs::write(pages.join("lighthouse.md"), PAGE).expect("a fresh folder");
        let shelf = folder.path().join("book.shelf");
        let made = tokio::process::Command::new(binary("lectern"))
            .args(["ingest", "--to", "shelf", "--shelf"])
            .args([&shelf, &pages])
            .current_dir(folder.path())
            .env_clear()
            .stdin(Stdio::null())
            .output()
            .await
            .expect("the tool starts");
        let said = String::from_utf8_lossy(&made.stderr);
        assert!(made.status.success(), "no book was made:\n{said}");
        let model = Fake::start();
        Self {
            database: database::fresh().await,
            shelf: shelf.to_string_lossy().into_owned(),
            model_url: model.openai_url(),
            model,
            _folder: folder,
        }
    }

    /// The environment of every function.
    pub(crate) fn settings(&self) -> [(&str, &str); 9] {
        [
            ("DATABASE_URL", &self.database),
            ("BOOK_SHELF", &self.shelf),
            ("JWT_SECRET_KEY", "a secret that only these tests know of"),
            ("INTERNAL_API_KEY", KEY),
            ("BCRYPT_COST", "10"),
            ("EMBEDDING_PROVIDER", "none"),
            ("LLM_PROVIDER", "openai"),
            ("OPENAI_API_KEY", "sk-none"),
            ("LLM_BASE_URL", &self.model_url),
        ]
    }

    /// The same, with a model that panics after its first words.
    pub(crate) fn panicking(&self) -> Vec<(&str, &str)> {
        let script = [("LLM_PROVIDER", "scripted"), ("LLM_SCRIPT", "So far|{{panic}}")];
        self.settings().into_iter().chain(script).collect()
    }

    /// The question, asked for a known reader by the server in front.
    pub(crate) fn ask(path: &str) -> Call {
        let message = json!({ "content": QUESTION, "user_id": "reader-1" });
        Call::post(path, &json!({ "message": message })).header("x-api-key", KEY)
    }

    /// Queues a reply whose every token waits for the test.
    pub(crate) fn stepped(&self) -> Sender<Step> {
        self.model.stepped()
    }

    /// A connection of the test's own, for as long as both are kept.
    pub(crate) async fn connect(&self) -> (Client, JoinSet<()>) {
        let (client, connection) =
            tokio_postgres::connect(&self.database, NoTls).await.expect("a database");
        let mut driver = JoinSet::new();
        driver.spawn(async move {
            connection.await.ok();
        });
        (client, driver)
    }

    /// How many messages the history has: two for one saved exchange.
    pub(crate) async fn messages(&self) -> i64 {
        let (client, _driver) = self.connect().await;
        let sql = "select count(*) from messages";
        client.query_typed_one(sql, &[]).await.expect("our tables").get(0)
    }

    /// Keeps every exchange from being saved until this is dropped.
    pub(crate) async fn lock(&self) -> Lock {
        let (client, driver) = self.connect().await;
        let sql = "begin; lock table messages in exclusive mode";
        client.batch_execute(sql).await.expect("our tables");
        Lock { client, _driver: driver }
    }
}

/// Nobody writes messages while this lives.
pub(crate) struct Lock {
    client: Client,
    _driver: JoinSet<()>,
}

impl Lock {
    /// Waits until somebody wants to save and has to wait.
    pub(crate) async fn somebody_waits(&self) {
        let sql = "select count(*) from pg_locks where not granted \
                   and database = (select oid from pg_database where datname = current_database())";
        let waiting = async {
            loop {
                let row = self.client.query_typed_one(sql, &[]).await.expect("a catalog");
                if row.get::<_, i64>(0) > 0 {
                    return;
                }
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, waiting).await.expect("somebody saves");
    }

    /// Lets them go on.
    pub(crate) async fn release(self) {
        self.client.batch_execute("commit").await.expect("our own transaction");
    }
}

/// The text of a streamed answer, put together from its events.
#[derive(Default)]
pub(crate) struct Reading {
    events: Events,
    /// All deltas so far.
    pub(crate) text: String,
    /// The last event, once it came.
    pub(crate) last: Option<serde_json::Value>,
}

impl Reading {
    /// Takes one chunk.
    pub(crate) fn push(&mut self, chunk: &[u8]) {
        for event in self.events.push(chunk) {
            assert!(self.last.is_none(), "something came after the last event: {event}");
            if event["status"] == "partial" {
                self.text += event["content"].as_str().expect("a delta has text");
            } else {
                self.last = Some(event);
            }
        }
    }

    /// Lets the model say its [`TOKENS`], each when the one before has arrived.
    pub(crate) async fn follow(
        &mut self,
        model: &Sender<Step>,
        mut chunk: impl AsyncFnMut() -> Bytes,
    ) {
        let mut said = String::new();
        for token in TOKENS {
            model.send(Step::Text(token.to_owned())).expect("the model listens");
            said += token;
            while !self.has(&said) {
                self.push(&chunk().await);
            }
        }
    }

    /// Fails unless a whole answer says that it broke off, and nothing of why.
    pub(crate) fn assert_broke_off(answer: &Answer) {
        let mut reading = Self::default();
        reading.push(&answer.body);
        let last = reading.last.expect("a stream never ends silently");
        assert_eq!(last["status"], "error");
        assert!(!answer.text().contains("the script says so"), "no inner text");
    }

    /// Whether everything that the model has said so far has arrived.
    fn has(&self, text: &str) -> bool {
        assert!(text.trim_end().starts_with(self.text.trim_end()), "{:?}", self.text);
        self.text.trim_end() == text.trim_end()
    }
}
