//! The whole bundle behind a transaction-mode PgBouncer, with two clients interleaved: each
//! router has a pool of its own, and no request knows which server connection it gets.

use std::{
    collections::HashSet,
    sync::atomic::{AtomicBool, Ordering},
};

use axum::Router;
use futures_util::future::join_all;
use serde_json::{Value, json};
use shared::db::Client;
use uuid::Uuid;

use crate::support::{
    self, Reply, book, database,
    house::{self, FRONT, OIL},
    model::{Fake, Reply as Said},
    pgbouncer,
};

const CHAT: &str = "/api/v1/chat";
const STREAM: &str = "/api/v1/chat/stream";
const SAVE: &str = "/api/v1/conversations/internal-save";
const PASSWORD: &str = "correct horse battery";

/// Two instances of the bundle, and the database that they share through PgBouncer.
struct House {
    url: String,
    instances: [Router; 2],
    model: Fake,
}

impl House {
    async fn new() -> Self {
        let url = database::fresh().await;
        let model = Fake::start();
        let env = house::settings(&pgbouncer::pooled(&url))
            .with("ALLOW_GUESTS", "")
            .with("BOOK_SHELF", &book::shelf().await);
        let env = house::asking(env, &model);
        let instances = [support::router(env.clone()), support::router(env)];
        Self { url, instances, model }
    }

    async fn post(
        &self,
        instance: usize,
        path: &str,
        who: (&str, &str),
        body: Value,
    ) -> Reply {
        support::call(&self.instances[instance % 2], "POST", path, &[who], body).await
    }

    /// Registers at one instance, signs in at the other.
    async fn reader(&self, name: &str, instance: usize) -> (String, String) {
        let body =
            json!({ "email": format!("{name}@example.org"), "password": PASSWORD });
        let nobody = ("x-nobody", "");
        let made =
            self.post(instance, "/api/v1/auth/register", nobody, body.clone()).await;
        assert_eq!(made.status, 201, "{}", made.text);
        let signed_in = self.post(instance + 1, "/api/v1/auth/login", nobody, body).await;
        assert_eq!(signed_in.status, 200, "{}", signed_in.text);
        let signed_in = signed_in.json();
        assert_eq!(signed_in["user_id"], made.json()["id"]);
        let token = signed_in["access_token"].as_str().unwrap();
        (signed_in["user_id"].as_str().unwrap().to_owned(), format!("Bearer {token}"))
    }

    /// One answer, by one instance, from the other route each time.
    async fn ask(
        &self,
        turn: usize,
        token: &str,
        text: &str,
        conversation: &Value,
    ) -> Value {
        let mut body = json!({ "message": { "content": text } });
        if !conversation.is_null() {
            body["conversation_id"] = conversation.clone();
        }
        let path = if turn.is_multiple_of(2) { CHAT } else { STREAM };
        let reply = self.post(turn, path, ("authorization", token), body).await;
        assert_eq!(reply.status, 200, "{}", reply.text);
        if path == CHAT {
            return reply.json()["response"].clone();
        }
        let mut events = reply.events();
        let last = events.pop().unwrap();
        let text: String =
            events.iter().map(|it| it["content"].as_str().unwrap()).collect();
        assert_eq!(last["content"], text);
        last
    }
}

/// Every conversation of `user`, newest activity first.
async fn conversations(client: &Client, user: &str) -> Vec<Uuid> {
    let sql = format!(
        "select id from conversations where user_id = '{user}'
         order by last_message_at desc, id desc"
    );
    client.query_typed(&sql, &[]).await.unwrap().iter().map(|row| row.get(0)).collect()
}

#[tokio::test]
async fn two_readers_talk_turn_by_turn_to_two_instances() {
    let house = House::new().await;
    let (ada, bob) = tokio::join!(house.reader("ada", 0), house.reader("bob", 1));
    let mut talks = [Value::Null, Value::Null];
    for turn in 0..6 {
        for _ in 0..2 {
            house.model.reply(Said::says(&["It is so ", "[1]."]));
        }
        let text = format!("{OIL} Time {turn}.");
        let texts = [format!("{text} ada"), format!("{text} bob")];
        // Both at once, each at the instance that the other one used before.
        let (one, other) = tokio::join!(
            house.ask(turn, &ada.1, &texts[0], &talks[0]),
            house.ask(turn + 1, &bob.1, &texts[1], &talks[1]),
        );
        for (talk, answer) in talks.iter_mut().zip([one, other]) {
            assert_eq!(answer["content"], "It is so [1].");
            assert_eq!(answer["saved"], true);
            assert_eq!(answer["degraded"], json!([]));
            assert!(talk.is_null() || *talk == answer["conversation_id"]);
            talk.clone_from(&answer["conversation_id"]);
        }
    }
    // What the model was given last is each reader's own talk, whole and in order.
    let asked = house.model.requests();
    for reader in ["ada", "bob"] {
        let request =
            asked.iter().rev().find(|it| it.body.to_string().contains(reader)).unwrap();
        let mut talk = request.body["messages"][1]["content"].as_str().unwrap();
        for turn in 0..6 {
            let said = format!("{OIL} Time {turn}. {reader}");
            talk = talk.split_once(&said).unwrap_or_else(|| panic!("{said}: {talk}")).1;
        }
        assert_eq!(talk, "", "the question comes last");
    }
    let foreign = json!({ "query_text": OIL, "conversation_id": talks[1] });
    let reply = house.post(0, CHAT, ("authorization", &ada.1), foreign).await;
    assert_eq!(reply.status, 404, "{}", reply.text);
}

#[tokio::test]
async fn a_key_that_comes_back_at_the_other_instance_is_known_there() {
    let house = House::new().await;
    let save = async |instance: usize, key: String, response: &str| {
        let headers = [FRONT, ("idempotency-key", key.as_str())];
        let body = json!({ "user_id": "user_2abc", "query": "q", "response": response });
        let router = &house.instances[instance % 2];
        support::call(router, "POST", SAVE, &headers, body).await
    };
    // Ten keys, each sent four times at once.
    let all = (0..40).map(|n| save(n, format!("key-{}", n / 4), "a"));
    let replies = join_all(all).await;
    for same in replies.chunks(4) {
        for reply in same {
            assert_eq!(reply.status, 201, "{}", reply.text);
            assert_eq!(reply.json(), same[0].json());
        }
    }
    for instance in 0..2 {
        let other = save(instance, "key-3".to_owned(), "another answer").await;
        assert_eq!(other.status, 409, "{}", other.text);
        assert_eq!(other.json()["code"], "idempotency-key-reused");
    }
    let client = database::client(&house.url).await;
    assert_eq!(database::count(&client, "select count(*) from conversations").await, 10);
    assert_eq!(database::count(&client, "select count(*) from messages").await, 20);
}

#[tokio::test]
async fn looking_up_and_deep_health_go_on_between_the_saves() {
    let house = House::new().await;
    let save = |n: usize| {
        let body = json!({ "user_id": format!("user-{}", n % 3), "query": "q", "response": "a" });
        house.post(n, SAVE, FRONT, body)
    };
    let look =
        |n: usize| house.post(n, "/api/v1/rag/query", FRONT, json!({ "query": OIL }));
    let health = |n: usize| {
        let router = &house.instances[n % 2];
        support::call(router, "GET", "/health?deep=1", &[FRONT], Value::Null)
    };
    let (saves, looks, healths) = tokio::join!(
        join_all((0..30).map(save)),
        join_all((0..30).map(look)),
        join_all((0..10).map(health)),
    );
    for reply in saves {
        assert_eq!(reply.status, 201, "{}", reply.text);
    }
    for reply in looks {
        assert_eq!(reply.status, 200, "{}", reply.text);
        assert_eq!(reply.json()["results"][0]["path"], "lamps/oil.md");
    }
    for reply in healths {
        assert_eq!(reply.status, 200, "{}", reply.text);
        assert_eq!(reply.json()["components"]["database"], "up", "{}", reply.text);
    }
}

#[tokio::test]
async fn two_hundred_saves_at_once_leave_the_newest_fifty_at_every_moment() {
    let house = House::new().await;
    let (user, token) = house.reader("ada", 0).await;
    let who = ("authorization", token.as_str());
    let save = |n: usize| {
        let body =
            json!({ "user_id": user, "query": format!("question {n}"), "response": "a" });
        house.post(n, SAVE, who, body)
    };
    // Fifty first, so that the reader has a full house to look at.
    for reply in join_all((0..50).map(save)).await {
        assert_eq!(reply.status, 201, "{}", reply.text);
    }
    let ended = AtomicBool::new(false);
    let saving = async {
        let replies = join_all((50..250).map(save)).await;
        ended.store(true, Ordering::SeqCst);
        replies
    };
    let reader = database::client(&pgbouncer::pooled(&house.url)).await;
    let looking = async {
        let (mut looks, mut seen, mut before) = (0, HashSet::new(), Vec::new());
        while !ended.load(Ordering::SeqCst) {
            let now = conversations(&reader, &user).await;
            assert_eq!(now.len(), 50, "a reader saw another number");
            // Nothing comes back, and what is gone was the oldest.
            let kept = before.iter().take_while(|id| now.contains(id)).count();
            assert!(before[kept..].iter().all(|id| !now.contains(id)));
            let fresh = now.iter().take_while(|id| !before.contains(*id)).count();
            assert_eq!(now[fresh..], before[..kept], "something was out of order");
            assert!(now[..fresh].iter().all(|id| seen.insert(*id)), "it was gone before");
            before = now;
            looks += 1;
        }
        looks
    };
    let (replies, looks) = tokio::join!(saving, looking);
    assert!(looks > 20, "nobody looked: {looks}");
    for reply in &replies {
        assert_eq!(reply.status, 201, "{}", reply.text);
    }
    let kept = conversations(&reader, &user).await;
    assert_eq!(kept.len(), 50);
    // The log keeps what retention took away.
    let all = "select count(*) from interaction_logs";
    assert_eq!(database::count(&reader, all).await, 250);

    // Through the route as well: what is kept can be gone on with, the rest is not there.
    let kept: HashSet<String> = kept.iter().map(Uuid::to_string).collect();
    let ids: Vec<_> =
        replies.iter().map(|it| it.json()["conversation_id"].clone()).collect();
    let go_on = ids.iter().enumerate().map(|(n, id)| {
        let body = json!({ "user_id": user, "query": "q", "response": "a", "conversation_id": id });
        house.post(n, SAVE, who, body)
    });
    for (id, reply) in ids.iter().zip(join_all(go_on).await) {
        let expected = if kept.contains(id.as_str().unwrap()) { 201 } else { 404 };
        assert_eq!(reply.status, expected, "{}", reply.text);
    }
    assert_eq!(conversations(&reader, &user).await.len(), 50);
}
