//! Tags and expressions of MDX between the words.

/// A text without its tags.
pub(super) struct Shown {
    /// What is left.
    pub text: String,
    /// How many more elements were opened than closed.
    pub change: isize,
}

/// Elements of HTML without an end.
const VOID: [&str; 8] = ["br", "hr", "img", "input", "link", "meta", "source", "wbr"];

/// A tag or an expression is no longer than this.
const LONGEST: usize = 20_000;

/// What stands at one place of a text.
enum Thing<'a> {
    /// A tag of this length.
    Tag(&'a str),
    /// Something that is shown as it is: code, an HTML comment.
    Verbatim(usize),
    /// `{/* … */}` and other expressions that say nothing.
    Silent(usize),
    /// `{' '}`, with what it says.
    Words(usize, &'a str),
    /// Something that begins here ends further down.
    Unfinished,
    /// A letter like any other.
    Letter,
}

/// Whether all that `text` opens is closed: tags, comments.
pub(super) fn is_complete(text: &str) -> bool {
    let mut at = 0;
    while let Some(step) = text[at..].find(['<', '{', '`', '\\']) {
        at += step;
        at += match thing(&text[at..]) {
            Thing::Tag(tag) => tag.len(),
            Thing::Verbatim(len) | Thing::Silent(len) | Thing::Words(len, _) => len,
            Thing::Unfinished => return false,
            Thing::Letter => 1,
        };
    }
    true
}

/// `text` without tags; what some of them say in attributes is kept.
pub(super) fn without(text: &str) -> Shown {
    let mut shown = Shown { text: String::with_capacity(text.len()), change: 0 };
    let mut at = 0;
    while let Some(step) = text[at..].find(['<', '{', '`', '\\']) {
        shown.text.push_str(&text[at..at + step]);
        at += step;
        match thing(&text[at..]) {
            Thing::Tag(tag) => {
                shown.change += change(tag);
                at += tag.len();
                if let Some(words) = words(tag) {
                    shown.text.push_str(words);
                    let is_block = text[..at - tag.len()].trim().is_empty()
                        && text[at..].trim().is_empty();
                    shown.text.push_str(if is_block { "\n" } else { " " });
                }
            }
            Thing::Verbatim(len) => {
                shown.text.push_str(&text[at..at + len]);
                at += len;
            }
            Thing::Silent(len) => at += len,
            Thing::Words(len, words) => {
                shown.text.push_str(words);
                at += len;
            }
            Thing::Unfinished | Thing::Letter => {
                shown.text.push_str(&text[at..=at]);
                at += 1;
            }
        }
    }
    shown.text.push_str(&text[at..]);
    shown
}

/// What stands at the start of `text`, which is one of `<`, `{`, `` ` ``, `\`.
fn thing(text: &str) -> Thing<'_> {
    match text.as_bytes()[0] {
        b'\\' => Thing::Verbatim(1 + text[1..].chars().next().map_or(0, char::len_utf8)),
        b'`' => {
            let ticks = text.len() - text.trim_start_matches('`').len();
            let end = code_end(&text[ticks..], ticks);
            Thing::Verbatim(ticks + end.unwrap_or(0))
        }
        b'{' => expression(text),
        _ if text.starts_with("<!--") => match text.find("-->") {
            Some(end) => Thing::Verbatim(end + 3),
            None => Thing::Unfinished,
        },
        _ => tag(text),
    }
}

/// Where the code ends that began with so many backticks.
fn code_end(text: &str, ticks: usize) -> Option<usize> {
    let mut at = 0;
    while let Some(step) = text[at..].find('`') {
        at += step;
        let run = text[at..].len() - text[at..].trim_start_matches('`').len();
        at += run;
        if run == ticks {
            return Some(at);
        }
    }
    None
}

fn expression(text: &str) -> Thing<'_> {
    if text.starts_with("{/*") {
        return match text.find("*/}") {
            Some(end) => Thing::Silent(end + 3),
            None => Thing::Unfinished,
        };
    }
    let near = &text[..text.floor_char_boundary(LONGEST)];
    let Some(end) = near.find('}') else { return Thing::Letter };
    let inner = text[1..end].trim();
    let quote = inner.chars().next().filter(|c| matches!(c, '\'' | '"' | '`'));
    let words = quote.and_then(|it| inner[1..].strip_suffix(it));
    match words {
        Some(words) if !words.contains(['$', '{', '\'', '"', '`']) => {
            Thing::Words(end + 1, words)
        }
        _ => Thing::Letter,
    }
}

/// A tag with its attributes, `<>` and `</>` included. `a < b`, `<https://…>` are none.
fn tag(text: &str) -> Thing<'_> {
    let inner = &text[1..];
    let name_at = inner.strip_prefix('/').unwrap_or(inner);
    if name_at.starts_with('>') {
        return Thing::Tag(&text[..=text.len() - name_at.len()]);
    }
    if !name_at.starts_with(|c: char| c.is_ascii_alphabetic()) {
        return Thing::Letter;
    }
    let name = name_of(name_at);
    let after = &name_at[name.len()..];
    let is_border =
        after.is_empty() || after.starts_with([' ', '\t', '\r', '\n', '/', '>']);
    if !is_border || after.starts_with("//") || after.starts_with('@') {
        return Thing::Letter;
    }
    let start = text.len() - after.len();
    let end = match attributes_end(after) {
        End::At(len) => start + len,
        End::Later => return Thing::Unfinished,
        End::Never => return Thing::Letter,
    };
    if matches!(name, "script" | "style")
        && inner.len() == name_at.len()
        && !text[..end].ends_with("/>")
    {
        let close = format!("</{name}>");
        return match text.find(&close) {
            // Neither is its content shown.
            Some(at) => Thing::Silent(at + close.len()),
            None => Thing::Unfinished,
        };
    }
    Thing::Tag(&text[..end])
}

fn name_of(text: &str) -> &str {
    let is_name =
        |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':');
    let name = &text[..text.find(|c| !is_name(c)).unwrap_or(text.len())];
    // `<https://…>` is an address.
    name.trim_end_matches(':')
}

/// Where the attributes of a tag end.
enum End {
    /// So long are they with the `>` behind them.
    At(usize),
    /// Further down, if somewhere.
    Later,
    /// What began like a tag is none.
    Never,
}

/// Looks for the `>` behind attributes, which may also stand in a string or an expression.
fn attributes_end(text: &str) -> End {
    let mut quote = None;
    let mut depth = 0;
    let near = &text[..text.floor_char_boundary(LONGEST)];
    for (at, c) in near.char_indices() {
        match (quote, c) {
            (None, '"' | '\'' | '`') => quote = Some(c),
            (Some(open), c) if open == c => quote = None,
            (None, '{') => depth += 1,
            (None, '}') => depth -= 1,
            (None, '>') if depth <= 0 => return End::At(at + 1),
            (None, '<') if depth <= 0 => return End::Never,
            _ => {}
        }
    }
    // A blank line ends the paragraph, and with it what only looked like a tag.
    let is_lost =
        near.len() < text.len() || near.contains("\n\n") || near.contains("\n\r\n");
    if is_lost { End::Never } else { End::Later }
}

fn change(tag: &str) -> isize {
    let name = name_of(tag.trim_start_matches(['<', '/']));
    if tag.starts_with("</") {
        -1
    } else {
        isize::from(!tag.ends_with("/>") && !VOID.contains(&name))
    }
}

/// What a reader sees of a tag's attributes: the alternative text of an image, the label of
/// a tab, the title of a component.
fn words(tag: &str) -> Option<&str> {
    let name = name_of(tag.strip_prefix('<')?);
    let keys: &[&str] = match name {
        "img" => &["alt"],
        "TabItem" => &["label"],
        _ if name.starts_with(|c: char| c.is_ascii_uppercase()) => {
            &["title", "label", "caption", "alt"]
        }
        _ => return None,
    };
    keys.iter().find_map(|key| {
        let (_, after) = tag
            .split_once(&format!(" {key}="))
            .or_else(|| tag.split_once(&format!("\n{key}=")))?;
        let quote = after.chars().next().filter(|c| matches!(c, '"' | '\''))?;
        let words = after[1..].split(quote).next()?.trim();
        (!words.is_empty()).then_some(words)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        without(text).text
    }

    #[test]
    fn tags_go_and_their_children_stay() {
        assert_eq!(shown("A <b className=\"x\">bold</b> word<br/>"), "A bold word");
        assert_eq!(shown("<>a</> <Foo.Bar style={{a: '>'}}>b</Foo.Bar>"), "a b");
        assert_eq!(shown("<img src=\"a.png\" alt=\"A tree\" />"), "A tree\n");
        assert_eq!(shown("a<style>{`b {}`}</style>c"), "ac");
        assert_eq!(shown("x{/* no */}y{' '}z{\"!\"} {1 + 1}"), "xy z! {1 + 1}");
    }

    #[test]
    fn what_only_looks_like_a_tag_stays() {
        for text in [
            "a < b > c",
            "`<T>` and ``<`U>``",
            "<https://a.example/b>",
            "\\<T> <a@b.example>",
            "<!-- <b> -->",
            "1 <2",
        ] {
            assert_eq!(shown(text), text);
            assert!(is_complete(text), "{text}");
        }
    }

    #[test]
    fn a_tag_may_go_on_in_the_next_line() {
        assert!(!is_complete("<Tabs\n"));
        assert!(!is_complete("{/* a\n"));
        assert!(!is_complete("<script>\n"));
        assert!(is_complete("<Tabs\n  a=\"b\"\n>\n"));
        assert!(is_complete("if a <b\n\nthen"));
    }
}
