//! What stands within a line: words, code, pictures, formulas, and the ids to link to.

use super::{
    content::Content,
    elements::is_block,
    tree::{Id, Visit},
    words::{Place, Words},
};

/// What an element within a line does to it.
pub(super) enum Inline {
    /// Nothing.
    Words,
    /// Its text is code.
    Code,
    /// It ends the line.
    Break,
    /// It is this text.
    Text(String),
    /// Its text is between these.
    Between(&'static str, &'static str),
}

/// What the element does to the line that it is in.
pub(super) fn inline(content: &Content<'_>, id: Id) -> Inline {
    let tree = content.tree;
    match tree.name(id) {
        "code" | "kbd" | "samp" | "tt" => Inline::Code,
        "br" => Inline::Break,
        "wbr" => Inline::Text(String::new()),
        "img" | "image" => {
            Inline::Text(tree.attribute(id, "alt").unwrap_or_default().to_owned())
        }
        "svg" => Inline::Text(label(content, id)),
        "math" => formula(content, id).map_or(Inline::Words, Inline::Text),
        "q" => Inline::Between("“", "”"),
        "rt" => Inline::Between("(", ")"),
        "sup" if is_power(&tree.text(id)) => Inline::Between("^", ""),
        _ => Inline::Words,
    }
}

/// `10<sup>6</sup>` must not become 106; `1<sup>st</sup>` is 1st.
fn is_power(text: &str) -> bool {
    let text = text.trim();
    let mut letters = text.chars();
    let is_letter = letters.next().is_some_and(char::is_alphabetic);
    text.len() <= 8
        && (is_letter && letters.next().is_none()
            || text.contains(|c: char| c.is_ascii_digit()))
}

/// A drawing's name.
fn label(content: &Content<'_>, id: Id) -> String {
    let tree = content.tree;
    let title = || {
        let title = tree.node(id).children.iter().find(|it| tree.name(**it) == "title");
        title.map(|it| tree.text(*it))
    };
    let label = tree.attribute(id, "aria-label").map(str::to_owned).or_else(title);
    label.unwrap_or_default()
}

/// A formula as its author wrote it, if the page says how.
fn formula(content: &Content<'_>, id: Id) -> Option<String> {
    let tree = content.tree;
    let mut found = None;
    tree.walk(
        id,
        |_| true,
        |step| {
            if found.is_none()
                && let Visit::Enter(it) = step
                && tree.name(it) == "annotation"
                && tree.attribute(it, "encoding") == Some("application/x-tex")
            {
                found = Some(format!("${}$", tree.text(it).trim()));
            }
        },
    );
    found.or_else(|| tree.attribute(id, "alttext").map(|it| format!("${}$", it.trim())))
}

/// The words of `id` on one line, and the first anchor in it.
pub(super) fn line_of(
    content: &Content<'_>,
    id: Id,
    place: Place,
) -> (String, Option<String>) {
    let mut words = Words::default();
    let inner = read_inline(content, id, &mut words);
    (words.take(place), inner)
}

/// Reads all of `root` as one stretch of words.
pub(super) fn read_inline(
    content: &Content<'_>,
    root: Id,
    words: &mut Words,
) -> Option<String> {
    let tree = content.tree;
    let mut found = None;
    let mut code = 0;
    let mut marks: Vec<(Id, &str)> = Vec::new();
    let mut steps = vec![Visit::Leave(root)];
    steps.extend(tree.node(root).children.iter().rev().map(|id| Visit::Enter(*id)));
    while let Some(step) = steps.pop() {
        match step {
            Visit::Enter(id) if tree.node(id).name.is_none() => {
                words.push(&tree.node(id).text, code > 0);
            }
            Visit::Enter(id) => {
                // The sign that links to a heading often carries its id.
                let is_dropped = content.is_dropped(id);
                if !is_dropped || matches!(tree.name(id), "a" | "span") {
                    found = found.or_else(|| anchor(content, id));
                }
                if is_dropped || is_permalink(content, id) {
                    continue;
                }
                match inline(content, id) {
                    Inline::Words => {}
                    Inline::Code => code += 1,
                    Inline::Break => {
                        words.gap();
                        continue;
                    }
                    Inline::Text(text) => {
                        words.push(&text, code > 0);
                        continue;
                    }
                    Inline::Between(before, after) => {
                        words.push(before, code > 0);
                        marks.push((id, after));
                    }
                }
                if is_block(tree.name(id)) {
                    words.gap();
                }
                steps.push(Visit::Leave(id));
                let children = &tree.node(id).children;
                steps.extend(children.iter().rev().map(|id| Visit::Enter(*id)));
            }
            Visit::Leave(id) if id == root => {}
            Visit::Leave(id) => {
                let name = tree.name(id);
                if matches!(name, "code" | "kbd" | "samp" | "tt") {
                    code -= 1;
                }
                if let Some((_, after)) = marks.pop_if(|(of, _)| *of == id) {
                    words.push(after, code > 0);
                }
                if is_block(name) {
                    words.gap();
                }
            }
        }
    }
    found
}

/// The sign beside a heading that links to it.
fn is_permalink(content: &Content<'_>, id: Id) -> bool {
    let tree = content.tree;
    if tree.name(id) != "a" || tree.attribute(id, "href").is_none() {
        return false;
    }
    let is_marked = tree.classes(id).any(|class| {
        matches!(
            class,
            "headerlink" | "hash-link" | "header-anchor" | "permalink" | "anchor-link"
        )
    });
    content.letters(id) == 0 && !has_picture(content, id)
        || is_marked && tree.text(id).trim() == "Permalink"
}

fn has_picture(content: &Content<'_>, id: Id) -> bool {
    let tree = content.tree;
    let mut has_picture = false;
    tree.walk(
        id,
        |_| true,
        |step| {
            if let Visit::Enter(id) = step {
                has_picture |= tree.name(id) == "img"
                    && !tree.attribute(id, "alt").unwrap_or("").is_empty();
            }
        },
    );
    has_picture
}

/// The element's id, if an explicit `{#id}` can hold it. Browsers jump to the name of a link,
/// too.
pub(super) fn anchor(content: &Content<'_>, id: Id) -> Option<String> {
    let tree = content.tree;
    let name = (tree.name(id) == "a").then(|| tree.attribute(id, "name")).flatten();
    let anchor = tree.attribute(id, "id").or(name)?;
    let is_good = !anchor.is_empty()
        && !anchor.contains(|c: char| {
            c.is_whitespace() || c.is_control() || "{}#<>`\\&".contains(c)
        });
    is_good.then(|| anchor.to_owned())
}
