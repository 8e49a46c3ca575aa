//! Reads an EPUB: a zip file of XHTML chapters with a list of their order.

use std::{
    collections::{HashMap, HashSet},
    fs::File,
    io::{BufReader, Read},
    path::Path,
};

use zip::{ZipArchive, result::ZipError};

use super::{
    html::{
        chapter, one_line,
        site::decoded,
        tree::{Id, Syntax, Tree},
        with_title,
    },
    read::{Book, Page},
};
use crate::Outcome;

/// No chapter and no list is larger than this once unpacked.
const LARGEST_ENTRY: u64 = 50_000_000;

/// No book's text is larger than this once unpacked.
const LARGEST_BOOK: u64 = 500_000_000;

/// Text that shrinks to less than a part in this many is no text. Deflate can do 1 in 1,032;
/// prose shrinks to a third, tables of numbers to a twentieth.
const LARGEST_RATIO: u64 = 200;

/// Below this size an entry may shrink as it likes.
const SMALL_ENTRY: u64 = 1_000_000;

/// Encrypting fonts by these hides nothing: the key is the book's own id.
const OF_FONTS: [&str; 2] =
    ["http://www.idpf.org/2008/embedding", "http://ns.adobe.com/pdf/enc#RC"];

/// The chapters of the book at `path` in reading order, each under its path in the book.
/// Fails on what is no EPUB, is protected, or unpacks to more than a book; the words name the
/// file. A place in the order without a file is a warning.
pub(super) fn book(path: &Path) -> Outcome<Book> {
    read(path).map_err(|err| format!("{}: {err}", path.display()).into())
}

fn read(path: &Path) -> Outcome<Book> {
    let mut files = Files::open(path)?;
    if files.is_protected()? {
        return Err("the chapters are protected by DRM, so nobody but the reading app \
                    can read them"
            .into());
    }
    let package = files.package()?;
    let titles = files.titles(&package);
    let mut pages = Vec::new();
    let mut seen = HashSet::new();
    for href in &package.chapters {
        if !seen.insert(href) {
            continue;
        }
        let html = chapter(&files.text(href)?);
        if html.markdown.is_empty() {
            continue;
        }
        let source = match titles.get(href).or(html.title.as_ref()) {
            Some(title) if !html.has_heading() => with_title(title, &html.markdown),
            _ => html.markdown,
        };
        pages.push(Page::written(href.clone(), source));
    }
    if pages.is_empty() {
        return Err("the book has no text; are its pages pictures?".into());
    }
    Ok(Book { pages, warnings: package.warnings, ..Book::default() })
}

/// What the package file says of the book.
#[derive(Debug, Default)]
struct Package {
    /// The files in reading order.
    chapters: Vec<String>,
    /// The table of contents, of EPUB 3 or of EPUB 2.
    contents: Option<String>,
    /// What of the reading order is in no list of files.
    warnings: Vec<String>,
}

/// The files in the book.
struct Files {
    zip: ZipArchive<BufReader<File>>,
    unpacked: u64,
}

impl Files {
    fn open(path: &Path) -> Outcome<Self> {
        let file = File::open(path)?;
        let zip = ZipArchive::new(BufReader::new(file))
            .map_err(|err| format!("no EPUB, or a damaged one ({err})"))?;
        Ok(Self { zip, unpacked: 0 })
    }

    fn has(&self, name: &str) -> bool {
        self.zip.index_for_name(name).is_some()
    }

    /// The bytes of an entry, as far as a book's may go.
    fn bytes(&mut self, name: &str) -> Outcome<Vec<u8>> {
        let entry = match self.zip.by_name(name) {
            Ok(entry) => entry,
            Err(ZipError::FileNotFound) => {
                return Err(format!("{name} is missing from the book").into());
            }
            Err(ZipError::UnsupportedArchive(ZipError::PASSWORD_REQUIRED)) => {
                return Err(format!("{name} is encrypted with a password").into());
            }
            Err(err) => return Err(format!("{name}: {err}").into()),
        };
        let packed = entry.compressed_size();
        let mut bytes = Vec::new();
        // The sizes that the file claims are not to be trusted, so what comes is counted.
        entry
            .take(LARGEST_ENTRY + 1)
            .read_to_end(&mut bytes)
            .map_err(|err| format!("{name}: damaged ({err})"))?;
        let size = bytes.len() as u64;
        self.unpacked += size;
        if size > LARGEST_ENTRY {
            let limit = LARGEST_ENTRY / 1_000_000;
            return Err(format!("{name}: a chapter must be under {limit} MB").into());
        }
        if size > SMALL_ENTRY && size / LARGEST_RATIO > packed {
            return Err(format!("{name}: shrunk like a zip bomb, not like text").into());
        }
        if self.unpacked > LARGEST_BOOK {
            let limit = LARGEST_BOOK / 1_000_000;
            return Err(format!("a book must be under {limit} MB of text").into());
        }
        Ok(bytes)
    }

    /// An entry's text: UTF-8, or UTF-16 as its mark says.
    fn text(&mut self, name: &str) -> Outcome<String> {
        let bytes = self.bytes(name)?;
        let wide = |of: fn([u8; 2]) -> u16| {
            let units: Vec<_> =
                bytes[2..].chunks_exact(2).map(|it| of([it[0], it[1]])).collect();
            String::from_utf16(&units)
                .map_err(|_| format!("{name}: broken UTF-16").into())
        };
        match &bytes[..] {
            [0xFF, 0xFE, ..] => wide(u16::from_le_bytes),
            [0xFE, 0xFF, ..] => wide(u16::from_be_bytes),
            [0xEF, 0xBB, 0xBF, text @ ..] | text => match std::str::from_utf8(text) {
                Ok(text) => Ok(text.to_owned()),
                Err(err) => {
                    let at = err.valid_up_to();
                    Err(format!("{name}: not UTF-8 text (byte {at})").into())
                }
            },
        }
    }

    fn xml(&mut self, name: &str) -> Outcome<Tree> {
        Ok(Tree::read(&self.text(name)?, Syntax::Xml))
    }

    /// Whether anything but fonts is encrypted.
    fn is_protected(&mut self) -> Outcome<bool> {
        let name = "META-INF/encryption.xml";
        if !self.has(name) {
            return Ok(false);
        }
        let tree = self.xml(name)?;
        let hides = |data: Id| {
            // The method of the data itself comes before that of its key.
            let method =
                tree.named("encryptionmethod").find(|id| is_in(&tree, *id, data));
            let method = method.and_then(|id| tree.attribute(id, "algorithm"));
            !method.is_some_and(|it| OF_FONTS.contains(&it))
        };
        Ok(tree.named("encrypteddata").any(hides))
    }

    fn package(&mut self) -> Outcome<Package> {
        let container = "META-INF/container.xml";
        if !self.has(container) {
            return Err(format!("no EPUB: {container} is missing").into());
        }
        let tree = self.xml(container)?;
        let file = tree.named("rootfile").find_map(|id| tree.attribute(id, "full-path"));
        let file = file.ok_or_else(|| format!("{container} names no package"))?;
        let file = resolved("", file)?;
        let tree = self.xml(&file)?;
        let mut items = HashMap::new();
        let mut package = Package::default();
        for id in tree.named("item") {
            let value = |name| tree.attribute(id, name).unwrap_or_default();
            if value("href").contains("://") {
                continue;
            }
            let href = resolved(&file, value("href"))?;
            let kind = value("media-type").to_owned();
            if value("properties").split_whitespace().any(|it| it == "nav") {
                package.contents = Some(href.clone());
            }
            items.insert(value("id").to_owned(), (href, kind));
        }
        let spine = tree.named("spine").next();
        if package.contents.is_none() {
            let toc = spine.and_then(|id| tree.attribute(id, "toc"));
            package.contents =
                toc.and_then(|toc| items.get(toc)).map(|(href, _)| href.clone());
        }
        for id in tree.named("itemref") {
            let idref = tree.attribute(id, "idref").unwrap_or_default();
            let Some((href, kind)) = items.get(idref) else {
                let warning = format!("{file}: its spine names an unknown {idref:?}");
                package.warnings.push(warning);
                continue;
            };
            if matches!(kind.as_str(), "application/xhtml+xml" | "text/html" | "") {
                package.chapters.push(href.clone());
            }
        }
        if package.chapters.is_empty() {
            return Err(format!("{file}: lists no chapter").into());
        }
        Ok(package)
    }

    /// What the table of contents calls each file. A book reads without one, so nothing is
    /// an error.
    fn titles(&mut self, package: &Package) -> HashMap<String, String> {
        let Some(file) = &package.contents else { return HashMap::new() };
        let Ok(tree) = self.xml(file) else { return HashMap::new() };
        let mut titles = HashMap::new();
        let mut add = |href: &str, title: String| {
            let title = one_line(&title);
            if let Ok(href) = resolved(file, href)
                && !title.is_empty()
            {
                titles.entry(href).or_insert(title);
            }
        };
        for id in tree.named("a") {
            if let Some(href) = tree.attribute(id, "href") {
                add(href, tree.text(id));
            }
        }
        // In EPUB 2 a label comes before its address, within one point.
        let mut label = String::new();
        for id in tree.elements() {
            match tree.name(id).rsplit(':').next().unwrap_or_default() {
                "navlabel" => label = tree.text(id),
                "content" => {
                    if let Some(href) = tree.attribute(id, "src") {
                        add(href, std::mem::take(&mut label));
                    }
                }
                _ => {}
            }
        }
        titles
    }
}

fn is_in(tree: &Tree, mut id: Id, outer: Id) -> bool {
    while id > outer {
        id = tree.node(id).parent;
    }
    id == outer
}

/// The path of `href` as `from` writes it, without its fragment. A path out of the book is
/// refused.
fn resolved(from: &str, href: &str) -> Outcome<String> {
    let address = href.split(['#', '?']).next().unwrap_or_default();
    let address =
        decoded(address).ok_or_else(|| format!("{from}: bad address {href:?}"))?;
    let mut parts: Vec<&str> = from.split('/').collect();
    parts.pop();
    if address.starts_with('/') {
        parts.clear();
    }
    for part in address.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts
                    .pop()
                    .ok_or_else(|| format!("{from}: {href:?} leads out of the book"))?;
            }
            part if part.contains(['\\', '\0']) => {
                return Err(format!("{from}: bad address {href:?}").into());
            }
            part => parts.push(part),
        }
    }
    Ok(parts.join("/"))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use zip::{ZipWriter, write::SimpleFileOptions};

    use super::*;

    const CONTAINER: &str = "<?xml version='1.0'?><container><rootfiles>\
        <rootfile full-path='OEBPS/book.opf'/></rootfiles></container>";

    const OPF: &str = "<?xml version='1.0'?><package xmlns:dc='x'><metadata>\
        <dc:title>Trees</dc:title><meta property='a'>b</meta></metadata><manifest>\
        <item id='nav' href='nav.xhtml' properties='nav' media-type='application/xhtml+xml'/>\
        <item id='two' href='text/two%20b.xhtml' media-type='application/xhtml+xml'/>\
        <item id='one' href='text/one.xhtml' media-type='application/xhtml+xml'/>\
        <item id='cover' href='cover.svg' media-type='image/svg+xml'/></manifest>\
        <spine><itemref idref='cover'/><itemref idref='nav'/><itemref idref='two'/>\
        <itemref idref='one' linear='no'/></spine></package>";

    const NAV: &str = "<html><body><nav epub:type='toc'><ol>\
        <li><a href='text/two%20b.xhtml#oak'>Of <b>oaks</b></a></li>\
        <li><a href='text/one.xhtml'>Of elms</a></li></ol></nav></body></html>";

    const ONE: &str = "<?xml version='1.0' encoding='utf-8'?><html><head><title/></head>\
        <body><p>Elms.</p></body></html>";

    const TWO: &str = "\u{feff}<html><head><title>Trees</title><script src='x'/></head><body>\
        <section id='oak'><h1>Oaks</h1><a id='p1'/><p>Oaks<br/>grow.</p>\
        <aside epub:type='footnote'>Slowly.</aside></section></body></html>";

    fn zipped(files: &[(&str, &[u8])]) -> tempfile::NamedTempFile {
        let file = tempfile::Builder::new().suffix(".epub").tempfile().unwrap();
        let mut zip = ZipWriter::new(file.reopen().unwrap());
        for (name, bytes) in files {
            zip.start_file(*name, SimpleFileOptions::default()).unwrap();
            zip.write_all(bytes).unwrap();
        }
        zip.finish().unwrap();
        file
    }

    fn trees() -> Vec<(&'static str, &'static [u8])> {
        vec![
            ("mimetype", b"application/epub+zip"),
            ("META-INF/container.xml", CONTAINER.as_bytes()),
            ("OEBPS/book.opf", OPF.as_bytes()),
            ("OEBPS/nav.xhtml", NAV.as_bytes()),
            ("OEBPS/text/one.xhtml", ONE.as_bytes()),
            ("OEBPS/text/two b.xhtml", TWO.as_bytes()),
        ]
    }

    /// The words of the error, which names the file.
    fn refused(files: &[(&str, &[u8])]) -> String {
        let file = zipped(files);
        let err = book(file.path()).unwrap_err().to_string();
        assert!(err.starts_with(&format!("{}: ", file.path().display())), "{err}");
        err
    }

    fn with<'a>(name: &'a str, bytes: &'a [u8]) -> Vec<(&'a str, &'a [u8])> {
        let mut files: Vec<(&str, &[u8])> = trees();
        files.retain(|(it, _)| *it != name);
        files.push((name, bytes));
        files
    }

    #[test]
    fn chapters_come_in_reading_order_with_their_anchors_and_titles() {
        let file = zipped(&trees());
        let pages = book(file.path()).unwrap().pages;
        let found: Vec<_> =
            pages.iter().map(|it| (it.path.as_str(), it.source.as_str())).collect();
        assert_eq!(
            found,
            [
                ("OEBPS/text/two b.xhtml", "# Oaks {#oak}\n\nOaks\ngrow.\n\nSlowly.\n"),
                ("OEBPS/text/one.xhtml", "---\ntitle: \"Of elms\"\n---\n\nElms.\n"),
            ]
        );
    }

    #[test]
    fn the_older_contents_give_titles_too() {
        let opf = OPF
            .replace(
                "properties='nav' media-type='application/xhtml+xml'",
                "media-type='x'",
            )
            .replace("<spine>", "<spine toc='nav'>");
        let ncx = "<ncx><docTitle><text>Trees</text></docTitle><navMap><navPoint><navLabel>\
            <text>Elms first</text></navLabel><content src='text/one.xhtml'/></navPoint>\
            </navMap></ncx>";
        let mut files = with("OEBPS/book.opf", opf.as_bytes());
        files.retain(|it| it.0 != "OEBPS/nav.xhtml");
        files.push(("OEBPS/nav.xhtml", ncx.as_bytes()));
        let pages = book(zipped(&files).path()).unwrap().pages;
        assert!(pages[1].source.contains("title: \"Elms first\""), "{pages:?}");
    }

    #[test]
    fn protected_chapters_are_refused_and_protected_fonts_are_not() {
        let of = |method: &str| {
            format!(
                "<encryption><enc:EncryptedData><enc:EncryptionMethod Algorithm='{method}'/>\
                 </enc:EncryptedData></encryption>"
            )
        };
        let name = "META-INF/encryption.xml";
        let chapters = of("http://www.w3.org/2001/04/xmlenc#aes256-cbc");
        assert!(refused(&with(name, chapters.as_bytes())).contains("DRM"));
        let fonts = of(OF_FONTS[0]);
        assert!(book(zipped(&with(name, fonts.as_bytes())).path()).is_ok());
    }

    #[test]
    fn bombs_and_ways_out_are_refused() {
        let name = "OEBPS/text/one.xhtml";
        let zeros = vec![b' '; SMALL_ENTRY as usize * 2];
        assert!(refused(&with(name, &zeros)).contains("zip bomb"));
        let zeros = vec![b' '; LARGEST_ENTRY as usize + 1];
        assert!(refused(&with(name, &zeros)).contains("under 50 MB"));
        let out = OPF.replace("text/one.xhtml", "../../etc/passwd");
        assert!(refused(&with("OEBPS/book.opf", out.as_bytes())).contains("leads out"));
        let out = CONTAINER.replace("OEBPS/book.opf", "../book.opf");
        let name = "META-INF/container.xml";
        assert!(refused(&with(name, out.as_bytes())).contains("leads out"));
    }

    #[test]
    fn a_place_in_the_order_without_a_file_is_a_warning() {
        let opf = OPF.replace("<itemref idref='nav'/>", "<itemref idref='gone'/>");
        let book = book(zipped(&with("OEBPS/book.opf", opf.as_bytes())).path()).unwrap();
        assert_eq!(book.pages.len(), 2);
        assert_eq!(
            book.warnings,
            ["OEBPS/book.opf: its spine names an unknown \"gone\""]
        );
    }

    #[test]
    fn what_is_broken_is_named() {
        let mut files = trees();
        files.pop();
        assert!(refused(&files).contains("two b.xhtml is missing"));
        assert!(refused(&files[..1]).contains("container.xml is missing"));
        assert!(refused(&with("OEBPS/book.opf", b"<package/>")).contains("no chapter"));
        let name = "OEBPS/text/one.xhtml";
        assert!(refused(&with(name, b"caf\xe9")).contains("one.xhtml: not UTF-8"));
        let whole = std::fs::read(zipped(&trees()).path()).unwrap();
        let half = tempfile::NamedTempFile::new().unwrap();
        for bytes in [&whole[..whole.len() / 2], b"no zip at all", b""] {
            std::fs::write(half.path(), bytes).unwrap();
            let err = book(half.path()).unwrap_err().to_string();
            assert!(err.contains("no EPUB, or a damaged one"), "{err}");
        }
        // Every byte may be wrong: an error, or a book, but no panic.
        for at in (0..whole.len()).step_by(7) {
            let mut bytes = whole.clone();
            bytes[at] ^= 0x5A;
            std::fs::write(half.path(), &bytes).unwrap();
            book(half.path()).ok();
        }
    }

    #[test]
    fn chapters_in_utf_16_are_read() {
        let wide: Vec<u8> = std::iter::once(0xFEFF)
            .chain("<p>Größe 漢".encode_utf16())
            .flat_map(u16::to_be_bytes)
            .collect();
        let pages =
            book(zipped(&with("OEBPS/text/one.xhtml", &wide)).path()).unwrap().pages;
        assert!(pages[1].source.ends_with("Größe 漢\n"), "{pages:?}");
    }
}
