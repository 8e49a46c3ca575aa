//! What the maker of an answer writes.

use serde_json::{Value, json};
use tokio_postgres::types::Type;
use uuid::Uuid;

use super::{Batch, Heartbeat};
use crate::{
    Result,
    conversations::{
        Exchange,
        account::owner_key,
        nul::{clean, clean_json},
    },
    db::Pool,
};

/// Seconds in which a request with an equal key is the same request.
const SAME_REQUEST_SECONDS: f64 = 60.0;

/// Seconds after the end of an answer when an equal request is a new one: whoever sends again
/// what a gateway has failed to do waits for ten at most, but a reader may ask the same twice.
const TOLD_SECONDS: f64 = 15.0;

/// Opens the run of an exchange that has no answer yet. With a `key`, and a run that was opened
/// with an equal one by the same owner a moment ago, it is that run's id that is returned, and
/// nothing is opened, unless the conversation has gone on since; a request that `joins` no other
/// takes the key over instead, and so does one that replaces what was cut off.
pub async fn open(
    db: &Pool,
    exchange: &Exchange,
    key: Option<&[u8]>,
    joins: bool,
) -> Result<Option<Uuid>> {
    let same_seconds = if joins { SAME_REQUEST_SECONDS } else { 0.0 };
    let owner = owner_key(&exchange.owner);
    let record = clean_json(&json!(exchange));
    let [_, found] = db
        .in_one_flight([
            (
                // An old run gives its key up first: the count makes the insert wait.
                "with expired as (
                   update runs
                   set request_key = null
                   where owner = $2 and request_key = $3 and id <> $1 and (
                     began_at < clock_timestamp() - make_interval(secs => $4)
                     or ended_at < clock_timestamp() - make_interval(secs => $8)
                     or $9 and exists (
                       select 1
                       from messages
                       where messages.id = runs.id and status in ('stopped', 'interrupted'))
                     or $9 and ended_at is not null and exchange ->> 'replaces' is not null
                       and not exists (select 1 from messages where messages.id = runs.id)
                     or exists (
                       select 1
                       from runs as newer
                       where newer.owner = $2 and newer.began_at > runs.began_at
                         and newer.conversation_id = runs.conversation_id))
                   returning 1
                 )
                 insert into runs (
                   id, owner, request_key, conversation_id, client_id, exchange)
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
                    (&TOLD_SECONDS, Type::FLOAT8),
                    (&exchange.replaces.is_some(), Type::BOOL),
                ],
            ),
            (
                "select id from runs where owner = $1 and request_key = $2",
                &[(&owner, Type::TEXT), (&key, Type::BYTEA)],
            ),
        ])
        .await?;
    let found: Option<Uuid> = found.first().map(|row| row.get(0));
    Ok(found.filter(|id| *id != exchange.id))
}

/// Adds events and renews the lease. `known`: members of the exchange that are known by now.
/// Sent twice it is written once.
pub(crate) async fn append(
    db: &Pool,
    id: Uuid,
    batch: &Batch,
    known: &Value,
    is_last: bool,
) -> Result<Heartbeat> {
    let events = json!(batch.events);
    let content = clean(&batch.content);
    let sources = clean_json(&json!(batch.sources));
    let markers = json!(batch.markers);
    let row = db
        .query_typed_opt(
            "with run as (
               update runs
               set
                 seen_at = clock_timestamp(),
                 ended_at = case when $2 then clock_timestamp() end,
                 known = case when $3 = '{}' then known else known || $3 end,
                 request_key = case when $8 then null else request_key end,
                 exchange = case when $2 and is_deleted then '{}' else exchange end
               where id = $1 and ended_at is null and not is_taken
               returning id, is_stopping, is_deleted
             ), written as (
               insert into run_batches (run_id, first, events, content, sources, markers)
               select id, $4, $5, $6, $7, $9
               from run
               where json_array_length($5) > 0 and not is_deleted
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
                (&batch.is_void, Type::BOOL),
                (&markers, Type::JSONB),
            ],
        )
        .await?;
    Ok(match row.map(|row| row.get("is_stopping")) {
        Some(true) => Heartbeat::Stopping,
        Some(false) => Heartbeat::Going,
        None => Heartbeat::Over,
    })
}

/// Forgets a run whose question was refused before there was anything to tell. One that was to
/// replace another only ends: an equal request must still find what there is.
pub(crate) async fn discard(db: &Pool, id: Uuid) -> Result<()> {
    db.execute_typed(
        "with left_over as (
           update runs
           set ended_at = clock_timestamp()
           where id = $1 and exchange ->> 'replaces' is not null
           returning id
         )
         delete from runs
         where id = $1 and not exists (select 1 from left_over)",
        &[(&id, Type::UUID)],
    )
    .await
    .map(drop)
}
