//! Pages that promise a text and have none.

use pulldown_cmark::{Event, Parser, Tag, TagEnd};

use super::super::markdown::DIALECT;

/// What such pages say in place of a text, in lower case.
const PROMISES: [&str; 10] = [
    "coming soon",
    "under construction",
    "under development",
    "work in progress",
    "to be written",
    "to be added",
    "to be done",
    "content will be added",
    "is in preparation",
    "stay tuned",
];

/// What authors leave for themselves. Before a colon it is in capitals, as `TODO: the oaks`.
const MARKERS: [&str; 3] = ["todo", "tbd", "wip"];

/// What ends a sentence, as far as short pages go.
const SENTENCE_ENDS: [char; 6] = ['.', '!', '?', '…', '。', '！'];

/// Whether the page is a stub: under its headings there is no code, and no sentence but
/// promises. The body has no front matter and no tags any more.
pub(super) fn is_stub(body: &str) -> bool {
    let mut is_heading = false;
    let mut said = String::new();
    for event in Parser::new_ext(body, DIALECT) {
        match event {
            Event::Start(Tag::Heading { .. }) => is_heading = true,
            Event::End(TagEnd::Heading(_)) => is_heading = false,
            _ if is_heading => {}
            Event::Code(_) | Event::Start(Tag::CodeBlock(_)) => return false,
            Event::Text(text) => said.push_str(&text),
            Event::SoftBreak | Event::HardBreak => said.push('\n'),
            // A paragraph, an item or a cell ends, and with it what it says.
            Event::End(
                TagEnd::Emphasis
                | TagEnd::Strong
                | TagEnd::Strikethrough
                | TagEnd::Link
                | TagEnd::Image,
            ) => {}
            Event::End(_) => said.push_str("\n\n"),
            _ => {}
        }
    }
    said.split("\n\n").all(|block| {
        is_left_to_do(block) || block.split_inclusive(SENTENCE_ENDS).all(says_nothing)
    })
}

/// `TODO`, `tbd.` or `TODO: the oaks`.
fn is_left_to_do(block: &str) -> bool {
    let bare = block.trim_matches(|c: char| !c.is_alphanumeric());
    let before_colon = bare.split_once(':').map_or("", |(before, _)| before);
    MARKERS.iter().any(|marker| {
        bare.eq_ignore_ascii_case(marker) || before_colon == marker.to_uppercase()
    })
}

/// A promise, a label that announces what follows (`Note:`), or no word at all.
fn says_nothing(sentence: &str) -> bool {
    let lower = sentence.to_lowercase();
    let words = lower.split(|c: char| !c.is_alphanumeric()).filter(|it| !it.is_empty());
    let words = format!(" {} ", words.collect::<Vec<_>>().join(" "));
    words.trim().is_empty()
        || sentence.trim_end().ends_with(':')
        || PROMISES.iter().any(|it| words.contains(&format!(" {it} ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn promises_and_empty_pages_are_stubs() {
        for body in [
            "# Oak\n\nComing soon!\n",
            "# Oak\n\nInfo:\n\nComing\nsoon! Stay tuned.\n",
            "# Oak\n\n**This page is under development**, please come back.\n",
            "# A heading of a page that has many words and `code`\n\n\n",
            "# Oak\n\nTODO\n",
            "# Oak\n\n- **tbd.**\n- TODO: say how\n  oaks grow\n",
            "",
        ] {
            assert!(is_stub(body), "{body}");
        }
    }

    #[test]
    fn whatever_says_something_is_a_page() {
        for body in [
            "# Port\n\nPort: 8080.\n",
            "# Todo\n\nEvery todo in the list has a date.\n",
            "# Oak\n\nOaks grow slowly.\n\nTODO: say how slowly.\n",
            "# Soap\n\nSodium is used in preparation of soap.\n",
            "# Oak\n\nOaks grow slowly. More is coming soon.\n",
            "# Run\n\n```sh\nmake\n```\n",
            "# Run\n\n    make\n",
            "# Less\n\n`a < b`\n",
            "# 橡树\n\n橡树长得很慢。\n",
        ] {
            assert!(!is_stub(body), "{body}");
        }
    }
}
