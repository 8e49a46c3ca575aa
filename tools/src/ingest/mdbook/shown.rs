//! What mdBook shows of a page: code without its hidden lines, listings with their captions.

use std::collections::HashMap;

/// By language, how its hidden lines start.
pub(super) type Prefixes = HashMap<String, String>;

/// A tag that goes on for more lines than this is none.
const LONGEST: usize = 20;

/// A fenced block that is open.
struct Fence {
    mark: char,
    length: usize,
    hidden: Hidden,
}

/// How the hidden lines of a block are told.
enum Hidden {
    /// As in documentation tests: `# let x = 1;`; `##` is one that is meant.
    Rust,
    /// By a prefix.
    Prefix(String),
    None,
}

/// `source` without hidden lines of code; `<Listing>` tags give way to their captions.
pub(super) fn text(source: &str, prefixes: &Prefixes) -> String {
    let mut out = String::with_capacity(source.len());
    let mut fence: Option<Fence> = None;
    let lines: Vec<&str> = source.split_inclusive('\n').collect();
    let mut at = 0;
    while let Some(line) = lines.get(at) {
        at += 1;
        // In quotations and lists the marks stand further in.
        let bare = line.trim_start_matches([' ', '\t', '>']).trim_end();
        if let Some(open) = &fence {
            let is_end =
                bare.len() >= open.length && bare.chars().all(|c| c == open.mark);
            if is_end {
                fence = None;
                out.push_str(line);
            } else if let Some(shown) = open.hidden.shown(line) {
                out.push_str(&shown);
            }
            continue;
        }
        fence = opened(bare, prefixes);
        let tag = listing(&lines[at - 1..]).filter(|_| fence.is_none());
        if let Some(tag) = tag {
            at += tag.lines().count() - 1;
            out.push_str(&caption(&tag));
            out.push('\n');
        } else if fence.is_none() && bare == "</Listing>" {
            out.push_str(&line[line.trim_end().len()..]);
        } else {
            out.push_str(line);
        }
    }
    out
}

/// The fence that a line opens.
fn opened(bare: &str, prefixes: &Prefixes) -> Option<Fence> {
    let mark = bare.chars().next().filter(|c| matches!(c, '`' | '~'))?;
    let length = bare.chars().take_while(|c| *c == mark).count();
    let info = &bare[length..];
    if length < 3 || mark == '`' && info.contains('`') {
        return None;
    }
    let mut words = info.split([',', ' ', '\t']).filter(|it| !it.is_empty());
    let language = words.next().unwrap_or_default();
    let own = words.find_map(|it| it.strip_prefix("hidelines="));
    let hidden = match own.map(str::to_owned).or_else(|| prefixes.get(language).cloned())
    {
        _ if language == "rust" => Hidden::Rust,
        Some(prefix) => Hidden::Prefix(prefix),
        None => Hidden::None,
    };
    Some(Fence { mark, length, hidden })
}

impl Hidden {
    /// What is shown of a line of code.
    fn shown(&self, line: &str) -> Option<String> {
        let margin = line.len() - line.trim_start_matches([' ', '\t', '>']).len();
        let (margin, code) = line.split_at(margin);
        match self {
            Self::None => Some(line.to_owned()),
            Self::Prefix(prefix) => {
                (!line.trim_start().starts_with(prefix.as_str())).then(|| line.to_owned())
            }
            Self::Rust => {
                let Some(rest) = code.strip_prefix('#') else {
                    return Some(line.to_owned());
                };
                if rest.starts_with('#') {
                    return Some(format!("{margin}{rest}"));
                }
                let is_hidden = rest.trim_end_matches(['\r', '\n']).is_empty()
                    || rest.starts_with(' ');
                (!is_hidden).then(|| line.to_owned())
            }
        }
    }
}

/// The tag that opens a listing, if the first of these lines does; it may go on in the next.
fn listing(lines: &[&str]) -> Option<String> {
    if !lines[0].trim_start_matches([' ', '\t', '>']).starts_with("<Listing") {
        return None;
    }
    let mut tag = String::new();
    for line in lines.iter().take(LONGEST) {
        tag.push_str(line);
        if is_closed(&tag) {
            return Some(tag);
        }
    }
    None
}

/// Whether a tag has come to its `>`, which may also stand in an attribute.
fn is_closed(tag: &str) -> bool {
    let mut quote = None;
    for c in tag.chars() {
        match (quote, c) {
            (None, '"' | '\'') => quote = Some(c),
            (Some(open), c) if open == c => quote = None,
            (None, '>') => return true,
            _ => {}
        }
    }
    false
}

/// `Listing 4-1: What it shows (src/main.rs)`.
fn caption(tag: &str) -> String {
    let [number, caption, file] =
        ["number", "caption", "file-name"].map(|name| attribute(tag, name));
    let mut words = match (number, caption) {
        (Some(number), Some(caption)) => format!("Listing {number}: {caption}"),
        (Some(number), None) => format!("Listing {number}"),
        (None, caption) => caption.unwrap_or_default(),
    };
    if let Some(file) = file {
        words = if words.is_empty() { file } else { format!("{words} ({file})") };
    }
    if words.is_empty() { words } else { format!("{words}\n") }
}

fn attribute(tag: &str, name: &str) -> Option<String> {
    let (_, after) = tag.split_once(&format!("{name}="))?;
    let quote = after.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    let value = after[1..].split(quote).next()?;
    let words = value.split_whitespace().collect::<Vec<_>>().join(" ");
    let plain =
        [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#39;", "'"), ("&amp;", "&")];
    Some(plain.iter().fold(words, |words, (code, c)| words.replace(code, c)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hidden_lines_of_rust_are_not_shown() {
        let source = "# Head\n\n> ```rust,ignore\n> # hidden\n> #\n> ## shown\n> #[test]\n> x # y\n> ```\n\
                      # Head\n```sh\n# shown\n```\n";
        let expected = "# Head\n\n> ```rust,ignore\n> # shown\n> #[test]\n> x # y\n> ```\n\
                        # Head\n```sh\n# shown\n```\n";
        assert_eq!(text(source, &Prefixes::new()), expected);
    }

    #[test]
    fn other_languages_hide_by_their_prefix() {
        let prefixes = Prefixes::from([("python".to_owned(), "~".to_owned())]);
        let source = "```python\n~no\nyes\n```\n```c,hidelines=!!\n  !!no\nyes\n```\n";
        let expected = "```python\nyes\n```\n```c,hidelines=!!\nyes\n```\n";
        assert_eq!(text(source, &prefixes), expected);
    }

    #[test]
    fn listings_become_their_captions() {
        let source = "<Listing number=\"4-1\" file-name=\"src/main.rs\"\n caption=\"A `Vec<T>` &amp; more\">\n\n\
                      ```rust\nlet v;\n```\n\n</Listing>\n<Listing>\nx\n</Listing>\n";
        let expected = "Listing 4-1: A `Vec<T>` & more (src/main.rs)\n\n\n```rust\nlet v;\n```\n\n\n\nx\n\n";
        assert_eq!(text(source, &Prefixes::new()), expected);
        let open =
            "<Listing number=\"1\"\n".to_owned() + &"It costs no text.\n".repeat(30);
        assert_eq!(text(&open, &Prefixes::new()), open);
    }
}
