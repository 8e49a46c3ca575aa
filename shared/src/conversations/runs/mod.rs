//! The run log: the journal of every answer while it is made, in the tables `runs` and
//! `run_batches`.
//!
//! Whoever makes an answer holds a lease on its run and renews it with every append. A run
//! whose lease is over has lost its maker: whoever meets it keeps what there is and closes it.

mod read;
mod settle;
mod write;

use serde_json::{Value, json};
use tokio_postgres::Row;

pub(super) use self::settle::settle_or_log;
pub(crate) use self::{
    read::standing,
    write::{append, discard},
};
pub use self::{
    read::{find, going, news, running, stop},
    settle::{Lapsed, forget, settle},
    write::open,
};
use super::Exchange;
use crate::{Error, Result};

/// Seconds after its last sign of life when a run has lost its maker: a dozen heartbeats, so
/// that a database that wakes up slowly kills no answer.
pub(super) const LEASE_SECONDS: f64 = 5.0;

/// What the recorder adds at once.
#[derive(Debug, Default)]
pub(crate) struct Batch {
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
    /// Nothing came of the answer that a conversation keeps, so that a repeated request is
    /// another attempt.
    pub is_void: bool,
}

/// What an append found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Heartbeat {
    /// The run is ours.
    Going,
    /// Its reader wants no more of it.
    Stopping,
    /// It is over, or somebody took it for dead.
    Over,
}

/// What became of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It is being made.
    Going,
    /// It is being stopped.
    Stopping,
    /// It was stopped, or broke off: what there is, of it or of the one that it was to replace, is
    /// kept.
    CutOff,
    /// It came to nothing, and the key with it.
    Free,
    /// It is told to its end.
    Whole,
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
macro_rules! columns_so_far {
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
use columns_so_far;

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
