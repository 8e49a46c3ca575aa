//! `lectern ingest`, as a user runs it: the built command on folders of pages.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use shared::retrieval::{Passage, shelf::Shelf};
use tempfile::TempDir;

use crate::support::{self, embeddings};

/// A folder of pages and the shelf beside it.
pub(crate) struct Desk {
    pub(crate) root: TempDir,
    /// The settings of the command.
    pub(crate) env: Vec<(String, String)>,
}

impl Desk {
    pub(crate) fn with(pages: &[(&str, &str)]) -> Self {
        let desk = Self { root: tempfile::tempdir().unwrap(), env: Vec::new() };
        fs::create_dir(desk.book()).unwrap();
        for (path, text) in pages {
            desk.write(path, text.as_bytes());
        }
        desk
    }

    pub(crate) fn book(&self) -> PathBuf {
        self.root.path().join("book")
    }

    pub(crate) fn shelf_path(&self) -> PathBuf {
        self.root.path().join("made/book.shelf")
    }

    pub(crate) fn write(&self, path: &str, bytes: &[u8]) {
        let file = self.book().join(path);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, bytes).unwrap();
    }

    pub(crate) fn embed_with(&mut self, url: &str, model: &str) {
        self.env = [
            ("EMBEDDING_PROVIDER", "openai"),
            ("EMBEDDING_BASE_URL", url),
            ("EMBEDDING_MODEL", model),
            ("OPENAI_API_KEY", "test"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
    }

    pub(crate) async fn run(&self, args: &[&str]) -> Output {
        self.run_on(&self.book(), args).await
    }

    /// The command, which sees no setting but ours.
    pub(crate) fn command(&self, from: &Path, args: &[&str]) -> Command {
        let mut command = Command::new(support::binary("lectern"));
        command.arg("ingest").arg(from).args(args).current_dir(self.root.path());
        command.env_clear().env("BOOK_SHELF", self.shelf_path()).envs(self.env.clone());
        command
    }

    pub(crate) async fn run_on(&self, from: &Path, args: &[&str]) -> Output {
        let mut command = self.command(from, args);
        tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
    }

    /// What the command printed when all went well.
    pub(crate) async fn ingest(&self, args: &[&str]) -> String {
        let output = self.run(args).await;
        let said = String::from_utf8(output.stdout).unwrap();
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{said}{error}");
        said
    }

    /// What it complained about when it did not.
    pub(crate) async fn refused(&self, args: &[&str]) -> String {
        let output = self.run(args).await;
        assert!(!output.status.success(), "it should have failed");
        String::from_utf8(output.stderr).unwrap()
    }

    pub(crate) fn shelf(&self) -> Shelf {
        Shelf::open(&self.shelf_path()).unwrap()
    }

    pub(crate) fn passages(&self) -> Vec<Passage> {
        self.shelf().passages().collect()
    }

    pub(crate) fn links(&self) -> BTreeSet<String> {
        self.passages().into_iter().map(|it| it.link).collect()
    }
}

pub(crate) fn words(about: &str) -> String {
    format!("The {about} is described here in some detail for whoever needs it. ")
        .repeat(5)
}

#[tokio::test]
async fn sections_become_passages_with_deep_links() {
    let desk = Desk::with(&[
        (
            "ch04/moves.md",
            &format!(
                "# Ownership\r\n\r\n{}\r\n\r\n## Moves\r\n\r\n{}\r\n\r\n## Moves\r\n\r\n{}\r\n\r\n\
                 ## Copies {{#by-value}}\r\n\r\n{}\r\n",
                words("owner"),
                words("first move"),
                words("second move"),
                words("copy")
            ),
        ),
        ("notes.txt", "Plain words, 所有权, and 👩\u{200d}🔬.\n"),
    ]);
    let said = desk.ingest(&[]).await;
    assert!(said.contains("2 pages, 5 passages"), "{said}");
    let expected = [
        "ch04/moves.md#by-value",
        "ch04/moves.md#moves",
        "ch04/moves.md#moves-1",
        "ch04/moves.md#ownership",
        "notes.txt",
    ];
    assert!(desk.links().iter().eq(expected.iter()), "{:?}", desk.links());
    for passage in desk.passages() {
        let source = fs::read_to_string(desk.book().join(&passage.path)).unwrap();
        let (start, end) = (passage.start as usize, passage.end as usize);
        let stretch: String = source.chars().skip(start).take(end - start).collect();
        assert_eq!(passage.text, stretch);
    }
    let moves = desk.passages().into_iter().find(|it| it.anchor == "moves").unwrap();
    assert_eq!(moves.title, "Ownership > Moves");
}

#[tokio::test]
async fn a_long_fence_is_whole_in_every_passage() {
    let code: Vec<_> = (0..300).map(|n| format!("# let x{n} = {n};\n")).collect();
    let code = code.concat();
    let desk = Desk::with(&[("a.md", &format!("# Code\n\n```rust\n{code}```\n"))]);
    desk.ingest(&[]).await;
    let passages = desk.passages();
    assert!(passages.len() > 2);
    for passage in &passages {
        assert_eq!(passage.text.matches("```").count(), 2, "{}", passage.text);
        assert!(passage.text.contains("```rust\n# let x"), "{}", passage.text);
        assert!(passage.text.chars().count() <= 1600);
    }
    assert_eq!(desk.links().len(), 1, "a comment in code is no heading");
}

#[tokio::test]
async fn what_did_not_change_is_not_embedded_again() {
    let fake = embeddings::Fake::start();
    let mut desk = Desk::with(&[("a.md", &words("oak")), ("b.md", &words("elm"))]);
    desk.embed_with(&fake.url(), "first");
    let said = desk.ingest(&[]).await;
    assert!(said.contains("2 embedded with first, 0 reused"), "{said}");
    let calls = fake.calls().len();
    assert!(calls > 0);
    let before = fs::read(desk.shelf_path()).unwrap();

    let said = desk.ingest(&[]).await;
    assert!(said.contains("up to date"), "{said}");
    assert_eq!(fake.calls().len(), calls);
    assert_eq!(fs::read(desk.shelf_path()).unwrap(), before);

    desk.write("c.md", words("ash").as_bytes());
    let said = desk.ingest(&[]).await;
    assert!(said.contains("1 embedded with first, 2 reused"), "{said}");
    let shelf = desk.shelf();
    assert!(shelf.passages().all(|it| shelf.vector(&it.id).is_some()));

    desk.embed_with(&fake.url(), "second");
    let said = desk.ingest(&[]).await;
    assert!(said.contains("3 embedded with second, 0 reused"), "{said}");
}

#[tokio::test]
async fn the_same_book_makes_the_same_file() {
    let pages = [("a.md", words("oak")), ("b/c.md", words("elm"))]
        .map(|(path, text)| (path, text));
    let pages: Vec<(&str, &str)> = pages.iter().map(|it| (it.0, it.1.as_str())).collect();
    let (one, two) = (Desk::with(&pages), Desk::with(&pages));
    one.ingest(&[]).await;
    two.ingest(&[]).await;
    assert_eq!(fs::read(one.shelf_path()).unwrap(), fs::read(two.shelf_path()).unwrap());
}

#[tokio::test]
async fn what_is_removed_from_the_book_goes_from_the_shelf() {
    let desk = Desk::with(&[("a.md", &words("oak")), ("b.md", &words("elm"))]);
    desk.ingest(&[]).await;
    let version = desk.shelf().header().book_version.clone();
    fs::remove_file(desk.book().join("b.md")).unwrap();
    let complaint = desk.refused(&[]).await;
    assert!(complaint.contains("1 of 2 passages (50 %)"), "{complaint}");
    assert!(complaint.contains("--force"), "{complaint}");
    assert_eq!(desk.shelf().header().book_version, version);
    let said = desk.ingest(&["--force"]).await;
    assert!(said.contains("0 new, 1 gone"), "{said}");
    assert_eq!(desk.links().into_iter().collect::<Vec<_>>(), ["a.md"]);
    assert_ne!(desk.shelf().header().book_version, version);
}

#[tokio::test]
async fn another_source_stays_where_it_is() {
    let desk = Desk::with(&[("a.md", &words("oak"))]);
    desk.ingest(&["--source", "guide"]).await;
    fs::rename(desk.book().join("a.md"), desk.book().join("b.md")).unwrap();
    desk.ingest(&["--source", "reference"]).await;
    let mut found: Vec<_> =
        desk.passages().into_iter().map(|it| (it.source, it.path)).collect();
    found.sort();
    let pair = |source: &str, path: &str| (source.to_owned(), path.to_owned());
    assert_eq!(found, [pair("guide", "a.md"), pair("reference", "b.md")]);
}

#[tokio::test]
async fn a_dry_run_tells_and_writes_nothing() {
    let fake = embeddings::Fake::start();
    let mut desk = Desk::with(&[("a.md", &words("oak")), ("b.md", &words("elm"))]);
    desk.embed_with(&fake.url(), "first");
    let said = desk.ingest(&["--dry-run"]).await;
    assert!(
        said.contains("+ a.md (1 passages)") && said.contains("2 to embed"),
        "{said}"
    );
    assert!(!desk.shelf_path().exists());
    assert_eq!(fake.calls().len(), 0);

    desk.ingest(&[]).await;
    let before = fs::read(desk.shelf_path()).unwrap();
    fs::remove_file(desk.book().join("a.md")).unwrap();
    desk.write("b.md", words("beech").as_bytes());
    let said = desk.ingest(&["--dry-run"]).await;
    assert!(said.contains("- a.md (1 passages)"), "{said}");
    assert!(said.contains("~ b.md (1 new, 1 gone, 0 kept)"), "{said}");
    let warning = "1 of 2 passages (50 %) would be deleted, which needs --force";
    assert!(said.ends_with(&format!("{warning}\n")), "{said}");
    let said = desk.ingest(&["--dry-run", "--force"]).await;
    assert!(!said.contains("--force"), "{said}");
    assert_eq!(fs::read(desk.shelf_path()).unwrap(), before);
}

#[tokio::test]
async fn a_failing_endpoint_leaves_the_old_book() {
    let fake = embeddings::Fake::start();
    let mut desk = Desk::with(&[("a.md", &words("oak"))]);
    desk.embed_with(&fake.url(), "first");
    desk.ingest(&[]).await;
    let before = fs::read(desk.shelf_path()).unwrap();
    desk.write("b.md", words("elm").as_bytes());
    fake.then(401, None, serde_json::json!({ "error": { "message": "no such key" } }));
    let complaint = desk.refused(&[]).await;
    assert!(complaint.contains("EMBEDDING_BASE_URL"), "{complaint}");
    assert_eq!(fs::read(desk.shelf_path()).unwrap(), before);
}

#[tokio::test]
async fn bad_input_is_named_and_leaves_the_old_book() {
    let desk = Desk::with(&[("a.md", &words("oak"))]);
    desk.ingest(&[]).await;
    let before = fs::read(desk.shelf_path()).unwrap();
    desk.write("ch/broken.md", b"caf\xe9");
    let complaint = desk.refused(&[]).await;
    assert!(
        complaint.contains("broken.md") && complaint.contains("UTF-8"),
        "{complaint}"
    );
    fs::remove_file(desk.book().join("ch/broken.md")).unwrap();

    fs::remove_file(desk.book().join("a.md")).unwrap();
    assert!(desk.refused(&[]).await.contains("no .md"));
    desk.write("a.md", b" \n");
    assert!(desk.refused(&[]).await.contains("empty"));
    assert!(desk.refused(&["--language", "klingon"]).await.contains("--language"));
    assert!(desk.refused(&["--to", "qdrant"]).await.contains("QDRANT_URL"));
    let missing = desk.run_on(&desk.book().join("nowhere"), &[]).await;
    assert!(!missing.status.success());
    assert_eq!(fs::read(desk.shelf_path()).unwrap(), before);
}

#[tokio::test]
async fn a_file_that_is_no_shelf_is_not_overwritten() {
    let desk = Desk::with(&[("a.md", &words("oak"))]);
    desk.write("b.md", b"# A chapter");
    let chapter = desk.book().join("b.md");
    let complaint = desk.refused(&["--shelf", chapter.to_str().unwrap()]).await;
    assert!(complaint.contains("b.md"), "{complaint}");
    assert_eq!(fs::read(chapter).unwrap(), b"# A chapter");
}
