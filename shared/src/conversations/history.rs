//! A reader's own history in the tables `conversations`, `messages` and `feedback`.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use time::{OffsetDateTime, serde::rfc3339};
use tokio_postgres::{Row, error::SqlState, types::Type};
use uuid::Uuid;

use super::{Exchange, KEPT_PER_USER, Owner, runs, search, store};
use crate::{
    Error, Result,
    db::{self, Params, Pool},
};

/// A conversation as lists show it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Conversation {
    /// `conversations.id`.
    pub id: Uuid,
    /// The first question's first words, or the reader's own; empty before both.
    pub title: String,
    /// When it began.
    #[serde(with = "rfc3339")]
    pub created_at: OffsetDateTime,
    /// Its last activity, to the microsecond: what lists and retention go by.
    #[serde(with = "rfc3339")]
    pub last_message_at: OffsetDateTime,
    /// Questions and answers together.
    pub message_count: i64,
    /// Whether the title is only the question that waits for a first whole answer, and no
    /// name that anybody gave it.
    #[serde(skip)]
    pub is_untitled: bool,
}

/// A conversation with everything that was said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Whole {
    /// What lists show.
    #[serde(flatten)]
    pub conversation: Conversation,
    /// Oldest first.
    pub messages: Vec<Message>,
}

impl Whole {
    /// A conversation whose first exchange is on its way.
    fn new(id: Uuid, first: &Exchange) -> Self {
        let conversation = Conversation {
            id,
            title: store::title(&first.question),
            created_at: first.asked_at,
            last_message_at: first.asked_at,
            message_count: 0,
            is_untitled: true,
        };
        Self { conversation, messages: Vec::new() }
    }

    /// The same with an exchange that is on its way, unless it has just been kept.
    fn with(mut self, running: Exchange) -> Self {
        if self.messages.iter().any(|it| it.id == running.id) {
            return self;
        }
        let question = Message {
            id: running.question_id,
            role: "user".to_owned(),
            content: running.question,
            written: running.written,
            markers: Value::Null,
            sources: json!([]),
            created_at: running.asked_at,
            status: "complete".to_owned(),
            feedback: None,
        };
        let answer = Message {
            id: running.id,
            role: "assistant".to_owned(),
            content: running.answer,
            written: None,
            markers: running.markers,
            sources: running.sources,
            status: "running".to_owned(),
            ..question.clone()
        };
        let replaced = |it: &Message| Some(it.id) == running.replaces;
        match self.messages.iter().position(replaced) {
            // It is asked once more, …
            Some(at) if self.messages[at].id == question.id => {
                self.messages.truncate(at + 1);
            }
            // … in other words, or is new.
            at => {
                self.messages.truncate(at.unwrap_or(self.messages.len()));
                self.messages.push(question);
            }
        }
        self.messages.push(answer);
        let count = self.messages.len().try_into().unwrap_or(i64::MAX);
        self.conversation.message_count = count;
        self
    }
}

/// What somebody said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Message {
    /// `messages.id`.
    pub id: Uuid,
    /// `user` or `assistant`.
    pub role: String,
    /// The text.
    pub content: String,
    /// Of a question: the same as its client wrote it.
    #[serde(skip)]
    pub written: Option<Value>,
    /// Of an answer: where it cites its sources, `[{"n","at"}]`.
    #[serde(skip)]
    pub markers: Value,
    /// `sources` as in the contract; empty for a question.
    pub sources: Value,
    /// When it was said.
    #[serde(with = "rfc3339")]
    pub created_at: OffsetDateTime,
    /// `complete`, `interrupted` or `stopped`; `running` while it is being made.
    pub status: String,
    /// What the reader thinks of it.
    pub feedback: Option<Feedback>,
}

/// What a reader thinks of an answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Feedback {
    /// Thumbs up or down.
    pub kind: Kind,
    /// The reader's words.
    pub reason: Option<String>,
}

/// Thumbs up or down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Up.
    Positive,
    /// Down.
    Negative,
}

impl Kind {
    fn word(self) -> &'static str {
        if self == Self::Positive { "positive" } else { "negative" }
    }
}

/// Which part of a list.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// The most conversations to return.
    pub limit: u32,
    /// Those behind this place; the newest if there is none.
    pub after: Option<After>,
    /// Those in whose title or messages all of these words occur; all if it is blank.
    pub search: String,
}

/// A place in a list, newest activity first.
#[derive(Clone, Copy, Debug)]
pub struct After {
    /// The last conversation of the page before.
    pub id: Uuid,
    /// Its `last_message_at` on that page. Without it the conversation counts where it stands
    /// now, so that one that was active since repeats what the page before had.
    pub at: Option<OffsetDateTime>,
}

/// A part of a list.
#[derive(Clone, Debug, Serialize)]
pub struct Page {
    /// Newest activity first; the id breaks ties.
    pub data: Vec<Conversation>,
    /// Whether there are more behind these.
    pub has_more: bool,
    /// The last id of this page, when there are more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<Uuid>,
}

/// Begins every statement here: `$1` and `$2` are the two ways to find an owner.
macro_rules! with_owner {
    ($($rest:expr),+) => {
        concat!(
            "with owner as (
               select id from users where id = $1
               union all
               select id from users where issuer = 'service' and subject = $2
               limit 1
             )",
            $($rest),+
        )
    };
}

/// Of a conversation (`$of`, the rows of some part of the statement) that has no whole answer
/// yet: the question that waits for it.
macro_rules! waiting {
    ($of:literal) => {
        concat!(
            "(select asked.content ->> 'text'
              from messages as asked
              where asked.conversation_id = ",
            $of,
            ".id and asked.role = 'user' and not exists (
                select 1
                from messages as answer
                where answer.conversation_id = asked.conversation_id
                  and answer.role = 'assistant' and answer.status <> 'stopped')
              order by asked.seq
              limit 1)"
        )
    };
}

/// A page of the owner's conversations, those among them whose first answer is still being
/// made. [`Error::NotFound`] when `after` names none of theirs and no time.
pub async fn list(db: &Pool, owner: &Owner, wanted: &Wanted) -> Result<Page> {
    runs::settled(db, owner).await;
    let (id, at) = (wanted.after.map(|it| it.id), wanted.after.and_then(|it| it.at));
    let patterns = search::patterns(&wanted.search);
    let and_one = i64::from(wanted.limit) + 1;
    // One that is only beginning counts among those that are kept: the last one may have to go
    // for it. Filter and count are looked at only for as many rows as it takes.
    let sql = with_owner!(
        ", beginning as (
           select distinct on (conversation_id)
             conversation_id as id, exchange ->> 'question' as question,
             began_at as created_at, began_at as last_message_at
           from runs
           where owner = $7 and owner <> '' and ended_at is null
             and conversation_id is not null
             and not exists (select 1 from conversations where id = conversation_id)
           order by conversation_id, began_at
         ), theirs as (
           (
             select id, title, null as question, created_at, last_message_at
             from conversations
             where user_id = (select id from owner)
             union all
             select id, null, question, created_at, last_message_at
             from beginning
           )
           order by last_message_at desc, id desc
           limit $8
         ), place as (
           select last_message_at as at, id
           from theirs
           where $4::timestamptz is null and id = $3
           union all
           select $4, $3
           where $4 is not null and $3 is not null
         ), page as (
           select id, title, question, created_at, last_message_at
           from theirs
           where ($3 is null or (last_message_at, id) < (select at, id from place))
             and not exists (
               select 1
               from unnest($5::text[]) as word (pattern)
               where not (
                 coalesce(title, question) ~ pattern
                 or exists (
                   select 1
                   from messages
                   where conversation_id = theirs.id and content ->> 'text' ~ pattern
                 )))
           order by last_message_at desc, id desc
           limit $6
         )
         select state.known, state.found, page.id, page.title, page.created_at,
           page.last_message_at,
           case
             when question is not null then 2
             else (select count(*) from messages where conversation_id = page.id)
           end as message_count,
           coalesce(question, ",
        waiting!("page"),
        ") as waiting
         from (
           select
             exists (select 1 from owner) as known,
             $3 is null or exists (select 1 from place) as found
         ) as state
         left join page on true
         order by page.last_message_at desc, page.id desc"
    );
    let params: Params<'_> = &[
        (&id, Type::UUID),
        (&at, Type::TIMESTAMPTZ),
        (&patterns, Type::TEXT_ARRAY),
        (&and_one, Type::INT8),
        (&runs::word(owner), Type::TEXT),
        (&KEPT_PER_USER, Type::INT8),
    ];
    let rows = ask(db, owner, sql, params, "conversation").await?;
    let mut data: Vec<_> = rows.iter().filter_map(conversation).collect();
    let limit = wanted.limit as usize;
    let has_more = data.len() > limit;
    data.truncate(limit);
    let after = data.last().filter(|_| has_more).map(|it| it.id);
    Ok(Page { data, has_more, after })
}

/// A conversation with all its messages, and with the answer that is being made in it.
pub async fn read(db: &Pool, owner: &Owner, id: Uuid) -> Result<Whole> {
    // Looked at first: a run that ends now is among the messages a moment later.
    runs::settled(db, owner).await;
    let running = runs::running(db, owner, id).await?;
    let whole = match (kept(db, owner, id).await, &running) {
        // Its first answer will make it.
        (Err(Error::NotFound(_)), Some(exchange)) => Whole::new(id, exchange),
        (whole, _) => whole?,
    };
    Ok(match running {
        Some(exchange) => whole.with(exchange),
        None => whole,
    })
}

async fn kept(db: &Pool, owner: &Owner, id: Uuid) -> Result<Whole> {
    let sql = with_owner!(
        ", whole as (
           select id, title, created_at, last_message_at
           from conversations
           where id = $3 and user_id = (select id from owner)
         )
         select state.known, state.found, whole.id, whole.title, whole.created_at,
           whole.last_message_at, count(messages.id) over () as message_count,
           ",
        waiting!("whole"),
        " as waiting,
           messages.id as message_id, messages.role, messages.content, messages.sources,
           messages.created_at as said_at, messages.status,
           feedback.kind, feedback.reason
         from (
           select exists (select 1 from owner) as known,
             exists (select 1 from whole) as found
         ) as state
         left join whole on true
         left join messages on messages.conversation_id = whole.id
         left join feedback on feedback.message_id = messages.id
         order by messages.seq"
    );
    let rows = ask(db, owner, sql, &[(&id, Type::UUID)], "conversation").await?;
    let messages: Vec<_> = rows.iter().filter_map(message).collect();
    let first = rows.first().and_then(conversation);
    let conversation = first.ok_or(Error::NotFound("conversation"))?;
    Ok(Whole { conversation, messages })
}

/// A new conversation, which counts as the newest: the owner's 51st goes, in the same flight
/// as a save's. One that was made with the same `client_id` is returned as it is.
pub async fn create(
    db: &Pool,
    owner: &Owner,
    title: &str,
    client_id: Option<&str>,
) -> Result<Conversation> {
    make(db, owner, Uuid::now_v7(), title, client_id).await
}

/// The same under this id, which is made before the first attempt, so that a second one means
/// the same rows.
async fn make(
    db: &Pool,
    owner: &Owner,
    id: Uuid,
    title: &str,
    client_id: Option<&str>,
) -> Result<Conversation> {
    let new_user = Uuid::now_v7();
    let Some((user_id, subject)) = store::key(owner)? else {
        return Err(Error::Unauthorized);
    };
    let others = KEPT_PER_USER - 1;
    let rows = db::retry(|| async {
        let client = db.client().await?;
        let [_, _, made] = db::transaction(
            &client,
            [
                (
                    store::ACCOUNT,
                    &[
                        (&new_user, Type::UUID),
                        (&user_id, Type::UUID),
                        (&subject, Type::TEXT),
                    ],
                ),
                (store::LOCK, &[(&user_id, Type::UUID), (&subject, Type::TEXT)]),
                (
                    CREATE,
                    &[
                        (&user_id, Type::UUID),
                        (&subject, Type::TEXT),
                        (&id, Type::UUID),
                        (&client_id, Type::TEXT),
                        (&title, Type::TEXT),
                        (&others, Type::INT8),
                    ],
                ),
            ],
        )
        .await?;
        Ok(made)
    })
    .await?;
    rows.first().and_then(conversation).ok_or(Error::Unauthorized)
}

/// `known` is the same conversation, by the client's id or, in a second attempt, by ours. As
/// in a save, `gone` does not see what is written beside it.
const CREATE: &str = with_owner!(
    ", known as (
       select id, title, created_at, last_message_at
       from conversations
       where user_id = (select id from owner) and (client_id = $4 or id = $3)
     ), clock as (
       select clock_timestamp() as now
     ), made as (
       insert into conversations (id, user_id, client_id, title, created_at, last_message_at)
       select $3, owner.id, $4, $5, clock.now, clock.now
       from owner, clock
       where not exists (select 1 from known)
       returning id, title, created_at, last_message_at
     ), gone as (
       delete from conversations
       where exists (select 1 from made) and id in (
         select id
         from conversations
         where user_id = (select id from owner)
         order by last_message_at desc, id desc
         offset $6)
     )
     select id, title, created_at, last_message_at, null as waiting,
       (select count(*) from messages where conversation_id = id) as message_count
     from (select * from known union all select * from made) as one"
);

/// Gives a conversation another title. It stays where it is in the list.
pub async fn rename(
    db: &Pool,
    owner: &Owner,
    id: Uuid,
    title: &str,
) -> Result<Conversation> {
    match retitle(db, owner, id, title).await {
        Err(Error::NotFound(thing)) => {
            let running = runs::running(db, owner, id).await?;
            let first = running.ok_or(Error::NotFound(thing))?;
            // Its first answer would make it later, and then leaves a title alone.
            make(db, owner, id, title, first.client_id.as_deref()).await?;
            retitle(db, owner, id, title).await
        }
        outcome => outcome,
    }
}

async fn retitle(
    db: &Pool,
    owner: &Owner,
    id: Uuid,
    title: &str,
) -> Result<Conversation> {
    let sql = with_owner!(
        ", renamed as (
           update conversations
           set title = $4
           where id = $3 and user_id = (select id from owner)
           returning id, title, created_at, last_message_at
         )
         select exists (select 1 from owner) as known, renamed.id is not null as found,
           renamed.*, null as waiting,
           (select count(*) from messages where conversation_id = renamed.id)
             as message_count
         from (values (1)) as one
         left join renamed on true"
    );
    let params: Params<'_> = &[(&id, Type::UUID), (&title, Type::TEXT)];
    let rows = ask(db, owner, sql, params, "conversation").await?;
    rows.first().and_then(conversation).ok_or(Error::NotFound("conversation"))
}

/// Deletes a conversation with its messages. Its log rows stay, for as long as the log is
/// kept. An answer that is being written for it is stopped, and does not bring it back. What
/// the run log still holds of it goes too.
pub async fn remove(db: &Pool, owner: &Owner, id: Uuid) -> Result<()> {
    let sql = with_owner!(
        ", gone as (
           delete from conversations
           where id = $3 and user_id = (select id from owner)
           returning id
         ), homeless as (
           update runs
           set
             is_stopping = true,
             conversation_id = null,
             client_id = null,
             exchange = exchange || '{\"conversation_id\": null, \"client_id\": null}'
           where ended_at is null and conversation_id = $3 and owner = $4 and owner <> ''
           returning id
         ), told as (
           delete from runs
           where ended_at is not null and conversation_id = $3 and owner = $4 and owner <> ''
         )
         select exists (select 1 from owner) as known,
           exists (select 1 from gone) or exists (select 1 from homeless) as found"
    );
    let params: Params<'_> = &[(&id, Type::UUID), (&runs::word(owner), Type::TEXT)];
    ask(db, owner, sql, params, "conversation").await.map(drop)
}

/// Keeps what the owner thinks of these answers, in place of what they thought before; `None`
/// takes it back. All or none: [`Error::NotFound`] for a question, too, which is no answer.
pub async fn put_feedback(
    db: &Pool,
    owner: &Owner,
    conversation: Uuid,
    messages: &[Uuid],
    given: Option<&Feedback>,
) -> Result<()> {
    let kind = given.map(|it| it.kind.word());
    let reason = given.and_then(|it| it.reason.as_deref());
    let sql = with_owner!(
        ", theirs as (
           select messages.id
           from messages
           join conversations on conversations.id = conversation_id
           where messages.id = any ($4) and conversation_id = $3 and role = 'assistant'
             and user_id = (select id from owner)
         ), answer as (
           select id
           from theirs
           where not exists (select unnest($4::uuid[]) except select id from theirs)
         ), put as (
           insert into feedback (message_id, kind, reason)
           select id, $5, $6
           from answer
           where $5::text is not null
           on conflict (message_id) do update
           set kind = excluded.kind, reason = excluded.reason, created_at = now()
         ), gone as (
           delete from feedback
           where $5 is null and message_id in (select id from answer)
         )
         select exists (select 1 from owner) as known, exists (select 1 from answer) as found"
    );
    let params: Params<'_> = &[
        (&conversation, Type::UUID),
        (&messages, Type::UUID_ARRAY),
        (&kind, Type::TEXT),
        (&reason, Type::TEXT),
    ];
    ask(db, owner, sql, params, "message").await.map(drop)
}

/// Sends a statement whose parameters go on behind the owner's two, and whose rows say
/// whether the owner is `known` and the thing `found`.
///
/// [`Error::Unauthorized`] for an account that is gone. A name that is new has no history
/// yet: its list is empty, and nothing in it is found.
async fn ask(
    db: &Pool,
    owner: &Owner,
    sql: &str,
    params: Params<'_>,
    thing: &'static str,
) -> Result<Vec<Row>> {
    let Some((user_id, subject)) = store::key(owner)? else {
        return Err(Error::Unauthorized);
    };
    let mut all: Vec<(&(dyn tokio_postgres::types::ToSql + Sync), Type)> =
        vec![(&user_id, Type::UUID), (&subject, Type::TEXT)];
    all.extend(params.iter().cloned());
    let rows = db::retry(|| async {
        let client = db.client().await?;
        client.query_typed(sql, &all).await.map_err(|err| match err.code() {
            // Its conversation was deleted at this very moment.
            Some(code) if *code == SqlState::FOREIGN_KEY_VIOLATION => {
                Error::NotFound(thing)
            }
            _ => err.into(),
        })
    })
    .await?;
    let row = rows.first().ok_or_else(|| Error::Internal("no row came back".into()))?;
    let (known, found): (bool, bool) = (row.get("known"), row.get("found"));
    match owner {
        Owner::User(_) if !known => Err(Error::Unauthorized),
        _ if !found => Err(Error::NotFound(thing)),
        _ => Ok(rows),
    }
}

/// `None` for a row that is there only to say what was not found.
fn conversation(row: &Row) -> Option<Conversation> {
    let id = row.get::<_, Option<Uuid>>("id")?;
    let waiting = row.get::<_, Option<&str>>("waiting").map(store::title);
    let title = row.get::<_, Option<String>>("title").or_else(|| waiting.clone());
    let title = title.unwrap_or_default();
    Some(Conversation {
        id,
        is_untitled: waiting.is_some_and(|it| it == title),
        title,
        created_at: row.get("created_at"),
        last_message_at: row.get("last_message_at"),
        message_count: row.get("message_count"),
    })
}

/// `None` for the one row of a conversation in which nothing was said yet.
fn message(row: &Row) -> Option<Message> {
    let kind = match row.get::<_, Option<&str>>("kind") {
        Some("positive") => Some(Kind::Positive),
        Some(_) => Some(Kind::Negative),
        None => None,
    };
    let content: Option<Value> = row.get("content");
    let content = content?;
    Some(Message {
        id: row.get("message_id"),
        role: row.get("role"),
        content: content["text"].as_str().unwrap_or_default().to_owned(),
        written: content.get("written").cloned(),
        markers: content["markers"].clone(),
        sources: row.get("sources"),
        created_at: row.get("said_at"),
        status: row.get("status"),
        feedback: kind.map(|kind| Feedback { kind, reason: row.get("reason") }),
    })
}
