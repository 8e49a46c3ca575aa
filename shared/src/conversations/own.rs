//! A reader's own history: every route of one function, and the rules that they share.

use axum::{extract::FromRequestParts, http::request::Parts};

use super::{
    Owner, aliases, create, export, feedback,
    history::{self, FullConversation},
    list, read, remove, rename,
};
use crate::{
    App, Error, Result,
    auth::Caller,
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

/// Whose history it is. Guests have none. A trusted server says whose: in the body, or by
/// `?user_id=` (`client_user_id` is the same by an older name).
pub(crate) fn owner(
    caller: &Caller,
    params: &Params,
    in_body: Option<&str>,
) -> Result<Owner> {
    let named = in_body.or_else(|| params.of(&["user_id", "client_user_id"]));
    match caller.acts_for(named)? {
        Owner::Guest if *caller == Caller::Service => {
            Err(Error::invalid("user_id", "is missing: say whose history it is"))
        }
        Owner::Guest => Err(Error::Unauthorized),
        owner => Ok(owner),
    }
}

/// The conversation that a path names, with all that was said, for whoever may read it.
pub(super) struct Opened {
    /// Whose it is.
    pub owner: Owner,
    /// What there is.
    pub whole: FullConversation,
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
        let id = or_not_found(id)?;
        let db = app.db().await?;
        let whole = call.within(history::read(db, &owner, id)).await?;
        Ok(Self { owner, whole })
    }
}

/// The same answer for what is not there and for what is somebody else's.
pub(super) fn or_not_found<T>(id: Option<T>) -> Result<T> {
    id.ok_or(Error::NotFound("conversation"))
}
