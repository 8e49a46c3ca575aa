//! What holds for every page, tried on random tags and random words.

use std::fmt::Write;

use proptest::prelude::*;
use pulldown_cmark::{Event, Parser, Tag, TagEnd};

use super::page;
use crate::ingest::markdown::DIALECT;

/// Words with what Markdown takes for marks.
const NASTY: &str = "[a-zé漢0-9 `*_~#>|:.)(+=!&;<{}$^\\-\\[\\]\\\\\n]{0,60}";

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}

fn joined(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The text that a reader of the Markdown sees, and which blocks there are.
fn seen(markdown: &str) -> (String, Vec<String>) {
    let mut text = String::new();
    let mut blocks = Vec::new();
    for event in Parser::new_ext(markdown, DIALECT) {
        match event {
            Event::Text(it) | Event::Code(it) => text.push_str(&it),
            Event::SoftBreak | Event::HardBreak => text.push(' '),
            Event::Start(tag) => blocks
                .push(format!("{tag:?}").split([' ', '(']).next().unwrap().to_owned()),
            Event::End(TagEnd::Paragraph | TagEnd::TableCell | TagEnd::Heading(_)) => {
                text.push(' ');
            }
            Event::End(_) => {}
            other => panic!("{other:?} in {markdown:?}"),
        }
    }
    (joined(&text), blocks)
}

fn soup() -> impl Strategy<Value = String> {
    let tag = prop_oneof![
        4 => "[a-z]{1,6} ",
        1 => NASTY.prop_map(|it| escaped(&it)),
        3 => "</?(p|div|ul|ol|li|table|tr|td|th|h2|pre|code|b|a|blockquote|dl|dt|dd|q|sup)>",
        1 => "<(br|hr|img alt=pic|section id=x|td colspan=3 rowspan=2|svg/|main|article|span hidden)>",
        1 => "<[a-z!/?&\"' =-]{0,20}>?",
        1 => "<!--.{0,9}-->|&[a-z#0-9]{0,6};?|\\PC{0,9}",
    ];
    prop::collection::vec(tag, 0..60).prop_map(|tags| tags.concat())
}

/// Well-formed pages, and their words in order.
fn blocks() -> impl Strategy<Value = (String, Vec<String>)> {
    let leaf = prop::collection::vec("[a-z]{2,8}", 1..8)
        .prop_map(|words| (words.join(" "), words));
    let element = |names: &'static str| names.split(' ').collect::<Vec<_>>();
    leaf.prop_recursive(6, 40, 5, move |inner| {
        let name = prop::sample::select(element(
            "p div ul><li ol><li blockquote table><tr><td section dl><dt dl><dd h2 em code \
             pre figure aside>",
        ));
        (name, prop::collection::vec(inner, 1..5)).prop_map(|(name, parts)| {
            let name = name.trim_end_matches('>');
            let ends: Vec<_> = name.rsplit("><").map(|it| format!("</{it}>")).collect();
            let html: Vec<_> = parts.iter().map(|it| format!("<{name}>{}{}", it.0, ends.concat())).collect();
            (html.join(" "), parts.into_iter().flat_map(|it| it.1).collect())
        })
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn what_looks_like_markdown_stays_text(words in NASTY) {
        let found = page(&format!("<main><p>{}</p></main>", escaped(&words))).markdown;
        let (text, blocks) = seen(&found);
        prop_assert_eq!(&text, &joined(&words), "{}", found);
        let expected: &[&str] = if text.is_empty() { &[] } else { &["Paragraph"] };
        prop_assert_eq!(blocks, expected, "{}", found);
    }

    #[test]
    fn lines_with_code_stay_text_and_code(
        parts in prop::collection::vec((NASTY, any::<bool>(), any::<bool>()), 1..5),
    ) {
        let mut html = String::new();
        let mut expected = String::new();
        for (words, is_code, ends) in &parts {
            let words = words.trim();
            let name = if *is_code { "code" } else { "i" };
            write!(html, "<{name}>{}</{name}>", escaped(words)).unwrap();
            expected.push_str(words);
            if *ends {
                html.push_str("<br>");
                expected.push(' ');
            }
        }
        let found = page(&format!("<main><p>{html}</p></main>")).markdown;
        prop_assert_eq!(seen(&found).0, joined(&expected), "{}", found);
    }

    #[test]
    fn headings_keep_their_words_and_their_anchor(words in NASTY) {
        prop_assume!(!words.trim().is_empty());
        let found = page(&format!("<h2 id=a.b-c>{}</h2>", escaped(&words))).markdown;
        prop_assert_eq!(seen(&found).0, joined(&words), "{}", found);
        let first = Parser::new_ext(&found, DIALECT).next();
        let Some(Event::Start(Tag::Heading { id: Some(id), .. })) = first else {
            panic!("{first:?} of {found:?}");
        };
        prop_assert_eq!(&*id, "a.b-c");
    }

    #[test]
    fn cells_keep_their_words(cells in prop::collection::vec(NASTY, 4)) {
        let [a, b, c, d] = cells.iter().map(|it| escaped(it)).collect::<Vec<_>>().try_into().unwrap();
        prop_assume!(cells.iter().any(|it| !it.trim().is_empty()));
        let html = format!(
            "<table><tr><th>{a}<th><code>{b}</code><tr><td>{c}<td>{d}</table>"
        );
        let found = page(&html).markdown;
        prop_assert_eq!(seen(&found).0, joined(&cells.join(" ")), "{}", found);
    }

    #[test]
    fn fences_keep_their_code(code in "[a-z`~ #\n|]{0,80}") {
        let html = format!("<ul><li>x<pre>{}</pre></ul>", escaped(&code));
        let found = page(&html).markdown;
        let (text, _) = seen(&found);
        prop_assert_eq!(text.strip_prefix("x").unwrap().trim(), joined(&code), "{}", found);
    }

    #[test]
    fn words_of_well_formed_pages_stay_in_order((html, words) in blocks()) {
        let found = page(&format!("<main>{html}</main>")).markdown;
        let (text, _) = seen(&found);
        let text: String = text.split_whitespace().collect();
        prop_assert_eq!(text, words.concat(), "{}\n{}", html, found);
    }

    #[test]
    fn tag_soup_makes_some_page_and_the_same_twice(html in soup()) {
        let found = page(&html);
        prop_assert_eq!(&page(&html), &found);
        // Rendered and read again, it says the same.
        let mut again = String::new();
        pulldown_cmark::html::push_html(&mut again, Parser::new_ext(&found.markdown, DIALECT));
        let again = page(&format!("<main>{again}</main>")).markdown;
        prop_assert_eq!(seen(&again).0, seen(&found.markdown).0, "{}", found.markdown);
    }
}
