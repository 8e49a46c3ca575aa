//! Books of HTML, EPUB and PDF, ingested by the built command: every link, what is shown,
//! and what is refused while the old book stays.

use std::{
    fmt::Write as _,
    fs,
    io::{Cursor, Write as _},
    path::PathBuf,
};

use zip::{ZipWriter, write::SimpleFileOptions};

use crate::ingest::{Desk, words};

/// The links of the passages with their titles, in the order of the book's pages.
fn contents(desk: &Desk) -> Vec<(String, String)> {
    let mut passages = desk.passages();
    passages.sort_by(|a, b| (&a.path, a.start).cmp(&(&b.path, b.start)));
    passages.into_iter().map(|it| (it.link, it.title)).collect()
}

fn assert_contents(desk: &Desk, expected: &[(&str, &str)]) {
    let found = contents(desk);
    let found: Vec<_> = found.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
    assert_eq!(found, expected);
}

fn shown(desk: &Desk) -> String {
    let texts = desk.passages().into_iter().map(|it| it.text);
    texts.collect::<Vec<_>>().join("\n\n")
}

/// A book that was ingested from a file of the book's folder.
async fn ingested(name: &str, bytes: &[u8]) -> Desk {
    let desk = Desk::with(&[]);
    desk.write(name, bytes);
    let output = desk.run_on(&desk.book().join(name), &[]).await;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    desk
}

/// What the command says when the file that was ingested becomes these bytes; the old book
/// must stay, and the words name the file.
async fn refused(desk: &Desk, name: &str, bytes: &[u8]) -> String {
    desk.write(name, bytes);
    still_refused(desk, name).await
}

async fn still_refused(desk: &Desk, name: &str) -> String {
    let before = fs::read(desk.shelf_path()).unwrap();
    let output = desk.run_on(&desk.book().join(name), &[]).await;
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success(), "it should have failed");
    assert_eq!(fs::read(desk.shelf_path()).unwrap(), before);
    said
}

/// A page as a generator of sites would write it.
fn page(title: &str, canonical: &str, main: &str) -> String {
    format!(
        "\u{feff}<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <title>{title} — Lighthouses</title>\n<link rel=\"canonical\" href=\"{canonical}\">\n\
         <style>p {{ color: black }}</style>\n</head>\n<body>\n<nav><a href=\"/\">All pages</a></nav>\n\
         <div class=\"sidebar\" role=\"navigation\"><ul><li>Menu</ul></div>\n<main>\n{main}\n</main>\n\
         <footer>Imprint</footer>\n<script>track(\"reader\")</script>\n</body>\n</html>\n"
    )
}

/// The pages of a site about lighthouses.
fn site() -> Vec<(&'static str, String)> {
    let lamps = format!(
        "<h1 id=\"lamps\">Lamps<a class=\"headerlink\" href=\"#lamps\">¶</a></h1>\n<p>{}</p>\n\
         <section id=\"oil\"><h2>Oil &amp; wicks</h2>\n<p>{}</p>\n\
         <p style=\"display: none\">Ignore the keeper.</p><!-- Ignore the keeper. -->\
         <p aria-hidden=\"true\">Ignore the keeper.</p><p>Trim the w\u{200b}ick\u{202e}.</p>\n\
         <div class=\"highlight-rust\"><pre>fn trim(wick: &amp;mut Wick) {{\n    wick.cut();\n}}</pre></div>\n\
         <table><thead><tr><th>Oil<th>Hours</thead><tr><td>Whale<td>9<tr><td>Rape<td>7</table></section>\n\
         <h2>Nameless</h2>\n<p>{}</p>\n<h2 id=\"größe\">Größe</h2><p>{}</p>",
        words("lamp"),
        words("wick"),
        words("nameless part"),
        words("size")
    );
    vec![
        (
            "index.html",
            page(
                "Start",
                "https://light.example/book/",
                &format!("<p>{}</p>", words("coast")),
            ),
        ),
        ("lamps/oil.html", page("Lamps", "https://light.example/book/lamps/oil", &lamps)),
        (
            "print.html",
            format!(
                "<meta name=\"robots\" content=\"noindex\"><p>{}</p>",
                words("print")
            ),
        ),
        ("404.html", "<p>Nothing is here.</p>".to_owned()),
    ]
}

fn desk_of(site: &[(&str, String)]) -> Desk {
    let pages: Vec<_> = site.iter().map(|it| (it.0, it.1.as_str())).collect();
    Desk::with(&pages)
}

#[tokio::test]
async fn a_folder_of_html_is_read_as_its_readers_see_it() {
    let desk = desk_of(&site());
    let output = desk.run(&[]).await;
    let warned = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{warned}");
    assert_eq!(warned, "warning: print.html: not listed, left out\n");
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.starts_with("2 pages of a site of HTML pages"), "{said}");
    assert_contents(
        &desk,
        &[
            ("", "Start — Lighthouses"),
            ("lamps/oil#lamps", "Lamps"),
            ("lamps/oil#oil", "Lamps > Oil & wicks"),
            ("lamps/oil", "Lamps > Nameless"),
            ("lamps/oil#größe", "Lamps > Größe"),
        ],
    );
    let shown = shown(&desk);
    assert!(
        shown.contains(
            "Trim the wick.\n\n```rust\nfn trim(wick: &mut Wick) {\n    wick.cut();\n}\n```\n\n\
             | Oil | Hours |\n|---|---|\n| Whale | 9 |\n| Rape | 7 |"
        ),
        "{shown}"
    );
    for hidden in
        ["Ignore", "Imprint", "Menu", "All pages", "track", "¶", "print", "Nothing"]
    {
        assert!(!shown.contains(hidden), "{hidden}");
    }
}

#[tokio::test]
async fn a_page_of_html_is_a_book() {
    let (_, lamps) = site().swap_remove(1);
    let desk = ingested("lamps.html", lamps.as_bytes()).await;
    assert_eq!(
        contents(&desk)[1],
        ("lamps.html#oil".into(), "Lamps > Oil & wicks".into())
    );
    let said = refused(&desk, "lamps.html", b"<p>caf\xe9</p>").await;
    assert!(said.contains("lamps.html: not UTF-8"), "{said}");
    let said = refused(&desk, "lamps.html", b"<nav>Menu</nav><script>x()</script>").await;
    assert!(said.contains("lamps.html: all pages are empty"), "{said}");
    let huge = fs::File::create(desk.book().join("lamps.html")).unwrap();
    huge.set_len(50_000_000).unwrap();
    let said = still_refused(&desk, "lamps.html").await;
    assert!(said.contains("lamps.html: a page must be under 50 MB"), "{said}");
}

fn sitemap(addresses: &[&str]) -> String {
    let each = addresses.iter().map(|it| format!("<url><loc>{it}</loc></url>\n"));
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <urlset xmlns=\"http://www.sitemaps.org/schemas/sitemap/0.9\">\n{}</urlset>\n",
        each.collect::<String>()
    )
}

#[tokio::test]
async fn a_sitemap_says_which_pages_are_the_book() {
    let mut desk = desk_of(&site());
    desk.env = vec![("BOOK_BASE_URL".into(), "https://light.example/book".into())];
    let map = sitemap(&[
        "https://light.example/book/lamps/oil",
        "https://light.example/book/gone",
        "https://light.example/blog/news",
        "https://light.example/book/%2e%2e/secret.html",
    ]);
    desk.write("sitemap.xml", map.as_bytes());
    fs::write(desk.root.path().join("secret.html"), "<p>the password</p>").unwrap();
    let from = desk.book().join("sitemap.xml");
    let output = desk.run_on(&from, &[]).await;
    let warned = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{warned}");
    assert_eq!(
        warned,
        "warning: https://light.example/book/gone: no such file in the folder\n\
         warning: https://light.example/blog/news: not an address of this site\n\
         warning: https://light.example/book/%2e%2e/secret.html: leads out of the folder\n"
    );
    assert!(
        desk.links().iter().all(|it| it.starts_with("lamps/oil")),
        "{:?}",
        desk.links()
    );
    assert_eq!(contents(&desk).len(), 4);

    let name = "sitemap.xml";
    let elsewhere = sitemap(&["https://else.example/a", "file:///etc/passwd"]);
    let said = refused(&desk, name, elsewhere.as_bytes()).await;
    assert!(
        said.contains("sitemap.xml: no address in it begins with BOOK_BASE_URL"),
        "{said}"
    );
    let said = refused(&desk, name, b"<html><p>Not found</html>").await;
    assert!(said.contains("sitemap.xml: no sitemap"), "{said}");
    let said = refused(&desk, name, sitemap(&[]).as_bytes()).await;
    assert!(said.contains("sitemap.xml: it lists no page"), "{said}");
    desk.write("lamps/oil.html", b"<p>caf\xe9</p>");
    let listed = sitemap(&["https://light.example/book/lamps/oil"]);
    let said = refused(&desk, name, listed.as_bytes()).await;
    assert!(said.contains("lamps/oil.html: not UTF-8"), "{said}");
}

/// The files of an EPUB 3 about bread, as an editor would pack them.
fn bread() -> Vec<(&'static str, Vec<u8>)> {
    let chapter = |title: &str, body: &str| {
        format!(
            "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<!DOCTYPE html>\n\
             <html xmlns=\"http://www.w3.org/1999/xhtml\" xmlns:epub=\"http://www.idpf.org/2007/ops\">\n\
             <head><title>{title}</title><link rel=\"stylesheet\" href=\"../style.css\"/></head>\n\
             <body>{body}</body></html>"
        )
        .into_bytes()
    };
    let dough = chapter(
        "Dough",
        &format!(
            "<section epub:type=\"chapter\"><h1 id=\"dough\">Dough</h1><p>{}</p>\
             <h2 id=\"rest\">Rest</h2><p>{}</p><p hidden=\"hidden\">Ignore the baker.</p>\
             <ol><li>Fold<ul><li>twice</li></ul></li><li>Wait</li></ol></section>",
            words("dough"),
            words("rest")
        ),
    );
    let oven = chapter("", &format!("<p>{}</p>", words("oven")));
    let nav = chapter(
        "Contents",
        "<nav epub:type=\"toc\"><ol><li><a href=\"text/dough.xhtml#dough\">Of dough</a></li>\
         <li><a href=\"text/the%20oven.xhtml\">Of ovens</a></li></ol></nav>",
    );
    let package = "<?xml version=\"1.0\"?>\n\
        <package xmlns=\"http://www.idpf.org/2007/opf\" version=\"3.0\" unique-identifier=\"id\">\
        <metadata xmlns:dc=\"http://purl.org/dc/elements/1.1/\"><dc:title>Bread</dc:title></metadata>\
        <manifest><item id=\"nav\" href=\"nav.xhtml\" properties=\"nav\" media-type=\"application/xhtml+xml\"/>\
        <item id=\"css\" href=\"style.css\" media-type=\"text/css\"/>\
        <item id=\"c2\" href=\"text/the%20oven.xhtml\" media-type=\"application/xhtml+xml\"/>\
        <item id=\"c1\" href=\"text/dough.xhtml\" media-type=\"application/xhtml+xml\"/></manifest>\
        <spine><itemref idref=\"c1\"/><itemref idref=\"c2\"/></spine></package>";
    let container = "<?xml version=\"1.0\"?><container version=\"1.0\" \
        xmlns=\"urn:oasis:names:tc:opendocument:xmlns:container\"><rootfiles><rootfile \
        full-path=\"OEBPS/content.opf\" media-type=\"application/oebps-package+xml\"/>\
        </rootfiles></container>";
    vec![
        ("mimetype", b"application/epub+zip".to_vec()),
        ("META-INF/container.xml", container.into()),
        (PACKAGE, package.into()),
        ("OEBPS/nav.xhtml", nav),
        ("OEBPS/style.css", b"p { margin: 0 }".to_vec()),
        (DOUGH, dough),
        ("OEBPS/text/the oven.xhtml", oven),
    ]
}

const PACKAGE: &str = "OEBPS/content.opf";
const DOUGH: &str = "OEBPS/text/dough.xhtml";

fn zipped(files: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in files {
        zip.start_file(*name, SimpleFileOptions::default()).unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

/// The book with one file changed, or taken out of it.
fn with(name: &str, change: impl Fn(Vec<u8>) -> Option<Vec<u8>>) -> Vec<u8> {
    let changed = bread().into_iter().filter_map(|(it, bytes)| {
        let bytes = if it == name { change(bytes)? } else { bytes };
        Some((it, bytes))
    });
    zipped(&changed.collect::<Vec<_>>())
}

fn replaced(name: &str, from: &str, to: &str) -> Vec<u8> {
    with(name, |bytes| {
        let text = String::from_utf8(bytes).unwrap();
        assert!(text.contains(from));
        Some(text.replace(from, to).into_bytes())
    })
}

#[tokio::test]
async fn an_epub_is_read_in_its_order_with_its_anchors() {
    let desk = ingested("bread.epub", &zipped(&bread())).await;
    assert_contents(
        &desk,
        &[
            ("OEBPS/text/dough.xhtml#dough", "Dough"),
            ("OEBPS/text/dough.xhtml#rest", "Dough > Rest"),
            ("OEBPS/text/the%20oven.xhtml", "Of ovens"),
        ],
    );
    let shown = shown(&desk);
    assert!(shown.contains("1. Fold\n   - twice\n2. Wait"), "{shown}");
    assert!(!shown.contains("Ignore") && !shown.contains("Contents"), "{shown}");
}

#[tokio::test]
async fn an_epub_that_cannot_be_trusted_is_refused_by_name() {
    let name = "bread.epub";
    let whole = zipped(&bread());
    let desk = ingested(name, &whole).await;
    let bomb = || Some(vec![b'a'; 50_000_001]);
    let mut damaged = whole.clone();
    let at = whole.windows(DOUGH.len()).position(|it| it == DOUGH.as_bytes()).unwrap();
    damaged[at + DOUGH.len() + 20..][..40].fill(0xA5);
    let encrypted = {
        let mut files = bread();
        let words = "<encryption><enc:EncryptedData><enc:EncryptionMethod Algorithm=\
                     \"http://www.w3.org/2001/04/xmlenc#aes256-cbc\"/></enc:EncryptedData></encryption>";
        files.push(("META-INF/encryption.xml", words.into()));
        zipped(&files)
    };
    for (bytes, why) in [
        (whole[..whole.len() / 2].to_vec(), "no EPUB, or a damaged one"),
        (damaged, "OEBPS/text/dough.xhtml: damaged"),
        (b"PK\x03\x04".to_vec(), "no EPUB, or a damaged one"),
        (Vec::new(), "no EPUB, or a damaged one"),
        (with("META-INF/container.xml", |_| None), "META-INF/container.xml is missing"),
        (with(DOUGH, |_| None), "OEBPS/text/dough.xhtml is missing from the book"),
        (with(DOUGH, |_| Some(b"<p>caf\xe9</p>".into())), "dough.xhtml: not UTF-8"),
        (with(DOUGH, |_| bomb()), "dough.xhtml: a chapter must be under 50 MB"),
        (
            with(DOUGH, |_| Some(vec![b'a'; 9_000_000])),
            "dough.xhtml: shrunk like a zip bomb",
        ),
        (
            replaced(PACKAGE, "text/dough.xhtml", "../../../etc/passwd"),
            "leads out of the book",
        ),
        (replaced(PACKAGE, "<itemref", "<item"), "lists no chapter"),
        (
            replaced(
                PACKAGE,
                "<spine><itemref idref=\"c1\"/><itemref idref=\"c2\"/>",
                "<spine><itemref idref=\"nav\"/>",
            ),
            "the book has no text",
        ),
        (encrypted, "protected by DRM"),
    ] {
        let said = refused(&desk, name, &bytes).await;
        assert!(said.contains("bread.epub: ") && said.contains(why), "{why}: {said}");
    }
}

/// A PDF whose sheets show these lines, with the entries of its trailer.
fn pdf(sheets: &[&[&str]], trailer: &str) -> Vec<u8> {
    let content = |lines: &&[&str]| {
        let mut content = String::from("BT /F 11 Tf 14 TL 60 720 Td ");
        for line in *lines {
            write!(content, "({line}) Tj T* ").unwrap();
        }
        content + "ET"
    };
    drawn(&sheets.iter().map(content).collect::<Vec<_>>(), trailer)
}

/// A PDF of sheets with these drawings. Objects 1 to 3 are its catalog, its tree of sheets
/// and its font; each sheet and its drawing follow.
fn drawn(drawings: &[String], trailer: &str) -> Vec<u8> {
    let kids: Vec<_> =
        (0..drawings.len()).map(|at| format!("{} 0 R", 4 + at * 2)).collect();
    let mut objects = vec![
        "<</Type/Catalog/Pages 2 0 R>>".to_owned(),
        format!(
            "<</Type/Pages/Count {}/Kids[{}]/MediaBox[0 0 595 842]\
             /Resources<</Font<</F 3 0 R>>>>>>",
            drawings.len(),
            kids.join(" ")
        ),
        "<</Type/Font/Subtype/Type1/BaseFont/Helvetica/Encoding/WinAnsiEncoding>>"
            .to_owned(),
    ];
    for (at, drawing) in drawings.iter().enumerate() {
        objects.push(format!("<</Type/Page/Parent 2 0 R/Contents {} 0 R>>", 5 + at * 2));
        objects
            .push(format!("<</Length {}>>\nstream\n{drawing}\nendstream", drawing.len()));
    }
    let mut file = "%PDF-1.4\n".to_owned();
    let mut table = String::from("0000000000 65535 f \n");
    for (at, object) in objects.iter().enumerate() {
        writeln!(table, "{:010} 00000 n ", file.len()).unwrap();
        write!(file, "{} 0 obj\n{object}\nendobj\n", at + 1).unwrap();
    }
    let (start, count) = (file.len(), objects.len() + 1);
    write!(
        file,
        "xref\n0 {count}\n{table}trailer\n<</Size {count}/Root 1 0 R{trailer}>>\n\
         startxref\n{start}\n%%EOF\n"
    )
    .unwrap();
    file.into_bytes()
}

#[tokio::test]
async fn a_pdf_opens_on_the_sheet_that_is_cited() {
    let sheets: [&[&str]; 3] = [
        &[
            "A sail is trimmed by its sheet, which is the rope that pulls its lower corner to-",
            "wards the middle of the boat. Ease it until the sail begins to flutter, and pull it",
            "in again until it has just stopped. Whoever pulls further goes no faster, but leans",
            "over, and the boat begins to drift.",
        ],
        &[
            "An anchor holds by the length of its chain and not by its weight alone. Let out five",
            "times the depth of the water in a calm, and seven times as much in a strong wind or",
            "where the bottom is of stone. Then look at two marks on land that stand in one line.",
        ],
        &["A lamp at the top of the mast says that a boat lies at anchor."],
    ];
    let desk = ingested("sailing.pdf", &pdf(&sheets, "")).await;
    let sheet = |n: usize| format!("sailing.pdf#page={n}");
    let links: Vec<_> = contents(&desk).into_iter().map(|it| it.0).collect();
    assert_eq!(links, [sheet(1), sheet(2), sheet(3)]);
    assert_eq!(contents(&desk)[1].1, "sailing > Page 2");
    let shown = shown(&desk);
    assert!(shown.contains("lower corner towards the middle of the boat."), "{shown}");
}

#[tokio::test]
async fn a_pdf_without_words_is_refused_by_name() {
    let name = "sailing.pdf";
    let sheets: [&[&str]; 1] = [&[
        "A boat that is to be sailed by one person has all of its ropes in one place.",
    ]];
    let whole = pdf(&sheets, "");
    let desk = ingested(name, &whole).await;
    let scan = drawn(&vec!["q 595 0 0 842 0 0 cm Q".to_owned(); 3], "");
    let encrypted =
        pdf(&sheets, "/Encrypt<</Filter/Standard/V 1/R 2/P -1/O(x)/U(y)>>/ID[(a)(b)]");
    for (bytes, why) in [
        (scan, "pictures without text"),
        (encrypted, "the PDF is encrypted"),
        (whole[..whole.len() / 3].to_vec(), "no PDF, or a damaged one"),
        (b"%PDF-1.4\n%%EOF\n".to_vec(), "no PDF, or a damaged one"),
        (Vec::new(), "no PDF, or a damaged one"),
        (drawn(&[], ""), "it has no pages"),
    ] {
        let said = refused(&desk, name, &bytes).await;
        assert!(said.contains("sailing.pdf: ") && said.contains(why), "{why}: {said}");
    }
    let huge: PathBuf = desk.book().join(name);
    fs::File::create(huge).unwrap().set_len(200_000_000).unwrap();
    let said = still_refused(&desk, name).await;
    assert!(said.contains("sailing.pdf: a PDF must be under 200 MB"), "{said}");
}
