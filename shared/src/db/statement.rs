//! Statements that may be sent twice, each of them in one round trip.
//!
//! What is sent here is repeated as [`retry`] says: a read, or a write that is the same when it
//! happens again. Anything else asks for a [`Client`](super::Client) of its own.

use tokio_postgres::{
    Row,
    types::{ToSql, Type},
};

use super::{Pool, flight, retry};
use crate::Result;

/// Parameters with the built-in types that they are sent as.
pub type Params<'a> = &'a [(&'a (dyn ToSql + Sync), Type)];

impl Pool {
    /// All rows.
    pub async fn query_typed(&self, sql: &str, params: Params<'_>) -> Result<Vec<Row>> {
        retry(|| async { Ok(self.client().await?.query_typed(sql, params).await?) }).await
    }

    /// One row or none.
    pub async fn query_typed_opt(
        &self,
        sql: &str,
        params: Params<'_>,
    ) -> Result<Option<Row>> {
        retry(|| async { Ok(self.client().await?.query_typed_opt(sql, params).await?) })
            .await
    }

    /// Exactly one row.
    pub async fn query_typed_one(&self, sql: &str, params: Params<'_>) -> Result<Row> {
        retry(|| async { Ok(self.client().await?.query_typed_one(sql, params).await?) })
            .await
    }

    /// How many rows it changed.
    pub async fn execute_typed(&self, sql: &str, params: Params<'_>) -> Result<u64> {
        retry(|| async { Ok(self.client().await?.execute_typed(sql, params).await?) })
            .await
    }

    /// The rows of each of a transaction's statements, none of which can use another one's
    /// result, but each sees what those before it did.
    pub async fn in_one_flight<const N: usize>(
        &self,
        statements: [(&str, Params<'_>); N],
    ) -> Result<[Vec<Row>; N]> {
        retry(|| async {
            Ok(flight::transaction(&self.client().await?, statements).await?)
        })
        .await
    }
}
