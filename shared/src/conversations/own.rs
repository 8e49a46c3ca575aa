//! A reader's own history: every route of one function, and the rules that they share.

use axum::{extract::FromRequestParts, http::request::Parts};

use super::{
    Owner, aliases, create, export, feedback,
    history::{self, Whole},
    list, read, remove, rename,
};
use crate::{
    App, Error, Result,
    auth::{Caller, Subject},
    http::{
        Call, Problem, Route,
        extract::{Ids, Params, Who},
    },
};

/// `/api/v1/conversations…`, but for `internal-save`, and its older names.
pub fn route() -> Route {
    list::route()
        .merge(create::route())
        .merge(read::route())
        .merge(rename::route())
        .merge(remove::route())
        .merge(feedback::route())
        .merge(export::route())
        .merge(aliases::route())
}

/// The longest title, in characters.
pub(super) const MAX_TITLE_CHARS: usize = 200;

/// Whose history it is. Guests have none. A trusted server says whose: in the body, or by
/// `?user_id=` (`client_user_id` is the same by an older name).
pub(crate) fn owner(
    caller: &Caller,
    params: &Params,
    in_body: Option<&str>,
) -> Result<Owner> {
    let named = in_body.or_else(|| params.of(&["user_id", "client_user_id"]));
    match caller.acts_for(named)? {
        Subject::User(id) => Ok(Owner::User(id)),
        Subject::Named(name) => Ok(Owner::Named(name)),
        Subject::Nobody if *caller == Caller::Service => {
            Err(Error::invalid("user_id", "is missing: say whose history it is"))
        }
        Subject::Nobody => Err(Error::Unauthorized),
    }
}

/// The conversation that a path names, with all that was said, for whoever may read it.
pub(super) struct Opened {
    /// Whose it is.
    pub owner: Owner,
    /// What there is.
    pub whole: Whole,
}

impl FromRequestParts<&'static App> for Opened {
    type Rejection = Problem;

    async fn from_request_parts(
        parts: &mut Parts,
        app: &&'static App,
    ) -> Result<Self, Problem> {
        let call = Call::from_request_parts(parts, app).await?;
        let Who(caller) = Who::from_request_parts(parts, app).await?;
        let params = Params::from_request_parts(parts, app).await?;
        let Ids([id]) = Ids::from_request_parts(parts, app).await?;
        let owner = owner(&caller, &params, None)?;
        let id = known(id)?;
        let whole = async { history::read(app.db().await?, &owner, id).await };
        let whole = call.within(whole).await?;
        Ok(Self { owner, whole })
    }
}

/// A title as it is kept: one line, without space around it.
pub(crate) fn title(given: &str) -> Result<String> {
    let title = given.split_whitespace().collect::<Vec<_>>().join(" ");
    if title.is_empty() || title.chars().count() > MAX_TITLE_CHARS {
        return Err(Error::invalid(
            "title",
            format!("must be 1 to {MAX_TITLE_CHARS} characters"),
        ));
    }
    if title.chars().any(char::is_control) {
        return Err(Error::invalid("title", "must not contain control characters"));
    }
    Ok(title)
}

/// The same answer for what is not there and for what is somebody else's.
pub(super) fn known<T>(id: Option<T>) -> Result<T> {
    id.ok_or(Error::NotFound("conversation"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_title_is_one_line_of_1_to_200_characters() {
        assert_eq!(title(" On\n moves ").unwrap(), "On moves");
        assert_eq!(title(&"ü".repeat(200)).unwrap(), "ü".repeat(200));
        for bad in ["", " \t\n", &"ü".repeat(201), "a\0b", "a\u{7}b"] {
            assert!(matches!(title(bad), Err(Error::Invalid(_))), "{bad:?}");
        }
    }
}
