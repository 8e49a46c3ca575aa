//! `docusaurus.config.*`, as far as it is plain words: nothing of it is run.

/// What of the settings decides about addresses.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Settings {
    /// `baseUrl`.
    pub base_url: String,
    /// `trailingSlash`.
    pub trailing_slash: Option<bool>,
    /// The folders of pages.
    pub docs: Vec<Docs>,
}

/// One instance of the docs plugin.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Docs {
    /// Its `id`, when it has one.
    pub id: Option<String>,
    /// `path`: the folder.
    pub path: String,
    /// `routeBasePath`.
    pub route: String,
    /// `lastVersion`.
    pub last_version: Option<String>,
}

impl Settings {
    /// Reads the literals; what is computed keeps its default.
    pub(super) fn read(source: &str) -> Self {
        let code = without_comments(source);
        let mut docs = Vec::new();
        // The preset's: `docs: { … }`, or nothing said about it.
        let preset = value(&code, "docs").map(str::trim_start);
        if !preset.is_some_and(|it| it.starts_with("false")) {
            let options = preset.filter(|it| it.starts_with('{')).map_or("", object);
            docs.push(Docs::read(options));
        }
        // Further instances: `['@docusaurus/plugin-content-docs', { … }]`.
        for (at, name) in code.match_indices("plugin-content-docs") {
            let after = &code[at + name.len()..];
            if let Some(open) =
                after.find(['{', ']']).filter(|it| after[*it..].starts_with('{'))
            {
                docs.push(Docs::read(object(&after[open..])));
            }
        }
        let slash = value(&code, "trailingSlash").map(str::trim_start);
        Self {
            base_url: text(&code, "baseUrl").unwrap_or_else(|| "/".to_owned()),
            trailing_slash: slash.and_then(|it| match it {
                it if it.starts_with("true") => Some(true),
                it if it.starts_with("false") => Some(false),
                _ => None,
            }),
            docs,
        }
    }
}

impl Docs {
    fn read(options: &str) -> Self {
        Self {
            id: text(options, "id"),
            path: text(options, "path").unwrap_or_else(|| "docs".to_owned()),
            route: text(options, "routeBasePath").unwrap_or_else(|| "docs".to_owned()),
            last_version: text(options, "lastVersion"),
        }
    }
}

/// What follows `key:` where that is a property.
fn value<'a>(code: &'a str, key: &str) -> Option<&'a str> {
    code.match_indices(key).find_map(|(at, _)| {
        let before = code[..at].chars().next_back();
        let is_start = before.is_none_or(|c| c.is_whitespace() || "{,'\"".contains(c));
        let after = code[at + key.len()..].trim_start_matches(['\'', '"']).trim_start();
        after.strip_prefix(':').filter(|_| is_start)
    })
}

/// A property that is a plain string.
fn text(code: &str, key: &str) -> Option<String> {
    let value = value(code, key)?.trim_start();
    let quote = value.chars().next().filter(|c| matches!(c, '"' | '\'' | '`'))?;
    let words = value[1..].split(quote).next()?;
    (!words.contains(['$', '\n', '\\'])).then(|| words.to_owned())
}

/// The object at the start of `code`, braces included.
fn object(code: &str) -> &str {
    let mut depth = 0;
    let mut quote = None;
    for (at, c) in code.char_indices() {
        match (quote, c) {
            (None, '"' | '\'' | '`') => quote = Some(c),
            (Some(open), c) if open == c => quote = None,
            (None, '{') => depth += 1,
            (None, '}') => {
                depth -= 1;
                if depth == 0 {
                    return &code[..=at];
                }
            }
            _ => {}
        }
    }
    code
}

/// `//` and `/* */` outside strings are gone.
fn without_comments(source: &str) -> String {
    let mut out = String::with_capacity(source.len());
    let mut quote = None;
    let mut rest = source;
    while let Some(c) = rest.chars().next() {
        let skip = match quote {
            None if rest.starts_with("//") => rest.find('\n').unwrap_or(rest.len()),
            None if rest.starts_with("/*") => {
                rest.find("*/").map_or(rest.len(), |it| it + 2)
            }
            _ => 0,
        };
        if skip > 0 {
            rest = &rest[skip..];
            continue;
        }
        match (quote, c) {
            (None, '"' | '\'' | '`') => quote = Some(c),
            (Some(open), c) if open == c => quote = None,
            _ => {}
        }
        out.push(c);
        rest = &rest[c.len_utf8()..];
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn docs(id: Option<&str>, path: &str, route: &str) -> Docs {
        Docs {
            id: id.map(str::to_owned),
            path: path.to_owned(),
            route: route.to_owned(),
            last_version: None,
        }
    }

    #[test]
    fn plain_words_are_read_and_comments_are_not() {
        let settings = Settings::read(
            "// baseUrl: '/no/',\nconst config = {\n  url: 'https://x.io', /* docs: false */\n  \
             baseUrl: '/my-book/',\n  trailingSlash: false,\n  presets: [['classic', {\n    \
             docs: { sidebarPath: require.resolve('./sidebars.js'), routeBasePath: '/', path: 'book' },\n    \
             blog: { routeBasePath: 'news' },\n  }]],\n  plugins: [['@docusaurus/plugin-content-docs',\n    \
             { id: 'api', path: 'api', routeBasePath: \"api\" }]],\n};\n",
        );
        assert_eq!(settings.base_url, "/my-book/");
        assert_eq!(settings.trailing_slash, Some(false));
        assert_eq!(
            settings.docs,
            [docs(None, "book", "/"), docs(Some("api"), "api", "api")]
        );
    }

    #[test]
    fn what_is_not_said_or_not_plain_keeps_its_default() {
        let settings = Settings::read("export default { baseUrl: process.env.BASE };");
        assert_eq!(settings.base_url, "/");
        assert_eq!(settings.docs, [docs(None, "docs", "docs")]);
        let settings = Settings::read("({ presets: [['classic', { docs: false }]] })");
        assert_eq!(settings.docs, []);
    }
}
