//! PDFs written by hand, good ones and bad ones.

use std::io::Write as _;

use super::*;

/// A PDF of these objects, the first of them the catalog, with a table of their places.
fn pdf(objects: &[String], trailer: &str) -> Vec<u8> {
    let mut file = b"%PDF-1.5\n".to_vec();
    let mut places = Vec::new();
    for (at, object) in objects.iter().enumerate() {
        places.push(file.len());
        write!(file, "{} 0 obj\n{object}\nendobj\n", at + 1).unwrap();
    }
    let table = file.len();
    write!(file, "xref\n0 {}\n0000000000 65535 f \n", objects.len() + 1).unwrap();
    for place in places {
        writeln!(file, "{place:010} 00000 n ").unwrap();
    }
    let count = objects.len() + 1;
    write!(
        file,
        "trailer\n<</Size {count}/Root 1 0 R{trailer}>>\nstartxref\n{table}\n%%EOF\n"
    )
    .unwrap();
    file
}

fn stream(entries: &str, content: &str) -> String {
    format!("<<{entries}/Length {}>>\nstream\n{content}\nendstream", content.len())
}

/// The objects of a book whose pages draw these contents. The objects after the catalog, the
/// tree, the font and the drawing `/Fm` are page and content by turns, from 5 on.
fn book_of(contents: &[String], catalog: &str, drawing: &str) -> Vec<String> {
    let kids: Vec<_> =
        (0..contents.len()).map(|at| format!("{} 0 R", 5 + at * 2)).collect();
    let mut objects = vec![
        format!("<</Type/Catalog/Pages 2 0 R{catalog}>>"),
        format!(
            "<</Type/Pages/Count {}/Kids[{}]/MediaBox[0 0 600 800]/Resources<</Font<</F 3 0 R\
             >>/XObject<</Fm 4 0 R>>>>>>",
            contents.len(),
            kids.join(" ")
        ),
        "<</Type/Font/Subtype/Type1/BaseFont/Helvetica/Encoding/WinAnsiEncoding>>".into(),
        drawing.to_owned(),
    ];
    for (at, content) in contents.iter().enumerate() {
        let content_id = 6 + at * 2;
        objects.push(format!("<</Type/Page/Parent 2 0 R/Contents {content_id} 0 R>>"));
        objects.push(stream("", content));
    }
    objects
}

fn lines(lines: &[(&str, i32)]) -> String {
    let mut content = String::from("BT /F 10 Tf ");
    for (text, y) in lines {
        write!(content, "1 0 0 1 50 {y} Tm ({text}) Tj ").unwrap();
    }
    content + "ET"
}

const FORM: &str = "/Type/XObject/Subtype/Form/BBox[0 0 9 9]";

fn read(bytes: &[u8]) -> Outcome<Pdf> {
    let file = tempfile::Builder::new().suffix(".pdf").tempfile().unwrap();
    fs::write(file.path(), bytes).unwrap();
    let result = book(file.path(), "trees.pdf");
    if let Err(err) = &result {
        let words = err.to_string();
        assert!(words.starts_with(&format!("{}: ", file.path().display())), "{words}");
    }
    result
}

fn refused(bytes: &[u8]) -> String {
    read(bytes).unwrap_err().to_string()
}

fn four_pages() -> Vec<String> {
    ["Oaks", "Elms", "Firs", "Yews"]
        .iter()
        .enumerate()
        .map(|(at, name)| {
            lines(&[
                ("A book of trees", 780),
                (name, 740),
                (&format!("{name} grow in many lands and live for a very long ti-"), 700),
                ("me, as *everybody* knows who has one.", 688),
                (&format!("Plant {name} early."), 650),
                (&format!("{}", at + 11), 20),
            ])
        })
        .collect()
}

#[test]
fn pages_become_sections_of_whole_paragraphs() {
    let objects = book_of(&four_pages(), "", "null");
    let found = read(&pdf(&objects, "")).unwrap();
    assert!(found.warnings.is_empty(), "{:?}", found.warnings);
    let passages =
        crate::ingest::plan::passages(std::slice::from_ref(&found.page), "book");
    let links: Vec<_> = passages.0.iter().map(|it| it.link.as_str()).collect();
    assert_eq!(links, [1, 2, 3, 4].map(|n| format!("trees.pdf#page={n}")));
    insta::assert_snapshot!(found.page.source, @r"
    ## Page 1 {#page=1}

    Oaks

    Oaks grow in many lands and live for a very long time, as \*everybody\* knows who has one.

    Plant Oaks early.

    ## Page 2 {#page=2}

    Elms

    Elms grow in many lands and live for a very long time, as \*everybody\* knows who has one.

    Plant Elms early.

    ## Page 3 {#page=3}

    Firs

    Firs grow in many lands and live for a very long time, as \*everybody\* knows who has one.

    Plant Firs early.

    ## Page 4 {#page=4}

    Yews

    Yews grow in many lands and live for a very long time, as \*everybody\* knows who has one.

    Plant Yews early.
    ");
}

#[test]
fn bookmarks_and_the_title_name_the_parts() {
    let mut objects =
        book_of(&four_pages()[..2], "/Outlines 9 0 R/Dests<</two [7 0 R /Fit]>>", "null");
    objects.extend([
        "<</First 10 0 R>>".to_owned(),
        "<</Title(Part one)/Dest[5 0 R /Fit]/Next 11 0 R/First 12 0 R>>".into(),
        "<</Title(2 Elms)/A<</S/GoTo/D/two>>/Next 10 0 R>>".into(),
        "<</Title(1 Oaks)/Dest[5 0 R /Fit]/First 10 0 R>>".into(),
        "<</Title(Trees)>>".into(),
    ]);
    let found = read(&pdf(&objects, "/Info 13 0 R")).unwrap();
    insta::assert_snapshot!(found.page.source, @r#"
    ---
    title: "Trees"
    ---

    ## Part one {#page=1}

    ###### Page 1 {#page=1}

    A book of trees

    ### 1 Oaks {#page=1}

    Oaks grow in many lands and live for a very long time, as \*everybody\* knows who has one.

    Plant Oaks early.

    11

    ###### Page 2 {#page=2}

    A book of trees

    ## 2 Elms {#page=2}

    Elms grow in many lands and live for a very long time, as \*everybody\* knows who has one.

    Plant Elms early.

    12
    "#);
}

#[test]
fn what_has_no_text_or_hides_it_is_refused() {
    let scans = vec!["/Fm Do".to_owned(); 4];
    let picture = stream("/Type/XObject/Subtype/Image/Width 1/Height 1", "BT (a) Tj ET");
    let words = refused(&pdf(&book_of(&scans, "", &picture), ""));
    assert!(words.contains("pictures without text"), "{words}");
    let objects =
        book_of(&four_pages(), "", "<</Filter/Standard/V 1/R 2/P -1/O(x)/U(y)>>");
    let words = refused(&pdf(&objects, "/Encrypt 4 0 R/ID[(a)(b)]"));
    assert!(words.contains("encrypted"), "{words}");
    for bytes in [&b""[..], b"%PDF-1.5\n", b"no PDF"] {
        assert!(refused(bytes).contains("damaged"));
    }
}

#[test]
fn a_page_that_breaks_the_parser_is_a_warning_and_a_book_of_them_an_error() {
    // Text without a font is a panic inside the parser.
    let broken = "BT (a) Tj ET".to_owned();
    let mut pages = four_pages();
    pages.push(broken.clone());
    let found = read(&pdf(&book_of(&pages, "", "null"), "")).unwrap();
    assert_eq!(found.warnings.len(), 1, "{:?}", found.warnings);
    assert!(found.warnings[0].starts_with("trees.pdf: page 5 could not be read"));
    assert!(found.page.source.contains("Page 4"));
    let words = refused(&pdf(&book_of(&[broken], "", "null"), ""));
    assert!(words.contains("gave up on this file"), "{words}");
}

#[test]
fn a_drawing_that_draws_itself_ends() {
    let mut pages = four_pages();
    pages.push("/Fm Do".to_owned());
    let circle = stream(FORM, "/Fm Do");
    let found = read(&pdf(&book_of(&pages, "", &circle), "")).unwrap();
    assert!(found.warnings[0].contains("draw themselves"), "{:?}", found.warnings);
    let text = stream(FORM, &lines(&[("Drawn words", 400)]));
    let found = read(&pdf(&book_of(&pages, "", &text), "")).unwrap();
    assert!(found.page.source.contains("Drawn words"));
}

#[test]
fn nesting_and_circles_of_pages_end() {
    let mut objects = book_of(&four_pages()[..1], "", "null");
    objects[3] = format!("{}{}", "[".repeat(300_000), "]".repeat(300_000));
    read(&pdf(&objects, "")).ok();
    objects[3] = "<</Type/Pages/Count 1/Kids[2 0 R 4 0 R]>>".into();
    objects[1] = objects[1].replace("Kids[", "Kids[4 0 R 2 0 R ");
    read(&pdf(&objects, "")).ok();
    let circle = "<</Type/Page/Parent 5 0 R/Contents 6 0 R>>".to_owned();
    let mut objects = book_of(&four_pages()[..1], "", "null");
    objects[4] = circle;
    read(&pdf(&objects, "")).ok();
}

#[test]
fn any_byte_may_be_wrong() {
    let whole = pdf(&book_of(&four_pages(), "", "null"), "");
    for at in (0..whole.len()).step_by(37) {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x15;
        read(&bytes).ok();
        read(&whole[..at]).ok();
    }
}
