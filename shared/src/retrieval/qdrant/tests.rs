//! What can be said about a collection without a network.

use qdrant_client::qdrant::{PointId, Value, value::Kind};

use super::*;

fn named(them: &[(&str, usize)]) -> Vec<(String, usize)> {
    them.iter().map(|(name, length)| ((*name).to_owned(), *length)).collect()
}

fn edition() -> Edition {
    Edition {
        version: "9c41".into(),
        language: "eng".into(),
        tokeniser: 1,
        embedding_model: Some("small".into()),
        dimension: 3,
        mean_len: 92.25,
    }
}

fn settings(pairs: [(&str, &str); 2]) -> Settings {
    let [one, other] = pairs;
    Settings::from_env(&Env::from([("QDRANT_URL", "http://localhost"), one, other]))
        .unwrap()
}

#[test]
fn a_passage_comes_back_as_it_was_written() {
    let passage = Passage {
        id: Uuid::from_u128(7),
        path: "ch04/moves.md".into(),
        anchor: "moves".into(),
        link: "ch04/moves.html#moves".into(),
        title: "Ownership > Moves".into(),
        text: "A value has one owner.".into(),
        source: "manual".into(),
        start: 12,
        end: 34,
        lead: 2,
    };
    let payload = payload::write(&passage, &edition());
    let fields = settings([("A", "1"), ("B", "1")]).fields;
    assert_eq!(payload::passage(passage.id, &payload, &fields), Some(passage));
    assert_eq!(payload::edition(&payload), Some(edition()));
}

#[test]
fn a_foreign_payload_is_read_with_what_it_has() {
    let payload: payload::Payload = [
        ("content", "Robots sense and act."),
        ("file_path", "docs/01-intro.md"),
        ("chapter", "Robots"),
        ("heading", "Sensing"),
        ("chunk_id", "c-17"),
    ]
    .map(|(name, value)| (name.to_owned(), Value::from(value)))
    .into();
    let fields = settings([("A", "1"), ("B", "1")]).fields;
    let passage = payload::passage(Uuid::nil(), &payload, &fields).unwrap();
    assert_eq!(passage.text, "Robots sense and act.");
    assert_eq!(passage.title, "Robots > Sensing");
    assert_eq!(passage.path, "docs/01-intro.md");
    assert_eq!((passage.link.as_str(), passage.start, passage.end), ("", 0, 0));
    assert_eq!(payload::edition(&payload), None);
}

#[test]
fn settings_name_the_fields_of_a_foreign_payload() {
    let payload: payload::Payload =
        [("words", "Text."), ("content", "not this"), ("nr", "4"), ("name", "Arms")]
            .map(|(name, value)| (name.to_owned(), Value::from(value)))
            .into();
    let pairs =
        [("QDRANT_TEXT_FIELD", "words"), ("QDRANT_TITLE_FIELD", "nr, name, none")];
    let passage =
        payload::passage(Uuid::nil(), &payload, &settings(pairs).fields).unwrap();
    assert_eq!((passage.text.as_str(), passage.title.as_str()), ("Text.", "4 > Arms"));
}

#[test]
fn a_point_without_text_is_no_passage() {
    let payload = [("text".to_owned(), Value::from("  "))].into();
    let fields = settings([("A", "1"), ("B", "1")]).fields;
    assert_eq!(payload::passage(Uuid::nil(), &payload, &fields), None);
}

#[test]
fn a_number_gets_one_id_of_its_own() {
    let id = |it: u64| payload::id(Some(PointId::from(it))).unwrap();
    assert_eq!(id(17), id(17));
    assert_ne!(id(17), id(18));
    let uuid = Uuid::from_u128(9);
    assert_eq!(payload::id(Some(PointId::from(uuid.to_string()))), Some(uuid));
    assert_eq!(payload::id(None), None);
}

#[test]
fn an_edition_needs_all_its_parts() {
    let mut payload = payload::write(&passage(), &edition());
    let Some(Kind::StructValue(book)) = payload.get_mut("book").unwrap().kind.as_mut()
    else {
        panic!("the edition is a struct");
    };
    book.fields.remove("language");
    assert_eq!(payload::edition(&payload), None);
}

#[test]
fn the_dense_vector_is_the_named_one_ours_the_unnamed_or_the_only_one() {
    let both = named(&[("image", 9), (DENSE, 3)]);
    assert_eq!(choose(None, &both).unwrap(), Some((DENSE.into(), 3)));
    assert_eq!(choose(Some("image"), &both).unwrap(), Some(("image".into(), 9)));
    let unnamed = named(&[("", 1024)]);
    assert_eq!(choose(None, &unnamed).unwrap(), Some((String::new(), 1024)));
    assert_eq!(choose(Some(""), &unnamed).unwrap(), Some((String::new(), 1024)));
    let only = named(&[("text", 5)]);
    assert_eq!(choose(None, &only).unwrap(), Some(("text".into(), 5)));
    assert_eq!(choose(None, &[]).unwrap(), None);
}

#[test]
fn a_dense_vector_that_is_not_there_names_the_setting() {
    let wrong = |named, vectors: Vec<_>| {
        matches!(choose(named, &vectors), Err(Error::Misconfigured("QDRANT_VECTOR")))
    };
    assert!(wrong(Some("dense"), named(&[("text", 5)])));
    assert!(wrong(None, named(&[("text", 5), ("image", 9)])));
}

fn passage() -> Passage {
    Passage {
        id: Uuid::nil(),
        path: String::new(),
        anchor: String::new(),
        link: String::new(),
        title: String::new(),
        text: "Text.".into(),
        source: String::new(),
        start: 0,
        end: 0,
        lead: 0,
    }
}
