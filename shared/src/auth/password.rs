//! Bcrypt is slow on purpose, so it never runs on the async thread.

use tokio::task;

use crate::{
    Error, FieldError, Result,
    config::{Env, Platform},
};

/// The shortest password, in characters (NIST SP 800-63B, section 5.1.1.2).
const MIN_CHARS: usize = 8;

/// The longest password, in bytes: bcrypt reads no further. Longer is refused, never cut.
pub const MAX_BYTES: usize = 72;

/// The log2 of bcrypt's rounds.
#[derive(Clone, Copy)]
pub(crate) struct Cost(u32);

impl Cost {
    /// Reads `BCRYPT_COST` (12; 4 to 16, on a platform at least 10). 16 is about four
    /// seconds of one core; more would pass every deadline.
    pub(crate) fn from_env(env: &Env) -> Result<Self> {
        const NAME: &str = "BCRYPT_COST";
        let least = if env.platform() == Platform::Local { 4 } else { 10 };
        let cost = env.parse(NAME, 12)?;
        if !(least..=16).contains(&cost) {
            return Err(Error::Misconfigured(NAME));
        }
        Ok(Self(cost))
    }

    /// A hash of nobody's password, so that an unknown email costs what a known one does.
    /// Only its cost matters: whatever it verifies to is thrown away.
    fn dummy(self) -> String {
        // Bcrypt's base64 writes zero as a dot: 16 bytes of salt and 23 of hash.
        format!("$2b${:02}${}", self.0, ".".repeat(22 + 31))
    }
}

/// What keeps this from being a password; it never repeats it.
pub(crate) fn check(password: &str) -> Result<(), FieldError> {
    let refuse = |message| Err(FieldError { field: "password".into(), message });
    if password.chars().count() < MIN_CHARS {
        refuse(format!("must be at least {MIN_CHARS} characters"))
    } else if password.len() > MAX_BYTES {
        refuse(format!("must be at most {MAX_BYTES} bytes"))
    } else if password.contains('\0') {
        refuse("must not contain the character U+0000".into())
    } else {
        Ok(())
    }
}

/// The hash to store for a password that passed [`check`].
pub(crate) async fn hash(password: String, cost: Cost) -> Result<String> {
    #[expect(clippy::disallowed_methods, reason = "this is the room that may")]
    task::spawn_blocking(move || bcrypt::hash(password, cost.0))
        .await
        .map_err(|_| Error::Internal("hashing was cut short".into()))?
        .map_err(|_| Error::Internal("bcrypt did not hash".into()))
}

/// Whether this is the password of that hash. The same work is done and the same answer
/// given for no hash at all (an unknown email), for one that bcrypt cannot read, and for a
/// password that could never have been stored.
pub(crate) async fn verify(
    password: String,
    hash: Option<String>,
    cost: Cost,
) -> Result<bool> {
    task::spawn_blocking(move || verify_now(&password, hash.as_deref(), cost))
        .await
        .map_err(|_| Error::Internal("verifying was cut short".into()))
}

#[expect(clippy::disallowed_methods, reason = "this is the room that may")]
fn verify_now(password: &str, hash: Option<&str>, cost: Cost) -> bool {
    let possible = password.len() <= MAX_BYTES && !password.contains('\0');
    match hash.map(|hash| bcrypt::verify(password, hash)) {
        Some(Ok(right)) => right && possible,
        unreadable => {
            if unreadable.is_some() {
                tracing::error!("a stored password hash is not bcrypt's");
            }
            bcrypt::verify(password, &cost.dummy()).ok();
            false
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHEAP: Cost = Cost(4);

    async fn opens(password: &str, hash: &str) -> bool {
        verify(password.into(), Some(hash.into()), CHEAP).await.unwrap()
    }

    #[tokio::test]
    async fn a_password_opens_its_own_hash_only() {
        let hash = hash("correct horse".into(), CHEAP).await.unwrap();
        assert!(opens("correct horse", &hash).await);
        for wrong in ["correct horsf", "Correct horse", "correct horse ", ""] {
            assert!(!opens(wrong, &hash).await, "{wrong:?}");
        }
    }

    #[tokio::test]
    async fn all_72_bytes_count_and_the_73rd_never_opens() {
        let longest = "x".repeat(72);
        let hash = hash(longest.clone(), CHEAP).await.unwrap();
        assert!(opens(&longest, &hash).await);
        assert!(!opens(&format!("{}y", "x".repeat(71)), &hash).await);
        assert!(!opens(&format!("{longest}y"), &hash).await);
    }

    #[tokio::test]
    async fn a_password_that_bcrypt_would_fold_never_opens() {
        // Bcrypt repeats `password + NUL` to 72 bytes, so these two have one hash.
        let hash = hash("password".into(), CHEAP).await.unwrap();
        assert!(!opens("password\0password", &hash).await);
    }

    #[tokio::test]
    async fn hashes_of_the_four_bcrypt_spellings_are_read() {
        let hash = hash("correct horse".into(), CHEAP).await.unwrap();
        for version in ["$2a$", "$2b$", "$2x$", "$2y$"] {
            assert!(opens("correct horse", &hash.replace("$2b$", version)).await);
        }
    }

    #[tokio::test]
    async fn without_a_readable_hash_nothing_opens() {
        assert!(!verify("any password".into(), None, CHEAP).await.unwrap());
        for hash in ["", "plain text", "$argon2id$v=19$m=19456$x$y"] {
            assert!(!opens("plain text", hash).await, "{hash:?}");
        }
    }

    /// Without this the dummy would be refused at once, and an unknown email be quicker.
    #[test]
    #[expect(clippy::disallowed_methods, reason = "the dummy must be work for bcrypt")]
    fn the_dummy_is_a_hash_of_the_same_cost() {
        for cost in [4, 5] {
            let dummy = Cost(cost).dummy();
            assert!(!bcrypt::verify("any password", &dummy).expect("bcrypt reads it"));
            let parts: bcrypt::HashParts = dummy.parse().unwrap();
            assert_eq!(parts.get_cost(), cost);
        }
        let env = Env::from([]);
        assert!(Cost::from_env(&env).unwrap().dummy().starts_with("$2b$12$"));
    }

    #[test]
    fn the_borders_of_a_password() {
        for good in ["12345678", "пароль12", "        ", &"x".repeat(72)] {
            assert!(check(good).is_ok(), "{good:?}");
        }
        let cut = "ü".repeat(37);
        for bad in ["", "1234567", "ünü1234", &"x".repeat(73), &cut, "1234\x005678"] {
            let refused = check(bad).unwrap_err();
            assert!(bad.is_empty() || !refused.message.contains(bad));
        }
    }

    #[test]
    fn the_cost_is_at_least_ten_on_a_platform() {
        let cost = |pairs: [(&str, &str); 2]| Cost::from_env(&Env::from(pairs)).is_ok();
        let (lambda, vercel, local) =
            (("AWS_LAMBDA_RUNTIME_API", "x"), ("VERCEL", "1"), ("PORT", "1"));
        assert!(cost([("BCRYPT_COST", "4"), local]));
        for platform in [lambda, vercel] {
            assert!(!cost([("BCRYPT_COST", "9"), platform]));
            assert!(cost([("BCRYPT_COST", "10"), platform]));
        }
        for bad in ["3", "17", "twelve", "-1"] {
            assert!(!cost([("BCRYPT_COST", bad), local]), "{bad}");
        }
    }
}
