//! The run log: the journal of every answer while it is made, in the tables `runs` and
//! `run_batches`.
//!
//! Whoever makes an answer holds a lease on its run and renews it with every append. A run
//! whose lease is over has lost its maker: whoever meets it keeps what there is and closes it.

use serde_json::{Value, json};
use time::OffsetDateTime;
use tokio_postgres::{Row, types::Type};
use uuid::Uuid;

use super::{
    Exchange, Owner, Status,
    store::{self, clean, clean_json},
};
use crate::{
    Error, Result,
    db::{self, Pool},
};

/// Seconds after its last sign of life when a run has lost its maker: a dozen pulses, so that a
/// database that wakes up slowly kills no answer.
pub(super) const LEASE_SECONDS: f64 = 5.0;

/// Seconds in which a request with an equal key is the same request.
const SAME_REQUEST_SECONDS: f64 = 60.0;

/// How many runs are brought to their end by one who happens to come by.
const SETTLED_AT_ONCE: i64 = 10;

/// What the recorder adds at once.
#[derive(Debug, Default)]
pub struct Batch {
    /// The number of the first of the events, from 1.
    pub first: i32,
    /// Events, as `chat` spells them for itself.
    pub events: Vec<Value>,
    /// What they add to the answer's text.
    pub content: String,
    /// The sources that they cite for the first time.
    pub sources: Vec<Value>,
    /// Where they cite: `{"n","at"}`.
    pub markers: Vec<Value>,
    /// The answer came to nothing, so that a repeated request is another attempt.
    pub has_failed: bool,
}

/// What an append found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pulse {
    /// The run is ours.
    Going,
    /// Its reader wants no more of it.
    Stopping,
    /// It is over, or somebody took it for dead.
    Over,
}

/// What has been told of a run since somebody last looked.
#[derive(Debug)]
pub struct News {
    /// The events, each batch with the number of its first.
    pub batches: Vec<(i32, Vec<Value>)>,
    /// Nothing more will come.
    pub is_over: bool,
    /// Its maker has not been seen for a while.
    pub is_lapsed: bool,
}

/// The columns of which [`so_far`] makes the exchange as it is known by now.
macro_rules! so_far {
    () => {
        "runs.exchange || runs.known as exchange,
         (select string_agg(content, '' order by first)
          from run_batches
          where run_id = runs.id) as content,
         (select jsonb_agg(source order by (source ->> 'n')::integer)
          from run_batches, jsonb_array_elements(sources) as source
          where run_id = runs.id) as sources,
         (select jsonb_agg(marker order by (marker ->> 'at')::integer)
          from run_batches, jsonb_array_elements(markers) as marker
          where run_id = runs.id) as markers"
    };
}

/// Whose run it is, in one word: guests share the empty one.
pub(super) fn word(owner: &Owner) -> String {
    match owner {
        Owner::User(id) => id.to_string(),
        // A trusted server may also name a user by our own id.
        Owner::Named(name) => {
            Uuid::try_parse(name).map_or_else(|_| clean(name), |id| id.to_string())
        }
        Owner::Guest => String::new(),
    }
}

/// Opens the run of an exchange that has no answer yet. With a `key`, and a run that was opened
/// with an equal one by the same owner a moment ago, it is that run's id that is returned, and
/// nothing is opened; a request that `joins` no other takes the key over instead.
pub async fn open(
    db: &Pool,
    exchange: &Exchange,
    key: Option<&[u8]>,
    joins: bool,
) -> Result<Option<Uuid>> {
    let same_seconds = if joins { SAME_REQUEST_SECONDS } else { 0.0 };
    let owner = word(&exchange.owner);
    let record = clean_json(&json!(exchange));
    let rows = db::retry(|| async {
        let client = db.client().await?;
        let [_, found] = db::transaction(
            &client,
            [
                (
                    // An old run gives its key up first: the count makes the insert wait.
                    "with expired as (
                       update runs
                       set request_key = null
                       where owner = $2 and request_key = $3 and id <> $1
                         and began_at < clock_timestamp() - make_interval(secs => $4)
                       returning 1
                     )
                     insert into runs (id, owner, request_key, conversation_id, client_id, exchange)
                     select $1, $2, $3, $5, $6, $7
                     from (select count(*) from expired) as counted
                     on conflict do nothing",
                    &[
                        (&exchange.id, Type::UUID),
                        (&owner, Type::TEXT),
                        (&key, Type::BYTEA),
                        (&same_seconds, Type::FLOAT8),
                        (&exchange.conversation_id, Type::UUID),
                        (&exchange.client_id, Type::TEXT),
                        (&record, Type::JSONB),
                    ],
                ),
                (
                    "select id from runs where owner = $1 and request_key = $2",
                    &[(&owner, Type::TEXT), (&key, Type::BYTEA)],
                ),
            ],
        )
        .await?;
        Ok(found)
    })
    .await?;
    let found: Option<Uuid> = rows.first().map(|row| row.get(0));
    Ok(found.filter(|id| *id != exchange.id))
}

/// Takes the key from a run whose answer was stopped or broke off, so that an equal request is
/// asked anew. `false` leaves the run as it is: its answer is whole, or on its way.
pub async fn give_up(db: &Pool, id: Uuid) -> Result<bool> {
    db::retry(|| async {
        let client = db.client().await?;
        let given_up = client
            .execute_typed(
                "update runs
                 set request_key = null
                 from messages
                 where runs.id = $1 and messages.id = $1
                   and messages.status in ('stopped', 'interrupted')",
                &[(&id, Type::UUID)],
            )
            .await?;
        Ok(given_up > 0)
    })
    .await
}

/// Adds events and renews the lease. `known`: members of the exchange that are known by now.
/// Sent twice it is written once.
pub async fn append(
    db: &Pool,
    id: Uuid,
    batch: &Batch,
    known: &Value,
    is_last: bool,
) -> Result<Pulse> {
    let events = json!(batch.events);
    let content = clean(&batch.content);
    let sources = clean_json(&json!(batch.sources));
    let markers = json!(batch.markers);
    let row = db::retry(|| async {
        let client = db.client().await?;
        let row = client
            .query_typed_opt(
                "with run as (
                   update runs
                   set
                     seen_at = clock_timestamp(),
                     ended_at = case when $2 then clock_timestamp() end,
                     known = case when $3 = '{}' then known else known || $3 end,
                     request_key = case when $8 then null else request_key end
                   where id = $1 and ended_at is null and not is_taken
                   returning id, is_stopping
                 ), written as (
                   insert into run_batches (run_id, first, events, content, sources, markers)
                   select id, $4, $5, $6, $7, $9
                   from run
                   where json_array_length($5) > 0
                   on conflict do nothing
                 )
                 select is_stopping from run",
                &[
                    (&id, Type::UUID),
                    (&is_last, Type::BOOL),
                    (known, Type::JSONB),
                    (&batch.first, Type::INT4),
                    (&events, Type::JSON),
                    (&content, Type::TEXT),
                    (&sources, Type::JSONB),
                    (&batch.has_failed, Type::BOOL),
                    (&markers, Type::JSONB),
                ],
            )
            .await?;
        Ok(row)
    })
    .await?;
    Ok(match row.map(|row| row.get("is_stopping")) {
        Some(true) => Pulse::Stopping,
        Some(false) => Pulse::Going,
        None => Pulse::Over,
    })
}

/// Forgets a run whose question was refused before there was anything to tell.
pub async fn discard(db: &Pool, id: Uuid) -> Result<()> {
    db::retry(|| async {
        let client = db.client().await?;
        client
            .execute_typed("delete from runs where id = $1", &[(&id, Type::UUID)])
            .await?;
        Ok(())
    })
    .await
}

/// The exchange of a run of this owner, as it was when the run was opened.
pub async fn find(db: &Pool, owner: &Owner, id: Uuid) -> Result<Option<Exchange>> {
    let owner = word(owner);
    let row = db::retry(|| async {
        let client = db.client().await?;
        let row = client
            .query_typed_opt(
                "select exchange from runs where id = $1 and owner = $2",
                &[(&id, Type::UUID), (&owner, Type::TEXT)],
            )
            .await?;
        Ok(row)
    })
    .await?;
    row.map(|row| exchange(row.get("exchange"))).transpose()
}

/// The newest run that is going in the conversation that its client calls so, or that has this
/// id.
pub async fn going(db: &Pool, owner: &Owner, conversation: &str) -> Result<Option<Uuid>> {
    let owner = word(owner);
    let conversation = clean(conversation);
    let row = db::retry(|| async {
        let client = db.client().await?;
        let row = client
            .query_typed_opt(
                "select id
                 from runs
                 where owner = $1 and owner <> '' and ended_at is null
                   and (client_id = $2 or conversation_id::text = $2)
                 order by began_at desc
                 limit 1",
                &[(&owner, Type::TEXT), (&conversation, Type::TEXT)],
            )
            .await?;
        Ok(row)
    })
    .await?;
    Ok(row.map(|row| row.get("id")))
}

/// The newest run that is going in a conversation, as the history shows it: with the text and the sources so far.
pub async fn running(
    db: &Pool,
    owner: &Owner,
    conversation: Uuid,
) -> Result<Option<Exchange>> {
    let owner = word(owner);
    let row = db::retry(|| async {
        let client = db.client().await?;
        let row = client
            .query_typed_opt(
                concat!(
                    "select ",
                    so_far!(),
                    " from runs
                     where owner = $1 and owner <> '' and ended_at is null
                       and conversation_id = $2
                     order by began_at desc
                     limit 1"
                ),
                &[(&owner, Type::TEXT), (&conversation, Type::UUID)],
            )
            .await?;
        Ok(row)
    })
    .await?;
    row.as_ref().map(so_far).transpose()
}

/// What was told after the batch that begins with event `seen` (0 for none). `None` when the
/// run is gone.
pub async fn news(db: &Pool, id: Uuid, seen: i32) -> Result<Option<News>> {
    let rows = db::retry(|| async {
        let client = db.client().await?;
        // The outer join keeps the run's own row when there is no batch.
        let rows = client
            .query_typed(
                "select
                   ended_at is not null as is_over,
                   seen_at < clock_timestamp() - make_interval(secs => $3) as is_lapsed,
                   first,
                   events
                 from runs
                 left join run_batches on run_id = id and first > $2
                 where id = $1
                 order by first",
                &[(&id, Type::UUID), (&seen, Type::INT4), (&LEASE_SECONDS, Type::FLOAT8)],
            )
            .await?;
        Ok(rows)
    })
    .await?;
    let Some(run) = rows.first() else { return Ok(None) };
    let (is_over, is_lapsed) = (run.get("is_over"), run.get("is_lapsed"));
    let mut batches = Vec::new();
    for row in rows.iter().filter(|row| row.get::<_, Option<i32>>("first").is_some()) {
        match row.get("events") {
            Value::Array(events) => batches.push((row.get("first"), events)),
            _ => return Err(Error::Internal("a run's events are no list".to_owned())),
        }
    }
    Ok(Some(News { batches, is_over, is_lapsed }))
}

/// Asks whoever makes the answer to stop. Says whether there is anything left to stop; `None`
/// when the owner has no such run.
pub async fn stop(db: &Pool, owner: &Owner, id: Uuid) -> Result<Option<bool>> {
    let owner = word(owner);
    let row = db::retry(|| async {
        let client = db.client().await?;
        let row = client
            .query_typed_opt(
                "update runs
                 set is_stopping = true
                 where id = $1 and owner = $2
                 returning ended_at is null as is_going",
                &[(&id, Type::UUID), (&owner, Type::TEXT)],
            )
            .await?;
        Ok(row)
    })
    .await?;
    Ok(row.map(|row| row.get("is_going")))
}

/// Whose lapsed runs are meant.
#[derive(Clone, Copy, Debug)]
pub enum Lapsed<'a> {
    /// This one, if it is lapsed.
    Run(Uuid),
    /// This owner's.
    Of(&'a Owner),
    /// Everybody's.
    All,
}

/// Keeps what there is of answers that have lost their maker, and closes their runs. Says how
/// many there were. Two who settle the same run do it once.
pub async fn settle(db: &Pool, lapsed: Lapsed<'_>) -> Result<usize> {
    let (id, owner) = match lapsed {
        Lapsed::Run(id) => (Some(id), None),
        // A guest has no history that waits for it.
        Lapsed::Of(Owner::Guest) => return Ok(0),
        Lapsed::Of(owner) => (None, Some(word(owner))),
        Lapsed::All => (None, None),
    };
    // Taking a run renews its lease: should we die too, the next one takes it over.
    let taken = db::retry(|| async {
        let client = db.client().await?;
        let rows = client
            .query_typed(
                concat!(
                    "with lapsed as (
                       select id, seen_at
                       from runs
                       where ended_at is null
                         and seen_at < clock_timestamp() - make_interval(secs => $3)
                         and ($1 is null or id = $1)
                         and ($2 is null or owner = $2)
                       order by seen_at
                       limit $4
                       for update skip locked
                     )
                     update runs
                     set is_taken = true, seen_at = clock_timestamp()
                     from lapsed
                     where runs.id = lapsed.id
                     returning runs.id, lapsed.seen_at as broke_off_at, ",
                    so_far!()
                ),
                &[
                    (&id, Type::UUID),
                    (&owner, Type::TEXT),
                    (&LEASE_SECONDS, Type::FLOAT8),
                    (&SETTLED_AT_ONCE, Type::INT8),
                ],
            )
            .await?;
        Ok(rows)
    })
    .await?;
    for row in &taken {
        // One that cannot be kept now must not stand in the way of the others.
        if let Err(err) = keep(db, row).await {
            tracing::error!(cause = err.chain(), "an interrupted answer was not kept");
        }
    }
    Ok(taken.len())
}

async fn keep(db: &Pool, row: &Row) -> Result<()> {
    let (id, broke_off_at) =
        (row.get("id"), row.get::<_, OffsetDateTime>("broke_off_at"));
    match so_far(row) {
        Ok(mut exchange) => {
            exchange.answered_at = broke_off_at;
            exchange.error_code = Some("interrupted".to_owned());
            if !exchange.answer.is_empty() {
                exchange.status = Status::Interrupted;
            }
            store::save_answer(db, &exchange, Some(broke_off_at)).await?;
        }
        // It would not be read the next time either.
        Err(err) => tracing::error!(cause = err.chain(), "a run is given up"),
    }
    end(db, id).await
}

/// The same for the history of this owner, which is shown in any case.
pub(super) async fn settled(db: &Pool, owner: &Owner) -> usize {
    settle(db, Lapsed::Of(owner)).await.unwrap_or_else(|err| {
        tracing::error!(cause = err.chain(), "interrupted answers were not looked for");
        0
    })
}

async fn end(db: &Pool, id: Uuid) -> Result<()> {
    db::retry(|| async {
        let client = db.client().await?;
        client
            .execute_typed(
                "update runs
                 set ended_at = clock_timestamp(), request_key = null
                 where id = $1",
                &[(&id, Type::UUID)],
            )
            .await?;
        Ok(())
    })
    .await
}

/// Deletes the runs that ended more than an hour ago: nobody comes back for them. Says how
/// many there were.
pub async fn forget(db: &Pool) -> Result<u64> {
    db::retry(|| async {
        let client = db.client().await?;
        let deleted = client
            .execute_typed(
                "delete from runs where ended_at < clock_timestamp() - interval '1 hour'",
                &[],
            )
            .await?;
        Ok(deleted)
    })
    .await
}

fn so_far(row: &Row) -> Result<Exchange> {
    let mut exchange = exchange(row.get("exchange"))?;
    exchange.answer = row.get::<_, Option<_>>("content").unwrap_or_default();
    exchange.sources = row.get::<_, Option<_>>("sources").unwrap_or(json!([]));
    exchange.markers = row.get::<_, Option<_>>("markers").unwrap_or(json!([]));
    Ok(exchange)
}

fn exchange(record: Value) -> Result<Exchange> {
    serde_json::from_value(record)
        .map_err(|err| Error::Internal(format!("a run's exchange was not read: {err}")))
}
