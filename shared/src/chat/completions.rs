//! OpenAI's door: chat completions and the list of models, for whatever speaks that wire.
//!
//! A call is logged and not kept, unless its `metadata.conversation_id` names a conversation.

use axum::{
    http::HeaderMap,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use futures_util::{StreamExt, stream};
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{
    Ask, Key, Started, ask, start,
    transcript::{self, Content},
};
use crate::{
    App, Error, Result,
    auth::Caller,
    conversations::{Owner, Thread},
    http::{
        Call, Ctx, Route,
        extract::{Json, Keyed, Named},
        sse,
    },
    wire::openai::{self, Chunks},
};

/// `POST /v1/chat/completions` and `GET /v1/models`; also `POST /chat/completions` and
/// `POST /chat/completions/stream`, which always streams.
pub fn route() -> Route {
    Route::new()
        .route("/v1/chat/completions", post(complete))
        .route("/chat/completions", post(complete))
        .route("/chat/completions/stream", post(stream_completion))
        .route("/v1/models", get(models))
        .route("/v1/models/{id}", get(model))
}

/// What we read of a request. Everything else (`temperature`, `tools` …) is ignored: the book
/// answers, and how is its owner's choice.
#[derive(Deserialize)]
struct Body {
    /// Whatever it names, the book answers.
    #[serde(rename = "model")]
    _model: Option<String>,
    messages: Vec<Message>,
    n: Option<i64>,
    response_format: Option<ResponseFormat>,
    stream: Option<bool>,
    stream_options: Option<StreamOptions>,
    metadata: Option<Metadata>,
    user: Option<String>,
}

#[derive(Deserialize)]
struct Message {
    role: String,
    content: Option<Content>,
}

#[derive(Deserialize)]
struct ResponseFormat {
    #[serde(rename = "type")]
    kind: String,
}

#[derive(Deserialize)]
struct StreamOptions {
    include_usage: Option<bool>,
}

#[derive(Deserialize)]
struct Metadata {
    conversation_id: Option<String>,
}

impl Body {
    fn wants_usage(&self) -> bool {
        let options = self.stream_options.as_ref();
        options.and_then(|it| it.include_usage).unwrap_or(false)
    }

    /// What a program would take for kept if it were passed over.
    fn check(&self) -> Result<()> {
        if self.n.is_some_and(|it| it != 1) {
            return Err(Error::invalid("n", "must be 1: there is one answer"));
        }
        if self.response_format.as_ref().is_some_and(|it| it.kind != "text") {
            let allowed = "must be of the type text: the answer is the book's words";
            return Err(Error::invalid("response_format", allowed));
        }
        Ok(())
    }

    /// Applications fill in `user` as they please, so it counts only where the caller may
    /// choose: a trusted server names its reader with it.
    fn into_ask(self, caller: &Caller) -> Result<Ask> {
        self.check()?;
        let user = self.user.filter(|_| *caller == Caller::Service);
        let owner = caller.acts_for(user.as_deref())?;
        let messages = self.messages.into_iter().map(Message::read).collect();
        let (question, history) = transcript::read("messages", messages)?;
        let thread = match self.metadata.and_then(|it| it.conversation_id) {
            Some(_) if *caller == Caller::Service && user.is_none() => {
                let missing = "is missing: say whose conversation it is";
                return Err(Error::invalid("user", missing));
            }
            Some(id) => ask::known(&owner, &id)?,
            None => Thread::LogOnly,
        };
        Ok(Ask { thread, history, ..Ask::new(owner, question) })
    }
}

impl Message {
    fn read(self) -> transcript::Message {
        let Content(parts) = self.content.unwrap_or_default();
        let holds_more = parts.iter().any(|it| it.text.is_none());
        let text = parts.into_iter().filter_map(|it| it.text).collect();
        transcript::Message { role: transcript::role(&self.role), text, holds_more }
    }
}

/// OpenAI's clients send a request again by themselves and say how often they did. A repetition
/// means the answer that is being written, or was a moment ago. One guest cannot be told from
/// another, and is not to be given another's answer.
fn counted(ask: Ask, headers: &HeaderMap) -> Ask {
    if ask.owner == Owner::Guest {
        return ask;
    }
    let times = headers.get("x-stainless-retry-count").and_then(|it| it.to_str().ok());
    let Some(times) = times.and_then(|it| it.parse::<u32>().ok()) else { return ask };
    let conversation = if let Thread::Known(id) = ask.thread { Some(id) } else { None };
    let same = json!([conversation, ask.history, ask.question]).to_string();
    let key = if times == 0 { Key::First } else { Key::Repeated };
    Ask { key: Some(key(Sha256::digest(same).into())), ..ask }
}

/// Starts an answer, in whichever form it will be told.
async fn begin(
    app: &'static App,
    call: &Call,
    caller: &Caller,
    headers: &HeaderMap,
    body: Body,
) -> Result<Started> {
    start(app, call, counted(body.into_ask(caller)?, headers)).await
}

async fn complete(
    app: Ctx,
    call: Call,
    Keyed(caller): Keyed,
    headers: HeaderMap,
    Json(body): Json<Body>,
) -> Result<Response> {
    if body.stream == Some(true) {
        return stream_completion(app, call, Keyed(caller), headers, Json(body)).await;
    }
    let started = begin(&app, &call, &caller, &headers, body).await?;
    let (id, created) = (started.message_id, started.asked_at.unix_timestamp());
    let answer = started.whole().await?;
    Ok(sse::named(id, Json(openai::completion(&answer, created)).into_response()))
}

async fn stream_completion(
    app: Ctx,
    call: Call,
    Keyed(caller): Keyed,
    headers: HeaderMap,
    Json(body): Json<Body>,
) -> Result<Response> {
    let with_usage = body.wants_usage();
    let started = begin(&app, &call, &caller, &headers, body).await?;
    let (id, created) = (started.message_id, started.asked_at.unix_timestamp());
    let chunks = Chunks::new(id, created, with_usage);
    let opening = stream::iter([chunks.opening()]);
    // These clients stop an answer by closing its stream.
    let rest =
        started.into_events_or_stop().flat_map(move |it| stream::iter(chunks.event(&it)));
    Ok(sse::named(id, sse::response(opening.chain(rest))))
}

async fn models(_: Keyed) -> Json<Value> {
    Json(json!({ "object": "list", "data": [openai::model()] }))
}

async fn model(_: Keyed, Named(id): Named) -> Result<Json<Value>> {
    if id.as_deref() == Some(openai::MODEL) {
        Ok(Json(openai::model()))
    } else {
        Err(Error::NotFound("model"))
    }
}
