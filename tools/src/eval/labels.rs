//! Which passages a question's labels mean.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};

use shared::{
    config::Env,
    retrieval::{
        Hit, Passage,
        shelf::{Place, Shelf},
    },
};
use uuid::Uuid;

/// What may be meant: known when the book lies on a shelf, else every label is taken at its
/// word.
pub(super) struct Catalogue(Option<Contents>);

struct Contents {
    /// Pages by their path, and by their path without its ending where that is clear.
    pages: HashMap<String, String>,
    anchors: HashSet<(String, String)>,
    passages: HashMap<Uuid, String>,
}

/// What one label means.
#[derive(Clone, Debug, PartialEq)]
enum Meaning {
    /// Any passage of the page.
    Page(String),
    /// Any passage under the heading.
    Section(String, String),
    /// This passage, and its page if that is known.
    Passage(Uuid, Option<String>),
}

/// What is wrong with a label.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Flaw {
    /// The book has no such passage.
    UnknownPassage,
    /// The book has no such page.
    UnknownPage,
    /// No passage begins at the heading, so that its page is meant.
    HeadingInside,
}

impl Flaw {
    /// What it is, behind the label.
    pub(super) fn words(self) -> &'static str {
        match self {
            Self::UnknownPassage => "is no passage of this version of the book",
            Self::UnknownPage => "is no page of the book",
            Self::HeadingInside => "begins no passage: any passage of its page will do",
        }
    }
}

/// The labels of one question, understood.
#[derive(Debug, Default)]
pub(super) struct Wanted(Vec<(String, Meaning, f64)>);

impl Catalogue {
    /// Reads the shelf, if there is one.
    pub(super) fn of(env: &Env) -> Self {
        let place = Place::from_env(env);
        let shelf = place.exists().then(|| place.current().ok()).flatten();
        Self(shelf.map(|it| Contents::of(&it)))
    }

    /// Understands the labels of a question. The second part has those that are flawed.
    pub(super) fn understand(
        &self,
        labels: &BTreeMap<String, f64>,
    ) -> (Wanted, Vec<(String, Flaw)>) {
        let mut wanted = Wanted::default();
        let mut flawed = Vec::new();
        for (label, gain) in labels {
            let (meaning, flaw) = self.meaning(label);
            flawed.extend(flaw.map(|it| (label.clone(), it)));
            wanted.0.push((label.clone(), meaning, *gain));
        }
        (wanted, flawed)
    }

    fn meaning(&self, label: &str) -> (Meaning, Option<Flaw>) {
        if let Ok(id) = Uuid::try_parse(label) {
            let page = self.0.as_ref().map(|it| it.passages.get(&id).cloned());
            let gone = matches!(page, Some(None));
            let flaw = gone.then_some(Flaw::UnknownPassage);
            return (Meaning::Passage(id, page.flatten()), flaw);
        }
        let (page, anchor) = match label.split_once('#') {
            Some((page, anchor)) => (page, Some(anchor).filter(|it| !it.is_empty())),
            None => (label, None),
        };
        let Some(contents) = &self.0 else {
            let page = page.to_owned();
            return match anchor {
                Some(anchor) => (Meaning::Section(page, anchor.to_owned()), None),
                None => (Meaning::Page(page), None),
            };
        };
        let Some(path) = contents.pages.get(page) else {
            return (Meaning::Page(page.to_owned()), Some(Flaw::UnknownPage));
        };
        let Some(anchor) = anchor else { return (Meaning::Page(path.clone()), None) };
        let place = (path.clone(), anchor.to_owned());
        if contents.anchors.contains(&place) {
            return (Meaning::Section(place.0, place.1), None);
        }
        // A small section lies in the passage of the one before it.
        (Meaning::Page(place.0), Some(Flaw::HeadingInside))
    }
}

impl Contents {
    fn of(shelf: &Arc<Shelf>) -> Self {
        let mut contents = Self {
            pages: HashMap::new(),
            anchors: HashSet::new(),
            passages: HashMap::new(),
        };
        let mut stems: HashMap<String, HashSet<String>> = HashMap::new();
        for Passage { id, path, anchor, .. } in shelf.passages() {
            stems.entry(stem(&path).to_owned()).or_default().insert(path.clone());
            contents.pages.insert(path.clone(), path.clone());
            contents.passages.insert(id, path.clone());
            contents.anchors.insert((path, anchor));
        }
        for (stem, paths) in stems {
            let mut paths = paths.into_iter();
            if let (Some(path), None) = (paths.next(), paths.next()) {
                contents.pages.entry(stem).or_insert(path);
            }
        }
        contents
    }
}

impl Wanted {
    /// Whether anything is wanted at all; without it a question measures no ranking.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The wanted pages with their gains.
    pub(super) fn pages(&self) -> BTreeMap<String, f64> {
        let mut pages = BTreeMap::<String, f64>::new();
        for (label, meaning, gain) in &self.0 {
            let page = match meaning {
                Meaning::Page(path)
                | Meaning::Section(path, _)
                | Meaning::Passage(_, Some(path)) => path,
                Meaning::Passage(_, None) => label,
            };
            let most = pages.entry(page.clone()).or_default();
            *most = most.max(*gain);
        }
        pages
    }

    /// The wanted passages with their gains, by label.
    pub(super) fn labels(&self) -> BTreeMap<String, f64> {
        self.0.iter().map(|(label, _, gain)| (label.clone(), *gain)).collect()
    }

    /// The pages of a ranking, as [`Self::pages`] names them; the best passage of a page
    /// stands for it.
    pub(super) fn rank_pages(&self, hits: &[Hit]) -> Vec<String> {
        hits.iter().map(|hit| self.page(&hit.passage)).collect()
    }

    fn page(&self, passage: &Passage) -> String {
        let named = self.0.iter().find_map(|(label, meaning, _)| match meaning {
            Meaning::Page(page) | Meaning::Section(page, _) => {
                is_page(page, &passage.path).then_some(page)
            }
            Meaning::Passage(id, None) => (*id == passage.id).then_some(label),
            Meaning::Passage(_, Some(_)) => None,
        });
        named.unwrap_or(&passage.path).clone()
    }

    /// The passages of a ranking: each as the label that it satisfies, of which the first
    /// counts, else as itself.
    pub(super) fn rank_passages(&self, hits: &[Hit]) -> Vec<String> {
        let mut used = HashSet::new();
        let mut ranked = Vec::new();
        for hit in hits {
            let fits = |it: &&(String, Meaning, f64)| it.1.is(&hit.passage);
            let mut fitting = self.0.iter().filter(fits);
            let first = fitting.clone().next();
            let label = fitting.find(|it| !used.contains(&it.0)).or(first);
            ranked.push(match label {
                Some((label, ..)) => {
                    used.insert(label);
                    label.clone()
                }
                None => hit.passage.id.to_string(),
            });
        }
        ranked
    }

    /// Whether the page of a cited source is wanted.
    pub(super) fn has_page(&self, path: &str) -> bool {
        self.pages().keys().any(|page| is_page(page, path))
    }
}

impl Meaning {
    fn is(&self, passage: &Passage) -> bool {
        match self {
            Self::Page(page) => is_page(page, &passage.path),
            Self::Section(page, anchor) => {
                is_page(page, &passage.path) && *anchor == passage.anchor
            }
            Self::Passage(id, _) => *id == passage.id,
        }
    }
}

/// Whether a label's page is this one: by its path, with or without the ending.
fn is_page(label: &str, path: &str) -> bool {
    label == path || label == stem(path)
}

/// The path without the ending of its file.
pub(super) fn stem(path: &str) -> &str {
    let file = path.rfind('/').map_or(0, |at| at + 1);
    match path[file..].rfind('.') {
        Some(dot) if dot > 0 => &path[..file + dot],
        _ => path,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hit(id: u128, path: &str, anchor: &str) -> Hit {
        let passage = Passage {
            id: Uuid::from_u128(id),
            path: path.into(),
            anchor: anchor.into(),
            link: String::new(),
            title: String::new(),
            text: String::new(),
            source: String::new(),
            start: 0,
            end: 0,
            lead: 0,
        };
        Hit { passage, score: 1.0, dense: None, lexical: None }
    }

    fn wanted(labels: &[&str]) -> Wanted {
        let labels = labels.iter().map(|it| ((*it).to_owned(), 1.0)).collect();
        Catalogue(None).understand(&labels).0
    }

    #[test]
    fn a_page_is_meant_by_its_path_with_or_without_the_ending() {
        let hits = [hit(1, "a/b.c.md", ""), hit(2, "a/d.md", "")];
        assert_eq!(wanted(&["a/b.c"]).rank_pages(&hits), ["a/b.c", "a/d.md"]);
        assert_eq!(wanted(&["a/b.c.md"]).rank_pages(&hits)[0], "a/b.c.md");
        assert_eq!(stem("a.b/.hidden"), "a.b/.hidden");
    }

    #[test]
    fn a_label_counts_at_the_first_passage_that_it_means() {
        let two = Uuid::from_u128(2).to_string();
        let wanted = wanted(&["p.md", "p.md#x", &two]);
        let hits = [
            hit(9, "q.md", ""),
            hit(1, "p.md", "x"),
            hit(3, "p.md", "x"),
            hit(2, "q.md", "y"),
        ];
        let ranked = wanted.rank_passages(&hits);
        let nine = Uuid::from_u128(9).to_string();
        assert_eq!(ranked, [nine.as_str(), "p.md", "p.md#x", &two]);
        assert_eq!(wanted.labels().len(), 3);
        assert!(wanted.has_page("p.md") && !wanted.has_page("z.md"));
    }
}
