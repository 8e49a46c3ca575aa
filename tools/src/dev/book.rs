//! The book's pages, so that sources open on the passage that they quote.

use std::{
    path::{Component, Path, PathBuf},
    sync::Arc,
};

use axum::{
    extract::{self, State},
    http::{StatusCode, header},
    response::{Html, IntoResponse, Redirect, Response},
};
use pulldown_cmark::{CowStr, Event, Parser, Tag, TagEnd, html};

use crate::ingest::{Anchors, DIALECT, front_matter};

/// The folder of the book, or its one file.
#[derive(Clone)]
pub(super) struct Folder(Arc<PathBuf>);

impl Folder {
    pub(super) fn new(book: &Path) -> Self {
        Self(Arc::new(book.to_owned()))
    }

    /// The file of a page; `None` for a path that leaves the book.
    fn file(&self, path: &str) -> Option<PathBuf> {
        if self.0.is_file() {
            return (self.0.file_name()?.to_str()? == path).then(|| self.0.to_path_buf());
        }
        let inside = |it| matches!(it, Component::Normal(name) if !hidden(name));
        Path::new(path).components().all(inside).then(|| self.0.join(path))
    }
}

fn hidden(name: &std::ffi::OsStr) -> bool {
    name.as_encoded_bytes().starts_with(b".")
}

/// `/book`: the first page, or the only one.
pub(super) async fn front(State(book): State<Folder>) -> Response {
    let name = book.0.is_file().then(|| book.0.file_name()).flatten();
    let first = match name.and_then(|it| it.to_str()) {
        Some(name) => Some(name),
        None => ["index.md", "README.md", "SUMMARY.md"]
            .into_iter()
            .find(|name| book.0.join(name).is_file()),
    };
    match first {
        Some(name) => Redirect::temporary(&format!("/book/{name}")).into_response(),
        None => missing(),
    }
}

/// `/book/{path}`: a page as HTML, with the anchors that ingesting gave it.
pub(super) async fn page(
    State(book): State<Folder>,
    extract::Path(path): extract::Path<String>,
) -> Response {
    let Some(file) = book.file(&path) else { return missing() };
    let Ok(bytes) = tokio::fs::read(&file).await else { return missing() };
    let kind = file.extension().and_then(|it| it.to_str()).unwrap_or_default();
    match (kind, String::from_utf8(bytes)) {
        ("md" | "markdown" | "mdown", Ok(text)) => {
            Html(document(&path, &text)).into_response()
        }
        ("txt", Ok(text)) => {
            ([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], text).into_response()
        }
        _ => missing(),
    }
}

fn missing() -> Response {
    (StatusCode::NOT_FOUND, Html("<p>The book has no such page.</p>")).into_response()
}

fn document(path: &str, source: &str) -> String {
    let text = source.strip_prefix('\u{feff}').unwrap_or(source);
    let text = &text[front_matter(text).len..];
    let mut body = String::new();
    html::push_html(&mut body, with_anchors(text).into_iter());
    let mut title = String::new();
    pulldown_cmark_escape::escape_html(&mut title, path).ok();
    let up = "../".repeat(path.matches('/').count() + 1);
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n<title>{title}</title>\n\
         <style>{STYLE}</style>\n<nav><a href=\"{up}\">Ask the book</a></nav>\n\
         <main>\n{body}</main>\n</html>\n"
    )
}

const STYLE: &str = "\
:root { color-scheme: light dark }
body { font: 1.05rem/1.6 system-ui, sans-serif; margin: 0 auto; max-width: 44rem; padding: 1rem }
pre { overflow-x: auto; padding: .8rem; background: #8881; border-radius: .4rem }
code { font-size: .92em } table { border-collapse: collapse; display: block; overflow-x: auto }
td, th { border: 1px solid #8885; padding: .3rem .6rem; text-align: left }
:target { background: #fd06; scroll-margin-top: 1rem } blockquote { border-left: .2rem solid #8886; margin-left: 0; padding-left: 1rem }";

/// The page's events, each heading with the id that its passages link to.
fn with_anchors(text: &str) -> Vec<Event<'_>> {
    let mut anchors = Anchors::default();
    let mut events: Vec<Event<'_>> = Parser::new_ext(text, DIALECT).collect();
    let mut open = None;
    let mut words = String::new();
    for at in 0..events.len() {
        match &events[at] {
            Event::Start(Tag::Heading { id, .. }) => {
                open = Some((at, id.as_ref().map(ToString::to_string)));
                words.clear();
            }
            Event::Text(text) | Event::Code(text) => words.push_str(text),
            Event::SoftBreak | Event::HardBreak => words.push(' '),
            Event::End(TagEnd::Heading(_)) => {
                let Some((start, explicit)) = open.take() else { continue };
                let line = words.split_whitespace().collect::<Vec<_>>().join(" ");
                let anchor = anchors.next(&line, explicit.as_deref());
                if let Event::Start(Tag::Heading { id, .. }) = &mut events[start] {
                    *id = (!anchor.is_empty()).then(|| CowStr::from(anchor));
                }
            }
            _ => {}
        }
    }
    events
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{Folder, document};

    #[test]
    fn headings_carry_the_anchors_of_their_passages() {
        let html =
            document("a/b.md", "# One `two`\n\n## Same\n\n## Same\n\n## X {#own}\n");
        for id in ["one-two", "same", "same-1", "own"] {
            assert!(html.contains(&format!("id=\"{id}\"")), "{id}: {html}");
        }
        assert!(html.contains("href=\"../../\""), "{html}");
    }

    #[test]
    fn a_path_cannot_leave_the_book() {
        let book = Folder::new(Path::new("book"));
        assert!(book.file("../secret.md").is_none());
        assert!(book.file("/etc/passwd.md").is_none());
        assert!(book.file("a/.hidden/b.md").is_none());
        assert_eq!(book.file("a/b.md").unwrap(), Path::new("book/a/b.md"));
    }
}
