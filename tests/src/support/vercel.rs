//! Vercel on this machine: the IPC socket, one instance, requests over kept-alive
//! connections. The instance runs many requests at once.

use std::{net::SocketAddr, path::Path};

use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    net::{UnixListener, UnixStream},
    sync::watch,
    task::JoinSet,
};

use super::{
    binaries::{PATIENCE, Process, binary, free_port},
    client::{Answer, Call, Connection, Head, Stream},
};

/// The platform answers larger bodies itself.
const BODY_LIMIT: usize = 4_500_000;

/// One instance of a function.
pub(crate) struct Instance {
    /// The function's process.
    pub(crate) process: Process,
    /// Where it listens.
    pub(crate) address: SocketAddr,
    frames: watch::Receiver<Vec<Value>>,
    requests: u64,
    reader: JoinSet<()>,
    _folder: tempfile::TempDir,
}

impl Instance {
    /// Starts a function with these settings; it listens on return.
    pub(crate) async fn start(name: &str, settings: &[(&str, &str)]) -> Self {
        Self::run(&binary(name), &[], settings).await
    }

    /// The same for any program.
    pub(crate) async fn run(
        program: &Path,
        args: &[&str],
        settings: &[(&str, &str)],
    ) -> Self {
        let folder = tempfile::tempdir().expect("a folder for the socket");
        let path = folder.path().join("ipc");
        let listener = UnixListener::bind(&path).expect("a path under 108 bytes");
        let port = free_port();
        let (port_text, path) = (port.to_string(), path.to_string_lossy().into_owned());
        let mut env = vec![
            ("VERCEL", "1"),
            ("VERCEL_ENV", "production"),
            ("VERCEL_REGION", "iad1"),
            ("AWS_REGION", "us-east-1"),
            ("TZ", ":UTC"),
            ("VERCEL_IPC_PATH", path.as_str()),
            ("VERCEL_DEV_PORT", port_text.as_str()),
        ];
        env.extend(settings);
        let env: Vec<_> =
            env.into_iter().map(|(k, v)| (k.to_owned(), v.to_owned())).collect();
        let mut process = Process::spawn(program, args, &env);

        let (sender, mut frames) = watch::channel(Vec::new());
        let mut reader = JoinSet::new();
        reader.spawn(async move {
            if let Ok((socket, _)) = listener.accept().await {
                read(socket, sender).await;
            }
        });
        let started = frames.wait_for(|frames| {
            frames.iter().any(|frame| frame["type"] == "server-started")
        });
        let status = tokio::select! {
            started = started => started.is_err().then_some(None),
            status = process.wait() => Some(Some(status)),
        };
        if let Some(status) = status {
            panic!("it did not start ({status:?}):\n{}", process.output());
        }
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        Self { process, address, frames, requests: 100, reader, _folder: folder }
    }

    /// A connection such as the platform keeps alive.
    pub(crate) async fn connect(&self) -> Connection {
        Connection::open(self.address).await
    }

    /// Sends a request as the platform does, and returns its id as well.
    pub(crate) async fn send(
        &mut self,
        connection: &mut Connection,
        call: &Call,
    ) -> (u64, Result<Stream, hyper::Error>) {
        self.requests += 1;
        let id = self.requests;
        let call = call
            .clone()
            .header("host", "lectern.vercel.app")
            .header("x-forwarded-for", "203.0.113.7")
            .header("x-forwarded-proto", "https")
            .header("x-real-ip", "203.0.113.7")
            .header("x-vercel-id", "iad1::test")
            .header("x-vercel-internal-invocation-id", &format!("inv-{id}"))
            .header("x-vercel-internal-request-id", &id.to_string());
        (id, connection.send(&call).await)
    }

    /// A request to its end: the answer was read, and the platform has heard that it is
    /// done.
    pub(crate) async fn call(&mut self, call: &Call) -> Answer {
        if call.body.len() > BODY_LIMIT {
            let head = Head { status: 413, headers: [].into() };
            return Answer { head, body: "FUNCTION_PAYLOAD_TOO_LARGE".into() };
        }
        let mut connection = self.connect().await;
        let (id, stream) = self.send(&mut connection, call).await;
        let answer = stream.expect("an answer").answer().await;
        self.ended(id).await;
        answer
    }

    /// Waits for the request's `end`.
    pub(crate) async fn ended(&mut self, id: u64) {
        let end = self.frames.wait_for(|frames| count(frames, id) > 0);
        tokio::time::timeout(PATIENCE, end)
            .await
            .expect("every request gets its end")
            .expect("the instance lives");
    }

    /// How often the platform has heard so far that the request is done. Frames keep their
    /// order, so everything sent before this was asked is counted: a request of our own,
    /// made now, has brought its `end` behind them.
    pub(crate) async fn ends(&mut self, id: u64) -> usize {
        let mut connection = self.connect().await;
        let (own, stream) = self.send(&mut connection, &Call::get("/nowhere")).await;
        stream.expect("an answer").answer().await;
        self.ended(own).await;
        count(&self.frames.borrow(), id)
    }

    /// The texts of all log frames.
    pub(crate) fn logs(&self) -> Vec<String> {
        let frames = self.frames.borrow();
        let logs = frames.iter().filter(|frame| frame["type"] == "log");
        let texts = logs.map(|frame| {
            let message =
                frame["payload"]["message"].as_str().expect("logs have a message");
            let bytes = BASE64_STANDARD.decode(message).expect("in base64");
            String::from_utf8(bytes).expect("of text")
        });
        texts.collect()
    }

    /// All frames so far, also those that came before the process ended.
    pub(crate) async fn frames_to_the_end(&mut self) -> Vec<Value> {
        while self.reader.join_next().await.is_some() {}
        self.frames.borrow().clone()
    }
}

/// How many `end` frames a request has among these.
pub(crate) fn count(frames: &[Value], id: u64) -> usize {
    let ends = frames.iter().filter(|frame| {
        frame["type"] == "end"
            && frame["payload"]["context"]["requestId"] == id
            && frame["payload"]["context"]["invocationId"] == format!("inv-{id}")
    });
    ends.count()
}

/// Frames are JSON objects, each closed by a NUL byte. They must be read at once: the
/// function writes them from its only thread.
async fn read(socket: UnixStream, frames: watch::Sender<Vec<Value>>) {
    let mut socket = BufReader::new(socket);
    let mut frame = Vec::new();
    while let Ok(1..) = socket.read_until(0, &mut frame).await {
        if frame.pop() != Some(0) {
            return;
        }
        let json = serde_json::from_slice(&frame).expect("frames are JSON");
        frames.send_modify(|all| all.push(json));
        frame.clear();
    }
}
