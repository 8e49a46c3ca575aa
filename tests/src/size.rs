//! `make size`: how large and how quick to start each function's release binary is. A
//! measurement, not a test: it asserts nothing about time.

#![expect(clippy::print_stdout, reason = "the table is what it is for")]

use std::{
    fs,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use shared::config::Env;

use crate::support::{
    self,
    binaries::repository,
    house::{self, KEY, OIL},
};

/// Fresh processes a function; the table shows medians.
const RUNS: usize = 15;

/// A function's first real request, and the status of its answer.
fn requests() -> Vec<(&'static str, &'static str, Value, u16)> {
    let account = json!({ "email": "ada@example.com", "password": "correct horse" });
    let question = json!({ "message": { "content": OIL } });
    let exchange = json!({ "user_id": "ada", "query": "Why?", "response": "Because." });
    vec![
        ("health", "", Value::Null, 0),
        ("auth_register", "/api/v1/auth/register", account.clone(), 409),
        ("auth_login", "/api/v1/auth/login", account, 200),
        ("chat", "/api/v1/chat", question.clone(), 200),
        ("chat_stream", "/api/v1/chat/stream", question, 200),
        (
            "conversations_internal_save",
            "/api/v1/conversations/internal-save",
            exchange,
            201,
        ),
        ("conversations", "/api/v1/conversations", json!({ "user_id": "ada" }), 201),
        (
            "openai",
            "/v1/chat/completions",
            json!({ "messages": [{ "role": "user", "content": "Who trims the wick?" }] }),
            200,
        ),
        (
            "ui",
            "/api/chat",
            json!({ "messages": [{ "role": "user", "content": "Who trims the wick?" }] }),
            200,
        ),
        (
            "chatkit",
            "/api/chatkit?user_id=ada",
            json!({ "type": "threads.create", "params": { "input": {
                "content": [{ "type": "input_text", "text": "Who trims the wick?" }],
                "attachments": [],
                "inference_options": {},
            } } }),
            200,
        ),
        ("rag_query", "/api/v1/rag/query", json!({ "query": "wick" }), 200),
    ]
}

#[tokio::test]
#[ignore = "a measurement of the release binaries: `make size`"]
async fn of_every_function() {
    let (env, _) = house::bundle(&[("BCRYPT_COST", "10"), ("LOG_LEVEL", "ERROR")]).await;
    let account = json!({ "email": "ada@example.com", "password": "correct horse" });
    let router = support::router(env.clone());
    let made =
        support::call(&router, "POST", "/api/v1/auth/register", &[], account).await;
    assert_eq!(made.status, 201, "{}", made.text);

    println!("medians of {RUNS} fresh processes; bcrypt at cost 10; CPU of all threads");
    println!(
        "{:<28} {:>10} {:>8} {:>12} {:>14}",
        "function", "bytes", "RSS kB", "health ms", "real answer ms"
    );
    for (name, path, body, status) in requests() {
        let binary = repository().join("target/release").join(name);
        let bytes = fs::metadata(&binary).expect("`make size` builds it first").len();
        let mut runs: Vec<Run> =
            (0..RUNS).map(|_| run(&binary, &env, path, &body, status)).collect();
        let mut median = |by: fn(&Run) -> f64| {
            runs.sort_by(|a, b| by(a).total_cmp(&by(b)));
            by(&runs[RUNS / 2])
        };
        let (health, answer, rss) = (
            median(|it| it.health_ms),
            median(|it| it.answer_ms),
            median(|it| it.rss_kb),
        );
        let answer =
            if path.is_empty() { "-".to_owned() } else { format!("{answer:.2}") };
        println!("{name:<28} {bytes:>10} {rss:>8} {health:>12.2} {answer:>14}");
    }
}

/// CPU is counted from `exec`: what a cold start pays.
struct Run {
    health_ms: f64,
    answer_ms: f64,
    rss_kb: f64,
}

fn run(binary: &Path, env: &Env, path: &str, body: &Value, status: u16) -> Run {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let child = Command::new(binary)
        .env_clear()
        .envs(env.pairs())
        .env("PORT", port.to_string())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let child = Killed(child);
    let health = answered(port, "GET", "/health", "");
    assert!(matches!(health, 200 | 404), "{health}");
    let (health_ms, rss_kb) = (child.cpu_ms(), child.rss_kb());
    if !path.is_empty() {
        assert_eq!(answered(port, "POST", path, &body.to_string()), status, "{path}");
    }
    Run { health_ms, answer_ms: child.cpu_ms(), rss_kb }
}

/// One request on a connection of its own, to the end of its answer.
fn answered(port: u16, method: &str, path: &str, body: &str) -> u16 {
    let begin = Instant::now();
    let mut stream = loop {
        match TcpStream::connect(("127.0.0.1", port)) {
            Ok(stream) => break stream,
            Err(err) => assert!(begin.elapsed() < Duration::from_secs(20), "{err}"),
        }
        std::thread::sleep(Duration::from_millis(1));
    };
    let length = body.len();
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nhost: localhost\r\nx-api-key: {KEY}\r\n\
         content-type: application/json\r\ncontent-length: {length}\r\n\
         connection: close\r\n\r\n{body}"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.split(' ').nth(1).and_then(|it| it.parse().ok()).unwrap_or_default()
}

struct Killed(Child);

impl Killed {
    fn proc(&self) -> PathBuf {
        Path::new("/proc").join(self.0.id().to_string())
    }

    /// What all threads have run so far; `schedstat` counts nanoseconds.
    fn cpu_ms(&self) -> f64 {
        let threads = fs::read_dir(self.proc().join("task")).unwrap();
        let ns = threads.filter_map(|it| {
            let stat = fs::read_to_string(it.unwrap().path().join("schedstat")).ok()?;
            stat.split(' ').next()?.parse::<f64>().ok()
        });
        ns.sum::<f64>() / 1e6
    }

    fn rss_kb(&self) -> f64 {
        let status = fs::read_to_string(self.proc().join("status")).unwrap();
        let line = status.lines().find(|it| it.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }
}

impl Drop for Killed {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}
