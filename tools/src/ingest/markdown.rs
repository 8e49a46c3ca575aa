//! A page's blocks, with their places in the source.

use std::ops::Range;

use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag, TagEnd};

/// The Markdown that is understood; whoever shows a page uses the same.
pub const DIALECT: Options = Options::ENABLE_TABLES
    .union(Options::ENABLE_FOOTNOTES)
    .union(Options::ENABLE_STRIKETHROUGH)
    .union(Options::ENABLE_TASKLISTS)
    .union(Options::ENABLE_HEADING_ATTRIBUTES);

/// What stands deeper than this in lists and quotations is cut as if it were words: nobody
/// wrote it, and whoever follows it down runs out of stack.
const DEEPEST: usize = 64;

/// A block and the bytes that it covers. The blocks of a page, and those of a container,
/// cover every character that is not blank.
#[derive(Debug)]
pub(super) struct Block {
    /// What it is.
    pub kind: Kind,
    /// Its bytes in the source, from the start of its first line where nothing else stands.
    pub range: Range<usize>,
    /// The blocks inside a container.
    pub children: Vec<Block>,
}

/// What a block is, as far as cutting it matters.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A heading: 1 to 6, its text without markup, its explicit `{#id}`.
    Heading {
        /// 1 to 6.
        level: u8,
        /// Its text without markup.
        text: String,
        /// Its explicit `{#id}`.
        id: Option<String>,
    },
    /// A fenced block of code.
    Fence(Fence),
    /// A table, with its first two lines for when it must be cut.
    Table(String),
    /// A list, an item, a quotation, a footnote.
    Container,
    /// HTML that nobody would see: comments and empty tags.
    Hidden,
    /// Definitions of links, which nobody sees either.
    Definitions,
    /// A paragraph that the book has said before.
    Repeat,
    /// An indented block of code.
    Indented,
    /// Everything else.
    Prose,
}

/// How a fenced block of code is drawn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fence {
    /// What stands before its marks on a line: indentation and `>`.
    pub margin: String,
    /// The marks, three or more backticks or tildes.
    pub marks: String,
    /// What stands behind them: the language and more.
    pub info: String,
    /// Whether it is closed, or runs to the end of the page or of its container.
    pub is_closed: bool,
}

/// The blocks of `source[from..]`.
pub(super) fn blocks(source: &str, from: usize) -> Vec<Block> {
    let mut open = vec![Block::new(Kind::Container, from..source.len())];
    let parser = Parser::new_ext(&source[from..], DIALECT).into_offset_iter();
    let spans = parser.reference_definitions().iter().map(|it| it.1.span.clone());
    let definitions = placed(spans, from);
    // Blocks that are open inside one that is not looked into.
    let mut ignored = 0;
    for (event, range) in parser {
        let range = range.start + from..range.end + from;
        match event {
            Event::Start(tag) => {
                if let Some(kind) = kind(source, tag, &range) {
                    if ignored > 0 || open.len() > DEEPEST {
                        ignored += 1;
                    } else {
                        open.push(Block::new(kind, range));
                    }
                }
            }
            Event::End(tag) if ends_block(tag) && ignored > 0 => ignored -= 1,
            Event::End(tag) if ends_block(tag) => {
                let block = open.pop().expect("every end has its start");
                adopt(&mut open, block);
            }
            Event::Rule if ignored == 0 => {
                adopt(&mut open, Block::new(Kind::Prose, range));
            }
            Event::Text(words) | Event::Code(words) => name(&mut open, &words),
            Event::SoftBreak | Event::HardBreak => name(&mut open, " "),
            _ => {}
        }
    }
    let page = open.pop().expect("the page itself is never popped");
    tile(source, &page.range, page.children, &definitions)
}

/// Where links are defined in `source[from..]`, in order: `[a]: https://a.example "A"`.
pub(super) fn definitions(source: &str, from: usize) -> Vec<Range<usize>> {
    let parser = Parser::new_ext(&source[from..], DIALECT);
    placed(parser.reference_definitions().iter().map(|it| it.1.span.clone()), from)
}

/// The HTML comments of `source[from..]` that a renderer hands to the browser, as ranges of
/// `source`, in order. Those in code, escaped ones, and those that a blank line interrupts in
/// the middle of a paragraph are shown to the reader, so they are none.
pub(super) fn comments(source: &str, from: usize) -> Vec<Range<usize>> {
    let mut found: Vec<Range<usize>> = Vec::new();
    if !source[from..].contains("<!--") {
        return found;
    }
    for (event, range) in Parser::new_ext(&source[from..], DIALECT).into_offset_iter() {
        if !matches!(event, Event::Start(Tag::HtmlBlock) | Event::InlineHtml(_)) {
            continue;
        }
        let end = range.end + from;
        let mut at = (range.start + from).max(found.last().map_or(0, |it| it.end));
        while let Some(step) = source.get(at..end).and_then(|html| html.find("<!--")) {
            let start = at + step;
            // The block may end before the comment does: a browser goes on hiding.
            let close = source[start + 2..].find("-->");
            at = close.map_or(source.len(), |close| start + 2 + close + 3);
            found.push(start..at);
        }
    }
    found
}

/// Spans of `source[from..]` as those of `source`, in order.
fn placed(spans: impl Iterator<Item = Range<usize>>, from: usize) -> Vec<Range<usize>> {
    let spans = spans.map(|it| it.start + from..it.end + from);
    let mut spans: Vec<_> = spans.collect();
    spans.sort_by_key(|it| it.start);
    spans
}

/// A page without the lines that define links.
pub(super) fn without_definitions(source: &str) -> String {
    let mut kept = String::with_capacity(source.len());
    let mut from = 0;
    for span in definitions(source, super::front::read(source).len) {
        let start = line_start(source, span.start);
        // Inside a quotation or a list it is left where it is.
        if start < from || !source[start..span.start].trim().is_empty() {
            continue;
        }
        let end =
            source[span.end..].find('\n').map_or(source.len(), |it| span.end + it + 1);
        if source[span.end..end].trim().is_empty() {
            kept.push_str(&source[from..start]);
            from = end;
        }
    }
    kept.push_str(&source[from..]);
    kept
}

impl Block {
    fn new(kind: Kind, range: Range<usize>) -> Self {
        Self { kind, range, children: Vec::new() }
    }

    /// The fences in it that nobody closed make what follows it look like code.
    pub(super) fn has_open_fence(&self) -> bool {
        matches!(&self.kind, Kind::Fence(fence) if !fence.is_closed)
            || self.children.iter().any(Self::has_open_fence)
    }
}

fn adopt(open: &mut [Block], block: Block) {
    open.last_mut().expect("the page itself is never popped").children.push(block);
}

/// Adds to the text of the heading that is being read.
fn name(open: &mut [Block], words: &str) {
    if let Some(Block { kind: Kind::Heading { text, .. }, .. }) = open.last_mut() {
        text.push_str(words);
    }
}

fn kind(source: &str, tag: Tag<'_>, range: &Range<usize>) -> Option<Kind> {
    Some(match tag {
        Tag::Heading { level, id, .. } => {
            let id = id.map(|id| id.to_string()).filter(|id| !id.is_empty());
            Kind::Heading { level: level as u8, text: String::new(), id }
        }
        Tag::CodeBlock(CodeBlockKind::Fenced(_)) => Kind::Fence(fence(source, range)),
        Tag::Table(_) => Kind::Table(header(source, range)),
        Tag::List(_) | Tag::Item | Tag::BlockQuote(_) | Tag::FootnoteDefinition(_) => {
            Kind::Container
        }
        Tag::HtmlBlock | Tag::Paragraph if !has_words(&source[range.clone()]) => {
            Kind::Hidden
        }
        Tag::CodeBlock(CodeBlockKind::Indented) => Kind::Indented,
        Tag::Paragraph | Tag::HtmlBlock => Kind::Prose,
        _ => return None,
    })
}

/// The ends that answer to [`kind`].
fn ends_block(tag: TagEnd) -> bool {
    matches!(
        tag,
        TagEnd::Heading(_)
            | TagEnd::CodeBlock
            | TagEnd::Table
            | TagEnd::List(_)
            | TagEnd::Item
            | TagEnd::BlockQuote(_)
            | TagEnd::FootnoteDefinition
            | TagEnd::Paragraph
            | TagEnd::HtmlBlock
    )
}

/// Reads the fence back from its first and last lines.
fn fence(source: &str, range: &Range<usize>) -> Fence {
    let block = &source[range.clone()];
    let mark = block.chars().next().unwrap_or('`');
    let first = block.lines().next().unwrap_or_default();
    let info = first.trim_start_matches(mark);
    let marks = &first[..first.len() - info.len()];
    let last = block.trim_end().lines().skip(1).last().unwrap_or_default();
    let last = last.trim_start_matches([' ', '\t', '>']);
    Fence {
        margin: margin(&source[line_start(source, range.start)..range.start]),
        marks: marks.to_owned(),
        info: info.trim().to_owned(),
        is_closed: last.starts_with(marks) && last.chars().all(|c| c == mark),
    }
}

/// Whether HTML says anything outside its tags and comments (`<https://…>` does).
fn has_words(mut html: &str) -> bool {
    while let Some(tag) = html.find('<') {
        if !html[..tag].trim().is_empty() {
            return true;
        }
        let end = if html[tag..].starts_with("<!--") { "-->" } else { ">" };
        let Some(at) = html[tag..].find(end) else { return false };
        let name = html[tag..tag + at].split_whitespace().next().unwrap_or_default();
        if end == ">" && name.contains([':', '@']) {
            return true;
        }
        html = &html[tag + at + end.len()..];
    }
    !html.trim().is_empty()
}

/// The names of the columns and the line under them.
fn header(source: &str, range: &Range<usize>) -> String {
    let margin = margin(&source[line_start(source, range.start)..range.start]);
    let lines: String =
        source[range.clone()].lines().take(2).flat_map(|line| [line, "\n"]).collect();
    margin + &lines
}

/// What continues a line's containers: quotation marks stay, bullets become spaces.
fn margin(before: &str) -> String {
    before.chars().map(|c| if matches!(c, '>' | '\t') { c } else { ' ' }).collect()
}

/// Whether a line begins at the byte `at`.
pub(super) fn begins_line(source: &str, at: usize) -> bool {
    at == 0 || source.as_bytes()[at - 1] == b'\n'
}

/// The first byte of the line that holds `at`.
pub(super) fn line_start(source: &str, at: usize) -> usize {
    source[..at].rfind('\n').map_or(0, |newline| newline + 1)
}

/// Makes `blocks` cover `range`: each starts with its line (indentation, bullet and `>`
/// included), and what the parser does not report is definitions of links or becomes prose.
fn tile(
    source: &str,
    range: &Range<usize>,
    blocks: Vec<Block>,
    definitions: &[Range<usize>],
) -> Vec<Block> {
    let is_blank = |from: usize, to: usize| source[from..to].trim().is_empty();
    let gap = |from: usize, to: usize| {
        let mut rest = from;
        let first = definitions.partition_point(|it| it.start < from);
        for span in definitions[first..].iter().take_while(|it| it.end <= to) {
            if !is_blank(rest, span.start.max(rest)) {
                break;
            }
            rest = span.end;
        }
        let is_defined = rest > from && is_blank(rest, to);
        Block::new(if is_defined { Kind::Definitions } else { Kind::Prose }, from..to)
    };
    let mut tiles = Vec::with_capacity(blocks.len());
    let mut covered = range.start;
    for mut block in blocks {
        let start = line_start(source, block.range.start).max(covered);
        if block.range.end <= start {
            continue;
        }
        if !is_blank(covered, start) {
            tiles.push(gap(covered, start));
        }
        block.range.start = start;
        if block.kind == Kind::Container {
            block.children = tile(source, &block.range, block.children, definitions);
        }
        covered = block.range.end;
        tiles.push(block);
    }
    if covered < range.end && !is_blank(covered, range.end) {
        tiles.push(gap(covered, range.end));
    }
    tiles
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outline(source: &str) -> Vec<String> {
        fn line(source: &str, block: &Block, depth: usize, out: &mut Vec<String>) {
            let kind = match &block.kind {
                Kind::Heading { level, text, id } => {
                    format!("h{level} {text} {}", id.as_deref().unwrap_or("-"))
                }
                Kind::Fence(it) => format!(
                    "fence {:?} {} {} {}",
                    it.margin, it.marks, it.info, it.is_closed
                ),
                other => format!("{other:?} {:?}", &source[block.range.clone()]),
            };
            out.push(format!("{:1$}{kind}", "", depth * 2));
            for child in &block.children {
                line(source, child, depth + 1, out);
            }
        }
        let mut out = Vec::new();
        for block in blocks(source, 0) {
            line(source, &block, 0, &mut out);
        }
        out
    }

    #[test]
    fn headings_of_both_kinds_are_found_and_comments_in_code_are_not() {
        let source =
            "# A `b` *c* {#id}\n\nSet\next\n===\n\n```sh\n# no\n```\n\n    # no\n";
        insta::assert_debug_snapshot!(outline(source), @r##"
        [
            "h1 A b c id",
            "h1 Set ext -",
            "fence \"\" ``` sh true",
            "Indented \"    # no\\n\"",
        ]
        "##);
    }

    #[test]
    fn containers_hold_their_bullets_and_their_blocks() {
        let source =
            "- one\n  two\n  - deep\n\n    ```rs\n    x\n    ```\n> q\n>\n> ~~~~\n> y\n";
        insta::assert_debug_snapshot!(outline(source), @r##"
        [
            "Container \"- one\\n  two\\n  - deep\\n\\n    ```rs\\n    x\\n    ```\\n\"",
            "  Container \"- one\\n  two\\n  - deep\\n\\n    ```rs\\n    x\\n    ```\\n\"",
            "    Prose \"- one\\n  two\\n\"",
            "    Container \"  - deep\\n\\n    ```rs\\n    x\\n    ```\\n\"",
            "      Container \"  - deep\\n\\n    ```rs\\n    x\\n    ```\\n\"",
            "        Prose \"  - deep\\n\"",
            "        fence \"    \" ``` rs true",
            "Container \"> q\\n>\\n> ~~~~\\n> y\\n\"",
            "  Prose \"> q\\n\"",
            "  Prose \">\\n\"",
            "  fence \"> \" ~~~~  false",
        ]
        "##);
    }

    #[test]
    fn html_without_words_is_hidden() {
        for (html, is_seen) in [
            ("<!-- a > b -->", false),
            ("<a id=\"x\"></a>", false),
            ("<p>words</p>", true),
            ("<https://book.example>", true),
            ("words <br>", true),
            ("<unclosed", false),
        ] {
            assert_eq!(has_words(html), is_seen, "{html}");
        }
    }

    #[test]
    fn definitions_of_links_are_told_from_the_text() {
        let source = "[a]: http://x\n\nText [a].\n\n[b]: y\n\n| h |\n|---|\n| 1 |\n";
        assert_eq!(without_definitions(source), "\nText [a].\n\n\n| h |\n|---|\n| 1 |\n");
        let code = "```\n[a]: x\n```\n";
        assert_eq!(without_definitions(code), code);
        insta::assert_debug_snapshot!(outline(source), @r##"
        [
            "Definitions \"[a]: http://x\\n\\n\"",
            "Prose \"Text [a].\\n\"",
            "Definitions \"\\n[b]: y\\n\\n\"",
            "Table(\"| h |\\n|---|\\n\") \"| h |\\n|---|\\n| 1 |\\n\"",
        ]
        "##);
    }
}
