//! A transaction in one round trip.

use std::{
    future::{Future, poll_fn},
    pin::Pin,
    task::Poll,
};

use futures_util::future::{MaybeDone, maybe_done};
use tokio_postgres::{Error, Row};

use super::{Client, Params};

/// READ COMMITTED is said aloud: a statement after a lock must see what the lock waited for.
/// The limits are `local`, because behind a pooler a session belongs to nobody.
const BEGIN: &str = "begin isolation level read committed; \
                     set local lock_timeout = '5s'; set local statement_timeout = '8s'";

/// Sends `begin`, the statements and `commit` in one flight, and returns each statement's
/// rows. A statement cannot use another one's result, but sees what it did.
///
/// Dropping this half way leaves a finished transaction, never an open one. The first error
/// is the real one: what follows it fails too, and `commit` then rolls back but says `Ok`.
pub(super) async fn transaction<const N: usize>(
    client: &Client,
    statements: [(&str, Params<'_>); N],
) -> Result<[Vec<Row>; N], Error> {
    let (begin, rows, commit) = futures_util::join!(
        client.batch_execute(BEGIN),
        in_order(
            statements.map(|(sql, params)| Box::pin(client.query_typed(sql, params)))
        ),
        client.batch_execute("commit"),
    );
    begin?;
    let mut results = Vec::with_capacity(N);
    for row in rows {
        results.push(row?);
    }
    commit?;
    Ok(results.try_into().expect("one result for each of the N statements"))
}

/// Polls from first to last: a statement is queued when its future is first polled, so the
/// order of polling is the order on the wire. (`join_all` does not promise any.)
async fn in_order<F: Future + Unpin, const N: usize>(futures: [F; N]) -> Vec<F::Output> {
    let mut all = futures.map(|it| Box::pin(maybe_done(it)));
    poll_fn(|cx| {
        let mut pending = false;
        for it in &mut all {
            pending |= it.as_mut().poll(cx).is_pending();
        }
        if pending { Poll::Pending } else { Poll::Ready(()) }
    })
    .await;
    let take = |mut it: Pin<Box<MaybeDone<F>>>| it.as_mut().take_output();
    all.into_iter().filter_map(take).collect()
}
