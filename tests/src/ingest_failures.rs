//! Books that cannot be read and services that fail: the built command says which file or
//! setting it is, and the old book stays.

use std::fs;

use qdrant_client::qdrant::{RetrievedPoint, ScrollPointsBuilder};
use serde_json::{Value, json};
use shared::retrieval::embed::BATCH;

use crate::{
    ingest::{Desk, words},
    support::{embeddings, qdrant},
};

/// An mdBook of one chapter, ingested, which goes on with `pages`.
async fn mdbook(pages: &[(&str, &[u8])]) -> (Desk, Vec<u8>) {
    let chapter = format!("# One\n\n{}\n", words("one"));
    let desk =
        Desk::with(&[("src/SUMMARY.md", "- [One](one.md)\n"), ("src/one.md", &chapter)]);
    desk.ingest(&[]).await;
    let before = fs::read(desk.shelf_path()).unwrap();
    for (path, bytes) in pages {
        desk.write(path, bytes);
    }
    (desk, before)
}

/// What the command says of a book that goes on with `pages`; the old one must stay.
async fn complaint(pages: &[(&str, &[u8])]) -> String {
    let (desk, before) = mdbook(pages).await;
    let complaint = desk.refused(&[]).await;
    assert_eq!(fs::read(desk.shelf_path()).unwrap(), before);
    complaint
}

#[tokio::test]
async fn includes_in_a_circle_name_the_file_and_the_line() {
    let said = complaint(&[
        ("src/one.md", b"# One\n\n{{#include two.md}}\n"),
        ("src/two.md", b"\n{{#include one.md}}\n"),
    ])
    .await;
    assert!(said.contains("src/two.md:2: the includes go in a circle"), "{said}");
}

#[tokio::test]
async fn an_include_that_is_no_text_is_named() {
    let said = complaint(&[
        ("src/one.md", b"# One\n\n{{#include two.txt}}\n"),
        ("src/two.txt", b"caf\xe9"),
    ])
    .await;
    assert!(said.contains("two.txt: not UTF-8"), "{said}");
}

#[tokio::test]
async fn what_a_page_includes_and_nobody_finds_is_an_error_unless_that_is_allowed() {
    let page = format!(
        "# One\n\n{{{{#include gone.md}}}}\n\n{}\n\n```rust\n\
         {{{{#rustdoc_include part.rs:nowhere}}}}\n```\n\n{{{{#include ../../secret.txt}}}}\n\n\
         Write \\{{{{#include any.md}}}} to include a file.\n",
        words("another")
    );
    let pages: [(&str, &[u8]); 2] = [
        ("src/one.md", page.as_bytes()),
        ("src/part.rs", b"// ANCHOR: all\nfn f() {}\n"),
    ];
    let (desk, before) = mdbook(&pages).await;
    fs::write(desk.root.path().join("secret.txt"), "the password").unwrap();
    let expected = [
        "src/one.md:3: gone.md is not there to be included",
        "src/one.md:8: part.rs has no ANCHOR: nowhere",
        "src/one.md:11: ../../secret.txt lies outside the book and is not included",
    ];
    let said = desk.refused(&[]).await;
    for line in expected {
        assert!(said.contains(line), "{said}");
    }
    assert!(said.contains("--allow-missing-includes"), "{said}");
    assert!(!said.contains("any.md"), "{said}");
    assert_eq!(fs::read(desk.shelf_path()).unwrap(), before);

    let output = desk.run(&["--allow-missing-includes"]).await;
    let warned = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{warned}");
    assert_eq!(warned, expected.map(|it| format!("warning: {it}\n")).concat());
    let shown: String = desk.passages().into_iter().map(|it| it.text).collect();
    assert!(shown.contains("Write {{#include any.md}} to include a file."), "{shown}");
    assert!(!shown.contains("password") && !shown.contains("gone.md"), "{shown}");
}

/// What a Docusaurus site says of a page with these imports.
async fn imports(imports: &str, partial: &[u8]) -> String {
    let desk = Desk::with(&[("docusaurus.config.js", ""), ("docs/a.md", &words("one"))]);
    desk.ingest(&[]).await;
    let before = fs::read(desk.shelf_path()).unwrap();
    let page =
        format!("---\ntitle: A\n---\n\n{imports}\n\n<Part />\n\n{}\n", words("two"));
    desk.write("docs/a.md", page.as_bytes());
    desk.write("docs/_part.mdx", partial);
    let said = desk.refused(&[]).await;
    assert_eq!(fs::read(desk.shelf_path()).unwrap(), before);
    said
}

#[tokio::test]
async fn partials_that_are_missing_or_go_in_a_circle_are_named() {
    let said = imports("import Part from './_gone.mdx';", b"").await;
    assert!(
        said.contains("docs/a.md:5: ./_gone.mdx is not there to be imported"),
        "{said}"
    );
    let said = imports("import Part from '../../etc/hosts.md';", b"").await;
    assert!(said.contains("docs/a.md:5: ../../etc/hosts.md"), "{said}");
    let said = imports("import Part from './_part.mdx'", b"caf\xe9").await;
    assert!(said.contains("_part.mdx: not UTF-8"), "{said}");
    let circle = b"import A from './a.md'\n\n<A />\n";
    let said = imports("import Part from '@site/docs/_part.mdx'", circle).await;
    assert!(
        said.contains("docs/_part.mdx:1: the imports go in a circle: docs/a.md imports"),
        "{said}"
    );
}

#[tokio::test]
async fn books_without_a_page_are_refused() {
    let said = complaint(&[("src/SUMMARY.md", b"# Summary\n\n- [Draft]()\n")]).await;
    assert!(said.contains("SUMMARY.md: it lists no chapter"), "{said}");
    let said = complaint(&[("book.toml", b"[book\n")]).await;
    assert!(said.contains("book.toml"), "{said}");
    let site =
        Desk::with(&[("docusaurus.config.js", ""), ("docs/a.md", "# A\n\nComing soon")]);
    assert!(site.refused(&[]).await.contains("no page of a Docusaurus site"));
    let site = Desk::with(&[
        ("docusaurus.config.js", ""),
        ("docs/a.md", "x"),
        ("versions.json", "?"),
    ]);
    assert!(site.refused(&[]).await.contains("versions.json"));
}

#[tokio::test]
async fn a_page_of_fifty_megabytes_is_refused() {
    let (desk, before) = mdbook(&[]).await;
    let huge = fs::File::create(desk.book().join("src/one.md")).unwrap();
    huge.set_len(50_000_000).unwrap();
    let said = desk.refused(&[]).await;
    assert!(said.contains("one.md: a page must be under 50 MB"), "{said}");
    assert_eq!(fs::read(desk.shelf_path()).unwrap(), before);
}

/// An answer of the endpoint that no text has asked for: so many vectors, so long.
fn answer(count: usize, length: usize) -> Value {
    let mut vector = vec![0.1; length];
    vector[0] = 1.0;
    let each = (0..count).map(|it| json!({ "index": it, "embedding": vector }));
    json!({ "object": "list", "data": each.collect::<Vec<_>>() })
}

fn pages(count: usize) -> Vec<(String, String)> {
    (0..count)
        .map(|it| (format!("{it:03}.md"), format!("Page {it} of the log.")))
        .collect()
}

fn desk_of(pages: &[(String, String)]) -> Desk {
    let pages: Vec<_> = pages.iter().map(|it| (it.0.as_str(), it.1.as_str())).collect();
    Desk::with(&pages)
}

#[tokio::test]
async fn a_run_that_failed_half_way_goes_on_where_it_stopped() {
    let fake = embeddings::Fake::start();
    let count = 2 * BATCH + 10;
    let mut desk = desk_of(&pages(count));
    desk.embed_with(&fake.url(), "first");
    fake.then(200, None, answer(BATCH, embeddings::DIMENSION));
    fake.then(401, None, json!({ "error": { "message": "no credit" } }));
    let said = desk.refused(&[]).await;
    assert!(said.contains(&format!("after {BATCH} of {count} passages")), "{said}");
    assert!(said.contains("EMBEDDING_BASE_URL") && !desk.shelf_path().exists(), "{said}");
    let kept = desk.root.path().join("made/book.shelf.vectors");
    assert!(kept.exists());

    let calls = fake.calls().len();
    let said = desk.ingest(&[]).await;
    let rest = count - BATCH;
    assert!(
        said.contains(&format!("{rest} embedded with first, {BATCH} reused")),
        "{said}"
    );
    let sent: usize = fake.calls()[calls..].iter().map(|it| it.texts.len()).sum();
    assert_eq!(sent, rest);
    assert!(!kept.exists(), "what was kept has done its work");
}

#[tokio::test]
async fn a_busy_endpoint_is_asked_again() {
    let fake = embeddings::Fake::start();
    let mut desk = desk_of(&pages(3));
    desk.embed_with(&fake.url(), "first");
    fake.then(429, Some("0"), json!({}));
    fake.then(503, Some("0"), json!({}));
    let said = desk.ingest(&[]).await;
    assert!(said.contains("3 embedded"), "{said}");
    assert_eq!(fake.calls().len(), 3);
}

#[tokio::test]
async fn vectors_of_another_length_are_refused_unless_they_are_wanted() {
    let fake = embeddings::Fake::start();
    let mut desk = desk_of(&pages(3));
    desk.embed_with(&fake.url(), "first");
    desk.ingest(&[]).await;
    let before = fs::read(desk.shelf_path()).unwrap();
    desk.write("new.md", b"A page that is new.");
    fake.then(200, None, answer(1, 7));
    let said = desk.refused(&[]).await;
    assert!(said.contains("first now makes vectors of 7 numbers"), "{said}");
    assert!(said.contains("have 32") && said.contains("EMBEDDING_DIMENSIONS"), "{said}");
    assert_eq!(fs::read(desk.shelf_path()).unwrap(), before);

    fake.then(200, None, answer(1, 7));
    fake.then(200, None, answer(3, 7));
    desk.ingest(&["--force"]).await;
    assert_eq!(desk.shelf().header().dimension, 7);
}

#[tokio::test]
async fn a_collection_of_another_dimension_is_told_before_anything_is_written() {
    let (fake, qdrant) = (embeddings::Fake::start(), qdrant::Fake::start());
    let mut desk = desk_of(&pages(3));
    desk.embed_with(&fake.url(), "first");
    desk.env.push(("QDRANT_URL".into(), qdrant.url()));
    desk.ingest(&[]).await;
    let serving = qdrant.store(|it| it.aliases["book"].clone());
    fs::remove_file(desk.shelf_path()).unwrap();
    for it in 0..3 {
        desk.write(&format!("{it:03}.md"), format!("Another page {it}.").as_bytes());
    }
    qdrant.forget_calls();
    fake.then(200, None, answer(3, 7));
    let said = desk.refused(&[]).await;
    assert!(said.contains("32") && said.contains("EMBEDDING_DIMENSIONS"), "{said}");
    assert!(!desk.shelf_path().exists());
    let writes = ["Create", "Upsert", "UpdateAliases", "Delete"];
    assert!(!qdrant.methods().iter().any(|it| writes.contains(&it.as_str())));
    assert_eq!(qdrant.store(|it| it.aliases["book"].clone()), serving);
}

#[tokio::test]
async fn what_did_not_change_is_copied_in_qdrant_too_even_without_the_shelf() {
    let (fake, qdrant) = (embeddings::Fake::start(), qdrant::Fake::start());
    let mut desk = desk_of(&pages(5));
    desk.embed_with(&fake.url(), "first");
    desk.env.push(("QDRANT_URL".into(), qdrant.url()));
    desk.ingest(&[]).await;
    let sent = || fake.calls().iter().map(|it| it.texts.len()).sum::<usize>();
    assert_eq!(sent(), 5);
    desk.write("000.md", b"Page nought is another one.");
    desk.ingest(&[]).await;
    assert_eq!(sent(), 6, "from the shelf");
    fs::remove_file(desk.shelf_path()).unwrap();
    desk.write("001.md", b"Page one is another one.");
    desk.ingest(&[]).await;
    assert_eq!(sent(), 7, "from Qdrant");
    let shelf = desk.shelf();
    for passage in shelf.passages() {
        let made = embeddings::vector(&passage.indexed_text());
        let length = made.iter().map(|it| it * it).sum::<f32>().sqrt();
        let kept = shelf.vector(&passage.id).unwrap();
        let is_same = kept.iter().zip(&made).all(|(a, b)| (a - b / length).abs() < 1e-5);
        assert!(is_same, "{}", passage.path);
    }
    let all = ScrollPointsBuilder::new("book").limit(10).build();
    let points = qdrant.store(|it| it.scroll(all)).unwrap().result;
    let has_dense = |it: &RetrievedPoint| format!("{:?}", it.vectors).contains("dense");
    assert!(points.len() == 5 && points.iter().all(has_dense));
}

#[tokio::test]
async fn a_shelf_that_cannot_be_read_is_made_anew_and_that_is_said() {
    let desk = Desk::with(&[("a.md", &words("oak"))]);
    desk.ingest(&["--source", "guide"]).await;
    let mut bytes = fs::read(desk.shelf_path()).unwrap();
    let middle = bytes.len() / 2;
    bytes.truncate(middle);
    fs::write(desk.shelf_path(), bytes).unwrap();
    let output = desk.run(&["--source", "reference"]).await;
    let warned = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{warned}");
    assert!(
        warned.contains("damaged") && warned.contains("ingest them again"),
        "{warned}"
    );
    assert_eq!(desk.passages()[0].source, "reference");
}
