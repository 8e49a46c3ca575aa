//! Functions that are killed in the middle of an answer: another process tells what there was,
//! says that it broke off, and keeps it.

use std::{net::SocketAddr, sync::mpsc::Sender, time::Duration};

use axum::Router;
use futures_util::future::join_all;
use rustix::process::Signal;
use serde_json::{Value, json};
use shared::config::Env;

use crate::{
    runs::bundle,
    support::{
        self, Reply,
        binaries::{Process, binary, free_port},
        client::{Call, Connection},
        dice::Dice,
        model::{Fake, Step},
    },
};

const KEY: &str = "an internal key";
/// Words that the model says, a few milliseconds apart.
const WORDS: usize = 150;
const PACE: Duration = Duration::from_millis(5);
/// A kill may come before the first word and after the last one.
const LATEST_MS: f64 = 1000.0;

/// The protocols in which an answer can be resumed.
#[derive(Clone, Copy, Debug)]
enum Protocol {
    Simple,
    Ui,
}

fn words() -> impl Iterator<Item = String> {
    (0..WORDS).map(|n| if n % 10 == 9 { format!("{n} [1]. ") } else { format!("{n} ") })
}

fn speak(steps: &Sender<Step>) {
    for word in words() {
        // The function may be dead by now, and the model hears of it.
        if steps.send(Step::Text(word)).is_err() {
            return;
        }
        std::thread::sleep(PACE);
    }
}

/// The text of a stream, as far as it came, and the last event.
fn text(protocol: Protocol, body: &str) -> (String, Value) {
    let (mut text, mut last) = (String::new(), Value::Null);
    for line in body.split_inclusive('\n').filter(|it| it.ends_with('\n')) {
        let Some(data) = line.strip_prefix("data: ") else { continue };
        let Ok(event) = serde_json::from_str::<Value>(data) else { continue };
        match protocol {
            Protocol::Simple if event["status"] == "partial" => {
                text += event["content"].as_str().unwrap();
            }
            Protocol::Ui if event["type"] == "text-delta" => {
                text += event["delta"].as_str().unwrap();
            }
            _ => {}
        }
        last = event;
    }
    (text, last)
}

/// The instance that lives on, and the settings of those that will not.
struct Bundle {
    router: Router,
    env: Env,
}

impl Bundle {
    async fn new() -> Self {
        let (env, _) = bundle(&Fake::start()).await;
        Self { router: support::router(env.clone()), env }
    }

    async fn get(&self, path: &str) -> Reply {
        let headers = [("x-api-key", KEY)];
        support::call(&self.router, "GET", path, &headers, Value::Null).await
    }
}

/// Asks a process, kills it at a random moment, and comes back by another one.
async fn kill_one(seed: u64, bundle: &Bundle) {
    let model = Fake::start();
    let protocol = if seed.is_multiple_of(2) { Protocol::Simple } else { Protocol::Ui };
    let mut dice = Dice(seed);
    dice.roll();
    let delay = Duration::from_secs_f64(dice.roll() * LATEST_MS / 1000.0);
    let user = format!("reader-{seed}");
    let steps = model.stepped();
    std::thread::spawn(move || speak(&steps));

    let (name, call) = match protocol {
        Protocol::Simple => {
            let body = json!({ "message": { "content": "How is the wick trimmed?", "user_id": user } });
            ("chat_stream", Call::post("/api/v1/chat/stream", &body))
        }
        Protocol::Ui => {
            let message = json!({ "role": "user",
                "parts": [{ "type": "text", "text": "How is the wick trimmed?" }] });
            let body = json!({ "id": "chat", "message": message, "user_id": user });
            ("ui", Call::post("/api/chat", &body))
        }
    };
    let port = free_port();
    let settings: Vec<_> = bundle
        .env
        .clone()
        .with("LLM_BASE_URL", &model.openai_url())
        .with("PORT", &port.to_string())
        .pairs()
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let mut process = Process::spawn(&binary(name), &[], &settings);
    process.printed("listening").await;
    let mut connection = Connection::open(SocketAddr::from(([127, 0, 0, 1], port))).await;
    let call = call.header("x-api-key", KEY);
    let mut received = Vec::new();
    let mut id = None;
    {
        let reading = async {
            let Ok(mut stream) = connection.send(&call).await else { return };
            assert_eq!(stream.head.status, 200);
            id = stream.head.headers.get("x-message-id").cloned();
            while let Some(Ok(chunk)) = stream.chunk().await {
                received.extend(chunk);
            }
        };
        let killing = async {
            tokio::time::sleep(delay).await;
            process.signal(Signal::KILL);
        };
        tokio::join!(reading, killing);
    }
    process.wait().await;
    // A chunk may end within a character, and the kill may have cut the chunk.
    let received = String::from_utf8_lossy(&received);
    let (received, _) = text(protocol, &received);
    let Some(id) = id else { return };

    let path = match protocol {
        Protocol::Simple => format!("/api/v1/chat/runs/{id}?user_id={user}"),
        Protocol::Ui => format!("/api/chat/chat/stream?user_id={user}"),
    };
    let resumed =
        tokio::time::timeout(support::binaries::PATIENCE, bundle.get(&path)).await;
    let resumed = resumed.expect("it does not hang");
    let made: String = words().collect();
    let is_whole = match protocol {
        // Killed before its run was opened.
        Protocol::Simple if resumed.status == 404 => false,
        Protocol::Simple => {
            let (told, last) = text(protocol, &resumed.text);
            assert!(made.starts_with(&told), "seed {seed}: {told:?}");
            assert!(received.starts_with(&told) || told.starts_with(&received));
            let ids: Vec<&str> =
                resumed.text.lines().filter_map(|it| it.strip_prefix("id: ")).collect();
            let numbers: Vec<usize> = ids
                .iter()
                .map(|it| it.rsplit_once(':').unwrap().1.parse().unwrap())
                .collect();
            assert!(numbers.windows(2).all(|it| it[0] + 1 == it[1]), "{numbers:?}");
            assert!(
                last["status"] == "success" || last["code"] == "interrupted",
                "{last}"
            );
            last["status"] == "success"
        }
        // It ended before the kill, or had not begun.
        Protocol::Ui if resumed.status == 204 => false,
        Protocol::Ui => {
            let (told, last) = text(protocol, &resumed.text);
            assert!(made.starts_with(&told), "seed {seed}: {told:?}");
            assert!(received.starts_with(&told) || told.starts_with(&received));
            assert!(resumed.text.ends_with("data: [DONE]\n\n"));
            assert_eq!(
                bundle.get(&path).await.status,
                204,
                "it is told as broken off once"
            );
            last["type"] == "finish"
        }
    };
    kept(bundle, &user, &made, &received, is_whole).await;
}

/// What there was is in the history: whole, or an exact beginning of which at most the last
/// batch is missing.
async fn kept(bundle: &Bundle, user: &str, made: &str, received: &str, is_whole: bool) {
    let list = bundle.get(&format!("/api/v1/conversations?user_id={user}")).await.json();
    let Some(conversation) = list["data"].as_array().and_then(|it| it.first()) else {
        // Killed before the first batch was written.
        assert!(!is_whole && received.len() < 400, "{user} lost {received:?}: {list}");
        return;
    };
    let id = conversation["id"].as_str().unwrap();
    let whole =
        bundle.get(&format!("/api/v1/conversations/{id}?user_id={user}")).await.json();
    let messages = whole["messages"].as_array().unwrap();
    assert_eq!(messages.len(), 2, "{user}: {whole}");
    let (content, status) =
        (messages[1]["content"].as_str().unwrap(), &messages[1]["status"]);
    assert!(made.starts_with(content), "{user}: {content:?}");
    if is_whole || status == "complete" {
        // The kill may have come between the save and the last event.
        assert_eq!((content, status), (made, &json!("complete")));
    } else {
        assert_eq!(status, "interrupted");
        assert!(received.len() < content.len() + 400, "{user} lost more than a batch");
        let cites = content.contains("[1]");
        assert_eq!(messages[1]["sources"].as_array().unwrap().len(), usize::from(cites));
    }
}

async fn kill(bundle: &Bundle, seeds: std::ops::Range<u64>) {
    join_all(seeds.map(|seed| kill_one(seed, bundle))).await;
}

#[tokio::test]
async fn an_answer_whose_function_is_killed_is_told_and_kept_as_far_as_it_came() {
    kill(&Bundle::new().await, 0..15).await;
}

#[tokio::test]
#[ignore = "takes minutes: `make soak`"]
async fn three_hundred_kills_lose_nothing() {
    let bundle = Bundle::new().await;
    for round in 0..20 {
        kill(&bundle, 100 + round * 15..115 + round * 15).await;
    }
}
