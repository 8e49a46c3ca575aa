//! A reader's own history through the door: whose it is, in which order, and what is found.
#![expect(clippy::unwrap_used, reason = "clippy sees tests only in functions marked so")]

use std::{
    collections::HashSet,
    sync::atomic::{AtomicBool, Ordering},
};

use axum::Router;
use futures_util::future::{join_all, try_join_all};
use insta::{assert_json_snapshot, assert_snapshot};
use serde_json::{Value, json};
use shared::{
    auth::Signer,
    config::Env,
    conversations::{Exchange, Owner, Status, store},
    db::{Client, Pool},
};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::support::{self, Reply, database, pgbouncer};

const ALL: &str = "/api/v1/conversations";
const SECRET: &str = "a secret that is known to these tests only";
const KEY: (&str, &str) = ("x-api-key", "the key of the server in front");
const NOBODY: &[(&str, &str)] = &[];

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

fn env(url: &str) -> Env {
    Env::from([
        ("DATABASE_URL", url),
        ("JWT_SECRET_KEY", SECRET),
        ("INTERNAL_API_KEY", KEY.1),
        ("ALLOW_GUESTS", "yes"),
    ])
}

fn bearer(user: Uuid) -> String {
    let signer = Signer::from_env(&Env::from([("JWT_SECRET_KEY", SECRET)])).unwrap();
    format!("Bearer {}", signer.sign(user).unwrap().0)
}

impl House {
    async fn new() -> Self {
        Self::at(&database::fresh().await).await
    }

    async fn at(url: &str) -> Self {
        let (pool, db) = (database::pool(url), database::client(url).await);
        Self { router: support::router(env(url)), pool, db }
    }

    async fn reader(&self) -> Reader {
        let id = Uuid::now_v7();
        let sql = format!("insert into users (id, subject) values ('{id}', '{id}')");
        self.db.batch_execute(&sql).await.unwrap();
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
        let exchange = exchange(who, conversation.unwrap_or_else(Uuid::now_v7), words);
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

fn exchange(who: &Reader, conversation: Uuid, [question, answer]: [&str; 2]) -> Exchange {
    let at = OffsetDateTime::now_utc();
    Exchange {
        client_id: None,
        replaces: None,
        id: Uuid::now_v7(),
        question_id: Uuid::now_v7(),
        owner: Owner::User(who.id),
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

fn ids(page: &Value) -> Vec<String> {
    let all = page["data"].as_array().unwrap().iter();
    all.map(|it| it["id"].as_str().unwrap().to_owned()).collect()
}

/// Status and code of a problem.
fn code(reply: &Reply) -> (u16, String) {
    (reply.status, reply.json()["code"].as_str().unwrap_or("no code").to_owned())
}

fn is(status: u16, code: &str) -> (u16, String) {
    (status, code.to_owned())
}

#[tokio::test]
async fn a_conversation_is_made_read_renamed_and_deleted() {
    let house = House::new().await;
    let reader = house.reader().await;
    let body = json!({ "title": " On\nmoves " });
    let made = house.ask(&reader, "POST", ALL, body).await;
    assert_eq!(made.status, 201);
    assert_json_snapshot!(
        made.json(),
        { ".id" => "[uuid]", ".created_at" => "[time]", ".last_message_at" => "[time]" },
        @r#"
        {
          "created_at": "[time]",
          "id": "[uuid]",
          "last_message_at": "[time]",
          "message_count": 0,
          "title": "On moves"
        }
        "#
    );
    let id = made.json()["id"].as_str().unwrap().to_owned();
    let one = format!("{ALL}/{id}");
    house.say(&reader, Some(&id), ["What is a move?", "A change of owner [1]."]).await;

    let whole = house.see(&reader, &one).await;
    assert_json_snapshot!(
        whole,
        {
            ".id" => "[uuid]", ".created_at" => "[time]", ".last_message_at" => "[time]",
            ".messages[].id" => "[uuid]", ".messages[].created_at" => "[time]",
        },
        @r#"
        {
          "created_at": "[time]",
          "id": "[uuid]",
          "last_message_at": "[time]",
          "message_count": 2,
          "messages": [
            {
              "content": "What is a move?",
              "created_at": "[time]",
              "feedback": null,
              "id": "[uuid]",
              "role": "user",
              "sources": [],
              "status": "complete"
            },
            {
              "content": "A change of owner [1].",
              "created_at": "[time]",
              "feedback": null,
              "id": "[uuid]",
              "role": "assistant",
              "sources": [],
              "status": "complete"
            }
          ],
          "title": "On moves"
        }
        "#
    );
    assert!(whole["last_message_at"].as_str().unwrap().ends_with('Z'));

    let other = house.say(&reader, None, ["Another?", "Yes."]).await.conversation;
    let renamed = house.ask(&reader, "PATCH", &one, json!({ "title": "Moves" })).await;
    assert_eq!(renamed.status, 200);
    assert_eq!(renamed.json()["title"], "Moves");
    assert_eq!(renamed.json()["message_count"], 2);
    assert_eq!(renamed.json()["last_message_at"], whole["last_message_at"]);
    let list = house.see(&reader, ALL).await;
    assert_eq!(ids(&list), [other, id.clone()], "renaming is no activity");
    assert_eq!(list["data"][1], renamed.json());
    assert_eq!(list["has_more"], false);
    assert!(list.get("after").is_none());

    let gone = house.ask(&reader, "DELETE", &one, Value::Null).await;
    assert_eq!((gone.status, gone.text.as_str()), (204, ""));
    let again = house.ask(&reader, "DELETE", &one, Value::Null).await;
    assert_eq!(code(&again), is(404, "not-found"));
    assert_eq!(house.count("select count(*) from messages").await, 2);
}

#[tokio::test]
async fn an_untitled_conversation_takes_its_first_question_as_its_title() {
    let house = House::new().await;
    let reader = house.reader().await;
    // Without a body at all, with an empty one, and with a title that is blank.
    for body in
        [Value::Null, json!({}), json!({ "title": " " }), json!({ "title": null })]
    {
        let made = house.ask(&reader, "POST", ALL, body).await;
        assert_eq!((made.status, made.json()["title"].as_str()), (201, Some("")));
        let id = made.json()["id"].as_str().unwrap().to_owned();
        for question in ["What is a move?", "And a borrow?"] {
            house.say(&reader, Some(&id), [question, "Well."]).await;
        }
        let whole = house.see(&reader, &format!("{ALL}/{id}")).await;
        assert_eq!(whole["title"], "What is a move?");
    }
    let named = house.create(&reader, "Mine").await;
    house.say(&reader, Some(&named), ["What is a move?", "Well."]).await;
    assert_eq!(house.see(&reader, &format!("{ALL}/{named}")).await["title"], "Mine");
}

#[tokio::test]
async fn a_clients_own_id_makes_one_conversation() {
    let house = House::new().await;
    let (reader, other) = (house.reader().await, house.reader().await);
    let body = json!({ "title": "First", "client_id": "thread-1" });
    let made =
        join_all((0..8).map(|_| house.ask(&reader, "POST", ALL, body.clone()))).await;
    for reply in &made {
        assert_eq!((reply.status, &reply.text), (201, &made[0].text));
    }
    let id = made[0].json()["id"].as_str().unwrap().to_owned();
    house.say(&reader, Some(&id), ["Who?", "You."]).await;
    let again = json!({ "title": "Second", "client_id": "thread-1" });
    let again = house.ask(&reader, "POST", ALL, again).await.json();
    assert_eq!((&again["id"], &again["title"]), (&json!(id), &json!("First")));
    assert_eq!(again["message_count"], 2);
    let theirs = house.ask(&other, "POST", ALL, body).await;
    assert_ne!(theirs.json()["id"], made[0].json()["id"]);
    assert_eq!(house.count("select count(*) from conversations").await, 2);
}

#[tokio::test]
async fn pages_follow_each_other_without_a_gap() {
    let house = House::new().await;
    let (reader, other) = (house.reader().await, house.reader().await);
    house.create(&other, "not yours").await;
    let mut made = Vec::new();
    for n in 0..7 {
        made.insert(0, house.create(&reader, &n.to_string()).await);
    }
    // At the same moment the ids decide.
    let tie = "update conversations set last_message_at = '2026-01-01' where title < '4'";
    house.db.batch_execute(tie).await.unwrap();
    assert_eq!(ids(&house.see(&reader, ALL).await), made);
    for limit in 1..=8 {
        let (mut seen, mut path) = (Vec::new(), format!("{ALL}?limit={limit}"));
        loop {
            let page = house.see(&reader, &path).await;
            let on_page = ids(&page);
            seen.extend(on_page.clone());
            assert_eq!(page["has_more"], seen.len() < 7);
            let Some(after) = page["after"].as_str() else { break };
            assert_eq!(Some(after), on_page.last().map(String::as_str));
            assert_eq!(on_page.len(), limit);
            path = format!("{ALL}?limit={limit}&after={after}");
        }
        assert_eq!(seen, made, "limit {limit}");
    }
}

#[tokio::test]
async fn a_place_with_its_time_outlives_activity_and_deletion() {
    let house = House::new().await;
    let reader = house.reader().await;
    let mut made = Vec::new();
    for n in 0..6 {
        made.insert(0, house.create(&reader, &n.to_string()).await);
    }
    let first = house.see(&reader, &format!("{ALL}?limit=2")).await;
    assert_eq!(ids(&first), made[..2]);
    let (id, at) = (&made[1], first["data"][1]["last_message_at"].as_str().unwrap());
    let next = format!("{ALL}?limit=2&after={id}");
    // The last one of the page moves to the top: by its id alone the list begins again.
    house.say(&reader, Some(id), ["More?", "Yes."]).await;
    assert_eq!(ids(&house.see(&reader, &next).await), [&*made[0], &*made[2]]);
    let next = format!("{next}&at={at}");
    assert_eq!(ids(&house.see(&reader, &next).await), made[2..4]);
    house.ask(&reader, "DELETE", &format!("{ALL}/{id}"), Value::Null).await;
    assert_eq!(ids(&house.see(&reader, &next).await), made[2..4]);
    // Somebody else's place is only a time.
    let foreign = house.create(&house.reader().await, "theirs").await;
    let page =
        house.see(&reader, &format!("{ALL}?limit=2&after={foreign}&at={at}")).await;
    assert!(ids(&page).iter().all(|it| made.contains(it)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_pages_while_others_write_misses_nothing_that_rests() {
    let url = database::fresh().await;
    let house = House::at(&pgbouncer::pooled(&url)).await;
    let reader = house.reader().await;
    let resting: HashSet<_> = join_all((0..20).map(|_| house.create(&reader, "rests")))
        .await
        .into_iter()
        .collect();
    let active = join_all((0..10).map(|_| house.create(&reader, "active"))).await;
    let over = AtomicBool::new(false);
    let writers = async {
        for _ in 0..5 {
            let said =
                active.iter().map(|it| house.say(&reader, Some(it), ["More?", "Yes."]));
            join_all(said).await;
        }
        over.store(true, Ordering::Relaxed);
    };
    let pager = async {
        let mut looks = 0;
        while looks == 0 || !over.load(Ordering::Relaxed) {
            let (mut seen, mut path) = (Vec::new(), format!("{ALL}?limit=3"));
            loop {
                let page = house.see(&reader, &path).await;
                seen.extend(ids(&page).into_iter().filter(|it| resting.contains(it)));
                let Some(last) = page["data"].as_array().unwrap().last() else { break };
                if page["has_more"] == false {
                    break;
                }
                let part = |key: &str| last[key].as_str().unwrap().to_owned();
                let (after, at) = (part("id"), part("last_message_at"));
                path = format!("{ALL}?limit=3&after={after}&at={at}");
            }
            assert_eq!(seen.len(), resting.len(), "each one, once");
            assert_eq!(seen.iter().collect::<HashSet<_>>().len(), resting.len());
            looks += 1;
        }
    };
    tokio::join!(writers, pager);
}

async fn found(house: &House, reader: &Reader, words: &str) -> HashSet<String> {
    let encoded: String =
        words.bytes().fold(String::new(), |text, byte| format!("{text}%{byte:02X}"));
    let page = house.see(reader, &format!("{ALL}?limit=50&q={encoded}")).await;
    ids(&page).into_iter().collect()
}

#[tokio::test]
async fn search_finds_words_in_titles_and_messages_in_every_script() {
    let house = House::new().await;
    let (reader, other) = (house.reader().await, house.reader().await);
    let exchanges = [
        ("rust", ["What is Ownership?", "Values have one owner; see docs.rs/tokio."]),
        ("hindi", ["स्वामित्व क्या है?", "हर मान का एक स्वामी होता है।"]),
        ("chinese", ["所有权是什么？", "每个值都有一个所有者，用Rust写。"]),
        (
            "percent",
            ["Is 100% of it \"it's\" safe_mode?", "A \\d path: C:\\tmp and (a|b)."],
        ),
        ("german", ["Was heißt „Übergabe“?", "Der Wert zieht um — restart nicht nötig."]),
    ];
    let mut names = std::collections::HashMap::new();
    for (name, words) in exchanges {
        names.insert(house.say(&reader, None, words).await.conversation, name);
        house.say(&other, None, words).await;
    }
    let titled = house.create(&reader, "Lifetimes").await;
    names.insert(titled, "titled");
    for (words, expected) in [
        ("ownership", &["rust"][..]),
        ("OWN", &["rust"]),
        ("wnership", &[]),
        ("art", &[]),
        ("start", &[]),
        ("restart", &["german"]),
        ("tokio", &["rust"]),
        ("rust", &["chinese"]),
        // Each word may be in another place.
        ("values what", &["rust"]),
        ("values lifetimes", &[]),
        ("lifetime", &["titled"]),
        ("स्वामित्व", &["hindi"]),
        ("स्वामी मान", &["hindi"]),
        ("所有", &["chinese"]),
        ("有权", &["chinese"]),
        ("所有者　rust", &["chinese"]),
        ("übergabe", &["german"]),
        ("ÜBERGABE", &["german"]),
        ("100%", &["percent"]),
        ("10%", &[]),
        ("%", &["percent"]),
        ("_", &["percent"]),
        ("safe_mode", &["percent"]),
        ("mode", &["percent"]),
        ("safexmode", &[]),
        ("it's", &["percent"]),
        ("'", &["percent"]),
        ("\"it's\"", &["percent"]),
        ("c:\\tmp", &["percent"]),
        ("(a|b)", &["percent"]),
        ("\\d", &["percent"]),
        (".*", &[]),
        ("';--", &[]),
        ("***:x", &[]),
        ("(?i)x", &[]),
        ("[", &[]),
    ] {
        let found = found(&house, &reader, words).await;
        let found: HashSet<_> = found.iter().map(|it| names[it]).collect();
        assert_eq!(found, expected.iter().copied().collect(), "{words}");
    }
    assert_eq!(found(&house, &reader, " \t").await.len(), 6, "nothing is asked for");
    // Pages of what was found.
    let page = house.see(&reader, &format!("{ALL}?q=%20&limit=4")).await;
    assert_eq!((ids(&page).len(), &page["has_more"]), (4, &json!(true)));
}

#[tokio::test]
async fn nobody_sees_or_touches_what_is_not_theirs() {
    let house = House::new().await;
    let (owner, stranger) = (house.reader().await, house.reader().await);
    let said = house.say(&owner, None, ["Mine?", "Yours."]).await;
    let named = support::call(
        &house.router,
        "POST",
        &format!("{ALL}?user_id=user_2abc"),
        &[KEY],
        json!({ "title": "theirs" }),
    )
    .await;
    let of_named = named.json()["id"].as_str().unwrap().to_owned();
    let mut answers = HashSet::new();
    for id in [&said.conversation, &of_named, &Uuid::now_v7().to_string(), "no-id", "%FF"]
    {
        for (method, path, body) in [
            ("GET", format!("{ALL}/{id}"), Value::Null),
            ("PATCH", format!("{ALL}/{id}"), json!({ "title": "taken" })),
            ("DELETE", format!("{ALL}/{id}"), Value::Null),
            ("GET", format!("{ALL}/{id}/export"), Value::Null),
            ("GET", format!("{ALL}?after={id}"), Value::Null),
            ("GET", format!("/conversations/{id}"), Value::Null),
            ("DELETE", format!("/conversations/{id}"), Value::Null),
            ("GET", format!("/api/chats/{id}"), Value::Null),
            ("PATCH", format!("/api/chats/{id}"), json!({ "title": "taken" })),
            ("DELETE", format!("/api/chats/{id}"), Value::Null),
            ("GET", format!("/api/conversations/{id}"), Value::Null),
        ] {
            let reply = house.ask(&stranger, method, &path, body).await;
            assert_eq!(code(&reply), is(404, "not-found"), "{method} {path}");
            answers.insert(reply.json()["detail"].to_string());
        }
    }
    assert_eq!(answers.len(), 1, "{answers:?}");

    let mut answers = HashSet::new();
    let mine = house.say(&stranger, None, ["Mine?", "Yes."]).await;
    for (conversation, message) in [
        (&said.conversation, &said.answer),
        (&mine.conversation, &said.answer),
        (&said.conversation, &mine.answer),
        (&mine.conversation, &mine.question),
        (&mine.conversation, &Uuid::now_v7().to_string()),
        (&mine.conversation, &"no-id".to_owned()),
    ] {
        let path = format!("{ALL}/{conversation}/messages/{message}/feedback");
        let reply =
            house.ask(&stranger, "POST", &path, json!({ "kind": "negative" })).await;
        assert_eq!(code(&reply), is(404, "not-found"), "{path}");
        answers.insert(reply.json()["detail"].to_string());
    }
    assert_eq!(answers.len(), 1, "{answers:?}");
    assert_eq!(house.count("select count(*) from feedback").await, 0);
    assert_eq!(house.count("select count(*) from conversations").await, 3);
    assert_eq!(
        house.count("select count(*) from conversations where title = 'taken'").await,
        0
    );
}

/// Every route with a body that it takes.
fn routes(id: &str) -> Vec<(&'static str, String, Value)> {
    let title = json!({ "title": "x" });
    vec![
        ("GET", ALL.to_owned(), Value::Null),
        ("POST", ALL.to_owned(), title.clone()),
        ("GET", format!("{ALL}/{id}"), Value::Null),
        ("PATCH", format!("{ALL}/{id}"), title.clone()),
        ("DELETE", format!("{ALL}/{id}"), Value::Null),
        ("GET", format!("{ALL}/{id}/export"), Value::Null),
        ("POST", format!("{ALL}/{id}/messages/{id}/feedback"), json!({ "kind": null })),
        ("GET", "/conversations".to_owned(), Value::Null),
        ("POST", "/conversations".to_owned(), title.clone()),
        ("GET", format!("/conversations/{id}"), Value::Null),
        ("DELETE", format!("/conversations/{id}"), Value::Null),
        ("GET", "/api/chats".to_owned(), Value::Null),
        ("POST", "/api/chats/create".to_owned(), title.clone()),
        ("GET", format!("/api/chats/{id}"), Value::Null),
        ("PATCH", format!("/api/chats/{id}"), title),
        ("DELETE", format!("/api/chats/{id}"), Value::Null),
        ("GET", format!("/api/conversations/{id}"), Value::Null),
    ]
}

#[tokio::test]
async fn every_route_wants_a_known_reader() {
    let house = House::new().await;
    let (reader, other) = (house.reader().await, house.reader().await);
    let gone = bearer(Uuid::now_v7());
    let id = house.create(&reader, "kept").await;
    for (method, path, body) in routes(&id) {
        for headers in [
            NOBODY,
            &[("authorization", "Bearer nonsense")],
            &[("authorization", "Bearer nonsense"), KEY],
            &[("x-api-key", "another key")],
            &[("authorization", &gone)],
        ] {
            let reply =
                support::call(&house.router, method, &path, headers, body.clone()).await;
            assert_eq!(
                code(&reply),
                is(401, "unauthorized"),
                "{method} {path} {headers:?}"
            );
        }
        // A guest's `user_id` is no name, and a token's reader cannot be another.
        let named = format!("{path}?user_id={}", reader.id);
        let reply =
            support::call(&house.router, method, &named, NOBODY, body.clone()).await;
        assert_eq!(code(&reply), is(401, "unauthorized"), "{method} {named}");
        let reply = house.ask(&other, method, &named, body.clone()).await;
        assert_eq!(code(&reply), is(403, "forbidden"), "{method} {named}");
        // The server in front must say whose history it means.
        let reply =
            support::call(&house.router, method, &path, &[KEY], body.clone()).await;
        assert_eq!(code(&reply), is(422, "invalid"), "{method} {path}");
        assert_eq!(reply.json()["errors"][0]["field"], "user_id");
        let slash = format!("{path}/");
        let reply = support::call(&house.router, method, &slash, NOBODY, body).await;
        assert_eq!(reply.status, 401, "{slash}");
        let wrong = support::call(&house.router, "PUT", &path, NOBODY, Value::Null).await;
        assert_eq!(code(&wrong), is(405, "method-not-allowed"), "{path}");
    }
    assert_eq!(house.count("select count(*) from conversations").await, 1);
    assert_eq!(house.count("select count(*) from users").await, 2);
}

#[tokio::test]
async fn a_trusted_server_names_the_reader_in_the_query_or_in_the_body() {
    let house = House::new().await;
    let call = async |method: &str, path: &str, body: Value| {
        support::call(&house.router, method, path, &[KEY], body).await
    };
    let user = "user_2abc";
    let empty = call("GET", &format!("{ALL}?user_id={user}"), Value::Null).await;
    assert_eq!((empty.status, empty.json()["data"].clone()), (200, json!([])));
    assert_eq!(
        house.count("select count(*) from users").await,
        0,
        "reading makes nobody"
    );
    let made = call("POST", ALL, json!({ "title": "one", "user_id": user })).await;
    assert_eq!(made.status, 201, "{}", made.text);
    let id = made.json()["id"].as_str().unwrap().to_owned();
    let one = format!("{ALL}/{id}");
    let body = json!({ "title": "two", "user_id": user });
    assert_eq!(call("PATCH", &one, body).await.json()["title"], "two");
    let by = format!("?client_user_id={user}");
    assert_eq!(
        call("GET", &format!("{one}{by}"), Value::Null).await.json()["title"],
        "two"
    );
    let other = call("GET", &format!("{one}?user_id=user_3"), Value::Null).await;
    assert_eq!(code(&other), is(404, "not-found"));
    let long =
        call("GET", &format!("{ALL}?user_id={}", "x".repeat(129)), Value::Null).await;
    assert_eq!(code(&long), is(422, "invalid"));
    assert_eq!(call("DELETE", &format!("{one}{by}"), Value::Null).await.status, 204);
    assert_eq!(
        house.count("select count(*) from users where subject = 'user_2abc'").await,
        1
    );
}

#[tokio::test]
async fn bad_input_is_named_and_never_repeated() {
    let house = House::new().await;
    let reader = house.reader().await;
    let said = house.say(&reader, None, ["Why?", "So."]).await;
    let one = format!("{ALL}/{}", said.conversation);
    let feedback = format!("{one}/messages/{}/feedback", said.answer);
    let (title, reason) = ("ü".repeat(201), "ü".repeat(1001));
    let q = "x".repeat(201);
    for (method, path, body, field) in [
        ("GET", format!("{ALL}?limit=0"), Value::Null, "limit"),
        ("GET", format!("{ALL}?limit=51"), Value::Null, "limit"),
        ("GET", format!("{ALL}?limit=-1"), Value::Null, "limit"),
        ("GET", format!("{ALL}?limit=x"), Value::Null, "limit"),
        ("GET", format!("{ALL}?limit="), Value::Null, "limit"),
        ("GET", format!("{ALL}?limit=99999999999999999999"), Value::Null, "limit"),
        ("GET", format!("{ALL}?q={q}"), Value::Null, "q"),
        ("GET", format!("{ALL}?q=a%00b"), Value::Null, "q"),
        ("GET", format!("{ALL}?at=yesterday"), Value::Null, "at"),
        ("GET", format!("{one}/export?format=pdf"), Value::Null, "format"),
        ("POST", ALL.to_owned(), json!({ "title": title }), "title"),
        ("POST", ALL.to_owned(), json!({ "title": "a\0b" }), "title"),
        ("POST", ALL.to_owned(), json!({ "title": 7 }), "title"),
        ("POST", ALL.to_owned(), json!({ "client_id": "" }), "client_id"),
        ("POST", ALL.to_owned(), json!({ "client_id": "a\0b" }), "client_id"),
        ("POST", ALL.to_owned(), json!({ "client_id": "x".repeat(129) }), "client_id"),
        ("PATCH", one.clone(), json!({}), "title"),
        ("PATCH", one.clone(), json!({ "title": null }), "title"),
        ("PATCH", one.clone(), json!({ "title": " " }), "title"),
        ("PATCH", one.clone(), json!({ "title": title }), "title"),
        ("PATCH", format!("/api/chats/{}", said.conversation), json!({}), "title"),
        ("POST", feedback.clone(), json!({}), "kind"),
        ("POST", feedback.clone(), json!({ "kind": "so-so" }), "kind"),
        (
            "POST",
            feedback.clone(),
            json!({ "kind": "positive", "reason": reason }),
            "reason",
        ),
        (
            "POST",
            feedback.clone(),
            json!({ "kind": "positive", "reason": "\0" }),
            "reason",
        ),
    ] {
        let reply = house.ask(&reader, method, &path, body.clone()).await;
        assert_eq!(code(&reply), is(422, "invalid"), "{method} {path} {body}");
        assert_eq!(reply.json()["errors"][0]["field"], field, "{method} {path} {body}");
        assert!(!reply.text.contains("so-so") && !reply.text.contains("üü"));
    }
    let bytes = |method: &str, path: &str, kind: &str, body: &'static str| {
        let request = axum::http::Request::builder()
            .method(method)
            .uri(path)
            .header("authorization", &reader.token)
            .header("content-type", kind);
        support::send(&house.router, request.body(body.into()).unwrap())
    };
    for (method, path) in [("POST", ALL), ("PATCH", &*one), ("POST", &*feedback)] {
        let broken = bytes(method, path, "application/json", "{").await;
        assert_eq!(code(&broken), is(400, "malformed"), "{method} {path}");
        let form = bytes(method, path, "text/plain", "{\"title\":\"x\"}").await;
        assert_eq!(code(&form), is(415, "unsupported-media-type"), "{method} {path}");
    }
    let empty = bytes("POST", ALL, "text/plain", "").await;
    assert_eq!(empty.status, 201, "no body needs no type");
    assert_eq!(house.count("select count(*) from conversations").await, 2);
    // The longest that are taken.
    let longest = json!({ "title": "ü".repeat(200) });
    assert_eq!(house.ask(&reader, "PATCH", &one, longest).await.status, 200);
    let longest = json!({ "kind": "positive", "reason": "ü".repeat(1000) });
    assert_eq!(house.ask(&reader, "POST", &feedback, longest).await.status, 204);
}

#[tokio::test]
async fn feedback_is_kept_changed_and_taken_back() {
    let house = House::new().await;
    let reader = house.reader().await;
    let said = house.say(&reader, None, ["Why?", "So."]).await;
    let one = format!("{ALL}/{}", said.conversation);
    let path = format!("{one}/messages/{}/feedback", said.answer);
    for (given, kept) in [
        (
            json!({ "kind": "negative", "reason": " too short " }),
            json!({ "kind": "negative", "reason": "too short" }),
        ),
        (json!({ "kind": "positive" }), json!({ "kind": "positive", "reason": null })),
        (json!({ "kind": null, "reason": "never mind" }), Value::Null),
        (json!({ "kind": null }), Value::Null),
    ] {
        let reply = house.ask(&reader, "POST", &path, given).await;
        assert_eq!((reply.status, reply.text.as_str()), (204, ""));
        let whole = house.see(&reader, &one).await;
        assert_eq!(whole["messages"][1]["feedback"], kept);
        assert_eq!(whole["messages"][0]["feedback"], Value::Null);
    }
    house.ask(&reader, "POST", &path, json!({ "kind": "negative" })).await;
    house.ask(&reader, "DELETE", &one, Value::Null).await;
    assert_eq!(house.count("select count(*) from feedback").await, 0);
}

#[tokio::test]
async fn an_export_is_a_file_with_everything_that_was_said() {
    let house = House::new().await;
    let reader = house.reader().await;
    let id = house.create(&reader, "Moves: a/b \"c\"").await;
    let mut turn = exchange(
        &reader,
        id.parse().unwrap(),
        ["Is `a < b`?\n# no heading", "Yes [1], and **so** [2]."],
    );
    turn.status = Status::Interrupted;
    turn.sources = json!([
        { "n": 1, "title": "Ownership > [Moves]", "url": "https://book.example/04#moves",
          "quote": "A move.\nIs a move." },
        { "n": 2, "title": "The selection", "quote": "so" },
    ]);
    store::save(&house.pool, &turn, None).await.unwrap();
    let at = "2026-01-31 10:00:00.25+00";
    house
        .db
        .batch_execute(&format!(
            "update conversations set created_at = '{at}', last_message_at = '{at}';
             update messages set created_at = '{at}'"
        ))
        .await
        .unwrap();

    let path = format!("{ALL}/{id}/export");
    let file = house.ask(&reader, "GET", &path, Value::Null).await;
    assert_eq!(file.status, 200);
    assert_eq!(file.headers["content-type"], "text/markdown; charset=utf-8");
    assert_eq!(
        file.headers["content-disposition"],
        "attachment; filename=\"moves-a-b-c-2026-01-31.md\""
    );
    assert_snapshot!(file.text, @r#"
    # Moves: a/b "c"

    ## Reader, 2026-01-31T10:00:00Z

    Is `a < b`?
    # no heading

    ## Lectern, 2026-01-31T10:00:00Z (interrupted)

    Yes [1], and **so** [2].

    Sources:

    - [1] [Ownership > \[Moves\]](<https://book.example/04#moves>)
      > A move.
      > Is a move.
    - [2] The selection
      > so
    "#);
    let same = house.ask(&reader, "GET", &format!("{path}?format=md"), Value::Null).await;
    assert_eq!(same.text, file.text);

    let file =
        house.ask(&reader, "GET", &format!("{path}?format=json"), Value::Null).await;
    assert_eq!(file.headers["content-type"], "application/json");
    assert_eq!(
        file.headers["content-disposition"],
        "attachment; filename=\"moves-a-b-c-2026-01-31.json\""
    );
    assert_eq!(file.json(), house.see(&reader, &format!("{ALL}/{id}")).await);
    assert_json_snapshot!(
        file.json(),
        { ".id" => "[uuid]", ".messages[].id" => "[uuid]", ".messages[].sources" => "[2]" },
        @r#"
        {
          "created_at": "2026-01-31T10:00:00.25Z",
          "id": "[uuid]",
          "last_message_at": "2026-01-31T10:00:00.25Z",
          "message_count": 2,
          "messages": [
            {
              "content": "Is `a < b`?\n# no heading",
              "created_at": "2026-01-31T10:00:00.25Z",
              "feedback": null,
              "id": "[uuid]",
              "role": "user",
              "sources": "[2]",
              "status": "complete"
            },
            {
              "content": "Yes [1], and **so** [2].",
              "created_at": "2026-01-31T10:00:00.25Z",
              "feedback": null,
              "id": "[uuid]",
              "role": "assistant",
              "sources": "[2]",
              "status": "interrupted"
            }
          ],
          "title": "Moves: a/b \"c\""
        }
        "#
    );
}

/// Creates and saves at once, while a reader looks: never a 51st, and the newest stay.
async fn many_at_once(url: &str) {
    let house = House::at(url).await;
    let reader = house.reader().await;
    let over = AtomicBool::new(false);
    let writers = async {
        let made = try_join_all((0..60).map(|n| {
            let (house, reader) = (&house, &reader);
            async move {
                let title = n.to_string();
                if n % 3 == 0 {
                    let id = Uuid::now_v7();
                    let turn = exchange(reader, id, [&title, "Yes."]);
                    store::save(&house.pool, &turn, None).await.map(|_| id.to_string())
                } else {
                    Ok(house.create(reader, &title).await)
                }
            }
        }));
        let made = made.await.unwrap();
        over.store(true, Ordering::Relaxed);
        made
    };
    let watcher = async {
        while !over.load(Ordering::Relaxed) {
            let sql = format!(
                "select count(*) from conversations where user_id = '{}'",
                reader.id
            );
            assert!(house.count(&sql).await <= 50);
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
    };
    let (made, ()) = tokio::join!(writers, watcher);
    let kept = ids(&house.see(&reader, &format!("{ALL}?limit=50")).await);
    assert_eq!(kept.len(), 50);
    assert!(kept.iter().all(|it| made.contains(it)));

    // One after the other the order is known: the newest is in front, the oldest goes.
    let newest = house.create(&reader, "newest").await;
    let now = ids(&house.see(&reader, &format!("{ALL}?limit=50")).await);
    assert_eq!((now.len(), &now[0]), (50, &newest));
    assert_eq!(now[1..], kept[..49]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn creating_obeys_the_fifty_like_a_save() {
    many_at_once(&database::fresh().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn creating_obeys_the_fifty_behind_pgbouncer_too() {
    let url = database::fresh().await;
    many_at_once(&pgbouncer::pooled(&url)).await;
}

#[tokio::test]
async fn clients_of_earlier_systems_find_their_fields() {
    let house = House::new().await;
    let reader = house.reader().await;
    let body = json!({ "title": "Moves" });
    let made = house.ask(&reader, "POST", "/api/chats/create", body).await;
    assert_eq!(made.status, 201);
    assert_json_snapshot!(
        made.json(),
        {
            ".id" => "[uuid]", ".chatId" => "[uuid]", ".chat_id" => "[uuid]",
            ".userId" => "[uuid]", ".createdAt" => "[seconds]",
        },
        @r#"
        {
          "chatId": "[uuid]",
          "chat_id": "[uuid]",
          "createdAt": "[seconds]",
          "id": "[uuid]",
          "title": "Moves",
          "userId": "[uuid]"
        }
        "#
    );
    let chat = made.json();
    assert!(chat["createdAt"].as_i64().unwrap() > 1_700_000_000);
    assert_eq!(chat["userId"], reader.id.to_string());
    let id = chat["chat_id"].as_str().unwrap();
    house.say(&reader, Some(id), ["What is a move?", "A change of owner."]).await;
    assert_eq!(house.see(&reader, "/api/chats").await, json!([chat]));

    let one = format!("/api/chats/{id}");
    assert_json_snapshot!(
        house.see(&reader, &one).await,
        { "[].messageId" => "[uuid]", "[].timestamp" => "[time]" },
        @r#"
        [
          {
            "content": "What is a move?",
            "media_type": null,
            "media_url": null,
            "messageId": "[uuid]",
            "role": "user",
            "timestamp": "[time]"
          },
          {
            "content": "A change of owner.",
            "media_type": null,
            "media_url": null,
            "messageId": "[uuid]",
            "role": "assistant",
            "timestamp": "[time]"
          }
        ]
        "#
    );
    let renamed = house.ask(&reader, "PATCH", &one, json!({ "title": "Owners" })).await;
    assert_eq!((renamed.status, renamed.json()["title"].as_str()), (200, Some("Owners")));
    assert_eq!(renamed.json()["chatId"], chat["chatId"]);

    let gone = house.ask(&reader, "DELETE", &one, Value::Null).await;
    assert_eq!(gone.status, 200);
    assert_eq!(gone.json(), json!({ "message": "Chat deleted successfully" }));
    assert_eq!(house.see(&reader, "/api/chats").await, json!([]));
}

#[tokio::test]
async fn an_audit_of_an_earlier_system_and_short_addresses_work() {
    let house = House::new().await;
    let reader = house.reader().await;
    let id = &house.create(&reader, "Owners").await;
    house.say(&reader, Some(id), ["What is a move?", "A change of owner."]).await;
    assert_json_snapshot!(
        house.see(&reader, &format!("/api/conversations/{id}")).await,
        {
            ".conversation.conversation_id" => "[uuid]", ".conversation.user_id" => "[uuid]",
            ".conversation.created_at" => "[time]",
            ".messages[].id" => "[uuid]", ".messages[].created_at" => "[time]",
        },
        @r#"
        {
          "conversation": {
            "archived": false,
            "conversation_id": "[uuid]",
            "created_at": "[time]",
            "status": "in-progress",
            "title": "Owners",
            "user_id": "[uuid]"
          },
          "messages": [
            {
              "content": {
                "text": "What is a move?"
              },
              "created_at": "[time]",
              "id": "[uuid]",
              "role": "user"
            },
            {
              "content": {
                "text": "A change of owner."
              },
              "created_at": "[time]",
              "id": "[uuid]",
              "role": "assistant"
            }
          ]
        }
        "#
    );

    assert_eq!(house.see(&reader, "/conversations").await, house.see(&reader, ALL).await);
    let same = house.see(&reader, &format!("{ALL}/{id}")).await;
    assert_eq!(house.see(&reader, &format!("/conversations/{id}")).await, same);
    let other =
        house.ask(&reader, "POST", "/conversations", json!({ "title": "x" })).await;
    assert_eq!(other.status, 201);
    let path = format!("/conversations/{}", other.json()["id"].as_str().unwrap());
    assert_eq!(house.ask(&reader, "DELETE", &path, Value::Null).await.status, 204);
}

#[tokio::test]
async fn without_a_database_every_route_is_unavailable_and_says_nothing_inside() {
    let router = support::router(env("postgresql://app@%2Fnonexistent/book"));
    let headers = [("authorization", &*bearer(Uuid::now_v7()))];
    for (method, path, body) in routes(&Uuid::now_v7().to_string()) {
        let reply = support::call(&router, method, &path, &headers, body).await;
        assert_eq!(code(&reply), is(503, "unavailable"), "{method} {path}");
        assert!(!reply.text.contains("nonexistent"));
    }
}

/// What a search costs in the largest history that is likely: 50 conversations of 40 messages
/// with 2,000 characters each.
#[tokio::test]
#[ignore = "prints a measurement"]
#[expect(clippy::print_stdout, reason = "a measurement is printed when it is asked for")]
async fn what_a_search_costs() {
    let house = House::new().await;
    let reader = house.reader().await;
    let sql = format!(
        "insert into conversations (id, user_id, title)
         select md5('c' || n)::uuid, '{}', 'Conversation ' || n from generate_series(1, 50) as n;
         insert into messages (id, conversation_id, seq, role, content)
         select md5('m' || n || ' ' || m)::uuid, md5('c' || n)::uuid, m, 'assistant',
           jsonb_build_object('text',
             (select string_agg(md5(w || ' ' || m || ' ' || n), ' ') from generate_series(1, 60) as w))
         from generate_series(1, 50) as n, generate_series(1, 40) as m;
         analyze",
        reader.id
    );
    house.db.batch_execute(&sql).await.unwrap();
    for q in ["", "nothing", "所有权", "conversation+nothing+a+b+c+d", "a+b+c+d+e+f"] {
        let began = std::time::Instant::now();
        let page = house.see(&reader, &format!("{ALL}?limit=50&q={q}")).await;
        println!("{q:?}: {} found in {:?}", ids(&page).len(), began.elapsed());
    }
}
