//! AWS Lambda on this machine: the Runtime API, one sandbox, one process.
//!
//! What the platform does is done as hard as it may be: the process is frozen at the moment
//! the answer's last byte was read, and until the next invocation. Nothing can be saved
//! "a little later" here.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    path::Path,
    sync::{Arc, Mutex, OnceLock},
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use http_body_util::{BodyExt, Collected, Full};
use hyper::{
    Request, Response, body::Incoming, server::conn::http1, service::service_fn,
};
use hyper_util::rt::TokioIo;
use rustix::process::Pid;
use serde_json::Value;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Notify, mpsc, watch},
    task::JoinSet,
};

use super::{
    binaries::{PATIENCE, Process, binary, freeze, thaw},
    client::{Answer, Call, Head, Served},
    event::event,
};

/// The largest event, and the largest buffered answer: 6 MiB and a little for the frame.
const PAYLOAD_LIMIT: usize = 6_291_556;

/// Between the prelude and the payload of a streamed answer.
const SEPARATOR: [u8; 8] = [0; 8];

/// Why the front door would answer 502, or the stream break.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// `POST …/error`, with the error's text.
    Handler(String),
    /// The process ended, or its connection broke.
    Exit,
    /// A stream carried the runtime's error text, as data or as a trailer.
    Leak,
    /// No proper prelude, or an answer to nobody's request.
    Protocol(String),
}

#[derive(Debug)]
enum Part {
    Head(Head),
    Chunk(Bytes),
    Over(Result<(), Failure>),
}

/// What the server and the test share.
#[derive(Default)]
struct Platform {
    pid: OnceLock<Pid>,
    waiting: Mutex<VecDeque<(String, Bytes)>>,
    arrived: Notify,
    running: Mutex<HashMap<String, mpsc::UnboundedSender<Part>>>,
    polls: watch::Sender<usize>,
    deadline: Mutex<Duration>,
}

/// One micro-VM with one function.
pub(crate) struct Sandbox {
    /// The function's process.
    pub(crate) process: Process,
    /// The Runtime API's port.
    pub(crate) port: u16,
    platform: Arc<Platform>,
    invocations: usize,
    _server: JoinSet<()>,
}

impl Sandbox {
    /// Starts a function with these settings; it is initialised and frozen on return.
    pub(crate) async fn start(name: &str, settings: &[(&str, &str)]) -> Self {
        Self::run(&binary(name), &[], settings).await
    }

    /// The same for any program.
    pub(crate) async fn run(
        program: &Path,
        args: &[&str],
        settings: &[(&str, &str)],
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
        let address = listener.local_addr().expect("bound");
        let mut env: BTreeMap<&str, &str> = BTreeMap::from([
            ("AWS_LAMBDA_FUNCTION_NAME", "lectern"),
            ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "512"),
            ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
            ("AWS_LAMBDA_LOG_GROUP_NAME", "/aws/lambda/lectern"),
            ("AWS_LAMBDA_LOG_STREAM_NAME", "2026/01/01/[$LATEST]0"),
            ("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand"),
            ("AWS_REGION", "us-east-1"),
            ("_HANDLER", "bootstrap"),
            ("LAMBDA_TASK_ROOT", "/var/task"),
            ("TZ", ":UTC"),
        ]);
        let api = address.to_string();
        env.insert("AWS_LAMBDA_RUNTIME_API", &api);
        env.extend(settings.iter().copied());
        let env: Vec<_> =
            env.into_iter().map(|(k, v)| (k.to_owned(), v.to_owned())).collect();

        let platform = Arc::new(Platform::default());
        *platform.deadline.lock().expect("never poisoned") = Duration::from_secs(15);
        let mut process = Process::spawn(program, args, &env);
        platform.pid.set(process.pid()).expect("set once");
        let mut server = JoinSet::new();
        server.spawn(serve(listener, platform.clone()));

        let mut polls = platform.polls.subscribe();
        tokio::select! {
            polled = polls.wait_for(|count| *count > 0) => drop(polled),
            status = process.wait() => {
                panic!("init failed with {status}:\n{}", process.output())
            }
        }
        Self { process, port: address.port(), platform, invocations: 0, _server: server }
    }

    /// How long the next invocations may take, as told to the function.
    pub(crate) fn timeout(&self, limit: Duration) {
        *self.platform.deadline.lock().expect("never poisoned") = limit;
    }

    /// Wakes the sandbox with an event.
    pub(crate) fn invoke(&mut self, event: &Value) -> Invocation {
        let event = event.to_string();
        assert!(event.len() <= PAYLOAD_LIMIT, "the front door refuses this with 413");
        self.invocations += 1;
        let id = format!("00000000-0000-4000-8000-{:012}", self.invocations);
        let (sender, parts) = mpsc::unbounded_channel();
        let platform = &self.platform;
        platform.running.lock().expect("never poisoned").insert(id.clone(), sender);
        platform
            .waiting
            .lock()
            .expect("never poisoned")
            .push_back((id.clone(), event.into()));
        thaw(self.process.pid());
        platform.arrived.notify_one();
        Invocation { id, platform: platform.clone(), parts, head: None, over: None }
    }

    /// A request through a Function URL or an HTTP API, to its end.
    pub(crate) async fn call(&mut self, call: &Call) -> Answer {
        self.invoke(&event(call)).answer().await
    }
}

/// One request on its way through the sandbox. Dropping it is a client that goes away: the
/// platform reads on, the function never hears of it.
pub(crate) struct Invocation {
    id: String,
    platform: Arc<Platform>,
    parts: mpsc::UnboundedReceiver<Part>,
    head: Option<Head>,
    over: Option<Result<(), Failure>>,
}

impl Invocation {
    /// The prelude of the answer.
    pub(crate) async fn head(&mut self) -> Result<Head, Failure> {
        loop {
            if let Some(head) = &self.head {
                return Ok(head.clone());
            }
            match self.part().await {
                Part::Head(head) => self.head = Some(head),
                Part::Chunk(_) => panic!("a chunk before the prelude"),
                Part::Over(outcome) => {
                    return Err(outcome.expect_err("ended with no head"));
                }
            }
        }
    }

    /// The next chunk of the payload as the function wrote it; `None` once the platform has
    /// heard that the function is done. The process is frozen then.
    pub(crate) async fn chunk(&mut self) -> Option<Bytes> {
        self.head().await.expect("an answer");
        match self.part().await {
            Part::Chunk(bytes) => Some(bytes),
            Part::Over(_) => None,
            Part::Head(_) => panic!("a second prelude"),
        }
    }

    /// Whether the platform has heard by now that the function is done.
    pub(crate) fn is_over(&self) -> bool {
        !self.platform.running.lock().expect("never poisoned").contains_key(&self.id)
    }

    /// How the invocation ended.
    pub(crate) async fn outcome(mut self) -> Result<(), Failure> {
        while self.over.is_none() {
            self.part().await;
        }
        self.over.expect("just checked")
    }

    /// The whole answer; a failure of the invocation fails the test.
    pub(crate) async fn answer(mut self) -> Answer {
        let head = self.head().await.expect("an answer");
        let mut body = Vec::new();
        while let Some(chunk) = self.chunk().await {
            body.extend(chunk);
        }
        self.over.expect("the last part").expect("a proper end");
        Answer { head, body: body.into() }
    }

    async fn part(&mut self) -> Part {
        let part = tokio::time::timeout(PATIENCE, self.parts.recv()).await;
        let part =
            part.expect("the function goes on").unwrap_or(Part::Over(Err(Failure::Exit)));
        if let Part::Over(outcome) = &part {
            self.over = Some(outcome.clone());
        }
        part
    }
}

async fn serve(listener: TcpListener, platform: Arc<Platform>) {
    let mut connections = JoinSet::new();
    while let Ok((socket, _)) = listener.accept().await {
        connections.spawn(connection(socket, platform.clone()));
    }
}

async fn connection(socket: TcpStream, platform: Arc<Platform>) {
    socket.set_nodelay(true).expect("a TCP socket");
    let service = service_fn(|request| answer(request, platform.clone()));
    http1::Builder::new().serve_connection(TokioIo::new(socket), service).await.ok();
    // The runtime has one connection: without it no answer can come any more.
    for (_, parts) in platform.running.lock().expect("never poisoned").drain() {
        parts.send(Part::Over(Err(Failure::Exit))).ok();
    }
}

async fn answer(request: Request<Incoming>, platform: Arc<Platform>) -> Served {
    let path = request.uri().path().to_owned();
    let invocation = path.strip_prefix("/2018-06-01/runtime/invocation/");
    Ok(match (request.method().as_str(), invocation.and_then(|it| it.split_once('/'))) {
        ("GET", None) if invocation == Some("next") => next(&platform).await,
        ("POST", Some((id, "response"))) => response(id, request, &platform).await,
        ("POST", Some((id, "error"))) => {
            let body = collect(request).await;
            let text = String::from_utf8_lossy(&body).into_owned();
            platform.over(id, Err(Failure::Handler(text)))
        }
        _ => reply(404, "{}"),
    })
}

/// Hands out the next event. A sandbox without one is frozen while it waits.
async fn next(platform: &Platform) -> Response<Full<Bytes>> {
    platform.polls.send_modify(|count| *count += 1);
    loop {
        let arrived = platform.arrived.notified();
        // The lock is held while freezing, so that an invocation cannot come in between
        // and find its sandbox frozen after it thawed it.
        let taken = {
            let mut waiting = platform.waiting.lock().expect("never poisoned");
            let taken = waiting.pop_front();
            if taken.is_none() {
                freeze(*platform.pid.get().expect("known before it can ask"));
            }
            taken
        };
        let Some((id, event)) = taken else {
            arrived.await;
            continue;
        };
        let limit = *platform.deadline.lock().expect("never poisoned");
        let deadline = (SystemTime::now() + limit)
            .duration_since(SystemTime::UNIX_EPOCH)
            .expect("after 1970")
            .as_millis();
        return Response::builder()
            .header("Content-Type", "application/json")
            .header("Lambda-Runtime-Aws-Request-Id", &id)
            .header("Lambda-Runtime-Deadline-Ms", deadline.to_string())
            .header(
                "Lambda-Runtime-Invoked-Function-Arn",
                "arn:aws:lambda:us-east-1:123456789012:function:lectern",
            )
            .header("Lambda-Runtime-Trace-Id", "Root=1-69200000-0123456789abcdef01234567")
            .body(Full::new(event))
            .expect("a proper answer");
    }
}

/// Reads an answer, buffered or streamed, as it comes.
async fn response(
    id: &str,
    request: Request<Incoming>,
    platform: &Platform,
) -> Response<Full<Bytes>> {
    let parts = platform.running.lock().expect("never poisoned").get(id).cloned();
    let Some(parts) = parts else { return reply(400, "{}") };
    let mode = request.headers().get("lambda-runtime-function-response-mode");
    let outcome = if mode.is_some_and(|mode| mode == "streaming") {
        streamed(request, &parts).await
    } else {
        let body = collect(request).await;
        if body.len() > PAYLOAD_LIMIT {
            return reply(413, "{}");
        }
        buffered(&body, &parts)
    };
    platform.over(id, outcome)
}

impl Platform {
    /// The platform has heard that the function is done with `id`, and freezes it.
    fn over(&self, id: &str, outcome: Result<(), Failure>) -> Response<Full<Bytes>> {
        let Some(parts) = self.running.lock().expect("never poisoned").remove(id) else {
            return reply(400, "{}");
        };
        let waiting = self.waiting.lock().expect("never poisoned");
        if waiting.is_empty() {
            freeze(*self.pid.get().expect("known before it can answer"));
        }
        drop(waiting);
        parts.send(Part::Over(outcome)).ok();
        reply(202, r#"{"status":"OK"}"#)
    }
}

async fn streamed(
    request: Request<Incoming>,
    parts: &mpsc::UnboundedSender<Part>,
) -> Result<(), Failure> {
    let content_type = request.headers().get("content-type");
    let proper = "application/vnd.awslambda.http-integration-response";
    if content_type.is_none_or(|it| it != proper) {
        return Err(Failure::Protocol("the content type of a stream".to_owned()));
    }
    let mut stream = request.into_body();
    let mut prelude = Some(Vec::new());
    let mut whole = Vec::new();
    let mut outcome = Ok(());
    while let Some(frame) = stream.frame().await {
        let frame = frame.map_err(|_| Failure::Exit)?;
        if let Some(trailers) = frame.trailers_ref() {
            if trailers.contains_key("lambda-runtime-function-error-type") {
                outcome = Err(Failure::Leak);
            }
            continue;
        }
        let mut chunk = frame.into_data().unwrap_or_default();
        if let Some(bytes) = &mut prelude {
            bytes.extend_from_slice(&chunk);
            let Some(at) = bytes.windows(8).position(|window| window == SEPARATOR) else {
                continue;
            };
            parts.send(Part::Head(head(&bytes[..at])?)).ok();
            chunk = Bytes::copy_from_slice(&bytes[at + 8..]);
            prelude = None;
        }
        if !chunk.is_empty() {
            whole.extend_from_slice(&chunk);
            parts.send(Part::Chunk(chunk)).ok();
        }
    }
    if prelude.is_some() {
        return Err(Failure::Protocol("a stream without a prelude".to_owned()));
    }
    let leak = b"Lambda-Runtime-Function-Error";
    if whole.windows(leak.len()).any(|window| window == leak) {
        outcome = Err(Failure::Leak);
    }
    outcome
}

fn buffered(body: &[u8], parts: &mpsc::UnboundedSender<Part>) -> Result<(), Failure> {
    use base64::{Engine, prelude::BASE64_STANDARD};
    let answer: Value = serde_json::from_slice(body)
        .map_err(|_| Failure::Protocol("a buffered answer is JSON".to_owned()))?;
    parts.send(Part::Head(head(body)?)).ok();
    let text = answer["body"].as_str().unwrap_or_default();
    let payload = if answer["isBase64Encoded"] == true {
        BASE64_STANDARD
            .decode(text)
            .map_err(|_| Failure::Protocol("base64 that is none".to_owned()))?
    } else {
        text.as_bytes().to_vec()
    };
    parts.send(Part::Chunk(payload.into())).ok();
    Ok(())
}

/// Status and headers, from a prelude or a buffered answer of either version.
fn head(json: &[u8]) -> Result<Head, Failure> {
    let wrong = |what: &str| Failure::Protocol(what.to_owned());
    let prelude: Value =
        serde_json::from_slice(json).map_err(|_| wrong("a prelude is JSON"))?;
    let status = prelude["statusCode"].as_u64().ok_or_else(|| wrong("no status"))?;
    let mut headers = BTreeMap::new();
    for (name, value) in prelude["headers"].as_object().into_iter().flatten() {
        // The runtime spells a repeated header as an array, which AWS may not accept.
        let value = value.as_str().ok_or_else(|| wrong("a header came twice"))?;
        headers.insert(name.to_lowercase(), value.to_owned());
    }
    for (name, values) in prelude["multiValueHeaders"].as_object().into_iter().flatten() {
        let value = values[0].as_str().ok_or_else(|| wrong("a header without value"))?;
        headers.insert(name.to_lowercase(), value.to_owned());
    }
    Ok(Head { status: status as u16, headers })
}

async fn collect(request: Request<Incoming>) -> Bytes {
    request.into_body().collect().await.map(Collected::to_bytes).unwrap_or_default()
}

fn reply(status: u16, body: &'static str) -> Response<Full<Bytes>> {
    let answer =
        Response::builder().status(status).header("content-type", "application/json");
    answer.body(Full::new(Bytes::from_static(body.as_bytes()))).expect("a proper answer")
}
