//! The rows of the log that a report is made from.

use serde_json::Value;
use shared::db::{self, Pool};
use tokio_postgres::types::Type;

/// One answer, without its text.
#[derive(Clone, Debug, Default)]
pub(super) struct Row {
    /// The day it was asked (UTC), `2026-01-31`.
    pub day: String,
    /// The reader; `None` for guests.
    pub reader: Option<String>,
    /// The conversation; `None` for guests.
    pub conversation: Option<String>,
    /// The reader's words.
    pub question: String,
    /// Milliseconds to the end of the answer.
    pub took_ms: i32,
    /// Milliseconds to its first word.
    pub first_ms: Option<i32>,
    /// The model; empty when none was reached.
    pub model: String,
    /// The stable word of an error.
    pub error: Option<String>,
    /// The breadcrumb of the first cited passage.
    pub cited: Option<String>,
    /// The best score among the cited passages.
    pub score: Option<f64>,
    /// What the reader thought of it.
    pub feedback: Option<Feedback>,
    /// `usage` as in the contract.
    pub usage: Value,
    /// `degraded`, `refused`, `unsupported`, `reason`, …
    pub metadata: Value,
}

/// What a reader thought of an answer.
#[derive(Clone, Debug, Default)]
pub(super) struct Feedback {
    /// `positive` or `negative`.
    pub kind: String,
    /// Why, in the reader's words.
    pub reason: Option<String>,
}

/// Every row of the last `seconds`, oldest first.
pub(super) async fn read(db: &Pool, seconds: f64) -> shared::Result<Vec<Row>> {
    let rows = db::retry(|| async {
        let client = db.client().await?;
        let rows = client
            .query_typed(
                "select
                   to_char(request_timestamp at time zone 'UTC', 'YYYY-MM-DD'),
                   user_id::text, conversation_id::text, request_content::text,
                   response_time_ms::int4, first_token_ms::int4, agent_model::text,
                   error_code::text, sources #>> '{0,title}',
                   jsonb_path_query_array(sources, '$[*].score')::text,
                   usage::text, metadata::text, feedback.kind::text,
                   feedback.reason::text
                 from interaction_logs
                 left join feedback on feedback.message_id = interaction_logs.id
                 where request_timestamp >= now() - make_interval(secs => $1)
                 order by request_timestamp, interaction_logs.id",
                &[(&seconds, Type::FLOAT8)],
            )
            .await?;
        Ok(rows)
    });
    let read = |row: &tokio_postgres::Row| {
        let json = |at: usize| -> Value {
            serde_json::from_str(row.get(at)).unwrap_or_default()
        };
        let scores = json(9);
        let scores = scores.as_array().map(Vec::as_slice).unwrap_or_default();
        Row {
            day: row.get(0),
            reader: row.get(1),
            conversation: row.get(2),
            question: row.get(3),
            took_ms: row.get(4),
            first_ms: row.get(5),
            model: row.get(6),
            error: row.get(7),
            cited: row.get(8),
            score: scores.iter().filter_map(Value::as_f64).reduce(f64::max),
            usage: json(10),
            metadata: json(11),
            feedback: row
                .get::<_, Option<String>>(12)
                .map(|kind| Feedback { kind, reason: row.get(13) }),
        }
    };
    Ok(rows.await?.iter().map(read).collect())
}

impl Row {
    /// Whether the book did not answer.
    pub(super) fn is_refused(&self) -> bool {
        self.metadata["refused"] == true
    }

    /// Whether the answer was given without a source that held.
    pub(super) fn is_unsupported(&self) -> bool {
        self.metadata["unsupported"] == true
    }

    /// Whether the reader said that the answer was no good.
    pub(super) fn is_disliked(&self) -> bool {
        self.feedback.as_ref().is_some_and(|it| it.kind == "negative")
    }

    /// Whether the question is still open for the reader who asked it.
    pub(super) fn is_unresolved(&self) -> bool {
        self.is_refused() || self.is_unsupported() || self.is_disliked()
    }

    /// Why there was no answer, in the log's word.
    pub(super) fn reason(&self) -> &str {
        self.metadata["reason"].as_str().unwrap_or("unknown")
    }

    /// The section that a refusal named as the nearest, if the log has it.
    pub(super) fn nearest(&self) -> Option<&str> {
        let nearest = &self.metadata["nearest"][0];
        nearest.as_str().or_else(|| nearest["title"].as_str())
    }
}
