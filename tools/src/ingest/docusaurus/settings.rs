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
    /// `numberPrefixParser: false`: numbers before names stay.
    pub keeps_numbers: bool,
}

impl Settings {
    /// Reads the literals; what is computed keeps its default.
    pub(super) fn read(source: &str) -> Self {
        let code = without_comments(source);
        let mut docs = Vec::new();
        // The preset's: `docs: { … }`, or nothing said about it.
        let preset = preset(&code);
        if !preset.is_some_and(|it| it.starts_with("false")) {
            let options = preset.filter(|it| it.starts_with('{')).map_or("", enclosed);
            docs.push(Docs::read(options));
        }
        // Further instances: `['@docusaurus/plugin-content-docs', { … }]`.
        for (at, name) in code.match_indices("plugin-content-docs") {
            let after = &code[at + name.len()..];
            if let Some(open) =
                after.find(['{', ']']).filter(|it| after[*it..].starts_with('{'))
            {
                docs.push(Docs::read(enclosed(&after[open..])));
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
            keeps_numbers: value(options, "numberPrefixParser")
                .is_some_and(|it| it.trim_start().starts_with("false")),
        }
    }
}

/// What the preset's `docs` are. `themeConfig` has a key of that name, too, so the presets are
/// asked first, and where they are computed all but `themeConfig`.
fn preset(code: &str) -> Option<&str> {
    let list = value(code, "presets").map_or("", str::trim_start);
    let in_list =
        if list.starts_with('[') { value(enclosed(list), "docs") } else { None };
    let elsewhere = || {
        let theme = value(code, "themeConfig").map(str::trim_start);
        let Some(theme) = theme.filter(|it| it.starts_with('{')) else {
            return value(code, "docs");
        };
        let before = &code[..code.len() - theme.len()];
        value(before, "docs").or_else(|| value(&theme[enclosed(theme).len()..], "docs"))
    };
    in_list.or_else(elsewhere).map(str::trim_start)
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

/// The object or the list at the start of `code`, brackets included.
fn enclosed(code: &str) -> &str {
    let (open, close) = if code.starts_with('[') { ('[', ']') } else { ('{', '}') };
    let mut depth = 0;
    let mut quote = None;
    for (at, c) in code.char_indices() {
        match (quote, c) {
            (None, '"' | '\'' | '`') => quote = Some(c),
            (Some(mark), c) if mark == c => quote = None,
            (None, c) if c == open => depth += 1,
            (None, c) if c == close => {
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
            keeps_numbers: false,
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

    #[test]
    fn the_docs_of_the_theme_are_not_those_of_the_preset() {
        let theme = "themeConfig: { docs: { sidebar: { hideable: true } } }";
        let options = "{ docs: { routeBasePath: '/', numberPrefixParser: false } }";
        let expected = [Docs { keeps_numbers: true, ..docs(None, "docs", "/") }];
        for site in [
            format!("({{ {theme}, presets: [['classic', {options}]] }})"),
            format!(
                "const options = {options}; ({{ {theme}, presets: [['classic', options]] }})"
            ),
            format!(
                "const config = {{ {theme} }}; config.presets = [['classic', {options}]];"
            ),
        ] {
            assert_eq!(Settings::read(&site).docs, expected, "{site}");
        }
        let only_theme = format!("({{ {theme} }})");
        assert_eq!(Settings::read(&only_theme).docs, [docs(None, "docs", "docs")]);
    }
}
