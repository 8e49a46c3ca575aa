//! The tables `conversations` and `messages`.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use time::OffsetDateTime;
use tokio_postgres::types::Type;
use uuid::Uuid;

use super::{Exchange, KEPT_PER_USER, Owner, Status, Thread, runs};
use crate::{
    Error, Result,
    db::{self, Pool},
};

/// One earlier turn.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Turn {
    /// `true` for the reader, `false` for us.
    pub by_reader: bool,
    /// What was said.
    pub text: String,
}

/// What there is of a conversation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// The conversation, if it exists.
    pub conversation: Option<Uuid>,
    /// Its newest turns, oldest first.
    pub turns: Vec<Turn>,
    /// The message of the reader's last question, and what it says.
    pub last_question: Option<(Uuid, String)>,
    /// Whether that is the question up to which was to be remembered.
    pub is_placed: bool,
}

/// A question of a conversation.
#[derive(Clone, Copy, Debug)]
pub enum Place<'a> {
    /// This message.
    Message(Uuid),
    /// The one that its client calls so; the last one if there is none.
    Called(&'a str),
}

/// What a model is told of an answer that the reader stopped.
const STOPPED: &str = "\n(The reader stopped this answer. Do not go on with it.)";

/// The newest turns of a conversation that fit `budget_chars` characters, oldest first.
/// [`crate::Error::NotFound`] when it does not exist or is not the owner's;
/// [`crate::Error::Unauthorized`] when the owner's account is gone.
pub async fn memory(
    db: &Pool,
    owner: &Owner,
    conversation: Option<Uuid>,
    budget_chars: usize,
) -> Result<Vec<Turn>> {
    Ok(recall(db, owner, &conversation.into(), None, budget_chars).await?.turns)
}

/// The same for a conversation that may be known by its client's name for it, which need not
/// exist; and as it was when `until` was the last message in it. A name that is a UUID means
/// one conversation in the world: [`crate::Error::NotFound`] if another owner has it.
pub async fn recall(
    db: &Pool,
    owner: &Owner,
    thread: &Thread,
    until: Option<Place<'_>>,
    budget_chars: usize,
) -> Result<Memory> {
    let (conversation, client_id) = match thread {
        Thread::Known(id) => (Some(*id), None),
        Thread::Called(name) => (None, Some(name.as_str())),
        Thread::New | Thread::LogOnly => (None, None),
    };
    let named = client_id.and_then(|it| Uuid::try_parse(it).ok());
    let (user_id, subject) = match (key(owner)?, conversation, named) {
        (Some(key), ..) => key,
        // A guest has none, and may only have taken the name of somebody else's.
        (None, None, Some(_)) => (None, None),
        (None, None, None) => return Ok(Memory::default()),
        (None, Some(_), _) => return Err(Error::NotFound("conversation")),
    };
    let (message, called) = match until {
        Some(Place::Message(id)) => (Some(id), None),
        Some(Place::Called(name)) => (None, Some(clean(name))),
        None => (None, None),
    };
    let budget = i64::try_from(budget_chars).unwrap_or(i64::MAX);
    let whose = runs::word(owner);
    let row = db::retry(|| async {
        let client = db.client().await?;
        let row = client
            .query_typed_one(
                RECALL,
                &[
                    (&user_id, Type::UUID),
                    (&subject, Type::TEXT),
                    (&conversation, Type::UUID),
                    (&budget, Type::INT8),
                    (&client_id, Type::TEXT),
                    (&whose, Type::TEXT),
                    (&runs::LEASE_SECONDS, Type::FLOAT8),
                    (&message, Type::UUID),
                    (&STOPPED, Type::TEXT),
                    (&called, Type::TEXT),
                    (&named, Type::UUID),
                ],
            )
            .await?;
        Ok(row)
    })
    .await?;
    if row.get("has_lapsed") && runs::settled(db, owner).await > 0 {
        // An answer whose maker died has just come home; it may be a turn of this one.
        return Box::pin(recall(db, owner, thread, until, budget_chars)).await;
    }
    let (known, found): (bool, Option<Uuid>) =
        (row.get("known"), row.get("conversation"));
    match owner {
        // A name that is new gets its account with the first save.
        Owner::User(_) if !known => Err(Error::Unauthorized),
        _ if row.get("is_somebody_elses") => Err(Error::NotFound("conversation")),
        // Its first answer is being written, and whichever is kept first will make it.
        _ if row.get("is_beginning") && found.is_none() => Ok(Memory::default()),
        _ if conversation.is_some() && found.is_none() => {
            Err(Error::NotFound("conversation"))
        }
        _ => serde_json::from_value(row.get("turns"))
            .map(|turns| Memory {
                conversation: found,
                turns,
                last_question: row
                    .get::<_, Option<_>>("asked_id")
                    .zip(row.get("asked_text")),
                is_placed: row.get("is_placed"),
            })
            .map_err(|err| Error::Internal(format!("turns were not read: {err}"))),
    }
}

/// The window's sum stops at the first turn that does not fit, so that no hole is left.
const RECALL: &str = "
with owner as (
  select id from users where id = $1
  union all
  select id from users where issuer = 'service' and subject = $2
  limit 1
), found as (
  select id from conversations
  where user_id = (select id from owner)
    and (id = $3 or client_id = $5 or id::text = $5)
  order by client_id = $5 desc nulls last
  limit 1
), place as (
  select max(seq) as seq
  from messages
  where conversation_id = (select id from found) and role = 'user'
    and (id = $8 or content -> 'written' ->> 'message_id' = $10)
), newest as (
  select id, seq, role = 'user' as by_reader,
    content ->> 'text' || case status when 'stopped' then $9 else '' end as text
  from messages
  where conversation_id = (select id from found)
    and (content ->> 'text' <> '' or status = 'stopped')
    and (
      seq <= (select seq from place)
      or ($8 is null and (select seq from place) is null))
  order by seq desc
  limit 200
), fitting as (
  select seq, by_reader, text,
    sum(length(text)) over (order by seq desc) as so_far
  from newest
), asked as (
  select id, text from newest where by_reader order by seq desc limit 1
)
select
  (select id from asked) as asked_id,
  (select text from asked) as asked_text,
  (select seq from place) is not null as is_placed,
  exists (select 1 from owner) as known,
  coalesce(
    bool_or(seen_at < clock_timestamp() - make_interval(secs => $7)),
    false) as has_lapsed,
  coalesce(bool_or(conversation_id = $3), false) as is_beginning,
  $11::uuid is not null and not exists (select 1 from found) and exists (
    select 1 from conversations where id = $11 or client_id = $5
    union all
    select 1
    from runs
    where ended_at is null and owner not in ('', $6)
      and (conversation_id = $11 or client_id = $5)
  ) as is_somebody_elses,
  (select id from found) as conversation,
  coalesce(
    (select jsonb_agg(
       jsonb_build_object('by_reader', by_reader, 'text', text)
       order by seq)
     from fitting
     where so_far <= $4),
    '[]') as turns
from runs
where owner = $6 and ended_at is null";

/// What a save did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Saved {
    /// The owner's `users.id`; `None` for a guest.
    pub user_id: Option<Uuid>,
    /// Where the exchange is now; `None` when only the log keeps it.
    pub conversation: Option<Uuid>,
}

/// Stores the exchange and its log row, and forgets all but the owner's newest
/// [`super::KEPT_PER_USER`] conversations, in one transaction. `at` is the moment that counts
/// for retention: `None` means the database's clock (a live save), `Some` an exchange that
/// comes home late, which never evicts a newer conversation. Storing the same id twice is
/// storing it once.
///
/// [`Error::NotFound`] for somebody else's conversation and [`Error::Unauthorized`] for an
/// account that is gone; then nothing is stored.
pub async fn save(
    db: &Pool,
    exchange: &Exchange,
    at: Option<OffsetDateTime>,
) -> Result<Saved> {
    let Some((user_id, subject)) = key(&exchange.owner)? else {
        super::log::write(db, exchange).await?;
        return Ok(Saved { user_id: None, conversation: None });
    };
    // Made before the first attempt, so that the second one means the same account.
    let new_user = Uuid::now_v7();
    let kept = exchange.status != Status::Failed;
    let conversation = exchange.conversation_id;
    let title = title(&exchange.question);
    let status = match exchange.status {
        Status::Interrupted => "interrupted",
        Status::Stopped => "stopped",
        Status::Complete | Status::Failed => "complete",
    };
    let (question, answer) = (clean(&exchange.question), clean(&exchange.answer));
    let mut asked = json!({ "text": question });
    if let Some(written) = &exchange.written {
        asked["written"] = clean_json(written);
    }
    let answered = json!({ "text": answer, "markers": exchange.markers });
    let sources = clean_json(&exchange.sources);
    let usage = clean_json(&exchange.usage);
    let metadata = clean_json(&exchange.metadata);
    let took_ms = super::log::took_ms(exchange);
    let others = KEPT_PER_USER - 1;

    let rows = db::retry(|| async {
        let client = db.client().await?;
        let [_, _, _, saved] = db::transaction(
            &client,
            [
                (
                    ACCOUNT,
                    &[
                        (&new_user, Type::UUID),
                        (&user_id, Type::UUID),
                        (&subject, Type::TEXT),
                    ],
                ),
                (LOCK, &[(&user_id, Type::UUID), (&subject, Type::TEXT)]),
                (
                    SUPERSEDE,
                    &[
                        (&exchange.id, Type::UUID),
                        (&exchange.question_id, Type::UUID),
                        (&exchange.replaces, Type::UUID),
                        (&exchange.error_code, Type::TEXT),
                    ],
                ),
                (
                    SAVE,
                    &[
                        (&user_id, Type::UUID),
                        (&subject, Type::TEXT),
                        (&exchange.id, Type::UUID),
                        (&conversation, Type::UUID),
                        (&at, Type::TIMESTAMPTZ),
                        (&kept, Type::BOOL),
                        (&others, Type::INT8),
                        (&title, Type::TEXT),
                        (&exchange.question_id, Type::UUID),
                        (&question, Type::TEXT),
                        (&answer, Type::TEXT),
                        (&sources, Type::JSONB),
                        (&status, Type::TEXT),
                        (&exchange.asked_at, Type::TIMESTAMPTZ),
                        (&exchange.answered_at, Type::TIMESTAMPTZ),
                        (&took_ms, Type::INT4),
                        (&exchange.first_token_ms, Type::INT4),
                        (&exchange.model, Type::TEXT),
                        (&usage, Type::JSONB),
                        (&exchange.error_code, Type::TEXT),
                        (&metadata, Type::JSONB),
                        (&exchange.client_id, Type::TEXT),
                        (&exchange.replaces, Type::UUID),
                        (&asked, Type::JSONB),
                        (&answered, Type::JSONB),
                    ],
                ),
            ],
        )
        .await?;
        Ok(saved)
    })
    .await?;
    let row =
        rows.first().ok_or_else(|| Error::Internal("a save said nothing".into()))?;
    let user_id: Option<Uuid> = row.get("user_id");
    match (user_id, row.get("stored")) {
        (None, _) => Err(Error::Unauthorized),
        (Some(_), false) => Err(Error::NotFound("conversation")),
        (Some(_), true) => Ok(Saved { user_id, conversation: row.get("thread") }),
    }
}

/// The same for an answer of ours, which leaves its log row in any case: without a word of it
/// if its reader's account went while it was written.
pub async fn save_answer(
    db: &Pool,
    exchange: &Exchange,
    at: Option<OffsetDateTime>,
) -> Result<Saved> {
    match save(db, exchange, at).await {
        Err(Error::NotFound(_) | Error::Unauthorized) => {
            super::log::write_wordless(db, exchange).await?;
            Ok(Saved { user_id: None, conversation: None })
        }
        saved => saved,
    }
}

/// A user that a trusted server names for the first time gets an account.
pub(super) const ACCOUNT: &str = "
insert into users (id, issuer, subject)
select $1, 'service', $3
where $3 is not null and not exists (select 1 from users where id = $2)
on conflict (issuer, subject) do nothing";

/// Saves of one user queue up here. It must be a statement of its own: the next one takes its
/// snapshot after the lock was granted, and so sees what it waited for. The lock leaves the
/// foreign keys of other inserts alone.
pub(super) const LOCK: &str = "
select 1
from users
where id = coalesce(
  (select id from users where id = $1),
  (select id from users where issuer = 'service' and subject = $2))
for no key update";

/// What was kept of an answer whose maker was taken for dead gives way to what the maker itself
/// brings, late as it may be. A question that was there before stays.
const SUPERSEDE: &str = "
with settled as (
  delete from interaction_logs
  where id = $1 and error_code = 'interrupted' and $4 is distinct from 'interrupted'
  returning id
)
delete from messages
where exists (select 1 from settled) and (id = $1 or (id = $2 and $3 is distinct from $2))";

/// All parts of one statement see the same snapshot, so nothing here sees the rows that are
/// written beside it. Hence in `gone`: not the touched conversation, because it still has its
/// old time, and 49 others, because the 50th is the one just written.
/// `clock_timestamp()` and not `now()`: that is the time before the wait for the lock.
///
/// `thread`: the conversation of the client's name ($22), if there is one by now: two first
/// questions may have come at once. None if the conversation was deleted while the answer was
/// written: its run knows.
///
/// `room`: a late exchange ($5) whose conversation is not there may make one only if fewer
/// than 50 newer ones are; otherwise only its log row is stored. `place`: a late exchange
/// goes behind the answers that were given before it, and `shift` makes the room.
/// A conversation that was made without a title takes it from its first question.
const SAVE: &str = "
with owner as (
  select id from users where id = $1
  union all
  select id from users where issuer = 'service' and subject = $2
  limit 1
), thread as (
  select coalesce(
    (
      select id
      from conversations
      where user_id = (select id from owner) and (client_id = $22 or id::text = $22)
      order by client_id = $22 desc nulls last
      limit 1
    ),
    $4::uuid) as id
  where not exists (select 1 from runs where id = $3 and conversation_id is null)
), fresh as (
  select owner.id as user_id, thread.id as thread,
    least($5::timestamptz, clock_timestamp()) as late,
    not $6 or thread.id is null as log_only
  from owner
  left join thread on true
  where not exists (select 1 from interaction_logs where id = $3)
), room as (
  select 1
  from fresh
  where late is null
    or exists (select 1 from conversations where id = fresh.thread)
    or (
      select count(*)
      from conversations
      where user_id = fresh.user_id and (last_message_at, id) > (fresh.late, fresh.thread)
    ) <= $7
), conv as (
  insert into conversations (id, user_id, client_id, title, created_at, last_message_at)
  select thread, user_id, $22, $8, least($14, clock_timestamp()),
    coalesce(late, clock_timestamp())
  from fresh
  where not log_only and exists (select 1 from room)
  on conflict (id) do update
  set
    last_message_at = greatest(conversations.last_message_at, excluded.last_message_at),
    title = coalesce(nullif(conversations.title, ''), excluded.title)
  where conversations.user_id = excluded.user_id
  returning id
), place as (
  select conv.id, coalesce(max(seq), 0) as seq
  from conv
  left join messages on conversation_id = conv.id
    and ($5 is null or (role = 'assistant' and messages.created_at <= $15))
  group by conv.id
), shift as (
  update messages
  set seq = messages.seq + 2
  from place
  where $5 is not null and conversation_id = place.id and messages.seq > place.seq
), replaced as (
  delete from messages
  where $5 is null and $13 <> 'interrupted' and conversation_id = (select id from place)
    and (
      id = $23 and id <> $9
      or seq > (
        select seq from messages
        where id = $23 and conversation_id = (select id from place)))
), said as (
  insert into messages (id, conversation_id, seq, role, content, sources, status, created_at)
  select $9, id, seq + 1, 'user', $24::jsonb, '[]'::jsonb, 'complete', $14::timestamptz
  from place
  where not exists (select 1 from messages where id = $9)
  union all
  select $3, id, seq + 2, 'assistant', $25::jsonb, $12::jsonb, $13, $15::timestamptz
  from place
), logged as (
  insert into interaction_logs (
    id, user_id, conversation_id, request_content, response_content, request_timestamp,
    response_timestamp, response_time_ms, first_token_ms, agent_model, sources, usage,
    error_code, metadata)
  select $3, user_id, thread, $10, $11, $14, $15, $16, $17, $18, $12, $19, $20, $21
  from fresh
  where log_only or exists (select 1 from conv) or not exists (select 1 from room)
  returning id
), gone as (
  delete from conversations
  where exists (select 1 from conv) and id in (
    select id
    from conversations
    where user_id = (select id from owner) and id <> (select id from conv)
    order by last_message_at desc, id desc
    offset $7)
)
select
  (select id from owner) as user_id,
  (select id from thread) as thread,
  exists (select 1 from logged) or not exists (select 1 from fresh) as stored";

/// The two ways to find an owner's row: by id, or by the subject of a trusted server, which
/// may also be one of our ids. `None` for a guest.
pub(super) fn key(owner: &Owner) -> Result<Option<(Option<Uuid>, Option<&str>)>> {
    match owner {
        Owner::User(id) => Ok(Some((Some(*id), None))),
        Owner::Named(name) if name.contains('\0') => {
            Err(Error::invalid("user_id", "must not contain a NUL character"))
        }
        Owner::Named(name) => Ok(Some((Uuid::try_parse(name).ok(), Some(name)))),
        Owner::Guest => Ok(None),
    }
}

/// The first words of the question, at most [`TITLE_CHARS`] characters.
pub(crate) fn title(question: &str) -> String {
    let clean = clean(question);
    let whole = clean.split_whitespace().collect::<Vec<_>>().join(" ");
    let Some((cut, _)) = whole.char_indices().nth(TITLE_CHARS) else { return whole };
    // One character less, for the ellipsis; then back to the end of a word.
    let start: String = whole[..cut].chars().take(TITLE_CHARS - 1).collect();
    let words = start.rsplit_once(' ').map_or(start.as_str(), |(words, _)| words);
    format!("{words}…")
}

/// Fits one line of a list.
const TITLE_CHARS: usize = 80;

/// Postgres cannot hold U+0000, which JSON can write; a reader who sends one is answered like
/// any other, and loses that character.
pub(super) fn clean(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

/// The same for every text inside a JSON value.
pub(super) fn clean_json(value: &Value) -> Value {
    match value {
        Value::String(text) => Value::String(clean(text)),
        Value::Array(items) => items.iter().map(clean_json).collect(),
        Value::Object(map) => {
            map.iter().map(|(key, value)| (clean(key), clean_json(value))).collect()
        }
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_title_is_the_first_words_of_the_question() {
        assert_eq!(title("  What is\n ownership? "), "What is ownership?");
        let sixteen = vec!["word"; 16].join(" ");
        assert_eq!(title(&sixteen), sixteen);
        assert_eq!(
            title(&"word ".repeat(40)),
            format!("{}…", vec!["word"; 15].join(" "))
        );
        assert_eq!(title(&"x".repeat(200)), format!("{}…", "x".repeat(79)));
        assert_eq!(title(""), "");
    }

    proptest! {
        #[test]
        fn a_title_is_one_line_of_at_most_80_characters(question in "(\\PC|[\0\n\t ]){0,300}") {
            let title = title(&question);
            prop_assert!(title.chars().count() <= 80);
            prop_assert!(!title.contains(['\n', '\t', '\0']));
        }
    }

    #[test]
    fn what_postgres_cannot_hold_is_replaced_at_every_depth() {
        let value = serde_json::json!({"a\0": ["b\0", {"c": "\0"}], "n": 1});
        let clean = clean_json(&value);
        assert_eq!(
            clean,
            serde_json::json!({"a\u{fffd}": ["b\u{fffd}", {"c": "\u{fffd}"}], "n": 1})
        );
    }
}
