//! A model on loopback, on OpenAI's wire and on Gemini's, that does what a test tells it.
//!
//! It has threads of its own, so that it works beside any runtime, and in none.

use std::{
    collections::{HashMap, VecDeque},
    io::{self, BufRead, BufReader, ErrorKind, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
        mpsc::{self, Receiver, RecvTimeoutError, Sender},
    },
    thread,
    time::Duration,
};

use serde_json::{Value, json};

/// What it counts for every reply: tokens of the prompt and of the answer.
pub(crate) const USAGE: (u32, u32) = (812, 143);

/// The request id in the head of every reply.
pub(crate) const REQUEST_ID: &str = "req_fake-1";

/// How often a waiting thread looks whether the peer is still there.
const LOOK: Duration = Duration::from_millis(2);

/// One thing that the model does.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    /// Writes one token.
    Text(String),
    /// Writes one event as it stands.
    Event(String),
    /// Writes the reason why it finished, `stop`.
    Finish,
    /// Is silent until the peer hangs up.
    Stall,
    /// Closes the connection in the middle of the reply.
    Drop,
}

/// What one request gets.
pub(crate) enum Reply {
    /// These steps, then the regular end with the count.
    Whole(Vec<Step>),
    /// These steps, then the end of the body without any end mark.
    Cut(Vec<Step>),
    /// Each step when the test sends it; the regular end when the test drops the sender.
    Stepped(Receiver<Step>),
    /// A status, headers and a body.
    Status(u16, Vec<(&'static str, String)>, String),
    /// The connection closes before there is an answer.
    HangUp,
}

impl Reply {
    /// A whole answer, a token a piece.
    pub(crate) fn says(tokens: &[&str]) -> Self {
        Self::Whole(texts(tokens))
    }

    /// A refusal without headers.
    pub(crate) fn status(status: u16, body: &Value) -> Self {
        Self::Status(status, Vec::new(), body.to_string())
    }
}

/// Lets a stepped reply go on by one token.
pub(crate) fn say(steps: &Sender<Step>, text: &str) {
    steps.send(Step::Text(text.to_owned())).expect("the model is asked");
}

/// Tokens as steps.
pub(crate) fn texts(tokens: &[&str]) -> Vec<Step> {
    tokens.iter().map(|token| Step::Text((*token).to_owned())).collect()
}

/// What was asked.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    /// Method and target, `POST /v1/chat/completions`.
    pub(crate) line: String,
    /// By lower-case name.
    pub(crate) headers: HashMap<String, String>,
    /// The peer's port: the same for all requests of one connection.
    pub(crate) port: u16,
    /// `null` when there was none.
    pub(crate) body: Value,
}

#[derive(Default)]
struct Shared {
    replies: Mutex<VecDeque<Reply>>,
    requests: Mutex<Vec<Request>>,
    hung_up: AtomicUsize,
    cut: AtomicUsize,
    silent: AtomicBool,
    stopped: AtomicBool,
}

/// The server; it stops when it is dropped.
pub(crate) struct Fake {
    address: SocketAddr,
    shared: Arc<Shared>,
}

impl Fake {
    /// Listens on a free port. A request for which no reply waits is told `Fine.`
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let shared = Arc::new(Shared::default());
        let for_thread = Arc::clone(&shared);
        thread::spawn(move || {
            for connection in listener.incoming().map_while(Result::ok) {
                if for_thread.stopped.load(Ordering::SeqCst) {
                    break;
                }
                let shared = Arc::clone(&for_thread);
                thread::spawn(move || Connection::new(connection, shared)?.serve());
            }
        });
        Self { address, shared }
    }

    /// Without a path: Gemini's `LLM_BASE_URL`.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// `LLM_BASE_URL` for OpenAI's wire.
    pub(crate) fn openai_url(&self) -> String {
        format!("{}/v1", self.url())
    }

    /// Queues the reply for one request.
    pub(crate) fn reply(&self, reply: Reply) {
        self.shared.replies.lock().expect("no panic").push_back(reply);
    }

    /// Queues a reply whose every step the test releases.
    pub(crate) fn stepped(&self) -> Sender<Step> {
        let (steps, receiver) = mpsc::channel();
        self.reply(Reply::Stepped(receiver));
        steps
    }

    /// Cuts every event into HTTP chunks of so many bytes; 0 cuts nothing.
    pub(crate) fn cut(&self, bytes: usize) {
        self.shared.cut.store(bytes, Ordering::SeqCst);
    }

    /// Counts no tokens from now on.
    pub(crate) fn silence(&self) {
        self.shared.silent.store(true, Ordering::SeqCst);
    }

    /// Everything that was asked so far.
    pub(crate) fn requests(&self) -> Vec<Request> {
        self.shared.requests.lock().expect("no panic").clone()
    }

    /// Waits until a peer has hung up in the middle of a reply.
    pub(crate) async fn hung_up(&self) {
        let waiting = async {
            while self.shared.hung_up.load(Ordering::SeqCst) == 0 {
                tokio::time::sleep(LOOK).await;
            }
        };
        let patience = Duration::from_secs(30);
        tokio::time::timeout(patience, waiting).await.expect("the peer hangs up");
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::SeqCst);
        // Wakes the thread that waits for connections.
        TcpStream::connect(self.address).ok();
    }
}

/// The two ways to write an event.
#[derive(Clone, Copy)]
enum Wire {
    OpenAi,
    Gemini,
}

impl Wire {
    fn text(self, text: &str) -> String {
        match self {
            Self::OpenAi => {
                json!({ "id": "c1", "object": "chat.completion.chunk", "created": 1_734_084_000,
                    "model": "fake", "choices": [{ "index": 0, "delta": { "content": text },
                    "logprobs": null, "finish_reason": null }] })
            }
            Self::Gemini => {
                json!({ "candidates": [{ "content": { "role": "model",
                    "parts": [{ "text": text }] } }], "modelVersion": "fake" })
            }
        }
        .to_string()
    }

    fn finish(self) -> String {
        match self {
            Self::OpenAi => {
                json!({ "id": "c1", "object": "chat.completion.chunk", "created": 1_734_084_000,
                    "model": "fake", "choices": [{ "index": 0, "delta": {},
                    "logprobs": null, "finish_reason": "stop" }] })
            }
            Self::Gemini => json!({ "candidates": [{ "finishReason": "STOP" }] }),
        }
        .to_string()
    }

    /// The regular end, with or without the count.
    fn end(self, counts: bool) -> Vec<String> {
        let (input, output) = USAGE;
        match self {
            Self::OpenAi => {
                let count = json!({ "id": "c1", "object": "chat.completion.chunk",
                    "created": 1_734_084_000, "model": "fake", "choices": [],
                    "usage": { "prompt_tokens": input, "completion_tokens": output,
                        "total_tokens": input + output } });
                let count = counts.then(|| count.to_string());
                let end = "[DONE]".to_owned();
                [Some(self.finish()), count, Some(end)].into_iter().flatten().collect()
            }
            Self::Gemini if counts => {
                vec![
                    json!({ "candidates": [{ "finishReason": "STOP" }], "usageMetadata": {
                        "promptTokenCount": input, "candidatesTokenCount": output,
                        "totalTokenCount": input + output } })
                    .to_string(),
                ]
            }
            Self::Gemini => vec![self.finish()],
        }
    }
}

/// Why a connection ends.
enum Over {
    /// We were told to break it.
    Dropped,
    /// The peer is gone.
    HungUp,
}

impl From<io::Error> for Over {
    fn from(_: io::Error) -> Self {
        Self::HungUp
    }
}

struct Connection {
    stream: TcpStream,
    reader: BufReader<TcpStream>,
    shared: Arc<Shared>,
}

impl Connection {
    fn new(stream: TcpStream, shared: Arc<Shared>) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        let reader = BufReader::new(stream.try_clone()?);
        Ok(Self { stream, reader, shared })
    }

    /// Answers one request after the other until somebody hangs up.
    fn serve(mut self) -> io::Result<()> {
        while let Some(request) = self.request()? {
            let line = request.line.clone();
            let asked_to_count = request.body["stream_options"]["include_usage"] == true;
            self.shared.requests.lock().expect("no panic").push(request);
            let over = if line.starts_with("GET ") && line.contains("/models") {
                self.models()
            } else if line.contains("/chat/completions") {
                self.answer(Wire::OpenAi, asked_to_count)
            } else if line.contains(":streamGenerateContent?alt=sse") {
                self.answer(Wire::Gemini, true)
            } else {
                self.plain(404, &[], "{}")
            };
            match over {
                Ok(()) => {}
                Err(Over::Dropped) => break,
                Err(Over::HungUp) => {
                    self.shared.hung_up.fetch_add(1, Ordering::SeqCst);
                    break;
                }
            }
        }
        Ok(())
    }

    fn request(&mut self) -> io::Result<Option<Request>> {
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            if self.reader.read_line(&mut line)? == 0 {
                return Ok(None);
            }
            if line.trim().is_empty() {
                break;
            }
            lines.push(line);
        }
        let headers: HashMap<_, _> = lines
            .iter()
            .skip(1)
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
            .collect();
        let length = headers.get("content-length").and_then(|it| it.parse().ok());
        let mut body = vec![0; length.unwrap_or(0)];
        self.reader.read_exact(&mut body)?;
        Ok(Some(Request {
            line: lines[0].trim_end().trim_end_matches(" HTTP/1.1").to_owned(),
            headers,
            port: self.stream.peer_addr()?.port(),
            body: serde_json::from_slice(&body).unwrap_or_default(),
        }))
    }

    fn models(&mut self) -> Result<(), Over> {
        let mut replies = self.shared.replies.lock().expect("no panic");
        let refusal = replies.pop_front_if(|it| matches!(it, Reply::Status(..)));
        drop(replies);
        match refusal {
            Some(Reply::Status(status, headers, body)) => {
                self.plain(status, &headers, &body)
            }
            _ => self.plain(200, &[], r#"{"object":"list","data":[{"id":"fake"}]}"#),
        }
    }

    fn answer(&mut self, wire: Wire, counts: bool) -> Result<(), Over> {
        let reply = self.shared.replies.lock().expect("no panic").pop_front();
        match reply.unwrap_or_else(|| Reply::says(&["Fine."])) {
            Reply::HangUp => return Err(Over::Dropped),
            Reply::Status(status, headers, body) => {
                return self.plain(status, &headers, &body);
            }
            Reply::Whole(steps) => {
                self.head()?;
                self.steps(wire, steps)?;
                self.end(wire, counts)?;
            }
            Reply::Cut(steps) => {
                self.head()?;
                self.steps(wire, steps)?;
            }
            Reply::Stepped(receiver) => {
                self.head()?;
                loop {
                    match receiver.recv_timeout(LOOK) {
                        Ok(step) => self.steps(wire, [step])?,
                        Err(RecvTimeoutError::Timeout) => self.look()?,
                        Err(RecvTimeoutError::Disconnected) => break,
                    }
                }
                self.end(wire, counts)?;
            }
        }
        Ok(self.stream.write_all(b"0\r\n\r\n")?)
    }

    fn steps(
        &mut self,
        wire: Wire,
        steps: impl IntoIterator<Item = Step>,
    ) -> Result<(), Over> {
        for step in steps {
            match step {
                Step::Text(text) => self.event(&wire.text(&text))?,
                Step::Event(event) => self.event(&event)?,
                Step::Finish => self.event(&wire.finish())?,
                Step::Stall => loop {
                    self.look()?;
                },
                Step::Drop => return Err(Over::Dropped),
            }
        }
        Ok(())
    }

    fn end(&mut self, wire: Wire, asked_to_count: bool) -> Result<(), Over> {
        let counts = asked_to_count && !self.shared.silent.load(Ordering::SeqCst);
        wire.end(counts).iter().try_for_each(|event| self.event(event))
    }

    fn head(&mut self) -> Result<(), Over> {
        Ok(self.stream.write_all(
            format!(
                "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\
                 transfer-encoding: chunked\r\nx-request-id: {REQUEST_ID}\r\n\r\n"
            )
            .as_bytes(),
        )?)
    }

    fn event(&mut self, event: &str) -> Result<(), Over> {
        let event = format!("data: {event}\n\n");
        let size = match self.shared.cut.load(Ordering::SeqCst) {
            0 => event.len(),
            size => size,
        };
        for piece in event.as_bytes().chunks(size) {
            let mut chunk = format!("{:x}\r\n", piece.len()).into_bytes();
            chunk.extend_from_slice(piece);
            chunk.extend_from_slice(b"\r\n");
            self.stream.write_all(&chunk)?;
        }
        Ok(())
    }

    fn plain(
        &mut self,
        status: u16,
        headers: &[(&str, String)],
        body: &str,
    ) -> Result<(), Over> {
        let mut answer = format!(
            "HTTP/1.1 {status} Told\r\ncontent-type: application/json\r\n\
             x-request-id: {REQUEST_ID}\r\ncontent-length: {}\r\n",
            body.len()
        );
        for (name, value) in headers {
            answer.extend([name, ": ", value, "\r\n"]);
        }
        answer.extend(["\r\n", body]);
        Ok(self.stream.write_all(answer.as_bytes())?)
    }

    /// Waits a moment; fails when the peer has hung up, or the fake was dropped.
    fn look(&mut self) -> Result<(), Over> {
        if self.shared.stopped.load(Ordering::SeqCst) {
            return Err(Over::Dropped);
        }
        self.stream.set_read_timeout(Some(LOOK))?;
        let peeked = self.stream.peek(&mut [0]);
        self.stream.set_read_timeout(None)?;
        match peeked {
            Ok(0) => Err(Over::HungUp),
            Err(err)
                if ![ErrorKind::WouldBlock, ErrorKind::TimedOut]
                    .contains(&err.kind()) =>
            {
                Err(Over::HungUp)
            }
            _ => Ok(()),
        }
    }
}
