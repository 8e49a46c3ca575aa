//! What handlers take from a request, with our words when it does not fit.

use axum::{
    body::{Body, Bytes},
    extract::{
        FromRequest, FromRequestParts, OptionalFromRequest, Path, Query, RawPathParams,
        Request,
    },
    http::{HeaderMap, header, request::Parts},
    response::{IntoResponse, Response},
};
use http_body::Body as _;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::{Serialize, de::DeserializeOwned};
use uuid::Uuid;

use super::{Problem, objects::Objects};
use crate::{
    App, Error,
    auth::{Caller, Credentials},
};

/// The most that a body may hold, on every platform: 1 MiB.
pub const BODY_LIMIT: usize = 1 << 20;

/// How much of what is past the limit is still read, to answer a client that sends it all
/// before it reads: no platform lets more than this through.
const READ_AND_DROPPED: usize = 16 << 20;

/// A JSON body, coming or going.
pub struct Json<T>(pub T);

impl<S: Sync, T: DeserializeOwned> FromRequest<S> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        if !says_json(request.headers()) {
            return Err(Problem::not_json());
        }
        Ok(Self(parse(&whole(request.into_body()).await?)?))
    }
}

/// No body at all is `None`, whatever its type is said to be.
impl<S: Sync, T: DeserializeOwned> OptionalFromRequest<S> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Option<Self>, Problem> {
        if request.body().size_hint().exact() == Some(0) {
            return Ok(None);
        }
        <Self as FromRequest<S>>::from_request(request, state).await.map(Some)
    }
}

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        axum::Json(self.0).into_response()
    }
}

fn says_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|it| it.to_str().ok());
    let kind = kind.unwrap_or_default().split(';').next().unwrap_or_default().trim();
    let kind = kind.to_ascii_lowercase();
    kind == "application/json"
        || (kind.starts_with("application/") && kind.ends_with("+json"))
}

/// The whole body, of at most [`BODY_LIMIT`]. The edge calls this before any route, so that
/// an early answer (401, 404 …) never leaves a body unread.
pub(super) async fn whole(mut body: Body) -> Result<Bytes, Problem> {
    match Limited::new(&mut body, BODY_LIMIT).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(err) if err.is::<LengthLimitError>() => {
            // A connection that is closed while the client still sends is reset, and the
            // client never reads why. So the rest is read, within reason, and dropped.
            let mut rest = Limited::new(body, READ_AND_DROPPED);
            while let Some(Ok(_)) = rest.frame().await {}
            Err(Problem::too_large(BODY_LIMIT))
        }
        Err(_) => Err(Error::Malformed("The body broke off.".to_owned()).into()),
    }
}

/// Parses a body; what is wrong is said by field and never repeats a value.
pub fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Error> {
    let text = std::str::from_utf8(bytes)
        .map_err(|_| Error::Malformed("The body is not UTF-8.".to_owned()))?;
    let mut json = serde_json::Deserializer::from_str(text);
    let value = serde_path_to_error::deserialize(Objects(&mut json))
        .map_err(|err| refusal(&err))?;
    json.end()
        .map_err(|_| Error::Malformed("There is text after the JSON.".to_owned()))?;
    Ok(value)
}

fn refusal(err: &serde_path_to_error::Error<serde_json::Error>) -> Error {
    let inner = err.inner();
    if !inner.is_data() {
        let (line, column) = (inner.line(), inner.column());
        return Error::Malformed(format!(
            "The body is not valid JSON (line {line}, column {column})."
        ));
    }
    let said = inner.to_string();
    let mut field = err.path().to_string();
    // serde quotes what it found, so only what we wrote ourselves is taken from its words.
    if let Some(rest) = said.strip_prefix("missing field `") {
        let name = rest.split('`').next().unwrap_or_default();
        if field == "." {
            field.clear();
        } else {
            field.push('.');
        }
        return Error::invalid(field + name, "is missing");
    }
    if field == "." {
        "body".clone_into(&mut field);
    }
    let expected = said.rsplit_once(", expected ").map(|(_, rest)| rest);
    let expected = expected.and_then(|it| it.split(" at line ").next());
    match expected {
        // A caller need not know how wide our numbers are.
        Some("i64" | "u64" | "u32" | "usize") => {
            Error::invalid(field, "must be a whole number")
        }
        Some(expected)
            if !["struct ", "enum "].iter().any(|it| expected.contains(it)) =>
        {
            Error::invalid(field, format!("must be {expected}"))
        }
        _ => Error::invalid(field, "has the wrong form"),
    }
}

/// Who is asking, after their token or key was checked.
pub struct Who(pub Caller);

impl FromRequestParts<&'static App> for Who {
    type Rejection = Problem;

    async fn from_request_parts(
        parts: &mut Parts,
        app: &&'static App,
    ) -> Result<Self, Problem> {
        let given = credentials(&parts.headers);
        Ok(Self(app.access().await?.identify(&given, || app.signer()).await?))
    }
}

/// What stands behind the question mark. Names that nobody asks for are no mistake: a front
/// door may add some of its own when it rewrites a path.
pub struct Params(Vec<(String, String)>);

impl Params {
    /// The value of the first of these names that is there.
    pub fn of(&self, names: &[&str]) -> Option<&str> {
        let mut found =
            names.iter().filter_map(|name| self.0.iter().find(|it| it.0 == *name));
        found.next().map(|it| it.1.as_str())
    }
}

impl<S: Sync> FromRequestParts<S> for Params {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        // Any text is a list of pairs, so nothing is refused here.
        let pairs = Query::try_from_uri(&parts.uri).map(|Query(pairs)| pairs);
        Ok(Self(pairs.unwrap_or_default()))
    }
}

/// The ids in the path, in their order; `None` for what cannot be an id of ours.
pub struct Ids<const N: usize>(pub [Option<Uuid>; N]);

impl<S: Send + Sync, const N: usize> FromRequestParts<S> for Ids<N> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let mut ids = [None; N];
        // A path that is not UTF-8 has no parameters.
        if let Ok(given) = RawPathParams::from_request_parts(parts, state).await {
            for (id, (_, text)) in ids.iter_mut().zip(&given) {
                *id = Uuid::try_parse(text).ok();
            }
        }
        Ok(Self(ids))
    }
}

/// The one name in the path; `None` for what cannot even be read.
pub struct Named(pub Option<String>);

impl<S: Send + Sync> FromRequestParts<S> for Named {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let path = Path::<String>::from_request_parts(parts, state).await;
        Ok(Self(path.ok().map(|Path(name)| name)))
    }
}

/// The same for OpenAI's clients: they send whatever key they were given as a bearer token,
/// so it may be the internal key.
pub struct Keyed(pub Caller);

impl FromRequestParts<&'static App> for Keyed {
    type Rejection = Problem;

    async fn from_request_parts(
        parts: &mut Parts,
        app: &&'static App,
    ) -> Result<Self, Problem> {
        let mut given = credentials(&parts.headers);
        let access = app.access().await?;
        if given.bearer.as_ref().is_some_and(|it| access.is_internal(it)) {
            given = Credentials { bearer: None, api_key: given.bearer };
        }
        Ok(Self(access.identify(&given, || app.signer()).await?))
    }
}

/// What the headers say about the caller. A header that cannot be read is kept as an empty
/// word, which matches nothing: somebody who tried to sign in is never taken for a guest.
pub(super) fn credentials(headers: &HeaderMap) -> Credentials {
    let text = |name| headers.get(name).map(|it| it.to_str().unwrap_or_default().trim());
    let bearer = text("authorization").map(|value| {
        let (scheme, token) = value.split_once(' ').unwrap_or_default();
        let token = if scheme.eq_ignore_ascii_case("bearer") { token.trim() } else { "" };
        token.to_owned()
    });
    Credentials { bearer, api_key: text("x-api-key").map(str::to_owned) }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::parse;

    #[derive(Debug, Deserialize)]
    #[expect(dead_code, reason = "only its form is looked at")]
    struct Body {
        message: Message,
    }

    #[derive(Debug, Deserialize)]
    #[expect(dead_code, reason = "only its form is looked at")]
    struct Message {
        content: String,
    }

    fn said(body: &str) -> String {
        parse::<Body>(body.as_bytes()).unwrap_err().to_string()
    }

    #[test]
    fn a_wrong_field_is_named_and_its_value_is_not_repeated() {
        assert_eq!(said(r#"{"message":{}}"#), "message.content is missing.");
        assert_eq!(said("{}"), "message is missing.");
        assert_eq!(
            said(r#"{"message":{"content":{"secret, expected x":1}}}"#),
            "message.content must be a string."
        );
        assert_eq!(said(r#"{"message":"hunter2"}"#), "message has the wrong form.");
        assert_eq!(said("[1]"), "body has the wrong form.");
        assert_eq!(said("7"), "body has the wrong form.");
    }

    #[test]
    fn an_array_of_a_structs_values_is_no_struct() {
        assert_eq!(said(r#"[{"content":"x"}]"#), "body has the wrong form.");
        assert_eq!(said(r#"{"message":["x"]}"#), "message has the wrong form.");
        assert!(parse::<Vec<Body>>(br#"[{"message":{"content":"x"}}]"#).is_ok());
        assert!(parse::<Vec<Body>>(br#"[{"message":["x"]}]"#).is_err());
    }

    #[test]
    fn broken_json_is_malformed() {
        assert!(said("{").starts_with("The body is not valid JSON"), "{}", said("{"));
        assert!(said(r#"{"message":{"content":"x"}} y"#).contains("after the JSON"));
        assert_eq!(
            parse::<Body>(b"\"\xff\"").unwrap_err().to_string(),
            "The body is not UTF-8."
        );
        let deep = format!(r#"{{"x":{}"#, "[".repeat(10_000));
        assert!(said(&deep).starts_with("The body is not valid JSON"));
    }
}
