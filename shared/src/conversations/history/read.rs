//! Lists of conversations, and each with all that was said.

use serde::Serialize;
use serde_json::Value;
use time::OffsetDateTime;
use tokio_postgres::{Row, types::Type};
use uuid::Uuid;

use super::{Conversation, Feedback, FeedbackKind, FullConversation, Message};
use crate::{
    Error, Result,
    conversations::{
        KEPT_PER_USER, Owner, Role,
        account::{ask, owner_key, with_owner},
        runs, search, title,
    },
    db::{Params, Pool},
};

/// Which part of a list.
#[derive(Clone, Debug)]
pub struct ListQuery {
    /// The most conversations to return.
    pub limit: u32,
    /// Those behind this place; the newest if there is none.
    pub after: Option<After>,
    /// Those in whose title or messages all of these words occur; all if it is blank.
    pub search: String,
}

impl ListQuery {
    /// The newest of all.
    pub fn newest(limit: u32) -> Self {
        Self { limit, after: None, search: String::new() }
    }
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
                  and answer.role = 'assistant' and answer.status = 'complete')
              order by asked.seq
              limit 1)"
        )
    };
}

/// A page of the owner's conversations, those among them whose first answer is still being
/// made. [`Error::NotFound`] when `after` names none of theirs and no time.
pub async fn list(db: &Pool, owner: &Owner, wanted: &ListQuery) -> Result<Page> {
    runs::settle_or_log(db, owner).await;
    let (id, at) = (wanted.after.map(|it| it.id), wanted.after.and_then(|it| it.at));
    let patterns = search::patterns(&wanted.search);
    // What is ASCII has but one form, and normalizing a long history takes longer than reading.
    let has_forms = !wanted.search.is_ascii();
    let and_one = i64::from(wanted.limit) + 1;
    // One that is only beginning counts among those that are kept: the last one may have to go
    // for it. Filter and count are looked at only for as many rows as it takes.
    let sql = with_owner!(
        ", begun as (
           select distinct on (coalesce(client_id, conversation_id::text))
             conversation_id as id, exchange ->> 'question' as question,
             began_at as created_at, began_at as last_message_at
           from runs
           where owner = $7 and owner <> '' and ended_at is null and not is_deleted
             and conversation_id is not null
             and not exists (
               select 1
               from conversations
               where id = conversation_id
                 or user_id = (select id from owner)
                   and conversations.client_id = runs.client_id)
           order by coalesce(client_id, conversation_id::text), began_at
         ), beginning as (
           select distinct on (id) * from begun order by id, created_at
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
               where not exists (
                 select 1
                 from (
                   select coalesce(title, question)
                   union all
                   select content ->> 'text'
                   from messages
                   where conversation_id = theirs.id
                 ) as said (words)
                 where
                   case when $9 and getdatabaseencoding() = 'UTF8'
                     then normalize(words, nfc)
                     else words
                   end ~ pattern))
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
        (&owner_key(owner), Type::TEXT),
        (&KEPT_PER_USER, Type::INT8),
        (&has_forms, Type::BOOL),
    ];
    let rows = ask(db, owner, sql, params, "conversation").await?;
    let mut data: Vec<_> = rows.iter().filter_map(conversation).collect();
    let limit = wanted.limit as usize;
    let has_more = data.len() > limit;
    data.truncate(limit);
    let after = data.last().filter(|_| has_more).map(|it| it.id);
    Ok(Page { data, has_more, after })
}

/// The title of a conversation whose first whole answer this is, since which it has one.
pub async fn first_title(
    db: &Pool,
    owner: &Owner,
    conversation: Uuid,
    answer: Uuid,
) -> Result<Option<String>> {
    let sql = with_owner!(
        "
         select exists (select 1 from owner) as known, true as found, (
           select title
           from conversations
           where id = $3 and user_id = (select id from owner) and not exists (
             select 1
             from messages
             where conversation_id = $3 and role = 'assistant' and status = 'complete'
               and id <> $4)
         ) as title"
    );
    let params: Params<'_> = &[(&conversation, Type::UUID), (&answer, Type::UUID)];
    let rows = ask(db, owner, sql, params, "conversation").await?;
    Ok(rows.first().and_then(|row| row.get("title")))
}

/// A conversation with all its messages, and with the answer that is being made in it.
pub async fn read(db: &Pool, owner: &Owner, id: Uuid) -> Result<FullConversation> {
    // Looked at first: a run that ends now is among the messages a moment later.
    runs::settle_or_log(db, owner).await;
    let running = runs::running(db, owner, id).await?;
    let whole = match (kept(db, owner, id).await, &running) {
        // Its first answer will make it.
        (Err(Error::NotFound(_)), Some(exchange)) => FullConversation::new(id, exchange),
        (whole, _) => whole?,
    };
    Ok(match running {
        Some(exchange) => whole.with(exchange),
        None => whole,
    })
}

async fn kept(db: &Pool, owner: &Owner, id: Uuid) -> Result<FullConversation> {
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
    Ok(FullConversation { conversation, messages })
}

/// `None` for a row that is there only to say what was not found.
pub(super) fn conversation(row: &Row) -> Option<Conversation> {
    let id = row.get::<_, Option<Uuid>>("id")?;
    let waiting = row.get::<_, Option<&str>>("waiting").map(title::of_question);
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
        Some("positive") => Some(FeedbackKind::Positive),
        Some(_) => Some(FeedbackKind::Negative),
        None => None,
    };
    let content: Option<Value> = row.get("content");
    let content = content?;
    Some(Message {
        id: row.get("message_id"),
        role: Role::named(row.get("role"))?,
        content: content["text"].as_str().unwrap_or_default().to_owned(),
        written: content.get("written").cloned(),
        markers: content["markers"].clone(),
        sources: row.get("sources"),
        created_at: row.get("said_at"),
        status: row.get("status"),
        feedback: kind.map(|kind| Feedback { kind, reason: row.get("reason") }),
    })
}
