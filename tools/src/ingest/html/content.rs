//! Which part of a page is the page, and which elements nobody sees.

use super::tree::{Id, ROOT, Tree};

/// What is known of each node before the page is written.
#[derive(Debug)]
pub(super) struct Content<'a> {
    /// The page.
    pub tree: &'a Tree,
    /// Where its own text is.
    pub root: Id,
    facts: Vec<Facts>,
    keeps: Keeps,
}

/// Sums over what is visible in a node, the node included.
#[derive(Clone, Copy, Debug, Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "four facts that do not exclude each other"
)]
struct Facts {
    letters: usize,
    is_dropped: bool,
    tables: usize,
    has_pre: bool,
    has_heading: bool,
    /// Something that would need a line of its own in a list's item.
    has_blocks: bool,
}

/// How much around the text stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keeps {
    /// The page is a chapter of a book file: all but navigation.
    All,
    /// The root is the page's own `main` or `article`: its headers and asides stay.
    Main,
    /// The root is a `body` with everything that sites put there.
    Body,
}

impl<'a> Content<'a> {
    /// Looks for the page's own text; with `is_chapter` all of the body is.
    pub(super) fn find(tree: &'a Tree, is_chapter: bool) -> Self {
        let keeps = if is_chapter { Keeps::All } else { Keeps::Main };
        let mut content = Self { tree, root: ROOT, facts: Vec::new(), keeps };
        content.count();
        content.root = content.body();
        if !is_chapter {
            if let Some(main) = content.main() {
                content.root = main;
            } else {
                content.keeps = Keeps::Body;
                content.count();
            }
        }
        content
    }

    /// Whether the element and all in it is no text of the page.
    pub(super) fn is_dropped(&self, id: Id) -> bool {
        self.facts[id].is_dropped
    }

    /// How many letters and digits are visible in it.
    pub(super) fn letters(&self, id: Id) -> usize {
        self.facts[id].letters
    }

    /// Whether a list with this in it wants blank lines between its items.
    pub(super) fn has_blocks(&self, id: Id) -> bool {
        self.facts[id].has_blocks
    }

    /// Whether a table holds what no cell can hold in Markdown.
    pub(super) fn is_layout(&self, table: Id) -> bool {
        let facts = &self.facts[table];
        let role = self.tree.attribute(table, "role");
        facts.tables > 1
            || facts.has_pre
            || facts.has_heading
            || matches!(role, Some("presentation" | "none"))
    }

    /// Sums up from the last node to the first, so that children come before parents.
    fn count(&mut self) {
        let tree = self.tree;
        let mut facts = vec![Facts::default(); tree.len()];
        for id in (1..tree.len()).rev() {
            let node = tree.node(id);
            let name = tree.name(id);
            facts[id].is_dropped = !name.is_empty() && self.drops(id, name);
            if facts[id].is_dropped {
                continue;
            }
            facts[id].letters +=
                node.text.chars().filter(|c| c.is_alphanumeric()).count();
            match name {
                "table" => facts[id].tables += 1,
                "pre" | "xmp" | "listing" | "plaintext" => facts[id].has_pre = true,
                "h1" | "h2" | "h3" | "h4" | "h5" | "h6" => facts[id].has_heading = true,
                _ => {}
            }
            facts[id].has_blocks |= matches!(
                name,
                "p" | "pre" | "table" | "blockquote" | "dl" | "figure" | "details"
            ) || facts[id].has_heading;
            let inner = facts[id];
            let outer = &mut facts[node.parent];
            outer.letters += inner.letters;
            outer.tables += inner.tables;
            outer.has_pre |= inner.has_pre;
            outer.has_heading |= inner.has_heading;
            outer.has_blocks |= inner.has_blocks;
        }
        self.facts = facts;
    }

    fn body(&self) -> Id {
        self.tree.named("body").next().unwrap_or(ROOT)
    }

    /// The `main`, or the one `article`; within a `main` the one article if it has most of
    /// the text and the page's heading (generators put their tables of contents beside it).
    fn main(&self) -> Option<Id> {
        let is_main = |id: &Id| {
            let tree = self.tree;
            tree.name(*id) == "main" || tree.attribute(*id, "role") == Some("main")
        };
        let seen = |id: &Id| !self.is_dropped(*id) && self.letters(*id) > 0;
        let main = self.tree.elements().find(|id| is_main(id) && seen(id));
        let around = main.unwrap_or_else(|| self.body());
        let mut articles = Vec::new();
        self.tree.walk(
            around,
            |id| {
                let is_article = self.tree.name(id) == "article" && seen(&id);
                articles.extend(is_article.then_some(id));
                !is_article && !self.is_dropped(id)
            },
            |_| {},
        );
        match articles[..] {
            [article] if main.is_none() || self.is_most(article, around) => Some(article),
            _ => main,
        }
    }

    fn is_most(&self, article: Id, main: Id) -> bool {
        let has_heading = |id: Id| self.facts[id].has_heading;
        self.letters(article) * 2 >= self.letters(main)
            && (has_heading(article) || !has_heading(main))
    }

    fn drops(&self, id: Id, name: &str) -> bool {
        let tree = self.tree;
        match name {
            "head" | "script" | "style" | "template" | "noscript" | "iframe"
            | "object" | "embed" | "canvas" | "audio" | "video" | "button" | "select"
            | "input" | "textarea" | "datalist" | "progress" | "meter" | "nav"
            | "search" | "rp" | "map" | "frameset" | "noframes" | "noembed" | "param"
            | "title" | "meta" | "link" | "base" => return true,
            "dialog" if tree.attribute(id, "open").is_none() => return true,
            "footer" if self.keeps != Keeps::All && !self.is_quoted(id) => return true,
            "aside" if self.keeps == Keeps::Body => return true,
            _ => {}
        }
        is_hidden(tree, id)
            || has_furniture(tree, id)
            || self.keeps == Keeps::Body && self.is_frame(id, name)
    }

    /// What a site puts above and below its pages. Its heading may be the page's.
    fn is_frame(&self, id: Id, name: &str) -> bool {
        let is_banner = name == "header" && {
            let parent = self.tree.node(id).parent;
            matches!(self.tree.name(parent), "" | "body" | "html" | "div")
        };
        let role = self.tree.attribute(id, "role");
        (is_banner || role == Some("banner")) && !self.facts[id].has_heading
            || matches!(role, Some("contentinfo" | "complementary"))
    }

    /// A quotation's footer says who said it.
    fn is_quoted(&self, id: Id) -> bool {
        let parent = self.tree.node(id).parent;
        matches!(self.tree.name(parent), "blockquote" | "figure")
    }
}

/// Hidden by an attribute, from sight or from screen readers; what a style sheet hides is
/// not known. Tabs that are not on top and text that a search opens are the page's.
fn is_hidden(tree: &Tree, id: Id) -> bool {
    let is_hidden = tree.attribute(id, "hidden").is_some_and(|value| {
        !value.eq_ignore_ascii_case("until-found")
            && tree.attribute(id, "role") != Some("tabpanel")
    });
    is_hidden
        || tree.attribute(id, "aria-hidden").is_some_and(|it| it.trim() == "true")
        || tree.attribute(id, "style").is_some_and(hides)
        || tree.classes(id).any(|class| {
            matches!(
                class,
                "sr-only" | "visually-hidden" | "visuallyhidden" | "screen-reader-text"
            )
        })
}

fn hides(style: &str) -> bool {
    style.split(';').any(|rule| {
        let Some((name, value)) = rule.split_once(':') else { return false };
        let value = value.to_ascii_lowercase();
        let value = value.trim().trim_end_matches("!important").trim_end();
        match name.trim().to_ascii_lowercase().as_str() {
            "display" => value == "none",
            "visibility" => matches!(value, "hidden" | "collapse"),
            "opacity" | "font-size" => {
                let number = value.trim_end_matches(|c: char| !c.is_ascii_digit());
                number.parse::<f64>() == Ok(0.0)
            }
            _ => false,
        }
    })
}

/// What generators put among a page's text: line numbers, contents, links to edit it.
fn has_furniture(tree: &Tree, id: Id) -> bool {
    let role = tree.attribute(id, "role");
    matches!(
        role,
        Some("navigation" | "search" | "menu" | "menubar" | "toolbar" | "tooltip")
    ) || tree.classes(id).any(|class| {
        matches!(
            class,
            "linenos"
                | "lineno"
                | "linenumber"
                | "line-numbers-rows"
                | "gutter"
                | "rouge-gutter"
                | "lnt"
                | "boring"
                | "toc"
                | "table-of-contents"
                | "tableofcontents"
                | "breadcrumb"
                | "breadcrumbs"
                | "pagination-nav"
                | "edit-this-page"
                | "theme-edit-this-page"
                | "copybtn"
        )
    })
}
