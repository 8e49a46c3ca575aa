//! The functions as Vercel runs them.

#![expect(clippy::print_stdout, reason = "a measurement is printed when it is asked for")]

use std::time::Instant;

use rustix::process::Signal;
use serde_json::json;

use crate::support::{
    binaries::{freeze, repository, thaw},
    bundle::{Bundle, Reading, TOKENS},
    client::{Call, Events},
    model::Step,
    routing::Routes,
    stage::{self, Gate, SECRET},
    vercel::{Instance, count},
};

async fn stage(settings: &[(&str, &str)]) -> Instance {
    Instance::run(&stage::program(), &stage::ARGS, settings).await
}

#[tokio::test]
async fn every_chunk_arrives_before_the_next_one_exists_and_the_end_comes_last() {
    let gate = Gate::new().await;
    let mut instance = stage(&[("GATE", &gate.address)]).await;
    let mut connection = instance.connect().await;
    let (id, stream) = instance.send(&mut connection, &Call::new("POST", "/steps")).await;
    let mut stream = stream.unwrap();
    let mut guard = gate.guard().await;
    assert_eq!(stream.head.headers["content-type"], "text/event-stream");

    let mut events = Events::default();
    for word in ["first", "second", "third"] {
        guard.step(word).await;
        let chunk = stream.chunk().await.unwrap().unwrap();
        let expected = json!({ "content": word, "status": "partial" });
        assert_eq!(events.push(&chunk), [expected]);
    }
    assert_eq!(instance.ends(id).await, 0, "the platform may stop us after `end`");
    drop(guard);
    instance.ended(id).await;
    // Nothing that was not sent by now will ever come.
    freeze(instance.process.pid());
    let chunk = stream.chunk().await.unwrap().unwrap();
    assert_eq!(events.push(&chunk), [json!({ "status": "success" })]);
    assert!(stream.chunk().await.is_none(), "the stream ends properly");
    thaw(instance.process.pid());
    assert_eq!(instance.ends(id).await, 1);
}

#[tokio::test]
async fn late_work_holds_the_end_but_not_the_answers_bytes() {
    let gate = Gate::new().await;
    let mut instance = stage(&[("GATE", &gate.address)]).await;
    let mut connection = instance.connect().await;
    let (id, stream) = instance.send(&mut connection, &Call::new("POST", "/late")).await;
    let chunk = stream.unwrap().chunk().await.unwrap().unwrap();
    assert_eq!(chunk, br#"{"answered":true}"#[..]);
    let guard = gate.guard().await;
    assert_eq!(instance.ends(id).await, 0);
    drop(guard);
    instance.ended(id).await;
    freeze(instance.process.pid());
    instance.process.printed("the late work is done").await;
}

#[tokio::test]
async fn a_panic_is_a_problem_with_an_end_and_the_process_lives_on() {
    let mut instance = stage(&[]).await;
    let mut connection = instance.connect().await;
    let (id, stream) = instance.send(&mut connection, &Call::new("POST", "/panic")).await;
    let answer = stream.unwrap().answer().await;
    answer.assert_problem(500, "internal");
    assert!(!answer.text().contains(SECRET));
    instance.ended(id).await;
    // The connection is fit for the next request.
    let (_, stream) = instance.send(&mut connection, &Call::get("/health")).await;
    assert_eq!(stream.unwrap().answer().await.status(), 200);
    assert_eq!(instance.ends(id).await, 1);
    let logs = instance.process.output() + &instance.logs().concat();
    assert!(!logs.contains(SECRET), "a panic's words are not logged");
}

#[tokio::test]
async fn handlers_do_not_see_the_platforms_internal_headers() {
    let mut instance = stage(&[]).await;
    let answer = instance.call(&Call::new("POST", "/echo/?a=1")).await;
    let json = answer.json();
    assert_eq!(json["uri"], "/echo?a=1");
    assert_eq!(json["headers"]["x-forwarded-for"], "203.0.113.7");
    assert!(!answer.text().contains("x-vercel-internal"), "{json}");
    assert!(!answer.head.headers.keys().any(|it| it.starts_with("x-vercel-internal")));
}

#[tokio::test]
async fn bodies_over_either_limit_are_refused() {
    let mut instance = stage(&[]).await;
    let call = Call::new("POST", "/limited").header("content-type", "application/json");
    let fits = format!("\"{}\"", "x".repeat((1 << 20) - 2));
    let answer = instance.call(&call.clone().bytes(fits.clone())).await;
    assert_eq!(answer.text(), fits);
    let over = call.clone().bytes(format!("{fits} "));
    instance.call(&over).await.assert_problem(413, "too-large");
    // The platform itself stands before our limit for these.
    let huge = call.bytes("x".repeat(4_500_001));
    assert_eq!(instance.call(&huge).await.status(), 413);
}

#[tokio::test]
async fn unknown_paths_methods_and_preflights_are_answered_by_us() {
    let mut instance = stage(&[("ALLOWED_ORIGINS", "https://book.example")]).await;
    instance.call(&Call::get("/nowhere")).await.assert_problem(404, "not-found");
    instance.call(&Call::get("/echo")).await.assert_problem(405, "method-not-allowed");
    let preflight = Call::new("OPTIONS", "/echo")
        .header("origin", "https://book.example")
        .header("access-control-request-method", "POST");
    let answer = instance.call(&preflight).await;
    assert!(matches!(answer.status(), 200 | 204));
    assert_eq!(answer.header("access-control-allow-origin"), "https://book.example");
}

#[tokio::test]
async fn sigterm_in_the_middle_of_a_stream_lets_it_finish() {
    let gate = Gate::new().await;
    let mut instance = stage(&[("GATE", &gate.address)]).await;
    let mut connection = instance.connect().await;
    let (id, stream) = instance.send(&mut connection, &Call::new("POST", "/steps")).await;
    let mut stream = stream.unwrap();
    let mut guard = gate.guard().await;
    guard.step("before").await;
    stream.chunk().await.unwrap().unwrap();

    instance.process.signal(Signal::TERM);
    let mut events = Events::default();
    // The listening socket stays open to the end, so nothing outside shows that the signal
    // was heard. A process of one thread that has come round several times has heard it.
    for _ in 0..5 {
        guard.step("after").await;
        let chunk = stream.chunk().await.unwrap().unwrap();
        assert_eq!(events.push(&chunk)[0]["content"], "after");
    }
    drop(guard);
    let chunk = stream.chunk().await.unwrap().unwrap();
    assert_eq!(events.push(&chunk)[0]["status"], "success");
    assert!(stream.chunk().await.is_none(), "the stream ends properly");
    assert!(instance.process.wait().await.success());
    assert_eq!(count(&instance.frames_to_the_end().await, id), 1);
}

#[tokio::test]
async fn a_client_that_hangs_up_does_not_stop_the_work() {
    let gate = Gate::new().await;
    let mut instance = stage(&[("GATE", &gate.address)]).await;
    let mut connection = instance.connect().await;
    let (id, stream) = instance.send(&mut connection, &Call::new("POST", "/late")).await;
    let guard = gate.guard().await;
    drop(stream);
    connection.hang_up().await;
    assert_eq!(instance.ends(id).await, 0);
    drop(guard);
    instance.ended(id).await;
    instance.process.printed("the late work is done").await;
    assert_eq!(instance.ends(id).await, 1);
}

#[tokio::test]
async fn many_requests_run_at_once_in_one_process() {
    let gate = Gate::new().await;
    let mut instance = stage(&[("GATE", &gate.address)]).await;
    let mut connections = Vec::new();
    let mut guards = Vec::new();
    for _ in 0..20 {
        let mut connection = instance.connect().await;
        let call = Call::new("POST", "/steps");
        let (id, stream) = instance.send(&mut connection, &call).await;
        connections.push((connection, id, stream.unwrap()));
        guards.push(gate.guard().await);
    }
    drop(guards);
    for (_connection, id, stream) in connections {
        assert!(stream.answer().await.text().contains("success"));
        instance.ended(id).await;
        assert_eq!(instance.ends(id).await, 1);
    }
}

#[tokio::test]
async fn nagle_is_off_on_every_connection_from_its_first_request() {
    let mut instance = stage(&[]).await;
    for requests in [1, 3] {
        let mut connection = instance.connect().await;
        for _ in 0..requests {
            let (_, stream) = instance.send(&mut connection, &Call::get("/health")).await;
            stream.unwrap().answer().await;
        }
        let ours = connection.port;
        let sockets = instance.process.sockets(|_, remote| remote == ours);
        assert_eq!(sockets.len(), 1);
        assert!(rustix::net::sockopt::tcp_nodelay(&sockets[0]).unwrap());
    }
}

#[tokio::test]
async fn without_a_platform_that_listens_it_serves_plainly() {
    let env = [("VERCEL_IPC_PATH", "/nonexistent/ipc")];
    let port = crate::support::binaries::free_port().to_string();
    let env: Vec<_> = env
        .into_iter()
        .chain([("VERCEL_DEV_PORT", port.as_str())])
        .map(|(k, v)| (k.to_owned(), v.to_owned()))
        .collect();
    let process =
        crate::support::binaries::Process::spawn(&stage::program(), &stage::ARGS, &env);
    process.printed("Dev server listening").await;
}

#[tokio::test]
async fn an_answer_is_streamed_word_by_word_and_saved_before_the_end() {
    let bundle = Bundle::new().await;
    let model = bundle.stepped();
    let mut instance = Instance::start("chat_stream", &bundle.settings()).await;
    let mut connection = instance.connect().await;
    let call = Bundle::ask("/api/v1/chat/stream");
    let (id, stream) = instance.send(&mut connection, &call).await;
    let mut stream = stream.unwrap();
    assert_eq!(stream.head.status, 200);
    let mut reading = Reading::default();
    reading.follow(&model, async || stream.chunk().await.unwrap().unwrap()).await;
    // The exchange cannot be saved now, so the answer must not be over either.
    let lock = bundle.lock().await;
    drop(model);
    lock.somebody_waits().await;
    assert_eq!(instance.ends(id).await, 0);
    lock.release().await;
    instance.ended(id).await;
    freeze(instance.process.pid());
    assert_eq!(bundle.messages().await, 2);
    while let Some(chunk) = stream.chunk().await {
        reading.push(&chunk.unwrap());
    }
    let last = reading.last.expect("a last event");
    assert_eq!(last["status"], "success");
    assert_eq!(last["saved"], true);
    thaw(instance.process.pid());
    assert_eq!(instance.ends(id).await, 1);
}

#[tokio::test]
async fn a_reader_who_hangs_up_still_finds_the_answer_in_the_history() {
    let bundle = Bundle::new().await;
    let model = bundle.stepped();
    let mut instance = Instance::start("chat_stream", &bundle.settings()).await;
    let mut connection = instance.connect().await;
    let call = Bundle::ask("/api/v1/chat/stream");
    let (id, stream) = instance.send(&mut connection, &call).await;
    model.send(Step::Text(TOKENS[0].to_owned())).unwrap();
    stream.unwrap().chunk().await.unwrap().unwrap();
    connection.hang_up().await;
    for token in &TOKENS[1..] {
        model.send(Step::Text((*token).to_owned())).unwrap();
    }
    drop(model);
    instance.ended(id).await;
    freeze(instance.process.pid());
    assert_eq!(bundle.messages().await, 2);
}

#[tokio::test]
async fn a_panic_in_the_middle_of_a_stream_is_its_last_event() {
    let bundle = Bundle::new().await;
    let mut instance = Instance::start("chat_stream", &bundle.panicking()).await;
    let answer = instance.call(&Bundle::ask("/api/v1/chat/stream")).await;
    Reading::assert_broke_off(&answer);
}

#[tokio::test]
async fn the_buffered_answer_is_saved_when_it_arrives() {
    let bundle = Bundle::new().await;
    let mut instance = Instance::start("chat", &bundle.settings()).await;
    let answer = instance.call(&Bundle::ask("/api/v1/chat")).await;
    freeze(instance.process.pid());
    assert_eq!(answer.status(), 200, "{}", answer.text());
    assert_eq!(answer.json()["response"]["saved"], true);
    assert_eq!(bundle.messages().await, 2);
}

/// The contract's table of paths, and the pages.
const PATHS: &[(&str, &str)] = &[
    ("/api/v1/auth/register", "api/v1/auth/register.rs"),
    ("/api/v1/auth/login", "api/v1/auth/login.rs"),
    ("/api/v1/chat", "api/v1/chat.rs"),
    ("/api/ai/start-conversation", "api/v1/chat.rs"),
    ("/api/ai/chat", "api/v1/chat.rs"),
    ("/api/v1/chat/stream", "api/v1/chat/stream.rs"),
    ("/api/v1/chat/runs/0199", "api/v1/chat/stream.rs"),
    ("/api/v1/chat/runs/0199/stop", "api/v1/chat/stream.rs"),
    ("/api/v1/conversations/internal-save", "api/v1/conversations/internal-save.rs"),
    ("/api/v1/conversations", "api/v1/conversations.rs"),
    ("/api/v1/conversations/0199", "api/v1/conversations.rs"),
    ("/api/v1/conversations/0199/export", "api/v1/conversations.rs"),
    ("/api/v1/conversations/0199/messages/0199/feedback", "api/v1/conversations.rs"),
    ("/api/chats", "api/v1/conversations.rs"),
    ("/api/chats/create", "api/v1/conversations.rs"),
    ("/api/chats/0199", "api/v1/conversations.rs"),
    ("/api/conversations/0199", "api/v1/conversations.rs"),
    ("/conversations", "api/v1/conversations.rs"),
    ("/conversations/0199", "api/v1/conversations.rs"),
    ("/api/v1/rag/query", "api/v1/rag/query.rs"),
    ("/v1/chat/completions", "api/v1/openai.rs"),
    ("/v1/models", "api/v1/openai.rs"),
    ("/v1/models/book", "api/v1/openai.rs"),
    ("/chat/completions", "api/v1/openai.rs"),
    ("/chat/completions/stream", "api/v1/openai.rs"),
    ("/api/chat", "api/v1/ui.rs"),
    ("/api/chat/mine/stream", "api/v1/ui.rs"),
    ("/api/chat/mine/stop", "api/v1/ui.rs"),
    ("/chat", "api/v1/ui.rs"),
    ("/api/chatkit", "api/chatkit.rs"),
    ("/health", "api/health.rs"),
    ("/openapi.json", "api/health.rs"),
    ("/docs", "api/health.rs"),
    ("/", "public/index.html"),
];

#[test]
fn every_path_of_the_contract_reaches_its_function() {
    let routes = Routes::of(repository());
    for (path, file) in PATHS {
        assert_eq!(routes.serves(path), Some(*file), "{path}");
        if *path != "/" {
            let slash = format!("{path}/");
            assert_eq!(routes.serves(&slash), Some(*file), "{slash}");
        }
    }
    // Our own function says 404 for what is under /api and not there.
    assert_eq!(routes.serves("/api/v1/nowhere"), Some("api/health.rs"));
    for path in ["/Cargo.toml", "/shared/src/lib.rs", "/.env"] {
        assert_eq!(routes.serves(path), None, "{path}");
    }
}

#[tokio::test]
#[ignore = "prints a measurement"]
async fn what_nagle_would_cost() {
    for nodelay in [false, true] {
        let gate = Gate::new().await;
        let mut instance = stage(&[("GATE", &gate.address)]).await;
        let mut connection = instance.connect().await;
        let mut waits = Vec::new();
        for _ in 0..5 {
            let call = Call::new("POST", "/steps");
            let (_, stream) = instance.send(&mut connection, &call).await;
            let mut stream = stream.unwrap();
            let mut guard = gate.guard().await;
            let ours = connection.port;
            for socket in instance.process.sockets(|_, remote| remote == ours) {
                rustix::net::sockopt::set_tcp_nodelay(&socket, nodelay).unwrap();
            }
            for _ in 0..20 {
                let began = Instant::now();
                guard.step("next").await;
                stream.chunk().await.unwrap().unwrap();
                waits.push(began.elapsed());
            }
            drop(guard);
            stream.answer().await;
        }
        let late = waits.iter().filter(|wait| wait.as_millis() >= 20).count();
        let worst = waits.iter().max().unwrap();
        println!("Vercel, TCP_NODELAY {nodelay}: {late} of 100 late, worst {worst:?}");
    }
}
