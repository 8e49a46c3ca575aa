//! Where a link of an answer may lead.

use reqwest::Url;

use crate::config::Env;

/// The book's own origin, and hosts that the owner trusts.
#[derive(Clone, Default)]
pub(in crate::chat) struct Allowed {
    book: Option<Url>,
    /// A host, with its port unless that is the scheme's own; `*.` before it is every host
    /// below.
    hosts: Vec<String>,
}

impl Allowed {
    /// The origin of `BOOK_BASE_URL`, and the hosts of `ALLOWED_LINK_HOSTS` (comma-separated;
    /// `*.example.com` is every host below it).
    pub(in crate::chat) fn from_env(env: &Env) -> Self {
        let named = env.get("ALLOWED_LINK_HOSTS").unwrap_or_default();
        // A host is compared as a browser spells it: `Bücher.example` is `xn--…`.
        let spelt = |it: &str| Url::parse(&format!("https://{}", it.trim())).ok();
        Self {
            book: env.get("BOOK_BASE_URL").and_then(|it| Url::parse(it).ok()),
            hosts: named
                .split(',')
                .filter_map(spelt)
                .filter_map(|it| place(&it))
                .collect(),
        }
    }

    /// Whether a link may lead there. An address without a host stays on the page's own.
    pub(super) fn admits(&self, target: &str) -> bool {
        let target = target.trim();
        // A backslash, an entity and a control character are another character, or none, by
        // the time a browser follows them.
        let path = target.split(['?', '#']).next().unwrap_or_default();
        let is_disguised = |c: char| c == '\\' || c.is_control();
        if target.contains(is_disguised) || path.contains('&') || has_entity(target) {
            return false;
        }
        if is_absolute(target) {
            return Url::parse(target).is_ok_and(|url| self.knows(&url));
        }
        let first = target.split(['/', '?', '#']).next().unwrap_or_default();
        !first.contains(':') && !target.starts_with("//")
    }

    /// An address with a name and a password in it reads as if it led to that name.
    fn knows(&self, url: &Url) -> bool {
        let is_plain = url.username().is_empty() && url.password().is_none();
        let is_own = self.book.as_ref().is_some_and(|it| it.origin() == url.origin());
        let is_trusted = || {
            let Some(place) = place(url) else { return false };
            self.hosts.iter().any(|it| match it.strip_prefix('*') {
                Some(below) => place.ends_with(below),
                None => *it == place,
            })
        };
        is_plain && (is_own || is_trusted())
    }
}

/// Whether the address begins with the scheme of the web.
pub(super) fn is_absolute(target: &str) -> bool {
    let starts_with = |scheme: &str| {
        target.get(..scheme.len()).is_some_and(|it| it.eq_ignore_ascii_case(scheme))
    };
    starts_with("http://") || starts_with("https://")
}

/// Whether a part of the text is another character for a reader than for us. `&amp;` is how
/// Markdown spells the `&` of a query.
pub(super) fn has_entity(text: &str) -> bool {
    let mut entities = text.split('&').skip(1).filter(|it| !it.starts_with("amp;"));
    entities.any(|it| it.starts_with('#') || it.contains(';'))
}

/// The host, with its port unless that is the scheme's own.
fn place(url: &Url) -> Option<String> {
    let host = url.host_str()?;
    Some(match url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    })
}
