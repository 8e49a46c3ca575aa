//! Shelves against naive oracles, and against damage.

use std::{
    collections::HashSet,
    fs,
    path::PathBuf,
    sync::atomic::{AtomicU32, Ordering},
};

use proptest::prelude::*;

use super::*;
use crate::retrieval::{Filter, Leg, bm25, fuse::best_first, passage::prefixes};

/// A path for a shelf, removed when the test ends.
struct Temporary(PathBuf);

impl Temporary {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("lectern-{}-{number}.shelf", std::process::id());
        Self(std::env::temp_dir().join(name))
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        fs::remove_file(&self.0).ok();
    }
}

fn header(dimension: u32) -> Header {
    Header {
        book_version: "9c41".into(),
        language: "eng".into(),
        tokeniser: tokens::VERSION,
        embedding_model: (dimension > 0).then(|| "model".into()),
        dimension,
        mean_len: 3.3,
    }
}

fn entry(number: u128, words: &[String], dense: Option<Vec<f32>>) -> Entry {
    let passage = Passage {
        id: Uuid::from_u128(
            number.wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_0C2F_8A1D_4B63),
        ),
        path: format!("ch{:02}/page-{}.md", number % 3, number % 5),
        anchor: "über".into(),
        link: "page.html#über".into(),
        title: format!("Page {number}"),
        text: words.join(" "),
        source: ["one", "two"][number as usize % 2].into(),
        start: number as u32,
        end: number as u32 + 7,
        lead: 1,
    };
    Entry { passage, sparse: bm25::document(words, 3.3), dense }
}

fn stored(header: &Header, entries: &[Entry]) -> (Temporary, Shelf) {
    let file = Temporary::new();
    write(&file.0, header, entries).unwrap();
    let shelf = Shelf::open(&file.0).unwrap();
    (file, shelf)
}

fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

#[test]
fn what_was_written_is_read_again() {
    let entries = [
        entry(1, &words("a move"), Some(vec![1.0, 0.0])),
        entry(2, &words("所有权 😀"), Some(vec![0.0, 1.0])),
        entry(3, &[], Some(vec![0.6, 0.8])),
    ];
    let (_file, shelf) = stored(&header(2), &entries);
    assert_eq!(shelf.header(), &header(2));
    assert_eq!(shelf.len(), 3);
    for entry in &entries {
        assert_eq!(shelf.passage(&entry.passage.id).as_ref(), Some(&entry.passage));
        assert_eq!(shelf.vector(&entry.passage.id), entry.dense);
    }
    assert_eq!(shelf.passage(&Uuid::max()), None);
    assert!(shelf.passages().is_sorted_by_key(|it| it.id));
    assert_eq!(shelf.passages().count(), 3);
    shelf.verify_vectors().unwrap();
}

#[test]
fn an_empty_book_is_a_shelf_too() {
    let (_file, shelf) = stored(&header(0), &[]);
    assert!(shelf.is_empty());
    assert!(shelf.lexical(&[(1, 1.0)], &Filter::default(), 5).is_empty());
    assert!(shelf.dense(&[], &Filter::default(), 5).is_empty());
}

#[test]
fn the_order_of_the_entries_leaves_no_trace_in_the_file() {
    let mut entries: Vec<_> =
        (0..20).map(|n| entry(n, &words("a b c"), Some(vec![n as f32]))).collect();
    let (first, second) = (Temporary::new(), Temporary::new());
    write(&first.0, &header(1), &entries).unwrap();
    entries.reverse();
    write(&second.0, &header(1), &entries).unwrap();
    assert_eq!(fs::read(&first.0).unwrap(), fs::read(&second.0).unwrap());
}

#[test]
fn entries_that_do_not_fit_are_refused_and_the_old_shelf_stays() {
    let file = Temporary::new();
    let good = [entry(1, &words("a"), Some(vec![1.0]))];
    write(&file.0, &header(1), &good).unwrap();
    let before = fs::read(&file.0).unwrap();
    let twice = [good[0].clone(), good[0].clone()];
    assert!(write(&file.0, &header(1), &twice).is_err());
    assert!(write(&file.0, &header(2), &good).is_err());
    assert!(write(&file.0, &header(0), &good).is_err());
    let endless = [entry(1, &words("a"), Some(vec![f32::NAN]))];
    assert!(write(&file.0, &header(1), &endless).is_err());
    let without = [entry(1, &words("a"), None)];
    assert!(write(&file.0, &header(1), &without).is_err());
    assert_eq!(fs::read(&file.0).unwrap(), before);
}

#[test]
fn a_folder_that_is_not_there_is_storage_that_is_down() {
    let err =
        write(std::path::Path::new("/nowhere/a.shelf"), &header(0), &[]).unwrap_err();
    assert!(matches!(err, Error::Unavailable { service: "storage", .. }));
}

/// Every way in which a file may be wrong: changed bytes, and what the reader says.
#[test]
fn a_damaged_or_foreign_file_is_refused_in_words() {
    let (file, _shelf) = stored(&header(1), &[entry(1, &words("a b"), Some(vec![1.0]))]);
    let whole = fs::read(&file.0).unwrap();
    let read_with = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = whole.clone();
        change(&mut bytes);
        let damaged = Temporary::new();
        fs::write(&damaged.0, bytes).unwrap();
        let opened = Shelf::open(&damaged.0).map(|_| ());
        assert!(matches!(opened, Err(Error::Misconfigured("BOOK_SHELF"))));
        Shelf::read(&damaged.0).err().unwrap().to_string()
    };
    insta::assert_snapshot!(read_with(&|it| it.truncate(10)), @"this file is no shelf");
    insta::assert_snapshot!(read_with(&|it| it[0] = b'l'), @"this file is no shelf");
    insta::assert_snapshot!(
        read_with(&|it| it[8] = 9),
        @"the shelf has format 9, this build reads 1: ingest again"
    );
    insta::assert_snapshot!(
        read_with(&|it| it.truncate(whole.len() - 1)),
        @"the shelf is damaged (length): ingest again"
    );
    insta::assert_snapshot!(
        read_with(&|it| it[PRELUDE + 30] ^= 1),
        @"the shelf is damaged (checksum): ingest again"
    );
    insta::assert_snapshot!(
        read_with(&|it| it[16] ^= 1),
        @"the shelf is damaged (length): ingest again"
    );
    assert!(matches!(
        Shelf::read(std::path::Path::new("/nowhere/book.shelf")),
        Err(Unreadable::Io(_))
    ));
}

#[test]
fn another_tokeniser_asks_for_another_ingest() {
    let file = Temporary::new();
    let old = Header { tokeniser: tokens::VERSION + 1, ..header(0) };
    write(&file.0, &old, &[]).unwrap();
    insta::assert_snapshot!(
        Shelf::read(&file.0).err().unwrap(),
        @"the shelf was made by tokeniser 2, this build has 1: ingest again"
    );
}

#[test]
fn changed_vectors_are_found_by_the_long_check() {
    let (file, _) = stored(&header(1), &[entry(1, &words("a"), Some(vec![1.0]))]);
    let mut bytes = fs::read(&file.0).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    let changed = Temporary::new();
    fs::write(&changed.0, bytes).unwrap();
    let shelf = Shelf::read(&changed.0).unwrap();
    assert!(shelf.verify_vectors().is_err());
}

#[test]
fn a_place_serves_the_newest_book_and_survives_a_bad_one() {
    let file = Temporary::new();
    let place = Place::at(&file.0);
    assert!(place.current().is_err());
    write(&file.0, &header(0), &[]).unwrap();
    let first = place.current().unwrap();
    assert!(first.is_empty());
    write(&file.0, &header(0), &[entry(1, &words("a"), None)]).unwrap();
    assert_eq!(place.current().unwrap().len(), 1);
    assert!(first.is_empty(), "who holds the old one keeps it");
    let broken = Temporary::new();
    fs::write(&broken.0, "not a shelf").unwrap();
    fs::rename(&broken.0, &file.0).unwrap();
    assert_eq!(place.current().unwrap().len(), 1);
    fs::remove_file(&file.0).unwrap();
    assert_eq!(place.current().unwrap().len(), 1);
}

/// The definition, word for word: every passage, every token, then a full sort.
fn naive_lexical(entries: &[Entry], question: &[(u32, f32)], filter: &Filter) -> Leg {
    let weight = |entry: &Entry, dimension: u32| {
        entry.sparse.iter().find(|it| it.0 == dimension).map(|it| it.1)
    };
    let mut leg = Leg::new();
    for entry in entries.iter().filter(|it| admitted(&it.passage, filter)) {
        let mut score = 0.0;
        for (dimension, wanted) in question {
            let df = entries.iter().filter(|it| weight(it, *dimension).is_some()).count();
            let rest = (entries.len() - df) as f32 + 0.5;
            let idf = (1.0 + rest / (df as f32 + 0.5)).ln();
            score += wanted * idf * weight(entry, *dimension).unwrap_or(0.0);
        }
        if score > 0.0 {
            leg.push((entry.passage.id, score));
        }
    }
    leg.sort_by(best_first);
    leg
}

fn naive_dense(entries: &[Entry], question: &[f32], filter: &Filter) -> Vec<(Uuid, f64)> {
    let dot = |a: &[f32], b: &[f32]| -> f64 {
        a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
    };
    let score = |row: &[f32]| {
        let lengths = (dot(row, row) * dot(question, question)).sqrt();
        if lengths > 0.0 { dot(row, question) / lengths } else { 0.0 }
    };
    let admitted = entries.iter().filter(|it| admitted(&it.passage, filter));
    let mut leg: Vec<_> =
        admitted.map(|it| (it.passage.id, score(it.dense.as_deref().unwrap()))).collect();
    leg.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    leg
}

fn admitted(passage: &Passage, filter: &Filter) -> bool {
    let prefixes = prefixes(&passage.path);
    filter.path_prefix.as_ref().is_none_or(|it| it.is_empty() || prefixes.contains(it))
        && filter.source.as_ref().is_none_or(|it| *it == passage.source)
}

const DIMENSION: usize = 37;

/// Normalised, as every vector of a book is. Few distinct values, so that scores tie.
fn vectors() -> impl Strategy<Value = Vec<f32>> {
    let values = proptest::collection::vec((-2_i8..3).prop_map(f32::from), DIMENSION);
    values.prop_map(|values| {
        let length = values.iter().map(|it| it * it).sum::<f32>().sqrt();
        values.iter().map(|it| if length > 0.0 { it / length } else { 0.0 }).collect()
    })
}

fn books() -> impl Strategy<Value = Vec<Entry>> {
    let words = proptest::collection::vec("[a-f]", 0..12);
    let dense = vectors();
    proptest::collection::vec((words, dense), 0..25).prop_map(|parts| {
        let numbered = (1_u128..).zip(parts);
        numbered.map(|(n, (words, dense))| entry(n, &words, Some(dense))).collect()
    })
}

fn filters() -> impl Strategy<Value = Filter> {
    let prefix = proptest::option::of(proptest::sample::select(
        &["", "ch01", "ch02/page", "ch0", "ch01/page-1.md"][..],
    ));
    let source = proptest::option::of(proptest::sample::select(&["one", "two"][..]));
    (prefix, source).prop_map(|(prefix, source)| Filter {
        path_prefix: prefix.map(str::to_owned),
        source: source.map(str::to_owned),
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_lexical_leg_agrees_with_the_definition(
        entries in books(),
        asked in proptest::collection::vec(("[a-h]", 1_u8..4), 0..6),
        filter in filters(),
        limit in 0_usize..30,
    ) {
        let mut question: Vec<_> = asked
            .into_iter()
            .map(|(word, weight)| (bm25::dimension(&word), f32::from(weight)))
            .collect();
        question.sort_by_key(|it| it.0);
        question.dedup_by_key(|it| it.0);
        let (_file, shelf) = stored(&header(DIMENSION as u32), &entries);
        let mut expected = naive_lexical(&entries, &question, &filter);
        expected.truncate(limit);
        prop_assert_eq!(shelf.lexical(&question, &filter, limit), expected);
    }

    #[test]
    fn the_dense_leg_agrees_with_the_definition(
        entries in books(),
        question in vectors(),
        filter in filters(),
        limit in 0_usize..30,
    ) {
        let (_file, shelf) = stored(&header(DIMENSION as u32), &entries);
        // Ties are those of the rounded scores.
        let mut expected: Vec<_> = naive_dense(&entries, &question, &filter)
            .into_iter()
            .map(|(id, score)| (id, score as f32))
            .collect();
        expected.sort_by(best_first);
        expected.truncate(limit);
        prop_assert_eq!(shelf.dense(&question, &filter, limit), expected);
    }

    #[test]
    fn no_changed_byte_is_served_unnoticed_or_breaks_the_reader(
        at in any::<proptest::sample::Index>(),
        flip in 1_u8..=255,
    ) {
        let entries: Vec<_> = (0..4).map(|n| entry(n, &words("a b"), None)).collect();
        let (file, shelf) = stored(&header(0), &entries);
        let mut bytes = fs::read(&file.0).unwrap();
        let at = at.index(bytes.len());
        bytes[at] ^= flip;
        let changed = Temporary::new();
        fs::write(&changed.0, bytes).unwrap();
        if let Ok(read) = Shelf::read(&changed.0) {
            // Only the unused end of the prelude and the checksum of no vectors may change.
            prop_assert!((36..PRELUDE).contains(&at));
            let ids = |it: &Shelf| it.passages().map(|it| it.id).collect::<HashSet<_>>();
            prop_assert_eq!(ids(&read), ids(&shelf));
        }
    }
}
