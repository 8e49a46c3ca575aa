//! The tree of a page of HTML, XHTML or XML.
//!
//! The tokens are html5ever's. The tree is ours, because theirs takes quadratic time on
//! nested tags and may copy formatting elements without end: here every tag costs a bounded
//! number of steps, nodes lie in one list in document order, and nothing is recursive.

use html5ever::{LocalName, tendril::StrTendril};

use super::builder;

/// The place of a node in [`Tree::nodes`]. A parent's is smaller than its children's.
pub(in crate::ingest) type Id = usize;

/// The node above all others.
pub(in crate::ingest) const ROOT: Id = 0;

/// By whose rules tags are closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::ingest) enum Syntax {
    /// HTML: void elements, implied ends, `/>` means nothing.
    Html,
    /// HTML in which `/>` closes.
    Xhtml,
    /// Only end tags and `/>` close, and `CDATA` is text.
    Xml,
}

/// An element or a text.
#[derive(Debug)]
pub(in crate::ingest) struct Node {
    /// The element's name in lower case; `None` for text.
    pub name: Option<LocalName>,
    /// The element's attributes, names in lower case.
    pub attributes: Vec<(LocalName, StrTendril)>,
    /// The text.
    pub text: String,
    /// What it is in.
    pub parent: Id,
    /// What is in it.
    pub children: Vec<Id>,
}

/// A page's nodes in document order.
#[derive(Debug)]
pub(in crate::ingest) struct Tree {
    nodes: Vec<Node>,
}

impl Tree {
    /// Reads `source`. Nothing is an error: as in a browser, every text is some page.
    pub(in crate::ingest) fn read(source: &str, syntax: Syntax) -> Self {
        Self { nodes: builder::nodes(source, syntax) }
    }

    /// How many nodes there are.
    pub(in crate::ingest) fn len(&self) -> usize {
        self.nodes.len()
    }

    /// The node at `id`.
    pub(in crate::ingest) fn node(&self, id: Id) -> &Node {
        &self.nodes[id]
    }

    /// The name of the element at `id`; empty for a text.
    pub(in crate::ingest) fn name(&self, id: Id) -> &str {
        self.nodes[id].name.as_deref().unwrap_or_default()
    }

    /// The value of an attribute.
    pub(in crate::ingest) fn attribute(&self, id: Id, name: &str) -> Option<&str> {
        let all = &self.nodes[id].attributes;
        all.iter().find(|(it, _)| &**it == name).map(|(_, value)| &**value)
    }

    /// Whether `name` is among the words of the attribute `class`.
    pub(in crate::ingest) fn classes(&self, id: Id) -> impl Iterator<Item = &str> {
        self.attribute(id, "class").unwrap_or_default().split_ascii_whitespace()
    }

    /// All elements, in document order.
    pub(in crate::ingest) fn elements(&self) -> impl Iterator<Item = Id> {
        (1..self.nodes.len()).filter(|id| self.nodes[*id].name.is_some())
    }

    /// All elements of one name, whatever their namespace's prefix.
    pub(in crate::ingest) fn named<'a>(
        &'a self,
        name: &'a str,
    ) -> impl Iterator<Item = Id> + 'a {
        self.elements().filter(move |id| {
            let full = self.name(*id);
            full.rsplit_once(':').map_or(full, |(_, local)| local) == name
        })
    }

    /// What is in `root`, in document order, without it; `enters` says whether to look into
    /// an element.
    pub(in crate::ingest) fn walk(
        &self,
        root: Id,
        mut enters: impl FnMut(Id) -> bool,
        mut visit: impl FnMut(Visit),
    ) {
        let mut steps: Vec<Visit> =
            self.nodes[root].children.iter().rev().map(|id| Visit::Enter(*id)).collect();
        while let Some(step) = steps.pop() {
            if let Visit::Enter(id) = step {
                if self.nodes[id].name.is_some() {
                    if !enters(id) {
                        continue;
                    }
                    steps.push(Visit::Leave(id));
                }
                steps.extend(
                    self.nodes[id].children.iter().rev().map(|it| Visit::Enter(*it)),
                );
            }
            visit(step);
        }
    }

    /// All text in `root`, as it is.
    pub(in crate::ingest) fn text(&self, root: Id) -> String {
        let mut text = String::new();
        self.walk(
            root,
            |_| true,
            |step| {
                if let Visit::Enter(id) = step {
                    text.push_str(&self.nodes[id].text);
                }
            },
        );
        text
    }
}

/// A step of a walk. Texts are only entered.
#[derive(Clone, Copy, Debug)]
pub(in crate::ingest) enum Visit {
    /// Before what is in the node.
    Enter(Id),
    /// After it.
    Leave(Id),
}

#[cfg(test)]
mod tests {
    use super::{super::builder::MOST_ATTRIBUTES, *};

    /// The tree as nested brackets.
    fn shape(source: &str, syntax: Syntax) -> String {
        let tree = Tree::read(source, syntax);
        let mut shape = String::new();
        tree.walk(
            ROOT,
            |_| true,
            |step| match step {
                Visit::Enter(id) if tree.node(id).name.is_some() => {
                    shape.push_str(tree.name(id));
                    shape.push('(');
                }
                Visit::Enter(id) => shape.push_str(&tree.node(id).text),
                Visit::Leave(_) => shape.push(')'),
            },
        );
        shape
    }

    #[test]
    fn ends_that_are_left_out_are_implied() {
        for (source, expected) in [
            ("<p>a<p>b<div>c</div>d", "p(a)p(b)div(c)d"),
            ("<ul><li>a<ul><li>b</ul><li>c</ul>", "ul(li(a ul(li(b))) li(c))"),
            ("<dl><dt>a<dd>b<p>c<dt>d</dl>", "dl(dt(a)dd(b p(c))dt(d))"),
            (
                "<table><tr><td>a<td>b<tr><th>c</table>d",
                "table(tr(td(a)td(b))tr(th(c)))d",
            ),
            ("<b><p>a</b>b</p>c", "b(p(a b)) c"),
            ("<table><tr><td></li>a</table>", "table(tr(td(a)))"),
            ("<head><title>a<b></title><p>b", "head(title(a<b>))p(b)"),
            ("<script>a<p></script>b", "script(a<p>)b"),
            ("a<br>b</br><img src=x>c", "a br()b img()c"),
        ] {
            let found = shape(source, Syntax::Html);
            assert_eq!(found.replace(' ', ""), expected.replace(' ', ""), "{source}");
        }
    }

    #[test]
    fn a_slash_closes_in_xhtml_only() {
        let source = "<title/><a id='x'/>b<script src='y'/>c";
        assert_eq!(
            shape(source, Syntax::Xhtml),
            "title()a()b script()c".replace(' ', "")
        );
        assert_eq!(shape("<a/>b", Syntax::Html), "a(b)");
        assert_eq!(shape("<svg><path/>a</svg><a/>b", Syntax::Html), "svg(path()a)a(b)");
        let xml = "<o:meta>a<![CDATA[<b>]]></o:meta><link>c</link>";
        assert_eq!(shape(xml, Syntax::Xml), "o:meta(a<b>)link(c)");
    }

    #[test]
    fn a_tag_of_countless_attributes_is_cut() {
        let many: Vec<_> = (0..200_000).map(|n| format!(" a{n}=1")).collect();
        let many = many.concat();
        let tree = Tree::read(&format!("<p{many}>text</p><i>"), Syntax::Html);
        assert!(tree.node(1).attributes.len() <= MOST_ATTRIBUTES);
        assert_eq!(tree.text(ROOT), "text");
        let path = format!("<p d='{}' id=x>", "1 2 ".repeat(5_000));
        assert_eq!(Tree::read(&path, Syntax::Html).attribute(1, "id"), Some("x"));
    }
}
