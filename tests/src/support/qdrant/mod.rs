//! A Qdrant in this process: real gRPC on a loopback port, points in memory, scores by a
//! naive oracle, and every fault that a test asks for.

mod store;

use std::{
    net::{SocketAddr, TcpListener},
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use axum::{
    Router,
    body::Body,
    extract::Request,
    routing::{MethodRouter, post},
};
use tonic::{Code, Response, Status, codec::Codec, server::Grpc, server::UnaryService};
use tonic_prost::ProstCodec;

use super::peer::Peer;

pub use self::store::Store;

/// A server on a thread of its own; it stops, connections and all, when dropped.
pub struct Fake {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
    running: Option<Peer>,
}

#[derive(Default)]
struct State {
    store: Store,
    calls: Vec<Call>,
    delay: Duration,
    /// From which call on everything fails, and how.
    failing: Option<(usize, Code, String)>,
}

/// One recorded call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// `/qdrant.Points/QueryBatch`.
    pub path: String,
    /// The `api-key` of its metadata.
    pub api_key: Option<String>,
}

impl Fake {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let mut fake = Self { address, state: Arc::default(), running: None };
        fake.serve(listener);
        fake
    }

    /// Starts again on the same port with the same points.
    pub fn restart(&mut self) {
        self.stop();
        self.serve(TcpListener::bind(self.address).unwrap());
    }

    /// Closes the port and every connection.
    pub fn stop(&mut self) {
        self.running = None;
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The collections, to be filled or looked at by hand.
    pub fn store<T>(&self, with: impl FnOnce(&mut Store) -> T) -> T {
        with(&mut self.lock().store)
    }

    pub fn calls(&self) -> Vec<Call> {
        self.lock().calls.clone()
    }

    /// The last words of the paths called, `["Scroll", "QueryBatch"]`.
    pub fn methods(&self) -> Vec<String> {
        let name = |it: Call| it.path.rsplit('/').next().unwrap_or_default().to_owned();
        self.calls().into_iter().map(name).collect()
    }

    pub fn forget_calls(&self) {
        self.lock().calls.clear();
    }

    /// Every call from now on fails.
    pub fn fail(&self, code: Code, message: &str) {
        self.fail_after(0, code, message);
    }

    /// `calls` more calls succeed, all later ones fail.
    pub fn fail_after(&self, calls: usize, code: Code, message: &str) {
        let mut state = self.lock();
        let from = state.calls.len() + calls;
        state.failing = Some((from, code, message.to_owned()));
    }

    /// Every answer waits so long.
    pub fn delay(&self, delay: Duration) {
        self.lock().delay = delay;
    }

    pub fn recover(&self) {
        let mut state = self.lock();
        state.failing = None;
        state.delay = Duration::ZERO;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    fn serve(&mut self, listener: TcpListener) {
        self.running = Some(Peer::serve(listener, router(&self.state)));
    }
}

fn router(state: &Arc<Mutex<State>>) -> Router {
    let it = || state.clone();
    Router::new()
        .route("/qdrant.Qdrant/HealthCheck", method(it(), Store::health))
        .route("/qdrant.Points/QueryBatch", method(it(), Store::query_batch))
        .route("/qdrant.Points/Query", method(it(), Store::query))
        .route("/qdrant.Points/Scroll", method(it(), Store::scroll))
        .route("/qdrant.Points/Get", method(it(), Store::points))
        .route("/qdrant.Points/Upsert", method(it(), Store::upsert))
        .route("/qdrant.Points/Count", method(it(), Store::count))
        .route("/qdrant.Points/CreateFieldIndex", method(it(), Store::create_index))
        .route("/qdrant.Collections/List", method(it(), Store::list))
        .route("/qdrant.Collections/Get", method(it(), Store::info))
        .route("/qdrant.Collections/Create", method(it(), Store::create))
        .route("/qdrant.Collections/Delete", method(it(), Store::delete))
        .route("/qdrant.Collections/ListAliases", method(it(), Store::list_aliases))
        .route("/qdrant.Collections/UpdateAliases", method(it(), Store::update_aliases))
}

fn method<Q, A>(
    state: Arc<Mutex<State>>,
    answer: fn(&mut Store, Q) -> Result<A, Status>,
) -> MethodRouter
where
    ProstCodec<A, Q>: Codec<Encode = A, Decode = Q>,
    Q: Send + 'static,
    A: Send + 'static,
{
    post(move |request: Request| {
        let path = request.uri().path().to_owned();
        let answering = Answering { state: state.clone(), path, answer };
        async move {
            let mut grpc = Grpc::new(ProstCodec::<A, Q>::default());
            grpc.unary(answering, request).await.map(Body::new)
        }
    })
}

/// One method of the protocol, as tonic wants it.
struct Answering<Q, A> {
    state: Arc<Mutex<State>>,
    path: String,
    answer: fn(&mut Store, Q) -> Result<A, Status>,
}

impl<Q: Send + 'static, A: Send + 'static> UnaryService<Q> for Answering<Q, A> {
    type Response = A;
    type Future =
        Pin<Box<dyn Future<Output = Result<Response<A>, Status>> + Send + 'static>>;

    fn call(&mut self, request: tonic::Request<Q>) -> Self::Future {
        let (state, answer) = (self.state.clone(), self.answer);
        let api_key = request.metadata().get("api-key");
        let api_key = api_key.map(|it| it.to_str().unwrap().to_owned());
        let call = Call { path: self.path.clone(), api_key };
        Box::pin(async move {
            let (delay, fault) = {
                let mut state = state.lock().unwrap();
                let number = state.calls.len();
                state.calls.push(call);
                let fault = state.failing.clone().filter(|(from, ..)| number >= *from);
                (state.delay, fault)
            };
            tokio::time::sleep(delay).await;
            if let Some((_, code, message)) = fault {
                return Err(Status::new(code, message));
            }
            let mut state = state.lock().unwrap();
            answer(&mut state.store, request.into_inner()).map(Response::new)
        })
    }
}
