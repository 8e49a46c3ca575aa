//! The functions as plain processes: they listen on `PORT`.

use std::net::SocketAddr;

use rustix::process::Signal;
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::support::{
    binaries::{Process, free_port},
    client::{Call, Connection, Events},
    stage::{self, Gate, SECRET},
};

async fn stage(settings: &[(&str, &str)]) -> (Process, SocketAddr) {
    let port = free_port();
    let text = port.to_string();
    let env = settings.iter().copied().chain([("PORT", text.as_str())]);
    let env: Vec<_> = env.map(|(k, v)| (k.to_owned(), v.to_owned())).collect();
    let process = Process::spawn(&stage::program(), &stage::ARGS, &env);
    process.printed("listening").await;
    (process, SocketAddr::from(([127, 0, 0, 1], port)))
}

#[tokio::test]
async fn every_chunk_arrives_before_the_next_one_exists() {
    let gate = Gate::new().await;
    let (_process, address) = stage(&[("GATE", &gate.address)]).await;
    let mut connection = Connection::open(address).await;
    // The second answer on a kept-alive connection is where Nagle would wait.
    for _ in 0..2 {
        let mut stream = connection.send(&Call::new("POST", "/steps")).await.unwrap();
        let mut guard = gate.guard().await;
        let mut events = Events::default();
        for word in ["first", "second"] {
            guard.step(word).await;
            let chunk = stream.chunk().await.unwrap().unwrap();
            assert_eq!(events.push(&chunk)[0]["content"], word);
        }
        drop(guard);
        let chunk = stream.chunk().await.unwrap().unwrap();
        assert_eq!(events.push(&chunk), [json!({ "status": "success" })]);
        assert!(stream.chunk().await.is_none(), "the stream ends properly");
    }
}

#[tokio::test]
async fn a_panic_is_a_problem_and_the_connection_lives_on() {
    let (process, address) = stage(&[]).await;
    let mut connection = Connection::open(address).await;
    let stream = connection.send(&Call::new("POST", "/panic")).await.unwrap();
    let answer = stream.answer().await;
    answer.assert_problem(500, "internal");
    assert!(!answer.text().contains(SECRET));
    let stream = connection.send(&Call::get("/health")).await.unwrap();
    assert_eq!(stream.answer().await.status(), 200);
    assert!(!process.output().contains(SECRET));
}

#[tokio::test]
async fn a_body_of_five_megabytes_gets_its_answer() {
    let (_process, address) = stage(&[]).await;
    let call = Call::new("POST", "/limited")
        .header("content-type", "application/json")
        .bytes(format!("\"{}\"", "x".repeat(5_000_000)));
    let mut connection = Connection::open(address).await;
    let answer = connection.send(&call).await.unwrap().answer().await;
    answer.assert_problem(413, "too-large");
}

#[tokio::test]
async fn a_body_that_does_not_arrive_is_the_clients_delay() {
    let (_process, address) = stage(&[("AGENT_TIMEOUT", "1")]).await;
    let mut connection = TcpStream::connect(address).await.unwrap();
    let begun = "POST /limited HTTP/1.1\r\nhost: book\r\ncontent-type: application/json\r\n\
                 content-length: 9\r\n\r\n\"be";
    connection.write_all(begun.as_bytes()).await.unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    assert!(answer.contains(r#""code":"request-timeout""#), "{answer}");
}

#[tokio::test]
async fn sigterm_in_the_middle_of_a_stream_lets_it_finish() {
    let gate = Gate::new().await;
    let (mut process, address) = stage(&[("GATE", &gate.address)]).await;
    let mut connection = Connection::open(address).await;
    let mut stream = connection.send(&Call::new("POST", "/steps")).await.unwrap();
    let mut guard = gate.guard().await;
    guard.step("before").await;
    stream.chunk().await.unwrap().unwrap();

    process.signal(Signal::TERM);
    refuses_connections(address).await;
    let mut events = Events::default();
    guard.step("after").await;
    let chunk = stream.chunk().await.unwrap().unwrap();
    assert_eq!(events.push(&chunk)[0]["content"], "after");
    drop(guard);
    let chunk = stream.chunk().await.unwrap().unwrap();
    assert_eq!(events.push(&chunk)[0]["status"], "success");
    assert!(stream.chunk().await.is_none(), "the stream ends properly");
    assert!(process.wait().await.success());
}

#[tokio::test]
async fn sigterm_waits_for_the_work_of_a_client_that_hung_up() {
    let gate = Gate::new().await;
    let (mut process, address) = stage(&[("GATE", &gate.address)]).await;
    let mut connection = Connection::open(address).await;
    drop(connection.send(&Call::new("POST", "/late")).await.unwrap());
    let mut guard = gate.guard().await;
    connection.hang_up().await;
    process.signal(Signal::TERM);
    refuses_connections(address).await;
    guard.step("still at work").await;
    process.printed("still at work").await;
    drop(guard);
    assert!(process.wait().await.success());
    assert!(process.output().contains("the late work is done"));
}

#[tokio::test]
async fn an_idle_server_stops_at_sigterm_with_kept_alive_connections_open() {
    let (mut process, address) = stage(&[]).await;
    let mut connection = Connection::open(address).await;
    connection.send(&Call::get("/health")).await.unwrap().answer().await;
    process.signal(Signal::TERM);
    assert!(process.wait().await.success());
}

#[tokio::test]
async fn nagle_is_off() {
    let (process, address) = stage(&[]).await;
    let mut connection = Connection::open(address).await;
    connection.send(&Call::get("/health")).await.unwrap().answer().await;
    let ours = connection.port;
    let sockets = process.sockets(|_, remote| remote == ours);
    assert_eq!(sockets.len(), 1);
    assert!(rustix::net::sockopt::tcp_nodelay(&sockets[0]).unwrap());
}

/// Waits until the process has heard the signal: it takes no more connections.
async fn refuses_connections(address: SocketAddr) {
    while TcpStream::connect(address).await.is_ok() {
        tokio::task::yield_now().await;
    }
}
