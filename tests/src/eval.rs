//! `lectern eval`, as an owner runs it: the built command, a small book, a few questions.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Output,
};

use serde_json::{Value, json};
use shared::config::Env;
use tempfile::TempDir;

use crate::support::{
    binary, book, database, embeddings,
    model::{Fake, Reply as Said},
};

/// A folder for questions and results, and settings with the small book.
struct Desk {
    folder: TempDir,
    env: Env,
}

impl Desk {
    async fn new() -> Self {
        let env =
            Env::from([("EMBEDDING_PROVIDER", "none"), ("LLM_PROVIDER", "extractive")]);
        let env = env.with("BOOK_SHELF", &book::shelf().await);
        Self { folder: TempDir::new().unwrap(), env }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, lines: &[Value]) -> String {
        let lines: Vec<String> = lines.iter().map(Value::to_string).collect();
        let text = lines.join("\n");
        fs::write(self.path(name), text).unwrap();
        self.path(name).to_str().unwrap().to_owned()
    }

    async fn run(&self, args: &[&str]) -> Output {
        tokio::process::Command::new(binary("lectern"))
            .arg("eval")
            .args(args)
            .current_dir(self.folder.path())
            .env_clear()
            .envs(self.env.pairs())
            .output()
            .await
            .unwrap()
    }

    /// Runs to the end, with results in `out`.
    async fn results(&self, out: &str, args: &[&str]) -> Value {
        let output = self.run(&[args, &["--out", out]].concat()).await;
        assert!(output.status.success(), "{}", said(&output));
        read(&self.path(out).join("results.json"))
    }
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn read(file: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap()
}

fn without_times(mut results: Value) -> String {
    results.as_object_mut().unwrap().remove("took").expect("times");
    results.to_string()
}

/// Four questions of which the first place, no place, the second place and nothing are known.
fn questions() -> Vec<Value> {
    vec![
        json!({ "id": "wick", "text": "How often is the wick trimmed?", "relevant": ["lamps/oil.md"], "answerable": true }),
        json!({ "id": "horn", "text": "Who answers with a horn?", "relevant": ["lamps/lens"], "answerable": true }),
        json!({ "id": "bell", "text": "Is the bell struck when the lens of the beam is cleaned with rouge?", "relevant": ["fog.md"] }),
        json!({ "id": "pay", "text": "What does a keeper earn?", "answerable": false }),
    ]
}

fn close(value: &Value, expected: f64) {
    let value = value.as_f64().unwrap();
    assert!((value - expected).abs() < 1e-12, "{value} is not {expected}");
}

#[tokio::test]
async fn a_ranking_is_measured_by_hand_computed_rules() {
    let desk = Desk::new().await;
    let file = desk.write("q.jsonl", &questions());
    let results = desk.results("out", &[&file, "--run", "runs/run.jsonl"]).await;
    let per_question = results["per_question"].as_array().unwrap();
    let place = |at: usize| &per_question[at]["ranks"]["lexical"]["page"];
    assert_eq!((place(0), place(1), place(2)), (&json!(1), &Value::Null, &json!(2)));
    assert_eq!(per_question[3]["ranks"], json!({}), "nothing is relevant to it");
    assert_eq!((&results["questions"], &results["judged"]), (&json!(4), &json!(3)));
    let pages = &results["metrics"]["lexical"]["page"];
    close(&pages["ndcg@10"], (1.0 + 0.0 + 1.0 / 3_f64.log2()) / 3.0);
    close(&pages["mrr@10"], (1.0 + 0.0 + 0.5) / 3.0);
    close(&pages["recall@5"], 2.0 / 3.0);
    close(&pages["hit@1"], 1.0 / 3.0);
    // What was found instead of the lens is there for a person to see.
    assert_eq!(per_question[1]["found"][0]["place"], "fog.md#fog-signals");

    let run = fs::read_to_string(desk.path("runs/run.jsonl")).unwrap();
    let lines: Vec<Value> =
        run.lines().map(|it| serde_json::from_str(it).unwrap()).collect();
    assert_eq!(lines.len(), 4);
    assert_eq!(
        (&lines[0]["qid"], &lines[0]["docs"][0][0]),
        (&json!("wick"), &json!("lamps/oil.md"))
    );

    let html = fs::read_to_string(desk.path("out/report.html")).unwrap();
    for words in
        ["<svg", "prefers-color-scheme", "The worst questions", "fog.md#fog-signals"]
    {
        assert!(html.contains(words), "{words}");
    }
}

#[tokio::test]
async fn the_same_book_and_questions_give_the_same_bytes() {
    let desk = Desk::new().await;
    let file = desk.write("q.jsonl", &questions());
    let one = desk.results("one", &[&file, "--run", "one/run"]).await;
    let two = desk.results("two", &[&file, "--run", "two/run"]).await;
    assert_eq!(without_times(one), without_times(two));
    let bytes = |name: &str| fs::read(desk.path(name)).unwrap();
    assert_eq!(bytes("one/run"), bytes("two/run"));
    assert_eq!(bytes("one/report.html"), bytes("two/report.html"));
}

#[tokio::test]
async fn a_bar_that_is_missed_fails_the_command_and_is_named() {
    let desk = Desk::new().await;
    let file = desk.write("q.jsonl", &questions());
    let met = desk.run(&[&file, "--min", "ndcg@10=0.5", "recall@5=0.66"]).await;
    assert!(met.status.success(), "{}", said(&met));
    let missed = desk.run(&[&file, "--min", "ndcg@10=0.5", "recall@5=0.67"]).await;
    assert_eq!(missed.status.code(), Some(1));
    let words = said(&missed);
    assert!(words.contains("recall@5 is 0.6667, below 0.67"), "{words}");
    assert!(!words.contains("ndcg"), "{words}");
    let passed = desk.run(&[&file, "--max", "passage:mrr@10=0.1"]).await;
    assert!(said(&passed).contains("above 0.1"), "{}", said(&passed));
    let unknown = desk.run(&[&file, "--min", "ndgc@10=0.5"]).await;
    let words = said(&unknown);
    assert!(words.contains("\"ndgc@10\"") && words.contains("mrr@10"), "{words}");
}

#[tokio::test]
async fn a_number_that_cannot_be_is_refused_before_anything_is_asked() {
    let desk = Desk::new().await;
    let file = desk.write("q.jsonl", &questions());
    for name in ["bogus", "dense:ndcg@10", "unsupported"] {
        let refused = desk.run(&[&file, "--min", &format!("{name}=1")]).await;
        assert_eq!(refused.status.code(), Some(1));
        let words = said(&refused);
        assert!(words.contains(&format!("there is no \"{name}\" here")), "{words}");
        assert_eq!(refused.stdout, b"", "nothing was measured");
    }
}

#[tokio::test]
async fn labels_that_the_book_does_not_have_are_told_in_part_or_fail_the_command() {
    let desk = Desk::new().await;
    let gone = |n: usize| json!({ "text": "wick", "relevant": [format!("gone/{n}.md")] });
    let mut lines: Vec<Value> = (1..=23).map(gone).collect();
    let lost = desk.write("lost.jsonl", &lines);
    let output = desk.run(&[&lost]).await;
    assert_eq!(output.status.code(), Some(1));
    let words = said(&output);
    assert!(words.contains("\"gone/1.md\" is no page of the book"), "{words}");
    lines.extend(questions());
    let some = desk.write("some.jsonl", &lines);
    let output = desk.run(&[&some]).await;
    assert!(output.status.success(), "{}", said(&output));
    let shown = String::from_utf8(output.stdout).unwrap();
    assert_eq!(shown.matches("note: question").count(), 20, "{shown}");
    assert!(shown.contains("note: and 3 more\n"), "{shown}");
}

#[tokio::test]
async fn a_run_is_compared_with_an_earlier_one() {
    let desk = Desk::new().await;
    let good = desk.write("good.jsonl", &questions()[..1]);
    let mut worse = questions()[1].clone();
    worse["id"] = json!("wick");
    let bad = desk.write("bad.jsonl", &[worse]);
    desk.results("before", &[&good]).await;
    let baseline = "before/results.json";
    let same = desk.run(&[&good, "--baseline", baseline]).await;
    let words = String::from_utf8(same.stdout).unwrap();
    assert!(
        words.contains("ndcg@10     +0.0000  [+0.0000, +0.0000]  no clear"),
        "{words}"
    );
    let worse = desk.run(&[&bad, "--baseline", baseline]).await;
    let words = String::from_utf8(worse.stdout).unwrap();
    assert!(words.contains("mrr@10      -1.0000  [-1.0000, -1.0000]  worse"), "{words}");
    let foreign = desk.run(&[&good, "--baseline", "good.jsonl"]).await;
    assert!(
        said(&foreign).contains("good.jsonl: these are no results"),
        "{}",
        said(&foreign)
    );
}

/// The small book again, with embeddings.
async fn embedded(fake: &embeddings::Fake) -> Desk {
    let mut desk = Desk::new().await;
    let shelf = desk.path("dense.shelf").to_str().unwrap().to_owned();
    desk.env =
        Env::from([("EMBEDDING_PROVIDER", "openai"), ("EMBEDDING_MODEL", "words-1")])
            .with("EMBEDDING_BASE_URL", &fake.url())
            .with("OPENAI_API_KEY", "test")
            .with("LLM_PROVIDER", "extractive")
            .with("BOOK_SHELF", &shelf);
    for (path, text) in book::PAGES {
        let file = desk.path("book").join(path);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, text).unwrap();
    }
    let pages = desk.path("book").to_str().unwrap().to_owned();
    crate::support::lectern(&["ingest", &pages, "--to", "shelf"], &desk.env).await;
    desk
}

#[tokio::test]
async fn with_embeddings_each_leg_is_measured_beside_the_fusion() {
    let fake = embeddings::Fake::start();
    let desk = embedded(&fake).await;
    let file = desk.write("q.jsonl", &questions());
    let results = desk.results("out", &[&file]).await;
    assert_eq!(results["main"], "hybrid");
    let metrics = results["metrics"].as_object().unwrap();
    let rankings: Vec<&str> = metrics.keys().map(String::as_str).collect();
    assert_eq!(rankings, ["dense", "hybrid", "lexical"]);
    let words = desk.results("words", &[&file, "--mode", "lexical"]).await;
    assert_eq!(words["main"], "lexical");
    assert_eq!(words["metrics"]["lexical"], results["metrics"]["lexical"]);
}

#[tokio::test]
async fn a_book_whose_embeddings_are_down_is_not_measured_by_words_in_silence() {
    let fake = embeddings::Fake::start();
    let desk = embedded(&fake).await;
    drop(fake);
    let file = desk.write("q.jsonl", &questions());
    let output = desk.run(&[&file]).await;
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains("--mode lexical"), "{}", said(&output));
}

#[tokio::test]
async fn answers_are_judged_and_leave_no_trace_in_the_log() {
    let mut desk = Desk::new().await;
    let model = Fake::start();
    let url = database::fresh().await;
    desk.env = desk
        .env
        .clone()
        .with("CONDENSE_TIMEOUT", "0")
        .with("LLM_PROVIDER", "openai")
        .with("LLM_BASE_URL", &model.openai_url())
        .with("LLM_API_KEY", "sk-test")
        .with("LLM_MODEL", "fake-1")
        .with("DATABASE_URL", &url)
        .with("DAILY_ANSWERS", "0");
    let file = desk.write("q.jsonl", &questions());
    let say = || {
        for reply in [
            &["Every four ", "hours [1]."][..], // cites lamps/oil.md, which is relevant
            &["NOT_IN_THE_BOOK"],               // refused, although it is answerable
            &["It is, I think."],               // no source at all
            &["NOT_IN_THE_BOOK"],               // refused, as it should be
        ] {
            model.reply(Said::says(reply));
        }
    };
    say();
    let results = desk.results("out", &[&file, "--answers"]).await;
    let answers = &results["answers"];
    insta::assert_json_snapshot!(answers, @r#"
    {
      "asked": 4,
      "degraded": {},
      "failed": 0,
      "input_tokens": 3248,
      "model": "fake-1",
      "output_tokens": 572,
      "shares": {
        "citation_precision": 1.0,
        "false_refusals": 0.5,
        "refusal_recall": 1.0,
        "relevant_cited": 0.5,
        "unsupported": 0.5
      }
    }
    "#);
    assert_eq!(model.requests().len(), 4);
    let took = results["took"].as_object().unwrap();
    assert!(
        took.contains_key("first_token_ms_p95") && took.contains_key("answer_ms_p50")
    );
    let html = fs::read_to_string(desk.path("out/report.html")).unwrap();
    let (_, wrong) = html.split_once("Refused, although the book answers").unwrap();
    assert!(wrong.contains("Who answers with a horn?"), "{html}");
    assert!(!html.contains("Answered, although"), "{html}");
    assert!(html.contains("first token, p95"), "{html}");

    let client = database::client(&url).await;
    let rows = database::count(&client, "select count(*) from interaction_logs").await;
    assert_eq!(rows, 0, "the log is for the questions of readers");

    say();
    let fail = desk.run(&[&file, "--answers", "--max", "false_refusals=0.4"]).await;
    assert!(
        said(&fail).contains("false_refusals is 0.5000, above 0.4"),
        "{}",
        said(&fail)
    );
}

#[tokio::test]
async fn drafts_are_made_from_headings_and_never_overwrite_work() {
    let desk = Desk::new().await;
    let output = desk.run(&["--init"]).await;
    assert!(output.status.success(), "{}", said(&output));
    let drafts = fs::read_to_string(desk.path("questions.jsonl")).unwrap();
    let drafts: Vec<Value> =
        drafts.lines().map(|it| serde_json::from_str(it).unwrap()).collect();
    assert!(drafts.iter().all(|it| it["draft"] == true));
    assert_eq!(drafts[0]["relevant"], json!(["fog.md#fog-signals"]));
    let again = desk.run(&["--init"]).await;
    assert!(said(&again).contains("is there already"), "{}", said(&again));
    let results = desk.results("out", &["questions.jsonl"]).await;
    assert_eq!(results["drafts"], drafts.len());
    close(&results["metrics"]["lexical"]["page"]["recall@5"], 1.0);
}

#[tokio::test]
async fn bad_questions_and_labels_are_named_with_their_line() {
    let desk = Desk::new().await;
    let wrong = desk.write(
        "q.jsonl",
        &[json!({ "text": "a" }), json!({ "text": "b", "relevant": 1 })],
    );
    let output = desk.run(&[&wrong]).await;
    assert_eq!(output.status.code(), Some(1));
    assert!(
        said(&output).contains("q.jsonl, line 2: relevant: must be a list"),
        "{}",
        said(&output)
    );
    let gone = desk.run(&["nowhere.jsonl"]).await;
    assert!(said(&gone).contains("nowhere.jsonl"), "{}", said(&gone));

    let labels = ["lamps/gas.md", "lamps/oil.md#nowhere"];
    let file = desk
        .write("q.jsonl", &[json!({ "id": "x", "text": "wick", "relevant": labels })]);
    let results = desk.results("out", &[&file]).await;
    assert_eq!(
        results["missing"],
        json!([
            "question x (line 1): relevant: \"lamps/gas.md\" is no page of the book",
            "question x (line 1): relevant: \"lamps/oil.md#nowhere\" begins no passage: any \
             passage of its page will do",
        ])
    );
    close(&results["metrics"]["lexical"]["page"]["recall@5"], 0.5);

    let mut desk = desk;
    desk.env = desk.env.with("BOOK_SHELF", "nowhere.shelf");
    let output = desk.run(&[&file]).await;
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains("BOOK_SHELF"), "{}", said(&output));
}
