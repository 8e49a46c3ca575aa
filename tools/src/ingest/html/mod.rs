//! Pages of HTML as Markdown: their own text, with its structure and its anchors.

mod blocks;
mod builder;
mod code;
mod content;
mod elements;
mod inline;
#[cfg(test)]
mod properties;
pub(super) mod site;
mod table;
#[cfg(test)]
mod tests;
pub(super) mod tree;
mod words;
mod writer;

use self::{
    content::Content,
    tree::{Syntax, Tree},
    words::{Place, Words},
};

/// A page of HTML.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct HtmlPage {
    /// What it calls itself in its `title`.
    pub title: Option<String>,
    /// Its own text. Headings with an id carry it as `{#id}`; those without one carry none,
    /// and no anchor leads to them.
    pub markdown: String,
    /// The address at which it wants to be found.
    pub canonical: Option<String>,
    /// Whether it asks search engines to leave it out, or only leads to another page.
    pub is_unlisted: bool,
    /// Whether a heading of the first level says how it is called.
    has_heading: bool,
}

/// Reads a page of a site: its own text without the site's around it.
pub(super) fn page(html: &str) -> HtmlPage {
    read(&Tree::read(html, Syntax::Html), false)
}

/// Reads a chapter of a book file, XHTML with all of its body.
pub(super) fn chapter(xhtml: &str) -> HtmlPage {
    read(&Tree::read(xhtml, Syntax::Xhtml), true)
}

fn read(tree: &Tree, is_chapter: bool) -> HtmlPage {
    let content = Content::find(tree, is_chapter);
    let (markdown, has_heading) = blocks::markdown(&content);
    HtmlPage {
        title: title(tree),
        markdown,
        has_heading,
        canonical: canonical(tree),
        is_unlisted: is_unlisted(tree),
    }
}

impl HtmlPage {
    /// Whether a heading of the first level says how the page is called.
    pub(super) fn has_heading(&self) -> bool {
        self.has_heading
    }

    /// The source text for the splitter: the Markdown, and the title before it unless a
    /// heading of the first level says how the page is called.
    pub(super) fn source(&self) -> String {
        match &self.title {
            Some(title) if !self.has_heading => with_title(title, &self.markdown),
            _ => self.markdown.clone(),
        }
    }
}

/// `markdown` under front matter with its title.
pub(super) fn with_title(title: &str, markdown: &str) -> String {
    let title = title.replace('\\', "\\\\").replace('"', "\\\"");
    format!("---\ntitle: \"{title}\"\n---\n\n{markdown}")
}

/// Plain text as a block of Markdown that says the same.
pub(super) fn text(plain: &str) -> String {
    let mut words = Words::default();
    words.push(plain, false);
    words.take(Place::Block)
}

/// Plain text as the words of a heading.
pub(super) fn heading(plain: &str) -> String {
    let mut words = Words::default();
    words.push(plain, false);
    words.take(Place::Heading)
}

/// `text` on one line, without what nobody sees.
pub(super) fn one_line(text: &str) -> String {
    let seen: String = text.chars().filter(|c| words::is_seen(*c)).collect();
    seen.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn title(tree: &Tree) -> Option<String> {
    let is_of_page = |id: &usize| tree.name(tree.node(*id).parent) != "svg";
    let title = tree.named("title").find(is_of_page)?;
    Some(one_line(&tree.text(title))).filter(|title| !title.is_empty())
}

fn canonical(tree: &Tree) -> Option<String> {
    let link = tree.named("link").find(|id| {
        let rel = tree.attribute(*id, "rel").unwrap_or_default();
        rel.split_ascii_whitespace().any(|it| it.eq_ignore_ascii_case("canonical"))
    })?;
    let href = tree.attribute(link, "href")?.trim();
    (!href.is_empty()).then(|| href.to_owned())
}

fn is_unlisted(tree: &Tree) -> bool {
    tree.named("meta").any(|id| {
        let value = |name: &str| {
            tree.attribute(id, name).unwrap_or_default().to_ascii_lowercase()
        };
        value("http-equiv") == "refresh"
            || value("name") == "robots"
                && value("content")
                    .split(',')
                    .any(|it| matches!(it.trim(), "noindex" | "none"))
    })
}
