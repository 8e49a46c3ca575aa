//! The door of OpenAI's ChatKit: many kinds of request, all to one address.
//!
//! A thread is a conversation and an item is a message, with the ids that they have in every
//! protocol. Only known readers come in: the page shows a history.

mod requests;

use std::time::Duration;

use axum::{
    response::{IntoResponse, Response},
    routing::post,
};
use futures_util::{StreamExt, stream};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use self::requests::{Input, Message, Request, Wanted, parse_id};
use super::{Again, Ask, Event, Key, Marker, Source, start};
use crate::{
    App, Error, Result,
    conversations::{
        Owner, Role, Thread,
        history::{
            self, Conversation, Feedback, FeedbackKind, FullConversation, ListQuery,
        },
        list, own, title,
    },
    http::{
        Call, Ctx, Route,
        extract::{Json, Params, Who},
        sse,
    },
    wire::chatkit::{self, Page, Turn},
};

/// `POST /api/chatkit`.
pub fn route() -> Route {
    Route::new().route("/api/chatkit", post(answer))
}

async fn answer(
    app: Ctx,
    call: Call,
    Who(caller): Who,
    params: Params,
    Json(request): Json<Request>,
) -> Result<Response> {
    let owner = own::owner(&caller, &params, None)?;
    let reader = Reader { app: &app, call, owner };
    let told = match request {
        Request::Create { input } => return reader.create(input).await,
        Request::AddUserMessage { thread_id, input } => {
            return reader.add(&thread_id, input).await;
        }
        Request::RetryAfterItem { thread_id, item_id } => {
            return reader.retry(&thread_id, &item_id).await;
        }
        Request::GetById { thread_id } => reader.thread(&thread_id).await?,
        Request::List(wanted) => reader.threads(&wanted).await?,
        Request::Update { thread_id, title } => reader.rename(&thread_id, &title).await?,
        Request::Delete { thread_id } => reader.delete(&thread_id).await?,
        Request::ListItems { thread_id, wanted } => {
            reader.items(&thread_id, &wanted).await?
        }
        Request::Feedback { thread_id, item_ids, kind } => {
            reader.judge(&thread_id, &item_ids, kind).await?
        }
        Request::Attachments(_) => {
            return Err(Error::invalid("type", "is not served: there are no files"));
        }
        Request::NotOurs(_) => {
            return Err(Error::invalid("type", "is not served: the book is only asked"));
        }
    };
    Ok(Json(told).into_response())
}

/// A known reader with a request.
struct Reader {
    app: &'static App,
    call: Call,
    owner: Owner,
}

impl Reader {
    async fn create(self, input: Input) -> Result<Response> {
        let ask = self.asking(None, input.read()?);
        self.ask(ask, true).await
    }

    async fn add(self, thread_id: &str, input: Input) -> Result<Response> {
        let thread = parse_id(thread_id, "conversation")?;
        let ask = self.asking(Some(thread), input.read()?);
        self.ask(ask, true).await
    }

    /// A question that the page shows from now on, whatever becomes of the answer. The page
    /// sends it again, to the byte, when a gateway failed: that must not ask twice.
    fn asking(&self, thread: Option<Uuid>, message: Message) -> Ask {
        let same = json!([thread, message.written]).to_string();
        Ask {
            selection: message.selection,
            thread: thread.into(),
            written: Some(message.written),
            opens_early: true,
            promised: true,
            key: Some(Key::Repeated(Sha256::digest(same).into())),
            ..Ask::new(self.owner.clone(), message.question)
        }
    }

    /// Asks a question of the thread once more. The old answer, and all that follows it, goes
    /// when the new one is kept: a retry that fails loses nothing.
    async fn retry(self, thread_id: &str, item_id: &str) -> Result<Response> {
        let whole = self.whole(parse_id(thread_id, "conversation")?).await?;
        let item = parse_id(item_id, "message")?;
        let mut messages = whole.messages.into_iter();
        let asked = messages.find(|it| it.id == item && it.role == Role::User);
        let asked = asked.ok_or(Error::NotFound("message"))?;
        let ask = Ask {
            selection: asked.written.as_ref().and_then(requests::quoted),
            thread: Thread::Known(whole.conversation.id),
            written: asked.written,
            again: Again::At(item),
            opens_early: true,
            ..Ask::new(self.owner.clone(), asked.content)
        };
        self.ask(ask, whole.conversation.is_untitled).await
    }

    /// `may_name`: the thread may have no title before this turn.
    async fn ask(self, ask: Ask, may_name: bool) -> Result<Response> {
        let is_new = ask.thread == Thread::New;
        let is_retry = ask.again != Again::No;
        let (written, text) = (ask.written.clone(), ask.question.clone());
        let started = start(self.app, &self.call, ask).await?;
        let (id, asked_at) = (started.message_id, started.asked_at);
        let thread = started.conversation.ok_or_else(|| {
            Error::Internal("an answer for the history has no place in it".to_owned())
        })?;
        let question = (!is_retry).then(|| {
            let id = started.question_id;
            chatkit::question(thread, id, asked_at, written.as_ref(), &text)
        });
        let turn = Turn::new(thread, id, asked_at);
        let opening = stream::iter(turn.opening(is_new, question));
        let events = Box::pin(started.into_events_or_stop());
        let story = (self, turn, events);
        let rest =
            stream::unfold(story, move |(reader, mut turn, mut events)| async move {
                let event = events.next().await?;
                let mut told = turn.event(&event);
                if may_name && matches!(&event, Event::Done(it) if !it.stopped) {
                    let title = reader.first_title(thread, id).await;
                    told.extend(title.map(|it| turn.titled(&it)));
                }
                Some((stream::iter(told), (reader, turn, events)))
            });
        Ok(sse::named(id, sse::response(opening.chain(rest.flatten()))))
    }

    /// What the thread is called after its first answer; the reader may have named it before.
    /// The answer may have taken all the time that there was.
    async fn first_title(&self, thread: Uuid, answer: Uuid) -> Option<String> {
        let title = async {
            history::first_title(self.app.db().await?, &self.owner, thread, answer).await
        };
        let title = tokio::time::timeout(Duration::from_secs(1), title).await;
        title.unwrap_or(Err(Error::Timeout)).unwrap_or_else(|err| {
            tracing::warn!(cause = err.chain(), "a thread was not named");
            None
        })
    }

    async fn whole(&self, id: Uuid) -> Result<FullConversation> {
        let db = self.app.db().await?;
        self.call.within(history::read(db, &self.owner, id)).await
    }

    async fn thread(&self, thread_id: &str) -> Result<Value> {
        let whole = self.whole(parse_id(thread_id, "conversation")?).await?;
        let (items, has_more) = Wanted::first().of(items(&whole))?;
        Ok(spelt(&whole.conversation, &Page::new(items, has_more)))
    }

    async fn items(&self, thread_id: &str, wanted: &Wanted) -> Result<Value> {
        let whole = self.whole(parse_id(thread_id, "conversation")?).await?;
        let (items, has_more) = wanted.of(items(&whole))?;
        Ok(json!(Page::new(items, has_more)))
    }

    /// No reader has more threads than a page of ours holds.
    async fn threads(&self, wanted: &Wanted) -> Result<Value> {
        let (db, all) = (self.app.db().await?, ListQuery::newest(list::MAX_LIMIT));
        let listed = self.call.within(history::list(db, &self.owner, &all)).await?;
        let newest_first = listed.data;
        let threads =
            newest_first.iter().rev().map(|it| spelt(it, &Page::default())).collect();
        let (threads, has_more) = wanted.of(threads)?;
        Ok(json!(Page::new(threads, has_more)))
    }

    async fn rename(&self, thread_id: &str, title: &str) -> Result<Value> {
        let title = title::given(title)?;
        let id = parse_id(thread_id, "conversation")?;
        let db = self.app.db().await?;
        let renamed = history::rename(db, &self.owner, id, &title);
        Ok(spelt(&self.call.within(renamed).await?, &Page::default()))
    }

    /// What is not there is deleted; what is somebody else's is not there.
    async fn delete(&self, thread_id: &str) -> Result<Value> {
        let db = self.app.db().await?;
        let Ok(id) = parse_id(thread_id, "conversation") else { return Ok(json!({})) };
        match self.call.within(history::remove(db, &self.owner, id)).await {
            Ok(()) | Err(Error::NotFound(_)) => Ok(json!({})),
            Err(err) => Err(err),
        }
    }

    async fn judge(
        &self,
        thread_id: &str,
        items: &[String],
        kind: FeedbackKind,
    ) -> Result<Value> {
        let id = parse_id(thread_id, "conversation")?;
        if items.is_empty() {
            return Ok(json!({}));
        }
        let items: Vec<Uuid> =
            items.iter().map(|it| parse_id(it, "message")).collect::<Result<_>>()?;
        let given = Feedback { kind, reason: None };
        let db = self.app.db().await?;
        let put = history::put_feedback(db, &self.owner, id, &items, Some(&given));
        self.call.within(put).await?;
        Ok(json!({}))
    }
}

fn spelt(it: &Conversation, items: &Page) -> Value {
    let title = if it.is_untitled { "" } else { &it.title };
    chatkit::thread(it.id, title, it.created_at, items)
}

/// The oldest first. Of an answer that was stopped before its first word nothing is shown.
fn items(whole: &FullConversation) -> Vec<Value> {
    let thread = whole.conversation.id;
    let items = whole.messages.iter().filter_map(|it| {
        let (id, said_at, text) = (it.id, it.created_at, &it.content);
        if it.role == Role::User {
            return Some(chatkit::question(
                thread,
                id,
                said_at,
                it.written.as_ref(),
                text,
            ));
        }
        let sources: Vec<Source> =
            serde_json::from_value(it.sources.clone()).unwrap_or_default();
        let markers: Vec<Marker> =
            serde_json::from_value(it.markers.clone()).unwrap_or_default();
        chatkit::answer(thread, id, said_at, text, &markers, &sources)
    });
    items.collect()
}
