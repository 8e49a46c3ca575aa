//! Where the collection lies and how its owner named things, read from the environment.

use std::time::Duration;

use qdrant_client::Qdrant;

use crate::{Error, Result, config::Env};

/// The dense vector of a collection that Lectern writes.
pub const DENSE: &str = "dense";

/// Everything that `QDRANT_*` says.
#[derive(Clone)]
pub struct Settings {
    url: String,
    api_key: Option<String>,
    /// `QDRANT_COLLECTION`: the alias that readers ask; `book` when unset.
    pub collection: String,
    /// `QDRANT_VECTOR`: the name of the dense vector; `Some("")` is the unnamed one, which
    /// the setting spells `-`. Unset: whatever the collection has.
    pub vector: Option<String>,
    /// `QDRANT_SPARSE`: the name of the sparse vector; `lexical` when unset.
    pub sparse: String,
    /// Which payload field says what.
    pub fields: Fields,
}

/// Payload fields by their meaning. Each holds names separated by commas in its setting, and
/// unset covers Lectern's own names and the ones that other ingest scripts like to use. Of
/// several present fields the first is taken; titles are joined to a breadcrumb.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fields {
    /// `QDRANT_TEXT_FIELD`: what readers and models see.
    pub text: Vec<String>,
    /// `QDRANT_TITLE_FIELD`: the headings above the text, outermost first.
    pub title: Vec<String>,
    /// `QDRANT_PATH_FIELD`: the page.
    pub path: Vec<String>,
    /// `QDRANT_ANCHOR_FIELD`: the anchor on the page.
    pub anchor: Vec<String>,
    /// `QDRANT_URL_FIELD`: the address, relative to `BOOK_BASE_URL` or absolute.
    pub link: Vec<String>,
    /// `QDRANT_SOURCE_FIELD`: the label of the ingest. `None`: a foreign collection has no
    /// such field, and a filter on it is refused.
    pub source: Option<String>,
}

impl Settings {
    /// Reads the settings; `QDRANT_URL` must be set.
    pub fn from_env(env: &Env) -> Result<Self> {
        let api_key = env.get("QDRANT_API_KEY").map(str::to_owned);
        // The client would repeat a key that is no header value in its error.
        if api_key
            .as_ref()
            .is_some_and(|key| !key.bytes().all(|it| it.is_ascii_graphic()))
        {
            return Err(Error::Misconfigured("QDRANT_API_KEY"));
        }
        Ok(Self {
            url: grpc_url(env.need("QDRANT_URL")?)?,
            api_key,
            collection: env.get("QDRANT_COLLECTION").unwrap_or("book").to_owned(),
            vector: env.get("QDRANT_VECTOR").map(|name| match name {
                "-" => String::new(),
                name => name.to_owned(),
            }),
            sparse: env.get("QDRANT_SPARSE").unwrap_or("lexical").to_owned(),
            fields: Fields::from_env(env),
        })
    }

    /// A client that has not connected yet. `timeout` bounds one call; the client repeats a
    /// failed call once on a new connection.
    pub fn client(&self, timeout: Duration, connect: Duration) -> Result<Qdrant> {
        let mut config = Qdrant::from_url(&self.url)
            .api_key(self.api_key.clone())
            .timeout(timeout)
            .connect_timeout(connect)
            // The check would block this thread for three round trips and print to stdout.
            .skip_compatibility_check();
        // Each further connection would cost a request of its own TCP and TLS.
        config.set_pool_size(1);
        config.build().map_err(|_| Error::Misconfigured("QDRANT_URL"))
    }
}

impl Fields {
    fn from_env(env: &Env) -> Self {
        let names = |setting, usual: &str| -> Vec<String> {
            let names = env.get(setting).unwrap_or(usual);
            names.split(',').map(|it| it.trim().to_owned()).collect()
        };
        Self {
            text: names("QDRANT_TEXT_FIELD", "text,content,page_content,chunk,body"),
            title: names("QDRANT_TITLE_FIELD", "chapter,title,section,heading"),
            path: names("QDRANT_PATH_FIELD", "path,file_path,file,filename"),
            anchor: names("QDRANT_ANCHOR_FIELD", "anchor"),
            link: names("QDRANT_URL_FIELD", "link,url"),
            source: env.get("QDRANT_SOURCE_FIELD").map(str::to_owned),
        }
    }
}

/// Qdrant speaks REST on 6333 and gRPC on 6334, and its pages show the REST address: that
/// port, or none, becomes 6334. Any other port is somebody's choice and stays. What follows
/// the port (`/dashboard`) goes.
fn grpc_url(pasted: &str) -> Result<String> {
    let wrong = || Error::Misconfigured("QDRANT_URL");
    let (scheme, rest) = pasted.split_once("://").ok_or_else(wrong)?;
    let scheme = scheme.to_ascii_lowercase();
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if !matches!(scheme.as_str(), "http" | "https") || authority.contains('@') {
        return Err(wrong());
    }
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, port),
        _ => (authority, ""),
    };
    let port = match port {
        "" => 6334,
        port => match port.parse::<u16>().map_err(|_| wrong())? {
            6333 => 6334,
            other => other,
        },
    };
    let url = format!("{scheme}://{host}:{port}");
    let parsed = reqwest::Url::parse(&url).map_err(|_| wrong())?;
    if parsed.host_str().is_none_or(str::is_empty) {
        return Err(wrong());
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rest_address_becomes_the_grpc_one() {
        let cases = [
            ("https://abc.cloud.qdrant.io", "https://abc.cloud.qdrant.io:6334"),
            ("https://abc.cloud.qdrant.io:6333", "https://abc.cloud.qdrant.io:6334"),
            (
                "https://abc.cloud.qdrant.io:6333/dashboard#/",
                "https://abc.cloud.qdrant.io:6334",
            ),
            ("https://abc.cloud.qdrant.io:6334/", "https://abc.cloud.qdrant.io:6334"),
            ("https://vectors.example:443", "https://vectors.example:443"),
            ("http://127.0.0.1:16334", "http://127.0.0.1:16334"),
            ("HTTP://localhost", "http://localhost:6334"),
            ("http://[::1]", "http://[::1]:6334"),
            ("http://[::1]:6333", "http://[::1]:6334"),
        ];
        for (pasted, wanted) in cases {
            assert_eq!(grpc_url(pasted).unwrap(), wanted, "{pasted}");
        }
    }

    #[test]
    fn an_address_that_is_none_names_the_setting() {
        let wrong = [
            "localhost:6334",
            "abc.cloud.qdrant.io",
            "ftp://host",
            "http://",
            "http://host:port",
            "http://host:70000",
            "https://user:secret@host",
        ];
        for pasted in wrong {
            let found = grpc_url(pasted);
            assert!(matches!(found, Err(Error::Misconfigured("QDRANT_URL"))), "{pasted}");
        }
    }

    #[test]
    fn a_key_that_is_no_header_value_is_refused_before_the_client_can_repeat_it() {
        let env = Env::from([("QDRANT_URL", "http://h"), ("QDRANT_API_KEY", "a\nb")]);
        let found = Settings::from_env(&env).map(|_| ());
        assert!(matches!(found, Err(Error::Misconfigured("QDRANT_API_KEY"))));
    }

    #[test]
    fn a_dash_is_the_unnamed_vector() {
        let env = Env::from([("QDRANT_URL", "http://h"), ("QDRANT_VECTOR", "-")]);
        assert_eq!(Settings::from_env(&env).unwrap().vector.as_deref(), Some(""));
    }
}
