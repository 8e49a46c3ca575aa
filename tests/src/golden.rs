//! Recorded exchanges of ChatKit's own server, played against us: the same requests must get
//! the same answers, but for ids, times and the answer's words.

use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use axum::{Router, body::Body, http::Request};
use http_body_util::BodyExt;
use serde_json::{Map, Value, json};
use shared::config::Env;
use tempfile::TempDir;
use tower::ServiceExt;

use crate::support::{self, Reply, book, database};

const PATH: &str = "/api/chatkit";
const KEY: &str = "an internal key";

/// What the recording server said, as our model says it.
const SCRIPT: &str =
    "The whale |is white [1]|, as ch. 42 says|. 🐋 Déjà vu — 白鯨\n|End.";

/// The same, which then begins again and takes its time over it.
const SLOW_SCRIPT: &str = "The whale |is white [1]|, as ch. 42 says|. 🐋 Déjà vu — 白鯨\n|End.\
    |The whale |{{pause}}|{{pause}}|is white";

/// Something is found for every question.
const PAGE: &str = "# Whales\n\nThe whale is white, as chapter 41 and chapter 42 say at length. \
    The hidden trigger is a question. The second thread and the third thread are long: m0 m1 m2 m3 m4 m5 m6 m7 m8 m9 m10.\n";

/// A recording, and our ids by theirs.
struct Play {
    folder: PathBuf,
    /// The book that is asked.
    _book: TempDir,
    env: Env,
    router: Router,
    names: HashMap<String, String>,
}

impl Play {
    async fn new(folder: &str) -> Self {
        let env = Env::from([
            ("BOOK_BASE_URL", "https://book.example/"),
            ("CONDENSE_TIMEOUT", "0"),
            ("EMBEDDING_PROVIDER", "none"),
            ("INTERNAL_API_KEY", KEY),
            ("LLM_PROVIDER", "scripted"),
            ("LLM_SCRIPT", SCRIPT),
            ("ALLOWED_ORIGINS", "https://book.example.com"),
        ]);
        let env = env.with("DATABASE_URL", &database::fresh().await);
        let book = TempDir::new().unwrap();
        let (pages, shelf) = (book.path().join("pages"), book.path().join("book.shelf"));
        fs::create_dir(&pages).unwrap();
        fs::write(pages.join("whales.md"), PAGE).unwrap();
        book::ingest(&pages, &shelf).await;
        let env = env.with("BOOK_SHELF", shelf.to_str().unwrap());
        let (folder, names) = (PathBuf::from(folder), HashMap::new());
        let router = support::router(env.clone());
        Self { folder, _book: book, env, router, names }
    }

    fn read(&self, case: &str, ending: &str) -> String {
        let ending = format!(".{ending}");
        let found = fs::read_dir(&self.folder).unwrap().find_map(|entry| {
            let path = entry.unwrap().path();
            let name = path.file_name()?.to_str()?;
            (name.starts_with(&format!("{case}-")) && name.ends_with(&ending))
                .then_some(path)
        });
        let path = found.unwrap_or_else(|| panic!("{case} has no {ending}"));
        fs::read_to_string(&path)
            .unwrap_or_else(|err| panic!("{}: {err}", path.display()))
    }

    /// Sends a recorded request as the reader who sent it then.
    async fn send(&self, case: &str) -> Reply {
        let http = self.read(case, "http");
        let (head, _) = http.split_once("\r\n\r\n").unwrap();
        let reader =
            head.lines().find_map(|line| line.strip_prefix("authorization: Bearer "));
        let mut body = self.read(case, "request.json");
        for (theirs, ours) in &self.names {
            body = body.replace(theirs, ours);
        }
        support::send(&self.router, request(reader, body)).await
    }

    /// Says what the recording has no case for, but its later cases need; returns the thread
    /// if it is new.
    async fn say(&self, text: &str, thread: Option<&Value>) -> Value {
        let kind =
            if thread.is_some() { "threads.add_user_message" } else { "threads.create" };
        let input = json!({
            "content": [{ "type": "input_text", "text": text }],
            "attachments": [], "quoted_text": "", "inference_options": {},
        });
        let params = json!({ "thread_id": thread, "input": input });
        let body = json!({ "type": kind, "params": params });
        let request = request(Some("alice"), body.to_string());
        let reply = support::send(&self.router, request).await;
        assert_eq!(reply.status, 200, "{}", reply.text);
        reply.events()[0]["thread"]["id"].clone()
    }

    /// Plays a case that succeeds.
    async fn plays(&mut self, case: &str) {
        let reply = self.send(case).await;
        assert_eq!(reply.status, 200, "{case}: {}", reply.text);
        let (theirs, ours) = if reply.headers["content-type"] == "text/event-stream" {
            let theirs = that_we_have(events(&self.read(case, "response.sse")));
            (json!(without_repeats(theirs)), json!(without_repeats(reply.events())))
        } else {
            let recorded = self.read(case, "response.json");
            (serde_json::from_str(&unlocked(&recorded)).unwrap(), reply.json())
        };
        self.same(&theirs, &ours, case);
    }

    /// Plays a case whose client hangs up in the middle of a second attempt of the text.
    async fn hangs_up(&mut self, case: &str) {
        let recorded = self.read(case, "raw-chunked.http");
        let (body, recorded) = recorded.split_once("<<<<<").unwrap();
        let router = support::router(self.env.clone().with("LLM_SCRIPT", SLOW_SCRIPT));
        let request = request(Some("alice"), body.trim().to_owned());
        let response = router.oneshot(request).await.unwrap();
        let (mut body, mut said) = (response.into_body(), String::new());
        let theirs = without_repeats(events(recorded));
        while without_repeats(events(&said)).len() < theirs.len()
            || !events(&said).last().unwrap()["update"]["delta"]
                .as_str()
                .is_some_and(|it| it.ends_with("The whale"))
        {
            let frame = body.frame().await.unwrap().unwrap();
            said.push_str(str::from_utf8(&frame.into_data().unwrap()).unwrap());
        }
        drop(body);
        let ours = without_repeats(events(&said));
        self.same(&json!(theirs), &json!(ours), case);
        // What hangs up is what the next request finds, at some moment.
        let thread = &ours[0]["thread"]["id"];
        let path = format!("/api/v1/conversations/{}", thread.as_str().unwrap());
        let headers = [("x-api-key", KEY)];
        let path = format!("{path}?user_id=alice");
        loop {
            let reply =
                support::call(&self.router, "GET", &path, &headers, Value::Null).await;
            if reply.json()["messages"][1]["status"] == "stopped" {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Plays a case that is refused.
    async fn refuses(&self, case: &str, status: u16) {
        let reply = self.send(case).await;
        let recorded: Value =
            serde_json::from_str(&self.read(case, "response.json")).unwrap();
        assert_eq!(reply.status, status, "{case}: {}", reply.text);
        assert_eq!(reply.json()["code"], recorded["code"], "{case}");
        assert!(reply.json()["message"].is_string(), "{case}");
    }

    /// Whether our value has the form of theirs, member by member.
    fn same(&mut self, theirs: &Value, ours: &Value, at: &str) {
        match (theirs, ours) {
            (Value::Object(theirs), Value::Object(ours)) => {
                self.same_members(theirs, ours, at);
            }
            (Value::Array(theirs), Value::Array(ours))
                if at.ends_with(".annotations") =>
            {
                assert_eq!(theirs.is_empty(), ours.is_empty(), "{at}");
                for it in ours {
                    annotation(it, at);
                }
            }
            (Value::Array(theirs), Value::Array(ours)) => {
                assert_eq!(theirs.len(), ours.len(), "{at}: {theirs:#?} {ours:#?}");
                for (n, (theirs, ours)) in theirs.iter().zip(ours).enumerate() {
                    self.same(theirs, ours, &format!("{at}[{n}]"));
                }
            }
            _ => assert_eq!(theirs, ours, "{at}"),
        }
    }

    fn same_members(
        &mut self,
        theirs: &Map<String, Value>,
        ours: &Map<String, Value>,
        at: &str,
    ) {
        let keys = |it: &Map<String, Value>| {
            let mut keys: Vec<_> = it.keys().cloned().collect();
            keys.sort();
            keys
        };
        assert_eq!(keys(theirs), keys(ours), "{at}");
        let is_answer = theirs.get("type") == Some(&json!("output_text"));
        for (key, value) in theirs {
            let at = format!("{at}.{key}");
            match (key.as_str(), &ours[key]) {
                // An input has an id of its own, which the reader's page made.
                ("id", ours) if theirs.get("type") == Some(&json!("input_tag")) => {
                    assert_eq!(value, ours, "{at}");
                }
                ("id" | "thread_id" | "item_id" | "after", Value::String(ours)) => {
                    if theirs.get("inline_label").is_none() {
                        let known = self.names.entry(value.as_str().unwrap().to_owned());
                        assert_eq!(known.or_insert_with(|| ours.clone()), ours, "{at}");
                    }
                }
                ("created_at", Value::String(ours)) => {
                    assert!(ours.ends_with('Z'), "{at}");
                }
                ("annotation", ours) => annotation(ours, &at),
                ("delta", Value::String(_)) => {}
                ("text", Value::String(ours)) if is_answer => {
                    assert_eq!(value, ours, "{at}");
                }
                (_, ours) => self.same(value, ours, &at),
            }
        }
    }
}

/// A source that a reader can open, unless it is a quotation that is not in the book.
fn annotation(it: &Value, at: &str) {
    let source = &it["source"];
    let kinds = (&it["type"], &source["type"]);
    assert_eq!(kinds, (&json!("annotation"), &json!("entity")), "{at}");
    let data = source["data"].as_object().unwrap();
    let opens = data.contains_key("href") || source["id"] == "selection";
    assert!(it["index"].is_u64() && opens, "{at}: {it}");
    assert!(data.values().all(Value::is_string), "{at}: {it}");
}

fn request(reader: Option<&str>, body: String) -> Request<Body> {
    let path = format!("{PATH}?user_id={}", reader.unwrap_or_default());
    let mut request = Request::post(path)
        .header("content-type", "application/json")
        .header("origin", "https://book.example.com");
    if reader.is_some() {
        request = request.header("x-api-key", KEY);
    }
    request.body(body.into()).unwrap()
}

fn events(stream: &str) -> Vec<Value> {
    let data = stream.lines().filter_map(|line| line.strip_prefix("data: "));
    data.map(|it| serde_json::from_str(&unlocked(it)).unwrap()).collect()
}

/// We have no locked threads.
fn unlocked(recorded: &str) -> String {
    let locked = r#"{"type":"locked","reason":"Escalated to support."}"#;
    recorded.replace(locked, r#"{"type":"active"}"#)
}

/// The events of a turn without those of what our turns do not have: thoughts, tasks, effects
/// in the page and the mark of a turn's end.
fn that_we_have(mut events: Vec<Value>) -> Vec<Value> {
    let foreign = ["workflow", "task", "end_of_turn"].map(Value::from);
    let is_foreign = |it: &Value| foreign.contains(&it["item"]["type"]);
    let ids: Vec<_> = events
        .iter()
        .filter(|it| is_foreign(it))
        .map(|it| it["item"]["id"].clone())
        .collect();
    events.retain(|it| {
        !is_foreign(it) && !ids.contains(&it["item_id"]) && it["type"] != "client_effect"
    });
    events
}

/// How many pieces of text and how many citations there are is the answer's business.
fn without_repeats(events: Vec<Value>) -> Vec<Value> {
    let mut kept: Vec<Value> = Vec::new();
    for event in events {
        let kind = &event["update"]["type"];
        if kind.is_null() || kept.last().is_none_or(|it| it["update"]["type"] != *kind) {
            kept.push(event);
        }
    }
    kept
}

#[tokio::test]
#[ignore = "needs the recordings: GOLDEN=<their folder>"]
async fn every_recorded_success_is_ours_too() {
    let env = Env::process();
    let folder = env.get("GOLDEN").expect("GOLDEN says where the recordings are");
    assert!(Path::new(folder).is_dir(), "{folder} is no folder");
    let mut play = Play::new(folder).await;
    for case in ["01", "02", "03", "04"] {
        play.plays(case).await;
    }
    for text in ["second thread", "third thread"] {
        play.say(text, None).await;
    }
    for case in
        ["07", "08", "09", "10", "11", "12", "13", "14", "15", "16", "17", "18", "19"]
    {
        play.plays(case).await;
    }

    let long = play.say("long", None).await;
    for n in 0..11 {
        play.say(&format!("m{n}"), Some(&long)).await;
    }
    let asked: Value = serde_json::from_str(&play.read("32", "request.json")).unwrap();
    let theirs = asked["params"]["thread_id"].as_str().unwrap().to_owned();
    play.names.insert(theirs, long.as_str().unwrap().to_owned());
    play.plays("32").await;
    // What is hidden is in none of them.
    for case in ["41", "42", "39", "40", "43", "48", "49"] {
        play.plays(case).await;
    }
    play.hangs_up("63").await;
    for case in ["64", "93"] {
        play.plays(case).await;
    }

    for (case, status) in [
        ("66", 400),
        ("68", 400),
        ("70", 400),
        ("72", 404),
        ("74", 404),
        ("76", 404),
        ("80", 404),
        ("82", 404),
        ("84", 400),
        ("86", 401),
        ("87", 404),
    ] {
        play.refuses(case, status).await;
    }
    for case in ["78", "88", "89"] {
        play.plays(case).await;
    }
    play.refuses("90", 404).await;
}
