//! MDX as its readers see it: no imports, no tags, admonitions with their type as words.
//! Code stays as it is.

mod tags;

/// An element that is open, for the lines inside it.
struct Element {
    /// How far its children stand to the right of where they are shown.
    shift: Option<usize>,
}

/// A tag or a piece of a module that goes on for more lines than this is none.
const LONGEST: usize = 400;

/// Whoever leaves more open than this closes nothing further down, either.
const PATIENCE: usize = 20;

/// What of a body is shown, as Markdown. Every block keeps its order and its line breaks.
pub(super) fn text(body: &str) -> String {
    let lines: Vec<&str> = body.split_inclusive('\n').collect();
    let mut page = Page { out: String::new(), open: Vec::new(), base: 0 };
    let mut fences = Fences::default();
    let mut was_blank = true;
    let mut patience = PATIENCE;
    let mut at = 0;
    while let Some(line) = lines.get(at) {
        at += 1;
        if fences.holds(line) {
            page.keep(line);
            was_blank = false;
            continue;
        }
        let reach = if patience > 0 { LONGEST } else { 0 };
        let rest = &lines[at..lines.len().min(at + reach)];
        let is_module = was_blank && is_module(line);
        let more = following(
            line,
            rest,
            if is_module { is_complete } else { tags::is_complete },
        );
        patience = patience.saturating_sub(usize::from(more.is_none()));
        if is_module {
            // When it cannot be read, what stands behind the next blank line is no part of it.
            let block =
                || lines[at..].iter().take_while(|it| !it.trim().is_empty()).count();
            at += more.unwrap_or_else(block);
            continue;
        }
        let more = more.unwrap_or(0);
        let whole = [line].into_iter().chain(&rest[..more]).copied().collect::<String>();
        at += more;
        was_blank = whole.trim().is_empty();
        if let Some(words) = admonition(&whole) {
            page.keep(&words);
            was_blank = true;
        } else {
            page.show(&whole);
        }
    }
    page.out
}

/// How many of the lines behind `line` are needed to complete it; `None` if no number is
/// enough.
fn following(line: &str, rest: &[&str], is_complete: fn(&str) -> bool) -> Option<usize> {
    if is_complete(line) {
        return Some(0);
    }
    let mut whole = line.to_owned();
    for (count, next) in (1..).zip(rest) {
        whole.push_str(next);
        // Only these can end anything.
        let may_end =
            next.trim().is_empty() || next.contains(['>', '}', ')', ']', '`', '\'', '"']);
        if may_end && is_complete(&whole) {
            return Some(count);
        }
    }
    None
}

struct Page {
    out: String,
    open: Vec<Element>,
    /// Where the outermost open element stands.
    base: usize,
}

impl Page {
    /// A line as it is, moved to where its element stands.
    fn keep(&mut self, line: &str) {
        let indent = line.len() - line.trim_start_matches(' ').len();
        if let Some(element) = self.open.last_mut()
            && !line.trim().is_empty()
        {
            let base = self.base;
            let shift = element.shift.get_or_insert(indent.saturating_sub(base));
            self.out.push_str(&line[(*shift).min(indent)..]);
        } else {
            self.out.push_str(line);
        }
    }

    /// Lines without their tags.
    fn show(&mut self, lines: &str) {
        let shown = tags::without(&heading_id(lines));
        if shown.change < 0 {
            self.close(shown.change.unsigned_abs());
        }
        let is_tags_alone = shown.text.trim().is_empty() && !lines.trim().is_empty();
        if is_tags_alone {
            self.out.push('\n');
        } else {
            shown.text.split_inclusive('\n').for_each(|line| self.keep(line));
        }
        for _ in 0..shown.change.max(0) {
            if self.open.is_empty() {
                self.base = lines.len() - lines.trim_start_matches(' ').len();
            }
            self.open.push(Element { shift: None });
        }
    }

    fn close(&mut self, count: usize) {
        let left = self.open.len().saturating_sub(count);
        self.open.truncate(left);
    }
}

/// The fenced code among the lines of a page.
#[derive(Default)]
pub(super) struct Fences {
    /// The mark of the fence that is open, and how many make it.
    open: Option<(char, usize)>,
}

impl Fences {
    /// Whether the next line is code, or opens or closes it.
    pub(super) fn holds(&mut self, line: &str) -> bool {
        let bare = line.trim();
        let Some((mark, length)) = self.open else {
            self.open = opened(bare);
            return self.open.is_some();
        };
        if bare.len() >= length && bare.chars().all(|c| c == mark) {
            self.open = None;
        }
        true
    }
}

/// The fence that a line opens.
fn opened(bare: &str) -> Option<(char, usize)> {
    let mark = bare.chars().next().filter(|c| matches!(c, '`' | '~'))?;
    let length = bare.chars().take_while(|c| *c == mark).count();
    (length >= 3 && !(mark == '`' && bare[length..].contains('`')))
        .then_some((mark, length))
}

/// Whether a line that begins a block is code of a module. Sentences may begin with the same
/// words: `import taxes were raised`.
fn is_module(line: &str) -> bool {
    let line = line.trim_end();
    if let Some(rest) = line.strip_prefix("import ") {
        let is_side_effect = rest.starts_with(['\'', '"']);
        return is_side_effect
            || rest.contains(" from '")
            || rest.contains(" from \"")
            || rest.starts_with('{') && !rest.contains('}')
            || rest.starts_with("* as ");
    }
    let Some(rest) = line.strip_prefix("export ") else { return false };
    let begins = [
        "const ",
        "let ",
        "var ",
        "function ",
        "function*",
        "class ",
        "async ",
        "default ",
        "{",
        "*",
    ];
    begins.iter().any(|it| rest.starts_with(it))
}

/// Whether every bracket is closed.
fn is_complete(code: &str) -> bool {
    let mut depth = 0_i32;
    let mut quote = None;
    for c in code.chars() {
        match (quote, c) {
            (None, '"' | '\'' | '`') => quote = Some(c),
            (Some(open), c) if open == c => quote = None,
            // An apostrophe in a text is no string that goes on for lines.
            (Some('"' | '\''), '\n') => quote = None,
            (None, '{' | '(' | '[') => depth += 1,
            (None, '}' | ')' | ']') => depth -= 1,
            _ => {}
        }
    }
    depth <= 0 && quote.is_none()
}

/// The line that opens or closes an admonition, in words: `Note: Title`.
fn admonition(line: &str) -> Option<String> {
    let bare = line.trim();
    let rest = bare.trim_start_matches(':');
    if bare.len() - rest.len() < 3 {
        return None;
    }
    let indent = &line[..line.len() - line.trim_start().len()];
    if rest.is_empty() {
        return Some("\n".to_owned());
    }
    let is_name = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_');
    let len = rest.find(|c| !is_name(c)).unwrap_or(rest.len());
    let (name, title) = rest.split_at(len);
    let first = name.chars().next()?;
    // Attributes are for the style sheet.
    let title = title.split_once('{').map_or(title, |it| it.0).trim();
    let title =
        title.strip_prefix('[').and_then(|it| it.strip_suffix(']')).unwrap_or(title);
    let kind = first.to_uppercase().chain(name.chars().skip(1)).collect::<String>();
    let words =
        if title.is_empty() { format!("{kind}:") } else { format!("{kind}: {title}") };
    Some(format!("{indent}{words}\n\n"))
}

/// `## Head {/* #id */}` → `## Head {#id}`.
fn heading_id(line: &str) -> String {
    let start = line.trim_start().starts_with('#').then(|| line.rfind("{/*")).flatten();
    let id = start.and_then(|at| {
        let comment = line[at + 3..].trim_end().strip_suffix("*/}")?.trim();
        let id = comment.strip_prefix('#')?;
        (!id.is_empty() && !id.contains(char::is_whitespace)).then_some((at, id))
    });
    match id {
        Some((at, id)) => format!("{}{{#{id}}}\n", &line[..at]),
        None => line.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn modules_go_and_sentences_and_code_stay() {
        let body = "import Tabs from '@theme/Tabs';\nimport {\n  a,\n} from './b';\n\n\
                    export const Hi = () => {\n\n  return <b>no</b>;\n};\n\nimport taxes rise.\n\n\
                    ```js\nimport x from 'y';\n<Tabs>\n```\n";
        let expected =
            "\n\nimport taxes rise.\n\n```js\nimport x from 'y';\n<Tabs>\n```\n";
        assert_eq!(text(body), expected);
    }

    #[test]
    fn admonitions_say_their_type() {
        let body = ":::tip[My `tip`]\n\nUse it.\n\n:::\n\n::::note Old title {.x}\n:::danger\nDo not.\n:::\n::::\n";
        let expected = "Tip: My `tip`\n\n\nUse it.\n\n\n\nNote: Old title\n\nDanger:\n\nDo not.\n\n\n";
        assert_eq!(text(body), expected);
    }

    #[test]
    fn the_children_of_tags_stay_and_stand_where_they_are_shown() {
        let body = "<Tabs>\n  <TabItem value=\"npm\" label=\"npm\" default>\n\n    ```bash\n    npm i\n      x\n    ```\n\n    \
                    Then *go*.\n\n  </TabItem>\n</Tabs>\n\nAfter.\n";
        let expected =
            "\nnpm\n\n\n```bash\nnpm i\n  x\n```\n\nThen *go*.\n\n\n\n\nAfter.\n";
        assert_eq!(text(body), expected);
    }

    #[test]
    fn what_is_never_closed_costs_no_text() {
        let body = "export const a = {\n  b: 1,\n\nStill here.\n\nA <b and more.\n\n{/* open\n\nThe end.\n";
        let expected = "\nStill here.\n\nA <b and more.\n\n{/* open\n\nThe end.\n";
        assert_eq!(text(body), expected);
    }

    #[test]
    fn a_page_that_never_closes_anything_ends() {
        for open in ["export const a = [\n\n", "<!-- '\n", "<style>\n", "{/*\n", "<a "] {
            let shown = text(&(open.repeat(5_000) + "\n\nThe end.\n"));
            assert!(shown.ends_with("The end.\n"), "{open}");
        }
    }

    proptest! {
        #[test]
        fn code_is_never_touched(
            before in "([a-z<>{}/:*` \n]|<Tab a=\"b\">|</Tab>|:::note\n|\nimport a from 'b'\n){0,40}",
            code in "[a-z<>{}/:* \n]{0,60}",
        ) {
            let shown = text(&before);
            prop_assert!(shown.len() <= before.len() + 3 * before.matches(":::").count() + before.len());
            let fence = format!("~~~~~x\n{code}\n~~~~~\n");
            prop_assert_eq!(text(&fence), fence);
        }
    }

    #[test]
    fn headings_keep_their_ids() {
        let body = "## A {/* #own */}\n\n## B {#mine}\n\n## C {/* a note */}\n";
        assert_eq!(text(body), "## A {#own}\n\n## B {#mine}\n\n## C \n");
    }
}
