//! What a stretch of Markdown that was held is: a target, a tag, an address, a character.

use super::allowed::{Allowed, has_entity, is_absolute};

/// Tags that fetch something, go somewhere or change the page.
const TAGS: [&str; 28] = [
    "a",
    "area",
    "audio",
    "base",
    "button",
    "embed",
    "form",
    "frame",
    "iframe",
    "image",
    "img",
    "input",
    "link",
    "math",
    "meta",
    "noembed",
    "noscript",
    "object",
    "picture",
    "plaintext",
    "script",
    "source",
    "style",
    "svg",
    "template",
    "textarea",
    "video",
    "xmp",
];

/// What stands between angle brackets.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Tag {
    /// A name and nothing else: `<b>`, `</sub>`, `<T>`.
    Plain,
    /// An address of the web, which is a link.
    Address,
    /// A tag that does something, or may: one with attributes. A link elsewhere.
    Live,
    /// No tag: `<K, V>`.
    Text,
}

/// What stands in the parentheses behind a link's text.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Target {
    /// A target that may leave, with or without a title.
    Admitted,
    /// One that may not.
    Foreign,
    /// No target: words.
    Text,
}

/// Sorts what stands between `<` and `>`.
pub(super) fn tag(inside: &str) -> Tag {
    let closed = inside.trim_start_matches('/');
    let end = closed.find(|c: char| !c.is_ascii_alphanumeric() && c != '-');
    let (name, rest) = closed.split_at(end.unwrap_or(closed.len()));
    let is_one = !inside.contains(char::is_whitespace);
    if is_one && is_absolute(inside) {
        return Tag::Address;
    }
    let is_address = inside.contains("//") || (is_one && inside.contains(':'));
    let does_something = TAGS.iter().any(|it| it.eq_ignore_ascii_case(name));
    if is_address || does_something || inside.contains('=') {
        return Tag::Live;
    }
    if matches!(rest.trim(), "" | "/") { Tag::Plain } else { Tag::Text }
}

/// Sorts what stands in the parentheses behind a link's text. If the bracket before it turns
/// out to open nothing it is text, so nothing in it may be a link either.
pub(super) fn target(inside: &str, allowed: &Allowed) -> Target {
    let inside = inside.trim();
    let (target, title) = inside
        .split_once(char::is_whitespace)
        .map_or((inside, ""), |(a, b)| (a, b.trim()));
    let quotes = [('"', '"'), ('\'', '\''), ('(', ')')];
    let is_title = |(open, close)| title.starts_with(open) && title.ends_with(close);
    if !title.is_empty() && !quotes.into_iter().any(is_title) {
        return Target::Text;
    }
    // `<a)b>` goes on behind the parenthesis.
    let pointed = target.strip_prefix('<');
    let Some(target) = pointed.map_or(Some(target), |it| it.strip_suffix('>')) else {
        return Target::Foreign;
    };
    let is_alone = if is_absolute(target) {
        target.matches("//").count() == 1
    } else {
        // `<img/src=…>` is a tag to a browser.
        is_plain(target) && (pointed.is_none() || !target.contains('='))
    };
    let is_clean =
        !inside.contains("](") && !inside.contains('\\') && !has_entity(inside);
    if allowed.admits(target) && is_alone && is_plain(title) && is_clean {
        Target::Admitted
    } else {
        Target::Foreign
    }
}

/// Whether no renderer finds an address or a tag in the text.
fn is_plain(text: &str) -> bool {
    !text.contains("//")
        && !text.contains('<')
        && !text.to_ascii_lowercase().contains("www.")
}

/// Whether something follows the host of an absolute address.
pub(super) fn has_path(address: &str) -> bool {
    address.splitn(2, "//").last().is_some_and(|it| it.contains(['/', '?', '#']))
}

/// Whether nothing but blanks stands on the last line, so that a line break would end the
/// paragraph.
pub(super) fn is_at_line_start(held: &str) -> bool {
    held.trim_end_matches([' ', '\t']).ends_with('\n')
}

/// Whether the character of this name (or number, after `#`) is no part of an address: some
/// renderers look for addresses after they have put the character in.
pub(super) fn is_harmless_entity(name: &str) -> bool {
    let number =
        match name.strip_prefix('#').map(|it| it.strip_prefix(['x', 'X']).ok_or(it)) {
            Some(Ok(hexadecimal)) => u32::from_str_radix(hexadecimal, 16).ok(),
            Some(Err(decimal)) => decimal.parse().ok(),
            None => return !matches!(name, "colon" | "sol" | "bsol" | "period"),
        };
    let is_part = |c: char| c.is_alphanumeric() || matches!(c, ':' | '/' | '\\' | '.');
    number.and_then(char::from_u32).is_some_and(|c| !is_part(c))
}

/// Whether a line that began with `c` may still begin something: `c` is a blank, the mark of a
/// list or a quotation, a part of a citation marker, or the mark of a file's byte order.
pub(super) fn leaves_line_fresh(c: char) -> bool {
    c.is_whitespace()
        || c.is_ascii_digit()
        || matches!(c, '>' | '-' | '*' | '+' | '.' | ')' | ':' | '\u{FEFF}')
        || matches!(c, '[' | ']' | '【' | '】' | ',' | ';' | '^' | '–')
}
