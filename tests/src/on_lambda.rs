//! The functions as AWS Lambda runs them.

#![expect(clippy::print_stdout, reason = "a measurement is printed when it is asked for")]

use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::{
    bundle::{Bundle, QUESTION, Reading, TOKENS},
    client::{Call, Events},
    event::{event, rest_event},
    lambda::{Failure, Sandbox},
    model::Step,
    stage::{self, Gate, SECRET},
};

async fn stage(settings: &[(&str, &str)]) -> Sandbox {
    Sandbox::run(&stage::program(), &stage::ARGS, settings).await
}

#[tokio::test]
async fn every_chunk_arrives_before_the_next_one_exists() {
    let gate = Gate::new().await;
    let mut sandbox = stage(&[("GATE", &gate.address)]).await;
    let mut answer = sandbox.invoke(&event(&Call::new("POST", "/steps")));
    let mut guard = gate.guard().await;
    let head = answer.head().await.unwrap();
    assert_eq!(head.status, 200);
    assert_eq!(head.headers["content-type"], "text/event-stream");

    let mut events = Events::default();
    for word in ["first", "second", "third"] {
        guard.step(word).await;
        let chunk = answer.chunk().await.expect("the stream goes on");
        let expected = json!({ "content": word, "status": "partial" });
        assert_eq!(events.push(&chunk), [expected]);
        assert!(!answer.is_over());
    }
    drop(guard);
    let chunk = answer.chunk().await.expect("the last event");
    assert_eq!(events.push(&chunk), [json!({ "status": "success" })]);
    assert_eq!(answer.chunk().await, None);
    assert_eq!(answer.outcome().await, Ok(()));
}

#[tokio::test]
async fn late_work_is_done_before_the_platform_hears_of_the_end() {
    let gate = Gate::new().await;
    let mut sandbox = stage(&[("GATE", &gate.address)]).await;
    let mut answer = sandbox.invoke(&event(&Call::new("POST", "/late")));
    let mut guard = gate.guard().await;
    // The reader has everything, and the platform still waits.
    assert_eq!(answer.chunk().await.as_deref(), Some(&br#"{"answered":true}"#[..]));
    guard.step("one more thing").await;
    sandbox.process.printed("one more thing").await;
    assert!(!answer.is_over());
    drop(guard);
    assert_eq!(answer.chunk().await, None);
    // Frozen by now: had it been left for later, it would never be done.
    sandbox.process.printed("the late work is done").await;
}

#[tokio::test]
async fn a_panic_is_a_problem_and_the_process_lives_on() {
    let mut sandbox = stage(&[]).await;
    let answer = sandbox.call(&Call::new("POST", "/panic")).await;
    answer.assert_problem(500, "internal");
    assert!(!answer.text().contains(SECRET));
    let answer = sandbox.call(&Call::get("/health")).await;
    assert_eq!(answer.status(), 200);
    assert!(!sandbox.process.output().contains(SECRET), "a panic's words are not logged");
}

#[tokio::test]
async fn the_stage_and_the_slash_are_stripped_and_the_query_is_kept() {
    let mut sandbox = stage(&[]).await;
    let call = Call::new("POST", "/echo/?a=1");
    for event in [event(&call), rest_event("Prod", &call), rest_event("echo", &call)] {
        let answer = sandbox.invoke(&event).answer().await;
        assert_eq!(answer.status(), 200, "{}", answer.text());
        assert_eq!(answer.json()["uri"], "/echo?a=1");
    }
}

#[tokio::test]
async fn binary_and_large_bodies_come_through_or_get_their_documented_error() {
    let mut sandbox = stage(&[]).await;
    let json = |call: Call| call.header("content-type", "application/json");

    let bytes = Call::new("POST", "/echo").bytes(&b"\xff\xfe\x00"[..]);
    assert_eq!(sandbox.call(&bytes).await.json()["bytes"], 3);

    let invalid = json(Call::new("POST", "/limited")).bytes(&b"\"\xff\""[..]);
    sandbox.call(&invalid).await.assert_problem(400, "malformed");

    let fits = format!("\"{}\"", "x".repeat((1 << 20) - 2));
    let call = json(Call::new("POST", "/limited"));
    assert_eq!(sandbox.call(&call.clone().bytes(fits.clone())).await.text(), fits);
    let over = format!("{fits} ");
    sandbox.call(&call.clone().bytes(over)).await.assert_problem(413, "too-large");
    let huge = format!("\"{}\"", "x".repeat(5_000_000));
    sandbox.call(&call.bytes(huge)).await.assert_problem(413, "too-large");
}

#[tokio::test]
async fn unknown_paths_methods_and_preflights_are_answered_by_us() {
    let mut sandbox = stage(&[("ALLOWED_ORIGINS", "https://book.example")]).await;
    sandbox.call(&Call::get("/nowhere")).await.assert_problem(404, "not-found");
    sandbox.call(&Call::get("/echo")).await.assert_problem(405, "method-not-allowed");

    let preflight = Call::new("OPTIONS", "/echo")
        .header("origin", "https://book.example")
        .header("access-control-request-method", "POST");
    let answer = sandbox.call(&preflight).await;
    assert!(matches!(answer.status(), 200 | 204));
    assert_eq!(answer.header("access-control-allow-origin"), "https://book.example");
}

#[tokio::test]
async fn one_process_serves_one_invocation_after_the_other() {
    let mut sandbox = stage(&[]).await;
    let mut pids = Vec::new();
    for _ in 0..3 {
        let answer = sandbox.call(&Call::new("POST", "/echo")).await;
        pids.push(answer.json()["pid"].clone());
    }
    assert_eq!(pids, vec![json!(sandbox.process.pid().as_raw_nonzero().get()); 3]);
}

#[tokio::test]
async fn nagle_is_off_on_the_connection_to_the_platform() {
    let mut sandbox = stage(&[]).await;
    sandbox.call(&Call::get("/health")).await;
    let api = sandbox.port;
    let sockets = sandbox.process.sockets(|_, remote| remote == api);
    assert!(!sockets.is_empty());
    for socket in sockets {
        assert!(rustix::net::sockopt::tcp_nodelay(&socket).unwrap());
    }
}

#[tokio::test]
async fn a_client_that_leaves_changes_nothing() {
    let gate = Gate::new().await;
    let mut sandbox = stage(&[("GATE", &gate.address)]).await;
    drop(sandbox.invoke(&event(&Call::new("POST", "/late"))));
    drop(gate.guard().await);
    sandbox.process.printed("the late work is done").await;
    assert_eq!(sandbox.call(&Call::get("/health")).await.status(), 200);
}

#[tokio::test]
async fn a_process_that_dies_is_a_failure_of_its_invocation() {
    let gate = Gate::new().await;
    let mut sandbox = stage(&[("GATE", &gate.address)]).await;
    let answer = sandbox.invoke(&event(&Call::new("POST", "/steps")));
    let _guard = gate.guard().await;
    sandbox.process.signal(rustix::process::Signal::KILL);
    assert_eq!(answer.outcome().await, Err(Failure::Exit));
}

#[tokio::test]
async fn all_functions_answer() {
    let bundle = Bundle::new().await;
    let account = json!({ "email": "ada@book.example", "password": "correct horse" });
    let query = json!({ "query": QUESTION });
    let told = json!({ "messages": [{ "role": "user", "content": QUESTION }] });
    let post = |path: &str, body| Call::post(&format!("/api/v1/{path}"), body);
    let chat = Bundle::ask("/api/v1/chat");
    let key =
        chat.headers.iter().find(|(name, _)| name == "x-api-key").unwrap().1.clone();
    let save = json!({ "user_id": "reader-2", "query": "q", "response": "r" });
    let calls = [
        ("health", Call::get("/health"), 200),
        ("auth_register", post("auth/register", &account), 201),
        ("auth_login", post("auth/login/", &account), 200),
        ("chat", chat, 200),
        (
            "openai",
            Call::post("/v1/chat/completions", &told).header("x-api-key", &key),
            200,
        ),
        ("rag_query", post("rag/query", &query).header("x-api-key", &key), 200),
        (
            "conversations_internal_save",
            post("conversations/internal-save", &save).header("x-api-key", &key),
            201,
        ),
        (
            "conversations",
            Call::get("/api/v1/conversations?user_id=reader-2").header("x-api-key", &key),
            200,
        ),
    ];
    for (function, call, status) in calls {
        let mut sandbox = Sandbox::start(function, &bundle.settings()).await;
        for event in [event(&call), rest_event("Prod", &call)] {
            // The second registration finds the first.
            let again = function == "auth_register" && event["version"].is_null();
            let answer = sandbox.invoke(&event).answer().await;
            let status = if again { 409 } else { status };
            assert_eq!(answer.status(), status, "{function}: {}", answer.text());
            let kind =
                if again { "application/problem+json" } else { "application/json" };
            assert_eq!(answer.header("content-type"), kind);
        }
        let wrong = sandbox.call(&Call::new("DELETE", &call.path)).await;
        // The vendor's clients read their own form of error.
        if function == "openai" {
            assert_eq!(wrong.json()["error"]["code"], "method_not_allowed");
        } else {
            wrong.assert_problem(405, "method-not-allowed");
        }
        sandbox.call(&Call::get("/nowhere")).await.assert_problem(404, "not-found");
    }
}

#[tokio::test]
async fn an_answer_is_streamed_word_by_word_and_saved_before_the_platform_hears_of_it() {
    let bundle = Bundle::new().await;
    let model = bundle.stepped();
    let mut sandbox = Sandbox::start("chat_stream", &bundle.settings()).await;
    let mut answer = sandbox.invoke(&event(&Bundle::ask("/api/v1/chat/stream")));
    assert_eq!(answer.head().await.unwrap().status, 200);
    let mut reading = Reading::default();
    reading
        .follow(&model, async || answer.chunk().await.expect("the stream goes on"))
        .await;
    // The exchange cannot be saved now, so the stream must not end either.
    let lock = bundle.lock().await;
    drop(model);
    lock.somebody_waits().await;
    assert!(!answer.is_over());
    assert_eq!(bundle.messages().await, 0);
    lock.release().await;
    while let Some(chunk) = answer.chunk().await {
        reading.push(&chunk);
    }
    // The process is frozen: what is not in the database by now never will be.
    assert_eq!(bundle.messages().await, 2);
    let last = reading.last.expect("a last event");
    assert_eq!(last["status"], "success");
    assert_eq!(last["saved"], true);
    assert_eq!(last["content"], reading.text);
    assert_eq!(answer.outcome().await, Ok(()));
}

#[tokio::test]
async fn a_panic_in_the_middle_of_a_stream_is_its_last_event() {
    let bundle = Bundle::new().await;
    let mut sandbox = Sandbox::start("chat_stream", &bundle.panicking()).await;
    let answer = sandbox.call(&Bundle::ask("/api/v1/chat/stream")).await;
    Reading::assert_broke_off(&answer);
}

#[tokio::test]
async fn a_reader_who_left_still_finds_the_answer_in_the_history() {
    let bundle = Bundle::new().await;
    let model = bundle.stepped();
    let mut sandbox = Sandbox::start("chat_stream", &bundle.settings()).await;
    let mut answer = sandbox.invoke(&event(&Bundle::ask("/api/v1/chat/stream")));
    model.send(Step::Text(TOKENS[0].to_owned())).unwrap();
    answer.chunk().await.expect("the stream goes on");
    drop(answer);
    drop(model);
    sandbox.call(&Call::get("/nowhere")).await;
    assert_eq!(bundle.messages().await, 2);
}

#[tokio::test]
async fn the_platforms_deadline_is_kept_when_the_model_is_silent() {
    let bundle = Bundle::new().await;
    let _silent = bundle.stepped();
    let mut sandbox = Sandbox::start("chat", &bundle.settings()).await;
    // Two seconds of it are kept back for saving the answer and for sending it.
    sandbox.timeout(Duration::from_millis(2500));
    let answer = sandbox.call(&Bundle::ask("/api/v1/chat")).await;
    assert_eq!(answer.status(), 200, "{}", answer.text());
    assert_eq!(answer.json()["response"]["degraded"], json!(["llm"]));
    assert_eq!(bundle.messages().await, 2);
}

#[tokio::test]
#[ignore = "prints a measurement"]
async fn what_nagle_would_cost() {
    for nodelay in [false, true] {
        let gate = Gate::new().await;
        let mut sandbox = stage(&[("GATE", &gate.address)]).await;
        let mut waits = Vec::new();
        for _ in 0..5 {
            let mut answer = sandbox.invoke(&event(&Call::new("POST", "/steps")));
            let mut guard = gate.guard().await;
            answer.head().await.unwrap();
            let api = sandbox.port;
            for socket in sandbox.process.sockets(|_, remote| remote == api) {
                rustix::net::sockopt::set_tcp_nodelay(&socket, nodelay).unwrap();
            }
            for _ in 0..20 {
                let began = Instant::now();
                guard.step("next").await;
                answer.chunk().await.unwrap();
                waits.push(began.elapsed());
            }
            drop(guard);
            answer.outcome().await.unwrap();
        }
        let late = waits.iter().filter(|wait| wait.as_millis() >= 20).count();
        let worst = waits.iter().max().unwrap();
        println!("Lambda, TCP_NODELAY {nodelay}: {late} of 100 late, worst {worst:?}");
    }
}
