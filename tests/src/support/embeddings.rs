//! An embeddings endpoint in this process, in `OpenAI`'s format: vectors that say which words
//! a text has, and every fault that a test asks for.

use std::{
    net::{SocketAddr, TcpListener},
    sync::{Arc, Mutex, MutexGuard},
};

use axum::{
    Json, Router,
    extract::State as From,
    http::{HeaderMap, HeaderValue, StatusCode},
    response::{IntoResponse, Response},
    routing::post,
};
use serde_json::{Value, json};

use super::peer::Peer;

/// Numbers per vector.
pub const DIMENSION: usize = 32;

/// A server on a thread of its own; it stops, connections and all, when dropped.
pub struct Fake {
    address: SocketAddr,
    state: Shared,
    running: Option<Peer>,
}

type Shared = Arc<Mutex<State>>;

#[derive(Default)]
struct State {
    calls: Vec<Call>,
    /// Answers to give before the right ones: status, `Retry-After`, body.
    faults: Vec<(u16, Option<&'static str>, Value)>,
}

/// One recorded request.
#[derive(Clone, Debug)]
pub struct Call {
    pub authorization: Option<String>,
    pub model: String,
    pub texts: Vec<String>,
}

impl Fake {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let state = Shared::default();
        let router =
            Router::new().route("/v1/embeddings", post(embed)).with_state(state.clone());
        Self { address, state, running: Some(Peer::serve(listener, router)) }
    }

    /// What `EMBEDDING_BASE_URL` is set to.
    pub fn url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    pub fn calls(&self) -> Vec<Call> {
        self.lock().calls.clone()
    }

    /// The next request is answered so; several pile up and are given in turn.
    pub fn then(&self, status: u16, retry_after: Option<&'static str>, body: Value) {
        self.lock().faults.push((status, retry_after, body));
    }

    /// Closes the port and every connection.
    pub fn stop(&mut self) {
        self.running = None;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }
}

async fn embed(
    From(state): From<Shared>,
    headers: HeaderMap,
    Json(body): Json<Value>,
) -> Response {
    let texts = body["input"].as_array().unwrap().iter();
    let texts: Vec<_> = texts.map(|it| it.as_str().unwrap().to_owned()).collect();
    let authorization = headers.get("authorization");
    let mut state = state.lock().unwrap();
    state.calls.push(Call {
        authorization: authorization.map(|it| it.to_str().unwrap().to_owned()),
        model: body["model"].as_str().unwrap().to_owned(),
        texts: texts.clone(),
    });
    if !state.faults.is_empty() {
        let (status, retry_after, body) = state.faults.remove(0);
        let mut answer =
            (StatusCode::from_u16(status).unwrap(), Json(body)).into_response();
        if let Some(seconds) = retry_after {
            answer.headers_mut().insert("retry-after", HeaderValue::from_static(seconds));
        }
        return answer;
    }
    // Last first: the index says which vector belongs to which text.
    let data: Vec<_> = texts
        .iter()
        .enumerate()
        .rev()
        .map(|(index, text)| json!({ "index": index, "embedding": vector(text) }))
        .collect();
    Json(json!({ "object": "list", "data": data, "model": body["model"] }))
        .into_response()
}

/// A text's words, each counted in one of the numbers; never all zero, and not of length 1.
pub fn vector(text: &str) -> Vec<f32> {
    let mut vector = vec![0.01; DIMENSION];
    for word in text.to_lowercase().split(|it: char| !it.is_alphanumeric()) {
        let sum =
            word.bytes().fold(7_usize, |sum, it| sum * 31 % 65_521 + usize::from(it));
        vector[sum % DIMENSION] += 1.0;
    }
    vector
}
