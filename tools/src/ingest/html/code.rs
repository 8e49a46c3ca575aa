//! Blocks of code: their lines and their language.

use shared::retrieval::tokens::is_invisible;

use super::{
    content::Content,
    elements::is_block,
    tree::{Id, Visit},
};

/// The text of a block of code, line by line.
pub(super) fn code_text(content: &Content<'_>, root: Id) -> String {
    let tree = content.tree;
    let mut code = String::new();
    tree.walk(
        root,
        |id| !content.is_dropped(id),
        |step| match step {
            Visit::Enter(id) if tree.node(id).name.is_none() => {
                code.extend(tree.node(id).text.chars().filter(|c| is_of_code(*c)));
            }
            Visit::Enter(id) if tree.name(id) == "br" => code.push('\n'),
            Visit::Enter(id) | Visit::Leave(id) => {
                if is_block(tree.name(id)) && !code.is_empty() && !code.ends_with('\n') {
                    code.push('\n');
                }
            }
        },
    );
    let code = code.trim_end();
    let first = code.find(|c| c != '\n').unwrap_or(0);
    code[first..].to_owned()
}

/// Whoever reorders code by invisible characters means no good.
fn is_of_code(c: char) -> bool {
    matches!(c, '\n' | '\t') || !c.is_control() && !is_invisible(c)
}

/// The language of a block of code by the classes and data of the element, of the code in
/// it, and of the two elements around it.
pub(super) fn language(content: &Content<'_>, id: Id) -> String {
    let tree = content.tree;
    let inner = tree.node(id).children.iter().copied();
    let inner = inner.filter(|it| tree.node(*it).name.is_some()).take(1);
    let parent = tree.node(id).parent;
    let around = [parent, tree.node(parent).parent];
    let found = std::iter::once(id).chain(inner).chain(around).find_map(|id| {
        let data = ["data-lang", "data-language"];
        let named = data.iter().find_map(|name| tree.attribute(id, name));
        let classed = || {
            let prefixes = ["language-", "lang-", "highlight-source-", "highlight-"];
            tree.classes(id).find_map(|class| {
                prefixes.iter().find_map(|prefix| class.strip_prefix(prefix))
            })
        };
        // `<pre class="sourceCode rust">` is pandoc's way.
        let second = || {
            let mut words = tree.classes(id);
            let is_pandoc = words.any(|class| class == "sourceCode");
            if is_pandoc { words.next() } else { None }
        };
        named.or_else(classed).or_else(second)
    });
    let is_of_name = |c: &char| c.is_ascii_alphanumeric() || "_+-#.".contains(*c);
    let name: String = found.unwrap_or_default().chars().filter(is_of_name).collect();
    if matches!(name.as_str(), "default" | "text" | "none" | "plaintext") {
        return String::new();
    }
    name.chars().take(40).collect()
}
