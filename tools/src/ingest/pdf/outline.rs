//! A PDF's table of contents: its bookmarks and the pages that they lead to.

use std::collections::{HashMap, HashSet};

use pdf_extract::{Dictionary, Document, Object, ObjectId};

/// No book has more bookmarks.
const MOST: usize = 10_000;

/// A bookmark.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Bookmark {
    /// 1 for the outermost.
    pub level: usize,
    /// What it is called.
    pub title: String,
    /// The number of the page that it leads to, from 1.
    pub page: u32,
}

/// The bookmarks of `document` in their order. A book reads without them, so nothing is an
/// error, and a circle of them ends where it closes.
pub(super) fn read(document: &Document) -> Vec<Bookmark> {
    let numbers: HashMap<ObjectId, u32> =
        document.get_pages().into_iter().map(|(number, id)| (id, number)).collect();
    let Ok(catalog) = document.catalog() else { return Vec::new() };
    let names = destinations(document, catalog);
    let mut found = Vec::new();
    let mut seen = HashSet::new();
    let outlines = dictionary(document, catalog, b"Outlines");
    let mut steps: Vec<(usize, &Object)> = outlines
        .and_then(|it| it.get(b"First").ok())
        .map(|it| (1, it))
        .into_iter()
        .collect();
    while let Some((level, object)) = steps.pop() {
        let Ok(id) = object.as_reference() else { continue };
        if !seen.insert(id) || seen.len() > MOST {
            continue;
        }
        let Ok(item) = document.get_dictionary(id) else { continue };
        steps.extend(item.get(b"Next").ok().map(|it| (level, it)));
        steps.extend(item.get(b"First").ok().map(|it| (level + 1, it)));
        let title = item.get_deref(b"Title", document).ok();
        let title = title.and_then(|it| pdf_extract::decode_text_string(it).ok());
        let target = item.get(b"Dest").ok().or_else(|| {
            dictionary(document, item, b"A").and_then(|action| action.get(b"D").ok())
        });
        let page = target.and_then(|it| page_of(document, it, &names));
        if let (Some(title), Some(page)) = (title, page.and_then(|it| numbers.get(&it))) {
            found.push(Bookmark { level, title, page: *page });
        }
    }
    found
}

fn dictionary<'a>(
    document: &'a Document,
    of: &'a Dictionary,
    key: &[u8],
) -> Option<&'a Dictionary> {
    of.get_deref(key, document).ok()?.as_dict().ok()
}

/// The page of a destination: an array, a dictionary around one, or a name for either.
fn page_of(
    document: &Document,
    target: &Object,
    names: &HashMap<Vec<u8>, &Object>,
) -> Option<ObjectId> {
    let mut target = target;
    for _ in 0..8 {
        target = match target {
            Object::Reference(id) => document.get_object(*id).ok()?,
            Object::Array(parts) => return parts.first()?.as_reference().ok(),
            Object::Dictionary(dictionary) => dictionary.get(b"D").ok()?,
            Object::Name(name) | Object::String(name, _) => names.get(name)?,
            _ => return None,
        };
    }
    None
}

/// Names of destinations, from the dictionary of PDF 1.1 and from the tree of PDF 1.2.
fn destinations<'a>(
    document: &'a Document,
    catalog: &'a Dictionary,
) -> HashMap<Vec<u8>, &'a Object> {
    let mut found = HashMap::new();
    if let Some(all) = dictionary(document, catalog, b"Dests") {
        found.extend(all.iter().map(|(name, target)| (name.clone(), target)));
    }
    let root = dictionary(document, catalog, b"Names")
        .and_then(|names| dictionary(document, names, b"Dests"));
    let mut nodes: Vec<&Dictionary> = root.into_iter().collect();
    let mut seen = HashSet::new();
    while let Some(node) = nodes.pop() {
        let array = |key: &[u8]| {
            node.get_deref(key, document).ok().and_then(|it| it.as_array().ok())
        };
        for pair in array(b"Names").into_iter().flat_map(|it| it.chunks_exact(2)) {
            if let Object::String(name, _) = &pair[0] {
                found.insert(name.clone(), &pair[1]);
            }
        }
        for kid in array(b"Kids").into_iter().flatten() {
            if let Ok(id) = kid.as_reference()
                && seen.insert(id)
                && let Ok(kid) = document.get_dictionary(id)
            {
                nodes.push(kid);
            }
        }
    }
    found
}
