//! Partials: pages that another page imports and shows where `<Name />` stands.

use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
};

use super::{
    super::{front, kind::real, read},
    mdx,
};
use crate::Outcome;

/// Puts the partials of one site into its pages.
pub(super) struct Partials<'a> {
    /// Where `@site` is; nothing outside it is read.
    site: &'a Path,
    /// What could not be put in, with file and line.
    pub missing: Vec<String>,
    /// The pages and partials that are being read, outermost first.
    open: Vec<PathBuf>,
}

impl<'a> Partials<'a> {
    /// For the site, or the folder of pages, in `site`.
    pub(super) fn new(site: &'a Path) -> Self {
        Self { site, missing: Vec::new(), open: Vec::new() }
    }

    /// What `source`, the text of `file`, says behind its front matter, with its partials.
    /// Fails on a circle, and on a partial that is there and is no text or too large.
    pub(super) fn resolved(&mut self, file: &Path, source: &str) -> Outcome<String> {
        self.open.push(real(file));
        let resolved = self.resolve(file, source);
        self.open.pop();
        resolved
    }

    fn resolve(&mut self, file: &Path, source: &str) -> Outcome<String> {
        let (front, body) = source.split_at(front::read(source).len);
        let mut partials: HashMap<&str, PathBuf> = HashMap::new();
        let mut out = String::with_capacity(body.len());
        let mut fence = mdx::Fences::default();
        for (line, number) in
            body.split_inclusive('\n').zip(front.matches('\n').count() + 1..)
        {
            let is_code = fence.holds(line);
            if let Some((name, path)) = import(line).filter(|_| !is_code) {
                let place = format!("{}:{number}", self.name(file));
                if let Some(found) = self.found(file, path, &place)? {
                    partials.insert(name, found);
                }
            }
            match shown(line).and_then(|name| partials.get(name)).filter(|_| !is_code) {
                Some(partial) => {
                    let about = fs::metadata(partial)
                        .map_err(|err| read::failed(partial, &err))?;
                    let text = self.resolved(partial, &read::text(partial, &about)?)?;
                    // Its first line may be an import, and those follow a blank one.
                    out.extend(["\n", text.trim_end(), "\n\n"]);
                }
                None => out.push_str(line),
            }
            if out.len() as u64 > read::TOO_LARGE {
                return Err(
                    format!("{}: its partials are too large", self.name(file)).into()
                );
            }
        }
        Ok(out)
    }

    /// The file that `file` imports as `path`, or `None` when it is another program's, or
    /// missing.
    fn found(
        &mut self,
        file: &Path,
        path: &str,
        place: &str,
    ) -> Outcome<Option<PathBuf>> {
        let target = if let Some(path) = path.strip_prefix("@site/") {
            self.site.join(path)
        } else if path.starts_with('.') {
            file.parent().unwrap_or(Path::new("")).join(path)
        } else {
            // A package's.
            return Ok(None);
        };
        let target = match fs::canonicalize(&target) {
            Ok(target) if target.is_file() => target,
            _ => {
                self.missing.push(format!("{place}: {path} is not there to be imported"));
                return Ok(None);
            }
        };
        if !target.starts_with(real(self.site)) {
            self.missing.push(format!(
                "{place}: {path} lies outside the book and is not imported"
            ));
            return Ok(None);
        }
        if self.open.contains(&target) {
            let names = self.open.iter().chain([&target]).map(|it| self.name(it));
            let chain = names.collect::<Vec<_>>().join(" imports ");
            return Err(format!("{place}: the imports go in a circle: {chain}").into());
        }
        Ok(Some(target))
    }

    /// A file as people of this site call it.
    fn name(&self, file: &Path) -> String {
        let file = real(file);
        read::relative(&real(self.site), &file)
            .unwrap_or_else(|_| file.display().to_string())
    }
}

/// The name and the path of a page that a line imports.
fn import(line: &str) -> Option<(&str, &str)> {
    let (name, from) = line.strip_prefix("import ")?.split_once(" from ")?;
    let path = from.trim().trim_end_matches(';').trim_end();
    let quote = path.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    let path = path[1..].strip_suffix(quote)?;
    let name = name.trim();
    let is_page = Path::new(path).extension().is_some_and(|it| it == "md" || it == "mdx");
    (is_page && name.chars().all(char::is_alphanumeric)).then_some((name, path))
}

/// The name in a line that is `<Name … />` and nothing else.
fn shown(line: &str) -> Option<&str> {
    let inner = line.trim().strip_prefix('<')?.strip_suffix("/>")?;
    let name = inner.split_whitespace().next()?;
    (!inner.contains('>')).then_some(name)
}
