//! A function for tests of the edge alone: routes that panic, wait and dawdle when told.
//!
//! No real route panics on demand, so the test program plays a function itself: it starts
//! its own executable again, which then runs nothing but [`plays_a_function`].

#![expect(
    clippy::print_stdout,
    reason = "what the function prints is what a test waits for"
)]

use std::path::PathBuf;

use axum::{
    Json,
    body::Bytes,
    http::{HeaderMap, Uri},
    response::Response,
    routing::{get, post},
};
use futures_util::stream;
use serde_json::{Value, json};
use shared::{
    config::Env,
    http::{Call, Route, extract, sse},
};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines},
    net::{TcpListener, TcpStream},
};

use super::binaries::PATIENCE;

/// What nobody outside may read.
pub(crate) const SECRET: &str = "the words of a panic";

/// The arguments that turn this program into the function.
pub(crate) const ARGS: [&str; 4] =
    ["--exact", "support::stage::plays_a_function", "--ignored", "--nocapture"];

/// This program.
pub(crate) fn program() -> PathBuf {
    std::env::current_exe().expect("a running program has a path")
}

#[test]
#[ignore = "this is the function that other tests start"]
fn plays_a_function() {
    // Our children have an empty environment; Cargo's is a person's who asked for all
    // ignored tests.
    if Env::process().get("CARGO").is_some() {
        return;
    }
    let routes = Route::new()
        .route("/health", get(|| async { Json(json!({ "status": "healthy" })) }))
        .route("/panic", post(panics))
        .route("/echo", post(echo))
        .route("/limited", post(limited))
        .route("/steps", post(steps))
        .route("/late", post(late));
    shared::http::serve(routes).expect("the function ends properly");
}

async fn panics() {
    panic!("{SECRET}");
}

/// Everything that a handler can see of its request.
async fn echo(uri: Uri, headers: HeaderMap, body: Bytes) -> Json<Value> {
    let headers: Value = headers
        .iter()
        .map(|(name, value)| {
            (name.to_string(), json!(String::from_utf8_lossy(value.as_bytes())))
        })
        .collect();
    let (uri, pid) = (uri.to_string(), std::process::id());
    Json(json!({ "uri": uri, "headers": headers, "bytes": body.len(), "pid": pid }))
}

async fn limited(extract::Json(body): extract::Json<Value>) -> Json<Value> {
    Json(body)
}

/// One event for each line of the gate, and a last one when the gate closes.
async fn steps() -> Response {
    sse::response(stream::unfold(Some(gate().await), |lines| async {
        let mut lines = lines?;
        match lines.next_line().await {
            Ok(Some(line)) => {
                let event = json!({ "content": line, "status": "partial" });
                Some((event.to_string(), Some(lines)))
            }
            _ => Some((json!({ "status": "success" }).to_string(), None)),
        }
    }))
}

/// Answers at once, and has work left to do until the gate closes.
async fn late(call: Call) -> Json<Value> {
    let mut lines = gate().await;
    call.tasks.spawn(async move {
        while let Ok(Some(line)) = lines.next_line().await {
            println!("{line}");
        }
        println!("the late work is done");
    });
    Json(json!({ "answered": true }))
}

async fn gate() -> Lines<BufReader<TcpStream>> {
    let env = Env::process();
    let address = env.get("GATE").expect("the test says where its gate is");
    let socket = TcpStream::connect(address).await.expect("the gate listens");
    BufReader::new(socket).lines()
}

/// The test's end: the function goes no further than it is let.
pub(crate) struct Gate {
    listener: TcpListener,
    /// For the function's settings.
    pub(crate) address: String,
}

impl Gate {
    /// A gate that nobody has come to yet.
    pub(crate) async fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
        let address = listener.local_addr().expect("bound").to_string();
        Self { listener, address }
    }

    /// Waits for a request to come to the gate. It stands there until the returned guard
    /// lets it go on, and goes to its end when that is dropped.
    pub(crate) async fn guard(&self) -> Guard {
        let come = tokio::time::timeout(PATIENCE, self.listener.accept()).await;
        let (socket, _) = come.expect("a request comes").expect("a connection");
        socket.set_nodelay(true).expect("a TCP socket");
        Guard(socket)
    }
}

/// Holds one request.
pub(crate) struct Guard(TcpStream);

impl Guard {
    /// Lets the request take one step.
    pub(crate) async fn step(&mut self, word: &str) {
        let line = format!("{word}\n");
        self.0.write_all(line.as_bytes()).await.expect("the request stands at the gate");
    }
}
