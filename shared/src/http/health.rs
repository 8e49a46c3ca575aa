//! Is anyone home?

use std::time::Duration;

use axum::{
    http::{HeaderMap, Uri},
    response::{IntoResponse, Response},
    routing::get,
};
use serde::Serialize;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::{
    Ctx, Route,
    extract::{Json, credentials},
};
use crate::{App, Error, Result};

/// `GET /health`.
pub fn route() -> Route {
    Route::new().route("/health", get(health))
}

/// How long `?deep=1` waits for each component.
const PATIENCE: Duration = Duration::from_secs(2);

#[derive(Serialize)]
struct Health {
    status: &'static str,
    version: &'static str,
    timestamp: String,
    components: Components,
}

/// `configured`, or after a look `up`; `missing` or `down` when it is not.
#[derive(Serialize)]
struct Components {
    database: &'static str,
    vectors: &'static str,
    llm: &'static str,
}

impl Components {
    fn healthy(&self) -> bool {
        let bad = |it| matches!(it, "missing" | "down");
        ![self.database, self.vectors, self.llm].into_iter().any(bad)
    }
}

async fn health(app: Ctx, uri: Uri, headers: HeaderMap) -> Result<Response> {
    // Read by hand: a query that makes no sense is no reason to refuse a health check.
    let mut asked = uri.query().unwrap_or_default().split('&');
    let deep = asked.any(|pair| matches!(pair, "deep=1" | "deep=true"));
    let components = if deep {
        let key = credentials(&headers).api_key.unwrap_or_default();
        if !app.access().await?.is_internal(&key) {
            return Err(Error::Unauthorized);
        }
        Box::pin(look(&app)).await
    } else {
        glance(&app).await
    };
    let status = if components.healthy() { "healthy" } else { "degraded" };
    let timestamp = OffsetDateTime::now_utc().format(&Rfc3339).unwrap_or_default();
    let version = env!("CARGO_PKG_VERSION");
    Ok(Json(Health { status, version, timestamp, components }).into_response())
}

/// Settings alone: nothing is opened and nothing is sent.
async fn glance(app: &App) -> Components {
    let word = |fine| if fine { "configured" } else { "missing" };
    Components {
        database: word(app.db().await.is_ok()),
        vectors: word(app.book().await.is_ok()),
        llm: word(app.llm().await.is_ok()),
    }
}

/// Asks each component, all at once.
async fn look(app: &App) -> Components {
    let (database, vectors, llm) = tokio::join!(
        within(async { app.db().await?.check().await }),
        within(async { app.book().await?.check().await }),
        within(async { app.llm().await?.check().await }),
    );
    Components { database, vectors, llm }
}

async fn within(check: impl Future<Output = Result<()>>) -> &'static str {
    match tokio::time::timeout(PATIENCE, check).await {
        Ok(Ok(())) => "up",
        Ok(Err(Error::Misconfigured(_))) => "missing",
        Ok(Err(err)) => {
            tracing::warn!(cause = err.chain(), "a component is down");
            "down"
        }
        Err(_) => "down",
    }
}
