//! What holds for the passages of every page, tried on random Markdown.

use std::fs;

use proptest::prelude::*;
use pulldown_cmark::{CodeBlockKind, Event, Parser, Tag};
use shared::retrieval::Passage;

use super::{
    front,
    kind::BookKind,
    markdown::{self, DIALECT},
    plan,
    read::{self, Format, Page},
    split::LIMIT,
};

fn page(source: &str) -> Page {
    Page::new("a/page.md".into(), source.into(), Format::Markdown)
}

/// All that is promised about the passages of `source`.
fn check(source: &str, format: Format) -> Vec<Passage> {
    let passages = check_but_fences(source, format);
    if format == Format::Markdown {
        for passage in &passages {
            assert_eq!(open_fence(&passage.text), None, "{:?}", passage.text);
        }
    }
    passages
}

/// The same for texts in which a fence's first line may be longer than a passage's lead:
/// such a fence is cut like a sentence.
fn check_but_fences(source: &str, format: Format) -> Vec<Passage> {
    let page = Page { format, ..page(source) };
    let (passages, repeats) = plan::passages(std::slice::from_ref(&page), "book");
    assert_eq!(
        (passages.clone(), repeats),
        plan::passages(&[page], "book"),
        "the same again"
    );
    let letters: Vec<char> = source.chars().collect();
    let mut covered = vec![0; letters.len()];
    for passage in &passages {
        let (start, end) = (passage.start as usize, passage.end as usize);
        let text: Vec<char> = passage.text.chars().collect();
        let lead = passage.lead as usize;
        assert!(start < end, "empty: {passage:?}");
        assert_eq!(text[lead..lead + end - start], letters[start..end]);
        assert!(text.len() <= LIMIT, "{} code points", text.len());
        covered[start..end].iter_mut().for_each(|it| *it += 1);
    }
    let front = match format {
        Format::Markdown => source[..front::read(source).len].chars().count(),
        Format::Plain => 0,
    };
    // Nobody sees where links are defined, so that may be left out.
    if format == Format::Markdown {
        for span in markdown::definitions(source, front::read(source).len) {
            let count = |end: usize| source[..end].chars().count();
            // Quotation marks in front of it and blanks behind it go with it.
            let from = source[..span.start].rfind('\n').map_or(0, |it| it + 1);
            for times in &mut covered[count(from)..count(span.end)] {
                *times = 1.max(*times);
            }
        }
    }
    let hidden = match format {
        Format::Markdown => markdown::comments(source, front::read(source).len),
        Format::Plain => shared::retrieval::passage::comments(source),
    };
    for span in &hidden {
        let count = |end: usize| source[..end].chars().count();
        for times in &mut covered[count(span.start)..count(span.end)] {
            *times = 1.max(*times);
        }
    }
    for (at, times) in covered.iter().enumerate() {
        // A bullet or a mark that only comments stood beside goes with them.
        let says = |c: char| {
            if hidden.is_empty() { !c.is_whitespace() } else { c.is_alphanumeric() }
        };
        let is_text = at >= front && says(letters[at]);
        assert!(*times <= 1, "code point {at} is in {times} passages");
        let is_lost = repeats == 0 && *times == 0 && is_text;
        assert!(!is_lost, "code point {at} is lost: {:?}", letters[at]);
    }
    let mut ids: Vec<_> = passages.iter().map(|it| it.id).collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), passages.len(), "every passage has its own id");
    passages
}

/// The first fence that is not closed by its last line. Apart from the splitter's own
/// reading of fences on purpose.
fn open_fence(text: &str) -> Option<&str> {
    Parser::new_ext(text, DIALECT).into_offset_iter().find_map(|(event, range)| {
        let Event::Start(Tag::CodeBlock(CodeBlockKind::Fenced(_))) = event else {
            return None;
        };
        let block = &text[range];
        let mark = block.chars().next()?;
        let marks = |line: &str| line.chars().take_while(|c| *c == mark).count();
        let mut lines = block.trim_end().lines();
        let opening = marks(lines.next()?);
        let last = lines.next_back().unwrap_or_default();
        let last = last.trim_start_matches([' ', '\t', '>']).trim_end();
        (marks(last) < opening || marks(last) != last.chars().count()).then_some(block)
    })
}

fn words(most: usize) -> impl Strategy<Value = String> {
    let word = prop_oneof![
        6 => "[a-zA-Z]{1,12}[.,!?]?",
        2 => "[а-яéü]{1,9}\\.?",
        2 => "[所有权是什么。！]{1,30}",
        1 => "[क-हािी।]{1,10}",
        1 => "👩\u{200d}🔬|e\u{301}{1,4}|`code`|\\*\\*bold\\*\\*|```|~~~|#|\\[a\\]",
        1 => "[x]{300,2500}",
    ];
    prop::collection::vec(word, 1..most).prop_map(|words| words.join(" "))
}

fn code() -> impl Strategy<Value = String> {
    let line = prop_oneof![
        8 => "[ ]{0,6}[a-z(){};=]{0,70}",
        1 => "# no heading",
        1 => "~~~|\\| a \\| b \\|",
        1 => "[y]{1500,3400}",
    ];
    prop::collection::vec(line, 0..90).prop_map(|lines| lines.join("\n"))
}

fn block() -> impl Strategy<Value = String> {
    let table = prop::collection::vec(words(6), 1..60);
    let leaf = prop_oneof![
        4 => words(40),
        2 => words(500),
        2 => (1..6usize, words(6)).prop_map(|(n, s)| format!("{} {s}", "#".repeat(n))),
        1 => words(5).prop_map(|s| format!("{s}\n===")),
        3 => ("`{3,5}", "rust|python title=\"x\"|", code())
            .prop_map(|(f, l, c)| format!("{f}{l}\n{c}\n{f}")),
        1 => ("~{3,4}", code()).prop_map(|(f, c)| format!("{f}\n{c}\n{f}")),
        1 => code().prop_map(|c| format!("```\n{c}")),
        2 => table.prop_map(|rows| {
            let rows: Vec<_> = rows.iter().map(|it| format!("| {it} | 1 |\n")).collect();
            let rows = rows.concat();
            format!("| head | n |\n|------|---|\n{rows}")
        }),
        1 => words(400).prop_map(|s| format!("<div>\n{s}\n</div>")),
        1 => code().prop_map(|s| format!("    {}", s.replace('\n', "\n    "))),
        1 => words(4).prop_map(|s| format!("[a]: http://x \"{s}\"")),
        1 => Just("---".to_owned()),
    ];
    leaf.prop_recursive(3, 12, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 1..6).prop_map(|items| {
                let items =
                    items.iter().map(|it| format!("- {}", it.replace('\n', "\n  ")));
                items.collect::<Vec<_>>().join("\n")
            }),
            prop::collection::vec(inner.clone(), 1..4).prop_map(|items| {
                let items = items.join("\n\n");
                format!("> {}", items.replace('\n', "\n> "))
            }),
            prop::collection::vec(inner, 1..4).prop_map(|items| format!(
                "1. {}",
                items.join("\n\n").replace('\n', "\n   ")
            )),
        ]
    })
}

fn markdown() -> impl Strategy<Value = String> {
    let front = "(---\ntitle: A page\n---\n)?";
    (front, prop::collection::vec(block(), 0..9), any::<bool>()).prop_map(
        |(front, blocks, has_returns)| {
            let source = format!("{front}{}\n", blocks.join("\n\n"));
            if has_returns { source.replace('\n', "\r\n") } else { source }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, max_shrink_iters: 300, ..ProptestConfig::default() })]

    #[test]
    fn every_letter_of_a_book_is_in_one_passage(source in markdown()) {
        check(&source, Format::Markdown);
    }

    #[test]
    fn every_letter_of_a_text_is_in_one_passage(source in markdown()) {
        check(&source, Format::Plain);
    }

    #[test]
    fn nonsense_is_split_as_well(source in "[`~#>*|: \n\tab。é\\-\\[\\]]{0,4000}") {
        check_but_fences(&source, Format::Markdown);
    }
}

/// Paragraphs, lists, quotations, tables and code, with comments of all lengths in which alone
/// stands a word with a capital.
fn commented() -> impl Strategy<Value = String> {
    let comment = (0..700usize, prop::sample::select(&[" ", ". ", "\n"][..]))
        .prop_map(|(n, gap)| format!("<!-- {}-->", format!("Secret{gap}").repeat(n)));
    let blanks =
        (0..500usize).prop_map(|n| format!("<!-- {}-->", "Secret.\n\n".repeat(n)));
    let words = (1..400usize).prop_map(|n| "plain words. ".repeat(n));
    let block = prop_oneof![
        3 => words.clone(),
        2 => comment.clone(),
        1 => blanks,
        3 => (words.clone(), comment.clone(), words.clone())
            .prop_map(|(a, c, b)| format!("{a}{c} {b}")),
        1 => (words.clone(), comment.clone())
            .prop_map(|(a, c)| format!("- {a}\n\n  {}\n- b", c.replace('\n', "\n  "))),
        1 => (words.clone(), comment.clone())
            .prop_map(|(a, c)| format!("> {a}\n>\n> {}", c.replace('\n', "\n> "))),
        1 => (words.clone(), comment)
            .prop_map(|(a, c)| format!("| a |\n|---|\n| {a}{} |", c.replace('\n', " "))),
        1 => words.prop_map(|a| format!("```\n{}\n```", a.replace(". ", "\n"))),
        1 => Just("- ```\n- open".to_owned()),
        1 => Just("# heading".to_owned()),
    ];
    prop::collection::vec(block, 1..8).prop_map(|it| it.join("\n\n"))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, max_shrink_iters: 300, ..ProptestConfig::default() })]

    #[test]
    fn no_word_of_a_comment_is_indexed(source in commented()) {
        for passage in check_but_fences(&source, Format::Markdown) {
            let shown = passage.indexed_text();
            prop_assert!(!shown.contains("Secret"), "{:?}", shown);
        }
    }
}

/// Pieces of everything that means something to some generator.
#[rustfmt::skip]
const SOUP: [&str; 44] = [
    "{{#include a.md}}", "{{#include b.md:x}}", "{{#rustdoc_include \"b.md\":2:}}", "\\{{#",
    "{{", "}}", "ANCHOR: x\n", "ANCHOR_END: x\n", "<Listing number=\"1\" caption=\"", "\">",
    "</Listing>", "```rust,ignore\n", "```\n", "~~~", "# hidden\n", "`", "<Tabs>\n", "</Tabs>",
    "<B a={'", "/>\n", "<!--", "-->", "{/*", "*/}", "import B from './b.md'\n", "<B />\n",
    "export const a = {\n", ":::note[", ":::\n", "---\n", "title: \"a\n", "slug: ../..\n",
    "- [a](a.md)\n", "  - [b](<b.md>)\n", "# Head {#id}\n", "## Head\n", "| a |\n|---|\n",
    "[r]: /u\n", "é漢\u{200b}", "words ", "    ", "\n", "\r\n", "> ",
];

fn soup() -> impl Strategy<Value = String> {
    let pieces = prop::collection::vec(prop::sample::select(&SOUP[..]), 0..60);
    pieces.prop_map(|it| it.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn no_page_breaks_the_reader_of_a_generator(a in soup(), b in soup(), contents in soup()) {
        let folder = tempfile::tempdir().unwrap();
        let contents = format!("- [a](a.md)\n{contents}");
        for (name, text) in [
            ("a.md", &a),
            ("b.md", &b),
            ("SUMMARY.md", &contents),
            ("docusaurus.config.js", &contents),
        ] {
            fs::write(folder.path().join(name), text).unwrap();
        }
        for kind in [BookKind::MdBook, BookKind::Docusaurus] {
            let Ok(book) = read::book(folder.path(), Some(kind), "") else { continue };
            for page in book.pages {
                check_but_fences(&page.source, page.format);
            }
        }
    }
}

#[test]
fn what_nobody_would_nest_so_deep_ends() {
    for mark in [">", "- ", "1. ", "> - "] {
        check_but_fences(&(mark.repeat(20_000) + "words"), Format::Markdown);
    }
}
