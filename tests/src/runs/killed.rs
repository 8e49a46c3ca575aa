//! Functions that are killed in the middle of an answer: another process tells what there was,
//! says that it broke off, and keeps it.

use std::{net::SocketAddr, ops::Range, sync::mpsc::Sender, time::Duration};

use axum::Router;
use futures_util::future::join_all;
use rustix::process::Signal;
use serde_json::{Value, json};
use shared::config::Env;

use super::{LIST, STREAM, bundle, chat, question};
use crate::support::{
    self, Reply,
    binaries::{PATIENCE, Process, binary, free_port},
    client::{Call, Connection},
    dice::Dice,
    house::FRONT,
    model::{Fake, Step},
};

/// Words that the model says, a few milliseconds apart.
const WORDS: usize = 150;
const PACE: Duration = Duration::from_millis(5);
/// A kill may come before the first word and after the last one.
const LATEST_MS: f64 = 1000.0;

/// The protocols in which an answer can be resumed.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Protocol {
    Simple,
    Ui,
}

/// What a reader finds who comes back.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Seen {
    /// There is nothing to tell: the kill came too soon, or too late.
    Nothing,
    /// A beginning is told, and that it broke off.
    Beginning,
    /// The whole answer is told.
    Whole,
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

/// The place of the last event that came whole, in the simple protocol.
fn newest_id(stream: &str) -> Option<&str> {
    let (whole, _) = stream.rsplit_once("\n\n")?;
    whole.lines().rev().find_map(|line| line.strip_prefix("id: "))
}

/// The instance that lives on, and the settings of those that will not.
struct Bundle {
    router: Router,
    env: Env,
}

impl Bundle {
    async fn new() -> Self {
        let env = bundle(&Fake::start()).await.0;
        Self { router: support::router(env.clone()), env }
    }

    async fn get(&self, user: &str, path: &str) -> Reply {
        let path = format!("{path}?user_id={user}");
        support::call(&self.router, "GET", &path, &[FRONT], Value::Null).await
    }
}

/// Asks a process, kills it at a random moment, and comes back by another one.
async fn kill_one(seed: u64, bundle: &Bundle) -> (Protocol, Seen) {
    let model = Fake::start();
    let protocol = if seed.is_multiple_of(2) { Protocol::Simple } else { Protocol::Ui };
    let mut dice = Dice(seed);
    dice.roll();
    let delay = Duration::from_secs_f64(dice.roll() * LATEST_MS / 1000.0);
    let user = format!("reader-{seed}");
    let steps = model.stepped();
    let (name, call) = match protocol {
        Protocol::Simple => ("chat_stream", Call::post(STREAM, &question(&user))),
        Protocol::Ui => ("ui", Call::post("/api/chat", &chat("chat", &user))),
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
    let call = call.header(FRONT.0, FRONT.1);
    std::thread::spawn(move || speak(&steps));
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
    let stream = String::from_utf8_lossy(&received);
    let (received, _) = text(protocol, &stream);
    let Some(id) = id else { return (protocol, Seen::Nothing) };

    let path = match protocol {
        Protocol::Simple => format!("/api/v1/chat/runs/{id}"),
        Protocol::Ui => "/api/chat/chat/stream".to_owned(),
    };
    let resumed = tokio::time::timeout(PATIENCE, bundle.get(&user, &path)).await;
    let resumed = resumed.expect("it does not hang");
    let (told, last) = text(protocol, &resumed.text);
    let made: String = words().collect();
    let found = match (protocol, resumed.status) {
        // Killed before its run was opened; or, in the SDK's words, it ended before the kill.
        (Protocol::Simple, 404) | (Protocol::Ui, 204) => Seen::Nothing,
        (Protocol::Simple, _) => {
            let ids: Vec<&str> =
                resumed.text.lines().filter_map(|it| it.strip_prefix("id: ")).collect();
            let numbers: Vec<usize> = ids
                .iter()
                .map(|it| it.rsplit_once(':').unwrap().1.parse().unwrap())
                .collect();
            assert!(numbers.windows(2).all(|it| it[0] + 1 == it[1]), "{numbers:?}");
            let is_whole = last["status"] == "success";
            assert!(is_whole || last["code"] == "interrupted", "{last}");
            if is_whole { Seen::Whole } else { Seen::Beginning }
        }
        (Protocol::Ui, _) => {
            assert!(resumed.text.ends_with("data: [DONE]\n\n"));
            let again = bundle.get(&user, &path).await;
            assert_eq!(again.status, 204, "it is told as broken off once");
            if last["type"] == "finish" { Seen::Whole } else { Seen::Beginning }
        }
    };
    if let Some(place) = newest_id(&stream).filter(|_| found != Seen::Nothing) {
        let headers = [FRONT, ("last-event-id", place)];
        let path = format!("{path}?user_id={user}");
        let rest = support::call(&bundle.router, "GET", &path, &headers, Value::Null);
        let (rest, end) = text(protocol, &rest.await.text);
        assert!(made.starts_with(&(received.clone() + &rest)), "seed {seed}: {rest:?}");
        assert_eq!(end, last, "seed {seed}: whoever comes back hears the end");
    }
    if found != Seen::Nothing {
        assert!(made.starts_with(&told), "seed {seed}: {told:?}");
        assert!(received.starts_with(&told) || told.starts_with(&received));
    }
    kept(bundle, &user, &made, &received, found == Seen::Whole).await;
    // A beginning without a word of it is none.
    (protocol, if told.is_empty() { Seen::Nothing } else { found })
}

/// What there was is in the history: whole, or an exact beginning of which at most the last
/// batch is missing.
async fn kept(bundle: &Bundle, user: &str, made: &str, received: &str, is_whole: bool) {
    let list = bundle.get(user, LIST).await.json();
    let Some(conversation) = list["data"].as_array().and_then(|it| it.first()) else {
        // Killed before the first batch was written.
        assert!(!is_whole && received.len() < 400, "{user} lost {received:?}: {list}");
        return;
    };
    let id = conversation["id"].as_str().unwrap();
    let whole = bundle.get(user, &format!("{LIST}/{id}")).await.json();
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

async fn kill(bundle: &Bundle, seeds: Range<u64>) -> Vec<(Protocol, Seen)> {
    join_all(seeds.map(|seed| kill_one(seed, bundle))).await
}

/// In both protocols a third of those who come back must be told a beginning: a test whose kills
/// all came too soon would show nothing.
fn assert_enough(seen: &[(Protocol, Seen)]) {
    for protocol in [Protocol::Simple, Protocol::Ui] {
        let killed = seen.iter().filter(|it| it.0 == protocol).count();
        let told = seen.iter().filter(|it| **it == (protocol, Seen::Beginning)).count();
        assert!(told * 3 >= killed, "{protocol:?}: only {told} of {killed}: {seen:?}");
    }
}

#[tokio::test]
async fn an_answer_whose_function_is_killed_is_told_and_kept_as_far_as_it_came() {
    assert_enough(&kill(&Bundle::new().await, 0..15).await);
}

#[tokio::test]
#[ignore = "takes minutes: `make soak`"]
async fn three_hundred_kills_lose_nothing() {
    let bundle = Bundle::new().await;
    let mut seen = Vec::new();
    for round in 0..20 {
        seen.extend(kill(&bundle, 100 + round * 15..115 + round * 15).await);
    }
    assert_enough(&seen);
}
