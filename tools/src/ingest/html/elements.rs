//! What HTML says of its elements by their names.

use html5ever::tokenizer::states::RawKind;

/// Elements without an end.
pub(super) fn is_void(name: &str) -> bool {
    VOID.contains(&name)
}

const VOID: [&str; 17] = [
    "area", "base", "br", "col", "embed", "frame", "hr", "image", "img", "input",
    "keygen", "link", "meta", "param", "source", "track", "wbr",
];

/// How the tokenizer reads what stands in an element without tags.
pub(super) fn raw_kind(name: &str) -> Option<RawKind> {
    match name {
        "title" | "textarea" => Some(RawKind::Rcdata),
        "style" | "xmp" | "iframe" | "noembed" | "noframes" => Some(RawKind::Rawtext),
        "script" => Some(RawKind::ScriptData),
        _ => None,
    }
}

/// What stands in a page's `head`.
pub(super) fn is_of_head(name: &str) -> bool {
    matches!(
        name,
        "base" | "link" | "meta" | "title" | "style" | "script" | "noscript" | "template"
    )
}

/// End tags do not reach out of these.
pub(super) fn is_barrier(name: &str) -> bool {
    matches!(name, "td" | "th" | "table" | "caption" | "template" | "object" | "svg")
}

/// The parts of a table, and what ends wherever it stands, as they do.
pub(super) fn is_of_table(name: &str) -> bool {
    OF_TABLES.contains(&name)
}

const OF_TABLES: [&str; 12] = [
    "td", "th", "tr", "tbody", "thead", "tfoot", "table", "caption", "colgroup",
    "template", "object", "svg",
];

/// Elements that begin on a line of their own.
pub(super) fn is_block(name: &str) -> bool {
    BLOCKS.contains(&name)
}

#[rustfmt::skip]
const BLOCKS: [&str; 51] = [
    "address", "article", "aside", "blockquote", "body", "caption", "center", "dd",
    "details", "dialog", "dir", "div", "dl", "dt", "fieldset", "figcaption", "figure",
    "footer", "form", "h1", "h2", "h3", "h4", "h5", "h6", "header", "hgroup", "hr",
    "html", "legend", "li", "listing", "main", "menu", "nav", "ol", "p", "plaintext",
    "pre", "search", "section", "summary", "table", "tbody", "td", "tfoot", "th",
    "thead", "tr", "ul", "xmp",
];
