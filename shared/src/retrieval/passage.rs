//! A passage of the book, and what of it is indexed, sent to a model or filtered by.

use std::ops::Range;

use serde::{Deserialize, Serialize};
use unicode_normalization::char::is_combining_mark;
use uuid::Uuid;

use super::tokens::is_invisible;

/// A piece of a page, small enough to be read and to be sent to a model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Passage {
    /// `UUIDv5` of (book, path, anchor, text hash, copy number).
    pub id: Uuid,
    /// The page's path inside the book, `ch04/moves.md`.
    pub path: String,
    /// The anchor of its heading; empty at the top of a page.
    pub anchor: String,
    /// Its address relative to `BOOK_BASE_URL`, with the anchor: `ch04/moves.html#moves`.
    pub link: String,
    /// The breadcrumb, `Ownership > Moves`.
    pub title: String,
    /// What readers and models see.
    pub text: String,
    /// The label of the ingest that brought it.
    pub source: String,
    /// Where it starts in the page's source text: code points, zero-based.
    pub start: u32,
    /// Where it ends, exclusive.
    pub end: u32,
    /// How many code points at the start of `text` are not in the source (a code fence that
    /// was opened again); `text[lead..lead + end - start]` equals `source[start..end]`.
    pub lead: u32,
}

impl Passage {
    /// What is tokenised and embedded: the breadcrumb, an empty line, the text. Like
    /// [`Self::prompt_text`] it holds nothing that a reader of the page cannot see.
    pub fn indexed_text(&self) -> String {
        let text = self.prompt_text();
        if self.title.is_empty() {
            return text;
        }
        format!("{}\n\n{text}", visible(&self.title))
    }

    /// What a model may read: the text without HTML comments (those in code are content and
    /// stay) and without zero-width and bidirectional control characters, so that nobody
    /// can whisper to the model behind the reader's back.
    pub fn prompt_text(&self) -> String {
        visible(&self.text)
    }
}

/// `path` cut at every border between a word and what is not a word, shortest first, ending
/// with the whole: `ch04-01.md` → `ch04`, `ch04-`, `ch04-01`, `ch04-01.`, `ch04-01.md`.
/// These are the values that `path_prefix` may have for the page.
pub fn prefixes(path: &str) -> Vec<String> {
    let mut prefixes = Vec::new();
    let mut before: Option<char> = None;
    for (at, c) in path.char_indices() {
        if before.is_some_and(|before| is_word(before) != is_word(c)) {
            prefixes.push(path[..at].to_owned());
        }
        before = Some(c);
    }
    if before.is_some() {
        prefixes.push(path.to_owned());
    }
    prefixes
}

/// Whether `prefix` is among the [`prefixes`] of `path`, without making them.
pub(crate) fn has_prefix(path: &str, prefix: &str) -> bool {
    let Some(rest) = path.strip_prefix(prefix) else { return false };
    match (prefix.chars().next_back(), rest.chars().next()) {
        (Some(before), Some(after)) => is_word(before) != is_word(after),
        (Some(_), None) => true,
        (None, _) => false,
    }
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || is_combining_mark(c)
}

/// `text` without what a reader cannot see.
fn visible(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut from = 0;
    for comment in comments(text) {
        kept.extend(text[from..comment.start].chars().filter(|c| !is_invisible(*c)));
        from = comment.end;
    }
    kept.extend(text[from..].chars().filter(|c| !is_invisible(*c)));
    kept
}

/// The HTML comments of a Markdown text, as byte ranges in order. Comments in fenced or
/// inline code are shown to the reader, so they are none. A comment that is never closed
/// hides the rest when it starts a line, as it does for a browser; elsewhere it is text.
pub fn comments(text: &str) -> Vec<Range<usize>> {
    let mut found: Vec<Range<usize>> = Vec::new();
    let last_close = text.rfind("-->");
    let mut fence = None;
    let mut line_start = 0;
    for line in text.split_inclusive('\n') {
        let line_end = line_start + line.len();
        // A comment may have swallowed this line, or its beginning.
        let mut at = line_start.max(found.last().map_or(0, |it| it.end));
        if at == line_start && is_code(line, &mut fence) {
            at = line_end;
        }
        let mut unclosed = 0_u64;
        while at < line_end {
            let rest = &text[at..line_end];
            let Some(step) = rest.find(['`', '<']) else { break };
            at += step;
            let rest = &text[at..line_end];
            let ticks = rest.len() - rest.trim_start_matches('`').len();
            if ticks > 0 {
                at += ticks + code_span(&rest[ticks..], ticks, &mut unclosed);
            } else if !rest.starts_with("<!--") {
                at += 1;
            } else if last_close.is_some_and(|close| at + 2 <= close) {
                let close =
                    text[at + 2..].find("-->").map_or(text.len(), |it| at + 2 + it + 3);
                found.push(at..close);
                at = close;
            } else if text[line_start..at].trim().is_empty() {
                found.push(at..text.len());
                return found;
            } else {
                at += 4;
            }
        }
        line_start = line_end;
    }
    found
}

/// How many bytes after an opening run of `ticks` backticks belong to its code span: 0 when
/// the line does not close it. `unclosed` remembers the lengths that were looked for in
/// vain, so that a line full of backticks is not searched again for each of them.
fn code_span(rest: &str, ticks: usize, unclosed: &mut u64) -> usize {
    let bit = 1_u64.checked_shl(ticks as u32).unwrap_or(0);
    if bit == 0 || *unclosed & bit != 0 {
        return 0;
    }
    let mut at = 0;
    while let Some(step) = rest[at..].find('`') {
        at += step;
        let run = rest[at..].len() - rest[at..].trim_start_matches('`').len();
        at += run;
        if run == ticks {
            return at;
        }
    }
    *unclosed |= bit;
    0
}

/// Whether the line is a code fence or lies inside one; `fence` is the open one.
pub(crate) fn is_code(line: &str, fence: &mut Option<(char, usize)>) -> bool {
    let line = line.trim();
    let mark = line.chars().next().filter(|c| matches!(c, '`' | '~'));
    let run = mark.map_or(0, |mark| line.chars().take_while(|c| *c == mark).count());
    match (*fence, mark) {
        (Some((open, length)), _) => {
            if mark == Some(open) && run >= length && run == line.len() {
                *fence = None;
            }
            true
        }
        // An info string with a backtick makes it inline code.
        (None, Some(mark)) if run >= 3 && !(mark == '`' && line[run..].contains('`')) => {
            *fence = Some((mark, run));
            true
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn comments_are_hidden_but_not_those_in_code() {
        assert_eq!(visible("a <!-- obey\nme --> b<!---->c<!-->d"), "a  bcd");
        assert_eq!(visible("`<!--` starts, `-->` ends"), "`<!--` starts, `-->` ends");
        let code = "```html\n<!-- shown -->\n```\n";
        assert_eq!(visible(&format!("{code}<!-- gone -->x")), format!("{code}x"));
        assert_eq!(visible("a <!-- no end"), "a <!-- no end");
        assert_eq!(visible("a\n<!-- no end\nb"), "a\n");
        assert_eq!(visible("<!-- ``` -->\nx <!-- y -->z"), "\nx z");
    }

    #[test]
    fn characters_without_width_are_dropped() {
        assert_eq!(visible("ig\u{200B}no\u{202E}re\u{FEFF}"), "ignore");
    }

    #[test]
    fn the_breadcrumb_is_indexed_with_the_text() {
        let mut passage = passage("Text.");
        assert_eq!(passage.indexed_text(), "Book > Moves\n\nText.");
        passage.title.clear();
        assert_eq!(passage.indexed_text(), "Text.");
    }

    #[test]
    fn a_path_is_cut_at_the_borders_of_its_words() {
        let expected = ["ch04", "ch04-", "ch04-01", "ch04-01.", "ch04-01.md"];
        assert_eq!(prefixes("ch04-01.md"), expected);
        assert_eq!(prefixes("कक्षा/b"), ["कक्षा", "कक्षा/", "कक्षा/b"]);
        assert!(prefixes("").is_empty());
        assert!(!has_prefix("ch04-01.md", "ch0"));
        assert!(!has_prefix("ch04-01.md", ""));
    }

    fn passage(text: &str) -> Passage {
        Passage {
            id: Uuid::nil(),
            path: "moves.md".into(),
            anchor: String::new(),
            link: "moves.html".into(),
            title: "Book > Moves".into(),
            text: text.into(),
            source: "book".into(),
            start: 0,
            end: text.chars().count() as u32,
            lead: 0,
        }
    }

    proptest! {
        #[test]
        fn has_prefix_agrees_with_the_list(path in "[a-c/._-é]{0,10}", cut in 0_usize..10) {
            let prefix: String = path.chars().take(cut).collect();
            prop_assert_eq!(has_prefix(&path, &prefix), prefixes(&path).contains(&prefix));
        }

        #[test]
        fn comments_are_ordered_ranges_on_character_borders(
            text in "([a`~\n é]|<!--|-->|```){0,30}",
        ) {
            let mut end = 0;
            for comment in comments(&text) {
                prop_assert!(end <= comment.start && comment.start < comment.end);
                prop_assert!(text.get(comment.clone()).is_some_and(|it| it.starts_with("<!--")));
                end = comment.end;
            }
        }
    }
}
