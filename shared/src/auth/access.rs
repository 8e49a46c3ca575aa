//! Who may come in, and as whom.

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use uuid::Uuid;

use super::Signer;
use crate::{Error, Result, config::Env, owner::Owner};

/// The longest `user_id` in a body, in characters.
const MAX_USER_ID_CHARS: usize = 128;

/// What a request brought along to say who it is. `http::extract` fills it from headers.
#[derive(Default)]
pub struct Credentials {
    /// The token of `Authorization: Bearer …`; `Some("")` for a header we cannot read.
    pub bearer: Option<String>,
    /// `X-API-Key`.
    pub api_key: Option<String>,
}

/// Who is asking.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Caller {
    /// A reader with a valid token: `users.id`.
    User(Uuid),
    /// A trusted server in front (`INTERNAL_API_KEY`); it may name any user.
    Service,
    /// Nobody in particular.
    Guest,
}

impl Caller {
    /// A word that tells callers apart.
    pub fn name(&self) -> String {
        match self {
            Self::User(id) => format!("user:{id}"),
            Self::Service => "service".to_owned(),
            Self::Guest => "guest".to_owned(),
        }
    }

    /// Whom this caller acts for, given the `user_id` of the body. It never gives a right:
    /// with somebody else's token it is [`Error::Forbidden`], from a guest it is ignored.
    /// Only a trusted server chooses; a name that no user can have is [`Error::Invalid`].
    pub fn acts_for(&self, user_id: Option<&str>) -> Result<Owner> {
        match (self, user_id) {
            (Self::User(own), None) => Ok(Owner::User(*own)),
            (Self::User(own), Some(named)) => match Uuid::try_parse(named) {
                Ok(named) if named == *own => Ok(Owner::User(*own)),
                _ => Err(Error::Forbidden),
            },
            (Self::Service, Some(named)) => {
                check_user_id(named)?;
                Ok(Owner::Named(named.to_owned()))
            }
            (Self::Service, None) | (Self::Guest, _) => Ok(Owner::Guest),
        }
    }
}

fn check_user_id(user_id: &str) -> Result<()> {
    let blank = user_id.trim().is_empty();
    let long = user_id.chars().count() > MAX_USER_ID_CHARS;
    if blank || long || user_id.chars().any(char::is_control) {
        return Err(Error::invalid(
            "user_id",
            format!(
                "must be 1 to {MAX_USER_ID_CHARS} characters, none a control character"
            ),
        ));
    }
    Ok(())
}

/// The rules of the house about strangers.
pub struct Access {
    internal_key: Option<[u8; 32]>,
    allow_guests: bool,
}

impl Access {
    /// Reads `INTERNAL_API_KEY` and `ALLOW_GUESTS` (no, unless set; the dev server sets it).
    pub fn from_env(env: &Env) -> Result<Self> {
        Ok(Self {
            internal_key: env.get("INTERNAL_API_KEY").map(fingerprint),
            allow_guests: env.flag("ALLOW_GUESTS", false)?,
        })
    }

    /// Who brought these credentials. A token decides first, then the internal key, and one
    /// that does not hold is [`Error::Unauthorized`], never a guest. `signer` is asked only
    /// when there is a token, so that a deployment without accounts needs no
    /// `JWT_SECRET_KEY`.
    pub async fn identify<'a, F, S>(
        &self,
        given: &Credentials,
        signer: F,
    ) -> Result<Caller>
    where
        F: FnOnce() -> S,
        S: Future<Output = Result<&'a Signer>>,
    {
        if let Some(token) = &given.bearer {
            return signer().await?.verify(token).map(Caller::User);
        }
        match &given.api_key {
            Some(key) if self.is_internal(key) => Ok(Caller::Service),
            None if self.allow_guests => Ok(Caller::Guest),
            _ => Err(Error::Unauthorized),
        }
    }

    /// The internal key, compared in constant time. Unset closes this way.
    pub fn is_internal(&self, given: &str) -> bool {
        self.internal_key.is_some_and(|key| key.ct_eq(&fingerprint(given)).into())
    }
}

/// Equal lengths for the comparison: otherwise its time would tell the key's length.
fn fingerprint(key: &str) -> [u8; 32] {
    Sha256::digest(key).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "a secret of more than thirty-two bytes";

    fn access(pairs: [(&str, &str); 2]) -> Access {
        Access::from_env(&Env::from(pairs)).unwrap()
    }

    fn open() -> Access {
        access([("INTERNAL_API_KEY", "the key"), ("ALLOW_GUESTS", "yes")])
    }

    fn signer() -> Signer {
        Signer::from_env(&Env::from([("JWT_SECRET_KEY", SECRET)])).unwrap()
    }

    async fn who(
        access: &Access,
        bearer: Option<&str>,
        key: Option<&str>,
    ) -> Result<Caller> {
        let given = Credentials {
            bearer: bearer.map(str::to_owned),
            api_key: key.map(str::to_owned),
        };
        let signer = signer();
        access.identify(&given, || async { Ok(&signer) }).await
    }

    #[tokio::test]
    async fn a_token_is_its_user_and_wins_over_a_key() {
        let user = Uuid::now_v7();
        let (token, _) = signer().sign(user).unwrap();
        for key in [None, Some("the key"), Some("another key")] {
            let caller = who(&open(), Some(&token), key).await.unwrap();
            assert_eq!(caller, Caller::User(user));
        }
    }

    #[tokio::test]
    async fn a_bad_token_is_never_a_guest_nor_a_service() {
        for bearer in ["", "x", "a.b.c"] {
            for key in [None, Some("the key")] {
                let caller = who(&open(), Some(bearer), key).await;
                assert!(matches!(caller, Err(Error::Unauthorized)), "{bearer:?} {key:?}");
            }
        }
    }

    #[tokio::test]
    async fn the_internal_key_is_a_service_and_a_wrong_one_is_nobody() {
        assert_eq!(who(&open(), None, Some("the key")).await.unwrap(), Caller::Service);
        for wrong in ["", "the ke", "the key ", "the kez", "the key2"] {
            let caller = who(&open(), None, Some(wrong)).await;
            assert!(matches!(caller, Err(Error::Unauthorized)), "{wrong:?}");
        }
    }

    #[tokio::test]
    async fn an_unset_key_closes_that_way() {
        for blank in ["", "   "] {
            let access = access([("INTERNAL_API_KEY", blank), ("ALLOW_GUESTS", "1")]);
            assert!(!access.is_internal(""));
            let caller = who(&access, None, Some("")).await;
            assert!(matches!(caller, Err(Error::Unauthorized)));
        }
    }

    #[tokio::test]
    async fn guests_come_in_only_when_they_are_allowed() {
        assert_eq!(who(&open(), None, None).await.unwrap(), Caller::Guest);
        let closed = Access::from_env(&Env::from([])).unwrap();
        assert!(matches!(who(&closed, None, None).await, Err(Error::Unauthorized)));
        assert!(!closed.allow_guests);
    }

    #[tokio::test]
    async fn a_token_secret_is_needed_only_for_a_token() {
        let unset = || async { Err(Error::Misconfigured("JWT_SECRET_KEY")) };
        let guest = open().identify(&Credentials::default(), unset).await;
        assert_eq!(guest.unwrap(), Caller::Guest);
        let given = Credentials { bearer: Some("x".into()), api_key: None };
        let caller = open().identify(&given, unset).await;
        assert!(matches!(caller, Err(Error::Misconfigured("JWT_SECRET_KEY"))));
    }

    #[test]
    fn a_reader_acts_for_itself_only() {
        let own = Uuid::now_v7();
        let reader = Caller::User(own);
        let text = own.to_string();
        for named in [None, Some(text.as_str()), Some(&text.to_uppercase())] {
            assert_eq!(reader.acts_for(named).unwrap(), Owner::User(own));
        }
        let other = Uuid::now_v7().to_string();
        for named in ["", "user_2abc", other.as_str(), &"x".repeat(200)] {
            assert!(matches!(reader.acts_for(Some(named)), Err(Error::Forbidden)));
        }
    }

    #[test]
    fn a_service_names_anybody_and_a_guest_nobody() {
        let named = Owner::Named("user_2abc".into());
        assert_eq!(Caller::Service.acts_for(Some("user_2abc")).unwrap(), named);
        assert_eq!(Caller::Service.acts_for(None).unwrap(), Owner::Guest);
        for name in [None, Some("user_2abc"), Some("\0"), Some("")] {
            assert_eq!(Caller::Guest.acts_for(name).unwrap(), Owner::Guest);
        }
    }

    #[test]
    fn a_name_that_no_user_can_have_is_refused() {
        let longest = "ü".repeat(MAX_USER_ID_CHARS);
        assert!(Caller::Service.acts_for(Some(&longest)).is_ok());
        for name in ["", "  ", "a\0b", "a\nb", &format!("{longest}x")] {
            let refused = Caller::Service.acts_for(Some(name));
            assert!(matches!(refused, Err(Error::Invalid(_))), "{name:?}");
        }
    }
}
