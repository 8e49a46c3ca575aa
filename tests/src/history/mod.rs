//! A reader's own history through the door: whose it is, in which order, and what is found.

mod aliases;
mod export;
mod feedback;
mod input;
mod life;
mod pages;
mod retention;
mod rights;
mod search;

use axum::Router;
use serde_json::{Value, json};
use shared::{
    conversations::{Owner, store},
    db::{Client, Pool},
};
use uuid::Uuid;

use crate::support::{
    self, Reply, database,
    house::{self, bearer},
};

const ALL: &str = "/api/v1/conversations";

struct House {
    router: Router,
    pool: Pool,
    db: Client,
}

/// Somebody with a token.
struct Reader {
    id: Uuid,
    token: String,
}

impl House {
    async fn new() -> Self {
        Self::at(&database::fresh().await).await
    }

    async fn at(url: &str) -> Self {
        let (pool, db) = (database::pool(url), database::client(url).await);
        Self { router: support::router(house::settings(url)), pool, db }
    }

    async fn reader(&self) -> Reader {
        let id = house::account(&self.db).await;
        Reader { id, token: bearer(id) }
    }

    async fn ask(&self, who: &Reader, method: &str, path: &str, body: Value) -> Reply {
        let headers = [("authorization", who.token.as_str())];
        support::call(&self.router, method, path, &headers, body).await
    }

    async fn see(&self, who: &Reader, path: &str) -> Value {
        let reply = self.ask(who, "GET", path, Value::Null).await;
        assert_eq!(reply.status, 200, "{path}: {}", reply.text);
        reply.json()
    }

    async fn create(&self, who: &Reader, title: &str) -> String {
        let reply = self.ask(who, "POST", ALL, json!({ "title": title })).await;
        assert_eq!(reply.status, 201, "{}", reply.text);
        reply.json()["id"].as_str().unwrap().to_owned()
    }

    /// A question with its answer, in a conversation of its own if none is named.
    async fn say(
        &self,
        who: &Reader,
        conversation: Option<&str>,
        words: [&str; 2],
    ) -> Said {
        let conversation = conversation.map(|it| it.parse().unwrap());
        let exchange = house::exchange(
            Owner::User(who.id),
            conversation.unwrap_or_else(Uuid::now_v7),
            words,
        );
        store::save(&self.pool, &exchange, None).await.unwrap();
        Said {
            conversation: exchange.conversation_id.unwrap().to_string(),
            question: exchange.question_id.to_string(),
            answer: exchange.id.to_string(),
        }
    }

    async fn count(&self, sql: &str) -> i64 {
        database::count(&self.db, sql).await
    }
}

/// Ids of what was said.
struct Said {
    conversation: String,
    question: String,
    answer: String,
}

fn ids(page: &Value) -> Vec<String> {
    let all = page["data"].as_array().unwrap().iter();
    all.map(|it| it["id"].as_str().unwrap().to_owned()).collect()
}
