//! What an answer rests on: words of the book, compared as its language wants it.

use std::fs;

use serde_json::{Value, json};
use shared::{config::Env, retrieval::Mode};
use tempfile::TempDir;
use tools::ingest::collection::publish;

use super::{book_at, book_of, find, passage, settings};
use crate::support::{
    self, book, house,
    model::{Fake, Reply as Said},
    qdrant,
};

/// A bundle with this shelf.
async fn on(shelf: &str) -> Env {
    house::bundle(&[("BOOK_SHELF", shelf)]).await.0
}

async fn ask(env: &Env, question: &str, history: Value) -> Value {
    let router = support::router(env.clone());
    let body = json!({ "query_text": question, "history": history });
    let reply = support::call(&router, "POST", "/api/v1/chat", &[], body).await;
    assert_eq!(reply.status, 200, "{}", reply.text);
    reply.json()["response"].clone()
}

#[tokio::test]
async fn a_book_is_quoted_and_covered_by_the_rules_of_its_language() {
    for (language, text, question, quote) in [
        (
            "deu",
            "# Dienst\n\nEine Lampe brennt bis zum Tag. Morgens putzte der Wärter die Linsen.\n",
            "Wer putzt die Linse?",
            "Morgens putzte der Wärter die Linsen.",
        ),
        (
            // English drops this word, which is a verb's companion here.
            "nob",
            "# Vakt\n\nVokteren sover. Fyret lyser over havet.\n",
            "over havene?",
            "Fyret lyser over havet.",
        ),
        (
            "hin",
            "# दीपक\n\nतेल महँगा है। रखवाला बत्ती को शाम को काटता है।\n",
            "बत्ती कौन काटता है?",
            "रखवाला बत्ती को शाम को काटता है।",
        ),
        (
            "cmn",
            "# 灯塔\n\n油很贵。看守人在黄昏修剪灯芯。\n",
            "谁修剪灯芯？",
            "看守人在黄昏修剪灯芯。",
        ),
    ] {
        let folder = TempDir::new().unwrap();
        let (pages, shelf) =
            (folder.path().join("pages"), folder.path().join("book.shelf"));
        fs::create_dir(&pages).unwrap();
        fs::write(pages.join("page.md"), text).unwrap();
        book::ingest_in(language, &pages, &shelf).await;
        let env = on(shelf.to_str().unwrap()).await.with("MIN_COVERAGE", "0.5");
        let answer = ask(&env, question, json!([])).await;
        assert_eq!(answer["refused"], false, "{language}: {answer}");
        assert_eq!(answer["sources"][0]["quote"], quote, "{language}");
    }
}

#[tokio::test]
async fn a_book_in_qdrant_is_read_in_its_own_language_too() {
    let mut book = book_at("0123456789abcdef", false);
    book.header.language = "deu".to_owned();
    let qdrant = qdrant::Fake::start();
    publish(&settings(&qdrant), &book.header, &book.entries).await.unwrap();
    let env = settings(&qdrant).with("EMBEDDING_PROVIDER", "none");
    let found = find(&env, "lamp", Mode::Lexical).await.unwrap();
    assert_eq!(
        found.tokeniser.tokens("Er putzte die Linsen"),
        ["er", "putzt", "die", "lins"]
    );
}

#[tokio::test]
async fn a_follow_up_is_covered_by_what_was_searched_for() {
    let env = house::bundle(&[]).await.0.with("MIN_COVERAGE", "0.6");
    let history = |text: &str| json!([{ "role": "user", "content": text }]);
    let ask = async |env: &Env, earlier: Value| {
        ask(env, "And the lens or rhubarb?", earlier).await
    };
    // Half of its own words are in the book; those of the question before it count too.
    assert_eq!(ask(&env, json!([])).await["refused"], true);
    let rouge = history("What is cleaned with rouge and chamois leather?");
    assert_eq!(ask(&env, rouge).await["refused"], false);
    let plutonium = history("Which reactor takes plutonium?");
    assert_eq!(ask(&env, plutonium).await["refused"], true);

    let model = Fake::start();
    model.reply(Said::says(&["How is the lens cleaned?"]));
    model.reply(Said::says(&["With rouge [1]."]));
    let env = house::asking(env.clone(), &model).with("CONDENSE_TIMEOUT", "60");
    let answer = ask(&env, history("Which reactor takes plutonium?")).await;
    assert_eq!(answer["content"], "With rouge [1].");
}

#[tokio::test]
async fn a_passage_without_a_word_to_quote_is_no_source() {
    let bare = |n: u32, text| {
        let mut bare = passage((&format!("map-{n}.md"), "The map of the harbour", text));
        (bare.start, bare.end) = (0, text.chars().count() as u32);
        bare
    };
    let passages = vec![
        bare(1, "---"),
        bare(2, "| | |\n|---|---|"),
        bare(3, "<!-- the map of the harbour -->"),
        passage(("lights.md", "Lights", "The harbour has two lights, says the map.")),
    ];
    let words = book_of(passages.clone(), "0123456789abcdef", false);
    let env = on(words.shelf()).await;
    let model = Fake::start();
    model.reply(Said::says(&["Two lights [1]. A map [2]. More [3][4]."]));
    let question = "Where is the map of the harbour?";
    let answer = ask(&house::asking(env.clone(), &model), question, json!([])).await;
    assert_eq!(answer["content"], "Two lights [1]. A map . More .");
    for answer in [answer, ask(&env, question, json!([])).await] {
        let sources = answer["sources"].as_array().unwrap();
        assert_eq!(sources.len(), 1, "{answer}");
        assert_eq!(sources[0]["quote"], "The harbour has two lights, says the map.");
    }
    let nothing = book_of(passages[..3].to_vec(), "0123456789abcdef", false);
    let answer = ask(&on(nothing.shelf()).await, question, json!([])).await;
    assert_eq!((&answer["refused"], &answer["sources"]), (&json!(true), &json!([])));
}
