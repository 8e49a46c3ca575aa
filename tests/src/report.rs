//! `lectern report`, as an owner runs it: the built command on a log of our own.

use std::{fs, path::Path};

use serde_json::{Value, json};
use shared::{config::Env, db::Client};
use tempfile::TempDir;
use tokio_postgres::types::Type;
use uuid::Uuid;

use crate::support::{self, binary, database};

/// Four sections, each long enough to be a passage of its own.
const BOOK: &str = "\
# Keeping a light

The keeper of a light lives beside it, all the year, with a family or with a second keeper. \
Provisions come by boat once a month while the sea allows it, and letters come with them; in a \
hard winter neither comes for many weeks.

## The wick

A wick is trimmed every four hours, because a charred wick smokes the lens. New wicks are \
soaked in vinegar and dried before they are lit; a wick that was never soaked burns unevenly, \
and its flame leans to one side of the burner.

## The lens

The lens is cleaned with rouge and chamois leather at dawn, when it has cooled. Scratches \
are reported to the office of lights on the mainland, which sends a polisher. No keeper ever \
polishes a prism by himself, however small the scratch may look to him.

## Fog

In fog the bell is struck twice a minute by the clockwork, which is wound every hour. When \
the clockwork fails, the bell is struck by hand, and the times are written into the journal of \
the station with the name of the striker.
";

/// A book on a shelf and an empty log.
struct Desk {
    folder: TempDir,
    env: Env,
    db: Client,
}

impl Desk {
    async fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
        fs::write(path("keeping.md"), BOOK).unwrap();
        let url = database::fresh().await;
        let env = database::env(&url)
            .with("BOOK_SHELF", &path("book.shelf"))
            .with("EMBEDDING_PROVIDER", "none");
        let page = path("keeping.md");
        support::lectern(&["ingest", &page, "--to", "shelf", "--language", "eng"], &env)
            .await;
        Self { folder, env, db: database::client(&url).await }
    }

    async fn report(&self, args: &[&str]) -> Value {
        let text = self.text(&[&["--json"], args].concat()).await;
        serde_json::from_str(&text).unwrap()
    }

    async fn text(&self, args: &[&str]) -> String {
        support::lectern(&[&["report"], args].concat(), &self.env).await
    }

    /// One row, this many minutes old.
    async fn log(&self, minutes: i32, row: Value) {
        let text = |name: &str| row[name].as_str().map(str::to_owned);
        let (question, model) =
            (text("question").unwrap(), text("model").unwrap_or_default());
        let (error, reader) = (text("error"), text("reader"));
        let json = |name: &str, other: &str| match &row[name] {
            Value::Null => other.to_owned(),
            it => it.to_string(),
        };
        let (sources, usage) = (json("sources", "[]"), json("usage", "{}"));
        let metadata = json("metadata", "{}");
        let took = row["took"].as_i64().unwrap_or(100) as i32;
        self.db
            .execute_typed(
                "insert into interaction_logs (
                   id, user_id, conversation_id, request_content, response_content,
                   request_timestamp, response_timestamp, response_time_ms, first_token_ms,
                   agent_model, sources, usage, error_code, metadata)
                 values ($1, $2::text::uuid, $2::text::uuid, $3, '',
                   now() - make_interval(mins => $4), now(), $5, $5 / 2, $6,
                   $7::text::jsonb, $8::text::jsonb, $9, $10::text::jsonb)",
                &[
                    (&Uuid::now_v7(), Type::UUID),
                    (&reader, Type::TEXT),
                    (&question, Type::TEXT),
                    (&minutes, Type::INT4),
                    (&took, Type::INT4),
                    (&model, Type::TEXT),
                    (&sources, Type::TEXT),
                    (&usage, Type::TEXT),
                    (&error, Type::TEXT),
                    (&metadata, Type::TEXT),
                ],
            )
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn what_is_logged_does_not_stand_in_what_is_printed() {
    let desk = Desk::new().await;
    let env = desk.env.clone().with("LOG_LEVEL", "loud");
    let (printed, logged) = run(&env, &["report", "--json"]).await;
    assert!(logged.contains("LOG_LEVEL"), "{logged}");
    serde_json::from_str::<Value>(&printed).unwrap();
}

#[tokio::test]
async fn who_sits_at_the_terminal_is_told_the_cause() {
    let unset = Env::default();
    let away = Env::from([("DATABASE_URL", "postgresql://app@%2Fnowhere/x")]);
    for (env, cause) in [
        (&unset, "setting DATABASE_URL is missing or unreadable; it is read from the"),
        (&away, "database is unavailable: error connecting to server: "),
    ] {
        for command in ["report", "migrate", "prune"] {
            let (printed, said) = run(env, &[command]).await;
            assert!(said.contains(&format!("lectern: {cause}")), "{command}: {said}");
            assert_eq!(printed, "");
        }
    }
}

/// What the command prints, and what it says beside that.
async fn run(env: &Env, args: &[&str]) -> (String, String) {
    let mut command = tokio::process::Command::new(binary("lectern"));
    let output = command.args(args).env_clear().envs(env.pairs()).output().await.unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (text(output.stdout), text(output.stderr))
}

fn refused(question: &str) -> Value {
    json!({ "question": question, "model": "fake-1",
        "metadata": { "refused": true, "reason": "model_refused" } })
}

fn cited(question: &str, title: &str, score: f64) -> Value {
    json!({ "question": question, "model": "extractive",
        "sources": [{ "n": 1, "title": title, "score": score }] })
}

/// `heading` → how many of each kind, as the report says it.
fn clusters(report: &Value) -> Vec<(String, i64, i64, i64, i64)> {
    let gaps = report["gaps"].as_array().unwrap();
    let number = |gap: &Value, name: &str| gap[name].as_i64().unwrap();
    gaps.iter()
        .map(|gap| {
            (
                gap["heading"].as_str().unwrap_or("-").to_owned(),
                number(gap, "questions"),
                number(gap, "refused"),
                number(gap, "unsupported"),
                number(gap, "low_score"),
            )
        })
        .collect()
}

#[tokio::test]
async fn sixty_unanswered_questions_point_to_the_headings_that_they_are_nearest_to() {
    let desk = Desk::new().await;
    let page = "Keeping a light";
    for n in 0..25 {
        let text = format!("How long does a wick soaked in vinegar last, try {n}?");
        desk.log(n, refused(&text)).await;
    }
    for n in 0..15 {
        // What was cited names the heading, though it was cited from far down the ranking.
        let text = format!("Which polisher mends a scratch, try {n}?");
        desk.log(n, cited(&text, &format!("{page} > The lens"), 1.0 / 80.0)).await;
    }
    for n in 0..10 {
        let text = format!("Who pays for the clockwork of the bell, try {n}?");
        let metadata = json!({ "unsupported": true, "reason": "no_valid_citation" });
        desk.log(n, json!({ "question": text, "model": "m", "metadata": metadata }))
            .await;
    }
    for n in 0..6 {
        // One word of many is in the book: answered all the same, from nothing much.
        let text = format!("Does the boat sell tickets online with insurance {n}?");
        desk.log(n, cited(&text, page, 1.0 / 61.0)).await;
    }
    for n in 0..4 {
        desk.log(n, refused(&format!("Xylophone quartet {n}"))).await;
    }
    // Answered well: no gap.
    for n in 0..5 {
        let good =
            cited("How is the lens cleaned?", &format!("{page} > The lens"), 1.0 / 61.0);
        desk.log(n, good).await;
    }
    let report = desk.report(&[]).await;
    assert_eq!(
        clusters(&report),
        [
            (format!("{page} > The wick"), 25, 25, 0, 0),
            (format!("{page} > The lens"), 15, 0, 0, 15),
            (format!("{page} > Fog"), 10, 0, 10, 0),
            (page.to_owned(), 6, 0, 0, 6),
            ("-".to_owned(), 4, 4, 0, 0),
        ]
    );
    assert_eq!(report["totals"]["questions"], 65);
    assert_eq!(report["totals"]["low_score"], 21);
    let asked = json!([{ "question": "how is the lens cleaned", "count": 5 }]);
    assert_eq!(report["asked"], asked, "the others were asked once each");
    assert_eq!(report["asked_seldom"], 60);
    assert_eq!(
        report["refusals"],
        json!({ "model_refused": 29, "no_valid_citation": 10 })
    );
}

#[tokio::test]
async fn a_follow_up_is_looked_up_with_the_question_before_it() {
    let desk = Desk::new().await;
    let reader = Uuid::now_v7();
    desk.db
        .execute_typed(
            "insert into users (id, subject) values ($1, $1::text)",
            &[(&reader, Type::UUID)],
        )
        .await
        .unwrap();
    let with = |mut row: Value| {
        row["reader"] = json!(reader.to_string());
        row
    };
    let lens =
        cited("When is the lens cleaned?", "Keeping a light > The lens", 1.0 / 61.0);
    desk.log(9, with(lens)).await;
    desk.log(5, with(refused("And by whom?"))).await;
    let report = desk.report(&[]).await;
    assert_eq!(
        clusters(&report),
        [("Keeping a light > The lens".to_owned(), 1, 1, 0, 0)]
    );
    assert_eq!(report["totals"]["readers"], 1);
}

#[tokio::test]
async fn what_happened_is_counted_and_priced_and_old_rows_are_left_out() {
    let desk = Desk::new().await;
    let usage = json!({ "input_tokens": 2_000_000, "output_tokens": 500_000, "estimated": false });
    desk.log(1, json!({ "question": "The bell in fog", "model": "fake-1", "took": 900, "usage": usage })).await;
    let down = json!({ "degraded": ["llm", "qdrant"] });
    desk.log(
        2,
        json!({ "question": "The bell in fog", "model": "extractive", "metadata": down }),
    )
    .await;
    desk.log(3, json!({ "question": "The bell in fog", "error": "timeout" })).await;
    desk.log(60 * 24 * 3, json!({ "question": "The bell in fog", "model": "old" })).await;
    let args = ["--since", "2d", "--input-price", "3", "--output-price", "15"];
    let report = desk.report(&args).await;
    assert_eq!(report["models"], json!({ "extractive": 1, "fake-1": 1 }));
    assert_eq!(report["degraded"], json!({ "llm": 1, "qdrant": 1 }));
    assert_eq!(report["errors"], json!({ "timeout": 1 }));
    assert_eq!(report["cost"], json!(13.5));
    assert_eq!(report["latency"]["answer_ms_p95"], 900);
    assert_eq!(report["latency"]["first_token_ms_p50"], 50);
    assert_eq!(report["totals"]["by_guests"], 3);
}

#[tokio::test]
async fn the_page_and_the_terminal_say_the_same_and_hide_rare_words() {
    let desk = Desk::new().await;
    desk.log(1, refused("Does <b>Anna</b> trim the wick?")).await;
    let file = desk.folder.path().join("report.html");
    let html = |file: &Path| fs::read_to_string(file).unwrap();
    let name = file.to_str().unwrap();
    let text = desk.text(&["--html", name]).await;
    assert!(text.contains("Keeping a light > The wick"), "{text}");
    assert!(!text.contains("anna") && !html(&file).contains("anna"), "{text}");
    let text = desk.text(&["--html", name, "--min-count", "1"]).await;
    assert!(text.contains("does <b>anna</b> trim the wick"), "{text}");
    assert!(html(&file).contains("does &lt;b&gt;anna&lt;/b&gt; trim the wick"));
    assert!(html(&file).contains("<svg"));
}

#[tokio::test]
async fn a_report_needs_a_database_and_nothing_else() {
    let mut desk = Desk::new().await;
    assert!(desk.text(&[]).await.contains("Nobody asked anything in the last 30d"));
    desk.log(1, refused("Where is the wick?")).await;
    desk.env = desk.env.with("BOOK_SHELF", "nowhere.shelf");
    let report = desk.report(&[]).await;
    assert_eq!(clusters(&report), [("-".to_owned(), 1, 1, 0, 0)]);
    assert!(report["notes"][0].as_str().unwrap().contains("could not be asked again"));
    for (args, word) in [
        (&["report"][..], "DATABASE_URL"),
        (&["report", "--since", "soon"], "12h, 30d, 8w"),
        (&["report", "--input-price", "1"], "--output-price"),
    ] {
        let output = std::process::Command::new(binary("lectern"))
            .args(args)
            .env_clear()
            .output()
            .unwrap();
        assert!(!output.status.success());
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(said.contains(word), "{said}");
    }
}

#[tokio::test]
async fn what_readers_think_of_their_answers_is_told_by_heading() {
    let desk = Desk::new().await;
    let env =
        desk.env.clone().with("INTERNAL_API_KEY", "k").with("LLM_PROVIDER", "extractive");
    let router = support::router(env);
    let key = [("x-api-key", "k")];
    let ask = json!({ "message": { "content": "The bell in fog", "user_id": "ada" } });
    let reply = support::call(&router, "POST", "/api/v1/chat", &key, ask).await;
    let answer = reply.json()["response"].clone();
    let path = format!(
        "/api/v1/conversations/{}/messages/{}/feedback?user_id=ada",
        answer["conversation_id"].as_str().unwrap(),
        answer["message_id"].as_str().unwrap(),
    );
    let down = json!({ "kind": "negative", "reason": "too short" });
    let said = support::call(&router, "POST", &path, &key, down).await;
    assert_eq!(said.status, 204, "{}", said.text);
    let report = desk.report(&[]).await;
    assert_eq!(report["feedback"], json!({ "negative": 1 }));
    assert_eq!(report["totals"]["unresolved"], 1);
    assert_eq!(
        report["opinions"],
        json!([{ "heading": "Keeping a light > Fog", "negative": 1, "positive": 0,
            "reasons": [{ "kind": "negative", "words": "too short" }] }])
    );
    let gap = &report["gaps"][0];
    assert_eq!(gap["heading"], "Keeping a light > Fog");
    assert_eq!((&gap["unresolved"], &gap["disliked"]), (&json!(1), &json!(1)));
    let file = desk.folder.path().join("report.html");
    let text = desk.text(&["--html", file.to_str().unwrap()]).await;
    assert!(text.contains("Feedback\n     1  negative"), "{text}");
    let by_heading = "     1 negative, 0 positive  Keeping a light > Fog\n          negative: \
                      too short\n";
    assert!(text.contains(by_heading), "{text}");
    let html = fs::read_to_string(file).unwrap();
    assert!(html.contains("<td><div>negative: too short</div></td>"), "{html}");
    assert!(html.contains("Unresolved questions by nearest heading"), "{html}");
}
