//! One request, and the answer to it, whichever door they go through.

use std::{collections::BTreeMap, convert::Infallible, net::SocketAddr};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Request, Response, body::Incoming, client::conn::http1};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::{net::TcpStream, task::JoinSet};

use super::binaries::PATIENCE;

/// What a client sends.
#[derive(Clone)]
pub(crate) struct Call {
    /// `GET`, `POST` …
    pub(crate) method: String,
    /// The path, with its query.
    pub(crate) path: String,
    /// Lower-case names.
    pub(crate) headers: Vec<(String, String)>,
    /// The bytes of the body.
    pub(crate) body: Bytes,
}

impl Call {
    /// A request without a body.
    pub(crate) fn new(method: &str, path: &str) -> Self {
        let (method, path) = (method.to_owned(), path.to_owned());
        Self { method, path, headers: Vec::new(), body: Bytes::new() }
    }

    /// `GET path`.
    pub(crate) fn get(path: &str) -> Self {
        Self::new("GET", path)
    }

    /// `POST path` with a JSON body.
    pub(crate) fn post(path: &str, body: &Value) -> Self {
        Self::new("POST", path)
            .header("content-type", "application/json")
            .bytes(body.to_string())
    }

    /// With one more header.
    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// With this body.
    pub(crate) fn bytes(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }
}

/// The first part of an answer.
#[derive(Clone, Debug)]
pub(crate) struct Head {
    /// The status code.
    pub(crate) status: u16,
    /// Lower-case names; a header that comes twice is a failure of the test.
    pub(crate) headers: BTreeMap<String, String>,
}

/// A whole answer.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    /// Status and headers.
    pub(crate) head: Head,
    /// The bytes of the body.
    pub(crate) body: Bytes,
}

impl Answer {
    /// The status code.
    pub(crate) fn status(&self) -> u16 {
        self.head.status
    }

    /// A header, or nothing.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.head.headers.get(name).map_or("", String::as_str)
    }

    /// The body as text.
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("the answer is UTF-8")
    }

    /// The body as JSON.
    pub(crate) fn json(&self) -> Value {
        let text = self.text();
        serde_json::from_str(text).unwrap_or_else(|_| panic!("this is no JSON: {text}"))
    }

    /// Fails unless this is a problem as in RFC 9457, with our request id on both places.
    #[track_caller]
    pub(crate) fn assert_problem(&self, status: u16, code: &str) {
        assert_eq!(self.status(), status, "{}", self.text());
        assert_eq!(self.header("content-type"), "application/problem+json");
        let body = self.json();
        assert_eq!(body["status"], status);
        assert_eq!(body["code"], code);
        assert_eq!(body["request_id"], self.header("x-request-id"));
        assert_ne!(self.header("x-request-id"), "");
    }
}

/// Cuts server-sent events out of chunks, wherever those begin and end.
#[derive(Default)]
pub(crate) struct Events(String);

impl Events {
    /// The JSON of each event that this chunk completes. Comments are left out.
    pub(crate) fn push(&mut self, chunk: &[u8]) -> Vec<Value> {
        self.0 += std::str::from_utf8(chunk).expect("no chunk cuts a character");
        let mut found = Vec::new();
        while let Some((event, rest)) = self.0.split_once("\n\n") {
            let data = event.lines().find_map(|line| line.strip_prefix("data: "));
            if let Some(data) = data {
                found.push(serde_json::from_str(data).expect("events are JSON"));
            }
            self.0 = rest.to_owned();
        }
        found
    }
}

/// A kept-alive HTTP/1.1 connection to one process.
pub(crate) struct Connection {
    sender: http1::SendRequest<Full<Bytes>>,
    address: SocketAddr,
    /// Our end's port, to find the other end among a process's sockets.
    pub(crate) port: u16,
    driver: JoinSet<()>,
}

impl Connection {
    /// Connects.
    pub(crate) async fn open(address: SocketAddr) -> Self {
        let socket = TcpStream::connect(address).await.expect("the process listens");
        let port = socket.local_addr().expect("connected").port();
        let (sender, connection) =
            http1::handshake(TokioIo::new(socket)).await.expect("no bytes sent yet");
        let mut driver = JoinSet::new();
        driver.spawn(async move {
            // A connection that breaks shows in the answer that it breaks.
            connection.await.ok();
        });
        Self { sender, address, port, driver }
    }

    /// Sends one request; the answer's body comes as the process writes it.
    pub(crate) async fn send(&mut self, call: &Call) -> Result<Stream, hyper::Error> {
        let mut request =
            Request::builder().method(call.method.as_str()).uri(call.path.as_str());
        if !call.headers.iter().any(|(name, _)| name == "host") {
            request = request.header("host", self.address.to_string());
        }
        for (name, value) in &call.headers {
            request = request.header(name, value);
        }
        let request = request.body(Full::new(call.body.clone())).expect("a proper call");
        let send = async {
            self.sender.ready().await?;
            self.sender.send_request(request).await
        };
        let answer = tokio::time::timeout(PATIENCE, send).await;
        answer.expect("the process answers").map(Stream::new)
    }

    /// Closes the socket, whatever is still to come on it.
    pub(crate) async fn hang_up(mut self) {
        self.driver.shutdown().await;
    }
}

/// An answer that is still coming.
pub(crate) struct Stream {
    /// Status and headers.
    pub(crate) head: Head,
    body: Incoming,
}

impl Stream {
    fn new(answer: Response<Incoming>) -> Self {
        let mut headers = BTreeMap::new();
        for (name, value) in answer.headers() {
            let value = value.to_str().expect("headers are text").to_owned();
            let twice = headers.insert(name.as_str().to_owned(), value);
            assert!(twice.is_none() || name == "set-cookie", "{name} came twice");
        }
        Self {
            head: Head { status: answer.status().as_u16(), headers },
            body: answer.into_body(),
        }
    }

    /// The next chunk as it was written; `None` at the proper end, an error when the
    /// connection broke.
    pub(crate) async fn chunk(&mut self) -> Option<Result<Bytes, hyper::Error>> {
        let frame = tokio::time::timeout(PATIENCE, self.body.frame()).await;
        let frame = frame.expect("the process goes on writing")?;
        Some(frame.map(|frame| frame.into_data().unwrap_or_default()))
    }

    /// The whole answer; it must end properly.
    pub(crate) async fn answer(mut self) -> Answer {
        let mut body = Vec::new();
        while let Some(chunk) = self.chunk().await {
            body.extend(chunk.expect("the answer ends properly"));
        }
        Answer { head: self.head, body: body.into() }
    }
}

/// For servers of our own: an answer that cannot fail.
pub(crate) type Served = Result<Response<Full<Bytes>>, Infallible>;
