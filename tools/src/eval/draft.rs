//! `lectern eval --init`: questions to start from, drafted from the book's headings.

use std::{
    collections::HashSet,
    fs::OpenOptions,
    io::{ErrorKind, Write},
    path::Path,
};

use serde_json::json;
use shared::{
    config::Env,
    retrieval::{Passage, shelf::Place},
};

use crate::Outcome;

/// The file when `--out` names none.
pub(super) const FILE: &str = "questions.jsonl";

/// Writes one draft for each heading of the book, and says how many. An existing file is
/// somebody's work and stays as it is.
pub(super) fn write(env: &Env, file: &Path) -> Outcome<usize> {
    let place = Place::from_env(env);
    let shelf = place.current().map_err(
        |_| "the drafts are made from the shelf: set BOOK_SHELF, or ingest a book",
    )?;
    let lines = drafts(shelf.passages().collect());
    let name = file.display();
    let made = OpenOptions::new().write(true).create_new(true).open(file);
    let mut made = made.map_err(|err| match err.kind() {
        ErrorKind::AlreadyExists => {
            format!("{name} is there already: name another --out")
        }
        _ => format!("{name}: {err}"),
    })?;
    made.write_all(lines.concat().as_bytes())?;
    Ok(lines.len())
}

/// One line for each heading, in the order of the book's pages.
fn drafts(mut passages: Vec<Passage>) -> Vec<String> {
    passages.sort_by(|a, b| (&a.path, a.start, a.id).cmp(&(&b.path, b.start, b.id)));
    let mut seen = HashSet::new();
    let mut lines = Vec::new();
    for passage in &passages {
        let Passage { path, anchor, title, .. } = passage;
        if title.trim().is_empty() || !seen.insert((path, anchor)) {
            continue;
        }
        let relevant = match anchor.as_str() {
            "" => path.clone(),
            anchor => format!("{path}#{anchor}"),
        };
        let line = json!({
            "id": format!("draft-{}", lines.len() + 1),
            "text": question(title),
            "relevant": [relevant],
            "answerable": true,
            "draft": true,
        });
        lines.push(format!("{line}\n"));
    }
    lines
}

/// The heading as a question; where it stands says more than its own words.
fn question(title: &str) -> String {
    match title.rsplit_once(" > ") {
        Some((above, heading)) => {
            let above = above.rsplit(" > ").next().unwrap_or(above);
            format!("What does the book say about {heading} ({above})?")
        }
        None => format!("What does the book say about {title}?"),
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn passage(path: &str, anchor: &str, title: &str, start: u32) -> Passage {
        Passage {
            id: Uuid::from_u128(u128::from(start)),
            path: path.into(),
            anchor: anchor.into(),
            link: String::new(),
            title: title.into(),
            text: "x".into(),
            source: "book".into(),
            start,
            end: start + 1,
            lead: 0,
        }
    }

    #[test]
    fn every_heading_is_drafted_once_in_the_order_of_the_pages() {
        let lines = drafts(vec![
            passage("b.md", "", "", 1),
            passage("b.md", "how", "Lamps > Oil > How", 9),
            passage("b.md", "how", "Lamps > Oil > How", 20),
            passage("a.md", "", "Fog", 0),
        ]);
        insta::assert_snapshot!(lines.concat(), @r##"
        {"answerable":true,"draft":true,"id":"draft-1","relevant":["a.md"],"text":"What does the book say about Fog?"}
        {"answerable":true,"draft":true,"id":"draft-2","relevant":["b.md#how"],"text":"What does the book say about How (Oil)?"}
        "##);
    }
}
