//! A page of the book as HTML.

use std::sync::LazyLock;

use pulldown_cmark::{CowStr, Event, Parser, Tag, TagEnd, html};
use pulldown_cmark_escape::{escape_href, escape_html};

use super::site::ICON;
use crate::ingest::{Anchors, DIALECT, front_matter};

/// What stands before and after a page, in the colours of the reader's page. A browser that
/// opens a source marks its words (`::target-text`) and the block around them (`:target`).
const STYLE: &str = "\
:root { color-scheme: light dark; --paper: #faf7f1; --sheet: #fffdf9; --ink: #221d18; --faint: #6a6056; --line: #e2d9cb; --mark: #9a3324; --wash: #f3ebdf; --found: #fbefd5; --words: #f5cf7a }
@media (prefers-color-scheme: dark) { :root { --paper: #191613; --sheet: #221e1a; --ink: #ece4d8; --faint: #a89c8d; --line: #3a332c; --mark: #eb9a72; --wash: #2a251f; --found: #33290f; --words: #6b5216 } }
* { box-sizing: border-box }
html { scroll-padding-top: 4rem }
body { margin: 0 auto; max-width: 46rem; padding: 0 1rem 4rem; background: var(--paper); color: var(--ink); font: 1.0625rem/1.65 Charter, 'Iowan Old Style', Georgia, 'Noto Serif', serif; overflow-wrap: anywhere }
nav { position: sticky; top: 0; display: flex; gap: 1.5rem; padding: .8rem 0; background: var(--paper); border-bottom: 1px solid var(--line); font: .925rem/1.4 system-ui, sans-serif }
a { color: var(--mark); text-underline-offset: .15em } nav a { text-decoration: none } nav a:hover { text-decoration: underline }
h1, h2, h3, h4, h5, h6 { margin: 1.8em 0 .5em; font: 600 1.1rem/1.3 system-ui, sans-serif } h1 { font-size: 1.8rem; margin-top: 1em } h2 { font-size: 1.35rem }
code { font: .86em/1.5 ui-monospace, Menlo, Consolas, monospace; background: var(--wash); border-radius: .3em; padding: .1em .3em }
pre { overflow-x: auto; padding: .8rem 1rem; background: var(--sheet); border: 1px solid var(--line); border-radius: .6rem; overflow-wrap: normal } pre code { background: none; padding: 0 }
table { display: block; overflow-x: auto; border-collapse: collapse; font: .925rem/1.5 system-ui, sans-serif; overflow-wrap: normal }
th, td { padding: .4rem .8rem; border-bottom: 1px solid var(--line); text-align: start; vertical-align: top }
blockquote { margin: 1em 0; padding-inline-start: 1em; border-inline-start: 2px solid var(--line); color: var(--faint) }
img { max-width: 100% } hr { border: 0; border-top: 1px solid var(--line) }
:target { background: var(--found); box-shadow: 0 0 0 .3rem var(--found); border-radius: .1rem }
::target-text { background: var(--words); color: inherit } :target code { background: none }";

/// The icon as an address, because the page may fetch nothing.
static ICON_ADDRESS: LazyLock<String> = LazyLock::new(|| {
    let mut address = String::new();
    escape_href(&mut address, &ICON.replace('#', "%23").replace('\'', "%27")).ok();
    format!("data:image/svg+xml,{address}")
});

/// The whole document, with the chat beside it. Relative links lead to the other pages as they
/// stand: the address of a page is its path in the book.
pub(super) fn document(path: &str, source: &str) -> String {
    let text = source.strip_prefix('\u{feff}').unwrap_or(source);
    let front = front_matter(text);
    let (events, heading) = with_anchors(&text[front.len..]);
    let mut title = String::new();
    let name = heading.or(front.title).unwrap_or_else(|| path.to_owned());
    escape_html(&mut title, &name).ok();
    let mut body = String::new();
    html::push_html(&mut body, events.into_iter());
    let icon = ICON_ADDRESS.as_str();
    format!(
        "<!doctype html>\n<html>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{title}</title>\n<link rel=\"icon\" href=\"{icon}\">\n\
         <style>\n{STYLE}\n</style>\n\
         <script src=\"/embed.js\" defer></script>\n\
         <nav><a href=\"/\">← Ask the book</a> <a href=\"/book/\">The book</a></nav>\n\
         <main dir=\"auto\">\n{body}</main>\n</html>\n"
    )
}

/// The page's events, each heading with the id that its passages link to; and the words of
/// the first heading.
fn with_anchors(text: &str) -> (Vec<Event<'_>>, Option<String>) {
    let mut anchors = Anchors::default();
    let mut events: Vec<Event<'_>> = Parser::new_ext(text, DIALECT).collect();
    let mut first = None;
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
                first.get_or_insert(line);
            }
            _ => {}
        }
    }
    (events, first)
}

#[cfg(test)]
mod tests {
    use super::document;

    #[test]
    fn headings_carry_the_anchors_of_their_passages() {
        let html =
            document("a/b.md", "# One `two`\n\n## Same\n\n## Same\n\n## X {#own}\n");
        for id in ["one-two", "same", "same-1", "own"] {
            assert!(html.contains(&format!("id=\"{id}\"")), "{id}: {html}");
        }
    }

    #[test]
    fn a_page_is_called_by_its_heading_its_front_matter_or_its_path() {
        for (text, title) in [
            ("---\ntitle: B\n---\n\n# A & `b`\n", "A &amp; b"),
            ("---\ntitle: B\n---\n\nText\n", "B"),
            ("Text\n", "a/&lt;b.md"),
        ] {
            let html = document("a/<b.md", text);
            assert!(html.contains(&format!("<title>{title}</title>")), "{html}");
        }
    }
}
