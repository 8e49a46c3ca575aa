//! Ingests that are killed while readers ask: every answer comes wholly from one version.

use std::{
    collections::HashMap,
    fs,
    path::Path,
    time::{Duration, Instant},
};

use qdrant_client::qdrant::{RetrievedPoint, ScrollPointsBuilder};
use serde_json::{Value, json};
use shared::config::Env;

use crate::{
    ingest::Desk,
    support::{self, dice::Dice, qdrant},
};

/// Pages of the book: more than one batch for Qdrant, more than one answer can hold.
const PAGES: usize = 150;
/// The two books that take turns.
const NAMES: [&str; 2] = ["heron", "kestrel"];

fn write(desk: &Desk, name: &str) {
    for page in 0..PAGES {
        let text = format!(
            "# Page {page}\n\nThe {name} of page {page} watches the lamp. {}\n",
            "It waits for the evening and says nothing of it. ".repeat(page % 5)
        );
        desk.write(&format!("{page:03}.md"), text.as_bytes());
    }
}

/// Asks for as long as it is polled, and looks at every answer. A fresh function opens the
/// book for each question: one that runs would go on with the old book if the new one could
/// not be read, and hide that.
async fn ask(env: Env, seen: &mut HashMap<String, &'static str>, answers: &mut usize) {
    let body = json!({ "query": "who watches the lamp", "top_k": 50, "mode": "lexical" });
    loop {
        let router = support::router(env.clone());
        let reply =
            support::call(&router, "POST", "/api/v1/rag/query", &[], body.clone()).await;
        assert_eq!(reply.status, 200, "{}", reply.text);
        check(&reply.json(), seen);
        *answers += 1;
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

fn check(answer: &Value, seen: &mut HashMap<String, &'static str>) {
    let results = answer["results"].as_array().unwrap();
    assert_eq!(results.len(), 50, "{answer}");
    assert_eq!(answer["degraded"], json!([]));
    let text = results[0]["text"].as_str().unwrap();
    let name = *NAMES.iter().find(|it| text.contains(**it)).unwrap();
    let is_whole = results.iter().all(|it| it["text"].as_str().unwrap().contains(name));
    assert!(is_whole, "two books in one answer: {answer}");
    let version = answer["book_version"].as_str().unwrap().to_owned();
    assert_eq!(*seen.entry(version).or_insert(name), name, "a version is one book");
}

/// Runs the command and kills it at a moment of its life; says whether it came to its end.
async fn killed_at(desk: &Desk, args: &[&str], after: Duration) -> bool {
    let mut command = tokio::process::Command::from(desk.command(&desk.book(), args));
    command.kill_on_drop(true).stdout(std::process::Stdio::null());
    command.stderr(std::process::Stdio::null());
    let mut child = command.spawn().unwrap();
    if let Ok(ended) = tokio::time::timeout(after, child.wait()).await {
        assert!(ended.unwrap().success());
        return true;
    }
    child.kill().await.unwrap();
    false
}

/// The two books take turns until `kills` runs were killed; returns how many were not.
async fn take_turns(desk: &Desk, args: &[&str], kills: usize) -> usize {
    write(desk, NAMES[1]);
    let start = Instant::now();
    assert!(killed_at(desk, args, Duration::from_mins(1)).await);
    // The first run may be slow for reasons of its own.
    let mut whole = start.elapsed();
    let mut dice = Dice(4711);
    let (mut killed, mut finished) = (0, 1);
    while killed < kills {
        write(desk, NAMES[(killed + finished) % 2]);
        let start = Instant::now();
        if killed_at(desk, args, whole.mul_f64(dice.roll() * 1.1)).await {
            whole = whole.min(start.elapsed());
            finished += 1;
            assert!(finished < 20 * kills, "too few runs live long enough to be killed");
        } else {
            killed += 1;
        }
    }
    finished
}

/// The files beside the shelf.
fn beside(shelf: &Path) -> Vec<String> {
    let files = fs::read_dir(shelf.parent().unwrap()).unwrap();
    files.map(|it| it.unwrap().file_name().into_string().unwrap()).collect()
}

async fn on_the_shelf(kills: usize) {
    let desk = Desk::with(&[]);
    write(&desk, NAMES[0]);
    desk.ingest(&[]).await;
    let env = Env::from([("ALLOW_GUESTS", "yes")])
        .with("BOOK_SHELF", desk.shelf_path().to_str().unwrap());
    let (mut seen, mut answers) = (HashMap::new(), 0);
    let finished = tokio::select! {
        finished = take_turns(&desk, &[], kills) => finished,
        () = ask(env, &mut seen, &mut answers) => unreachable!("it never ends"),
    };
    assert!(
        finished > 0 && answers > 3 && seen.len() <= 2,
        "{answers} answers, {seen:?}"
    );
    write(&desk, "osprey");
    desk.ingest(&[]).await;
    assert_eq!(beside(&desk.shelf_path()), ["book.shelf"], "no run leaves anything");
}

/// Looks at the collection that the alias names for as long as it is polled.
async fn watch(qdrant: &qdrant::Fake, looks: &mut usize) {
    loop {
        qdrant.store(|store| {
            let named = store.aliases["book"].clone();
            let all = ScrollPointsBuilder::new(&named).limit(2 * PAGES as u32).build();
            let points = store.scroll(all).unwrap().result;
            assert_eq!(points.len(), PAGES, "{named} is whole");
            let text = |it: &RetrievedPoint| format!("{:?}", it.payload["text"]);
            let texts: Vec<_> = points.iter().map(text).collect();
            let is_one = |name: &&str| texts.iter().all(|it| it.contains(*name));
            assert!(NAMES.iter().any(is_one), "{named} is one book");
        });
        *looks += 1;
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

async fn in_qdrant(kills: usize) {
    let qdrant = qdrant::Fake::start();
    let mut desk = Desk::with(&[]);
    desk.env.push(("QDRANT_URL".into(), qdrant.url()));
    write(&desk, NAMES[0]);
    desk.ingest(&[]).await;
    let env = Env::from([("ALLOW_GUESTS", "yes")])
        .with("QDRANT_URL", &qdrant.url())
        .with("BOOK_SHELF", "/nowhere/book.shelf");
    let (mut seen, mut answers, mut looks) = (HashMap::new(), 0, 0);
    let finished = tokio::select! {
        finished = take_turns(&desk, &["--to", "qdrant"], kills) => finished,
        () = watch(&qdrant, &mut looks) => unreachable!("it never ends"),
        () = ask_names(env, &mut seen, &mut answers) => unreachable!("it never ends"),
    };
    assert!(finished > 0 && answers > 3 && looks > 3, "{answers} answers, {looks} looks");
    desk.ingest(&["--to", "qdrant"]).await;
    qdrant.store(|it| assert_eq!(it.collections.len(), 1, "no run leaves anything"));
}

/// As [`ask`], without the version: a function knows that for some seconds.
async fn ask_names(
    env: Env,
    seen: &mut HashMap<String, &'static str>,
    answers: &mut usize,
) {
    let router = support::router(env);
    let body = json!({ "query": "who watches the lamp", "top_k": 50, "mode": "lexical" });
    loop {
        let reply =
            support::call(&router, "POST", "/api/v1/rag/query", &[], body.clone()).await;
        assert_eq!(reply.status, 200, "{}", reply.text);
        seen.clear();
        check(&reply.json(), seen);
        *answers += 1;
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test]
async fn killed_while_readers_ask_the_shelf_an_ingest_leaves_a_whole_book() {
    on_the_shelf(20).await;
}

#[tokio::test]
async fn killed_while_readers_ask_qdrant_an_ingest_leaves_a_whole_book() {
    in_qdrant(20).await;
}

#[tokio::test]
#[ignore = "long: run by make soak"]
async fn soak_killed_two_hundred_times_an_ingest_leaves_a_whole_book() {
    on_the_shelf(200).await;
    in_qdrant(200).await;
}
