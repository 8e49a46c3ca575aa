//! The table `interaction_logs`, and the day's count of model answers.

use serde_json::json;
use tokio_postgres::types::Type;

use super::{
    Exchange,
    nul::{clean, clean_json},
};
use crate::{Result, db::Pool};

/// Takes one of today's (UTC) model answers, of which there are `cap`; `false` when none is
/// left. Not repeated when the connection dies: it could count twice.
pub async fn take_answer(db: &Pool, cap: i64) -> Result<bool> {
    let client = db.client().await?;
    let taken = client
        .query_typed_opt(
            "insert into daily_answers (day, answers)
             select (clock_timestamp() at time zone 'UTC')::date, 1
             where $1 > 0
             on conflict (day) do update
             set answers = daily_answers.answers + 1
             where daily_answers.answers < $1
             returning answers",
            &[(&cap, Type::INT8)],
        )
        .await?;
    Ok(taken.is_some())
}

/// The row of an answer whose reader went while it was written: that there was one and what it
/// cost, without a word of it.
pub(super) async fn write_wordless(db: &Pool, exchange: &Exchange) -> Result<()> {
    let wordless = Exchange {
        question: String::new(),
        answer: String::new(),
        sources: json!([]),
        ..exchange.clone()
    };
    write(db, &wordless).await
}

/// The log row of a guest's exchange: all that is kept of it. What an answer's maker brings
/// takes the place of what was settled without it.
pub(super) async fn write(db: &Pool, exchange: &Exchange) -> Result<()> {
    let (question, answer) = (clean(&exchange.question), clean(&exchange.answer));
    let sources = clean_json(&exchange.sources);
    let usage = clean_json(&exchange.usage);
    let metadata = clean_json(&exchange.metadata);
    let took_ms = took_ms(exchange);
    db.execute_typed(
        "insert into interaction_logs (
           id, request_content, response_content, request_timestamp,
           response_timestamp, response_time_ms, first_token_ms, agent_model,
           sources, usage, error_code, metadata)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
         on conflict (id) do update
         set
           response_content = excluded.response_content,
           response_timestamp = excluded.response_timestamp,
           response_time_ms = excluded.response_time_ms,
           first_token_ms = excluded.first_token_ms,
           agent_model = excluded.agent_model,
           sources = excluded.sources,
           usage = excluded.usage,
           error_code = excluded.error_code,
           metadata = excluded.metadata
         where interaction_logs.error_code = 'interrupted'
           and excluded.error_code is distinct from 'interrupted'",
        &[
            (&exchange.id, Type::UUID),
            (&question, Type::TEXT),
            (&answer, Type::TEXT),
            (&exchange.asked_at, Type::TIMESTAMPTZ),
            (&exchange.answered_at, Type::TIMESTAMPTZ),
            (&took_ms, Type::INT4),
            (&exchange.first_token_ms, Type::INT4),
            (&exchange.model, Type::TEXT),
            (&sources, Type::JSONB),
            (&usage, Type::JSONB),
            (&exchange.error_code, Type::TEXT),
            (&metadata, Type::JSONB),
        ],
    )
    .await
    .map(drop)
}

/// Milliseconds from the question to the end of the answer; never negative, whatever the
/// clock did in between.
pub(super) fn took_ms(exchange: &Exchange) -> i32 {
    let took = (exchange.answered_at - exchange.asked_at).whole_milliseconds();
    took.clamp(0, i32::MAX.into()) as i32
}
