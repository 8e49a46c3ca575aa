//! Signed tokens: JWT, HS256.

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use uuid::Uuid;

use super::hmac;
use crate::{Error, Result, config::Env};

/// Who signs: the `iss` of every token.
const ISSUER: &str = "lectern";

/// RFC 7518, section 3.2: the key is at least as long as the hash.
const MIN_SECRET_BYTES: usize = 32;

/// A year. A token cannot be taken back, so it must not live for ever.
const MAX_HOURS: u64 = 8_760;

/// Clocks of two hosts differ by a little.
const LEEWAY_SECONDS: u64 = 5;

/// Signs and verifies our tokens.
pub struct Signer {
    sign: EncodingKey,
    verify: DecodingKey,
    lives_seconds: u64,
}

#[derive(Serialize, Deserialize)]
struct Claims {
    sub: Uuid,
    iat: u64,
    exp: u64,
    jti: Uuid,
    iss: String,
}

impl Signer {
    /// Reads `JWT_SECRET_KEY` (at least 32 bytes) and `JWT_EXPIRATION_HOURS` (24, at most a
    /// year).
    pub fn from_env(env: &Env) -> Result<Self> {
        const SECRET: &str = "JWT_SECRET_KEY";
        const HOURS: &str = "JWT_EXPIRATION_HOURS";
        hmac::install();
        let secret = env.need(SECRET)?.as_bytes();
        if secret.len() < MIN_SECRET_BYTES {
            return Err(Error::Misconfigured(SECRET));
        }
        let hours = env.parse(HOURS, 24)?;
        if !(1..=MAX_HOURS).contains(&hours) {
            return Err(Error::Misconfigured(HOURS));
        }
        Ok(Self {
            sign: EncodingKey::from_secret(secret),
            verify: DecodingKey::from_secret(secret),
            lives_seconds: hours * 3600,
        })
    }

    /// A token for this user and its life in seconds.
    pub fn sign(&self, user: Uuid) -> Result<(String, u64)> {
        let now = u64::try_from(OffsetDateTime::now_utc().unix_timestamp())
            .map_err(|_| Error::Internal("the clock is before 1970".into()))?;
        let claims = Claims {
            sub: user,
            iat: now,
            exp: now + self.lives_seconds,
            jti: Uuid::now_v7(),
            iss: ISSUER.into(),
        };
        let header = Header::new(Algorithm::HS256);
        let token = jsonwebtoken::encode(&header, &claims, &self.sign)
            .map_err(|_| Error::Internal("a token could not be signed".into()))?;
        Ok((token, self.lives_seconds))
    }

    /// The user of a token; [`Error::Unauthorized`] for a bad, expired or foreign one.
    pub fn verify(&self, token: &str) -> Result<Uuid> {
        let mut rules = Validation::new(Algorithm::HS256);
        rules.leeway = LEEWAY_SECONDS;
        rules.set_issuer(&[ISSUER]);
        rules.set_required_spec_claims(&["exp", "iss", "sub"]);
        // The reason stays here: it may quote the token, and nobody may act on it.
        jsonwebtoken::decode::<Claims>(token, &self.verify, &rules)
            .map(|token| token.claims.sub)
            .map_err(|_| Error::Unauthorized)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const SECRET: &str = "0123456789abcdef0123456789abcdef";

    fn signer(secret: &str) -> Signer {
        Signer::from_env(&Env::from([("JWT_SECRET_KEY", secret)])).unwrap()
    }

    fn now() -> i64 {
        OffsetDateTime::now_utc().unix_timestamp()
    }

    /// Signs anything with our key, as only a leaked key could.
    fn forge(algorithm: Algorithm, claims: &Value) -> String {
        let bytes = |part: &Value| base64url(part.to_string().as_bytes());
        let head = bytes(&json!({ "typ": "JWT", "alg": format!("{algorithm:?}") }));
        let message = format!("{head}.{}", bytes(claims));
        let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, SECRET.as_bytes());
        let tag = ring::hmac::sign(&key, message.as_bytes());
        format!("{message}.{}", base64url(tag.as_ref()))
    }

    fn base64url(bytes: &[u8]) -> String {
        const ALPHABET: &[u8] =
            b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let mut text = String::new();
        for chunk in bytes.chunks(3) {
            let word = chunk.iter().fold(0, |word, &byte| word << 8 | usize::from(byte))
                << (8 * (3 - chunk.len()));
            for place in 0..=chunk.len() {
                text.push(char::from(ALPHABET[word >> (18 - 6 * place) & 63]));
            }
        }
        text
    }

    fn good() -> Value {
        json!({ "sub": Uuid::nil(), "iat": now(), "exp": now() + 60, "jti": Uuid::nil(),
                "iss": "lectern" })
    }

    fn refused(token: &str) -> bool {
        matches!(signer(SECRET).verify(token), Err(Error::Unauthorized))
    }

    #[test]
    fn a_token_comes_back_as_its_user() {
        let user = Uuid::now_v7();
        let (token, lives) = signer(SECRET).sign(user).unwrap();
        assert_eq!(signer(SECRET).verify(&token).unwrap(), user);
        assert_eq!(lives, 86_400);
    }

    #[test]
    fn it_is_an_hs256_jwt_that_any_library_reads() {
        // RFC 7515, appendix A.1, is HS256 over these octets with this key.
        let key = [
            3, 35, 53, 75, 43, 15, 165, 188, 131, 126, 6, 101, 119, 123, 166, 143, 90,
            179, 40, 230, 240, 84, 201, 40, 169, 15, 132, 178, 210, 80, 46, 191, 211,
            251, 90, 146, 210, 6, 71, 239, 150, 138, 180, 195, 119, 98, 61, 34, 61, 46,
            33, 114, 5, 46, 79, 8, 192, 205, 154, 245, 103, 208, 128, 163,
        ];
        let message = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAi\
                       OjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
        hmac::install();
        let sign = |algorithm| {
            let key = EncodingKey::from_secret(&key);
            jsonwebtoken::crypto::sign(message.as_bytes(), &key, algorithm)
        };
        assert_eq!(
            sign(Algorithm::HS256).unwrap(),
            "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
        );
        assert!(sign(Algorithm::HS384).is_err());
        assert!(sign(Algorithm::RS256).is_err());
    }

    #[test]
    fn another_key_does_not_hold() {
        let (token, _) = signer(&SECRET.replace('0', "1")).sign(Uuid::nil()).unwrap();
        assert!(refused(&token));
    }

    #[test]
    fn every_changed_byte_is_noticed() {
        let token = forge(Algorithm::HS256, &good());
        assert!(!refused(&token));
        for place in 0..token.len() {
            let mut bytes = token.clone().into_bytes();
            bytes[place] = if bytes[place] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(bytes).unwrap();
            assert!(refused(&changed), "changed at {place}");
        }
        for end in 0..token.len() {
            assert!(refused(&token[..end]), "cut at {end}");
        }
    }

    #[test]
    fn only_hs256_is_taken() {
        assert!(refused(&forge(Algorithm::HS384, &good())));
        assert!(refused(&forge(Algorithm::RS256, &good())));
        let none = base64url(br#"{"typ":"JWT","alg":"none"}"#);
        let claims = base64url(good().to_string().as_bytes());
        assert!(refused(&format!("{none}.{claims}.")));
    }

    #[test]
    fn every_claim_is_needed_and_checked() {
        let with = |name: &str, value: Value| {
            let mut claims = good();
            claims[name] = value;
            refused(&forge(Algorithm::HS256, &claims))
        };
        assert!(with("exp", json!(now() - 60)));
        assert!(!with("exp", json!(now() - 1)), "clocks may differ by a little");
        assert!(with("exp", json!("never")));
        assert!(with("iss", json!("somebody-else")));
        assert!(with("iss", json!(["lectern", "somebody-else"])));
        assert!(with("sub", json!("user_2abc")));
        for name in ["sub", "iat", "exp", "jti", "iss"] {
            assert!(with(name, Value::Null), "without {name}");
            let mut claims = good();
            claims.as_object_mut().unwrap().remove(name);
            assert!(refused(&forge(Algorithm::HS256, &claims)), "without {name}");
        }
    }

    #[test]
    fn a_short_secret_and_an_odd_life_are_misconfigured() {
        let open = |secret: &str, hours: &str| {
            let pairs = [("JWT_SECRET_KEY", secret), ("JWT_EXPIRATION_HOURS", hours)];
            Signer::from_env(&Env::from(pairs)).map(|signer| signer.lives_seconds)
        };
        assert_eq!(open(SECRET, "1").unwrap(), 3600);
        assert!(matches!(
            open(&SECRET[1..], "1"),
            Err(Error::Misconfigured("JWT_SECRET_KEY"))
        ));
        assert!(matches!(open("", "1"), Err(Error::Misconfigured("JWT_SECRET_KEY"))));
        for hours in ["0", "-1", "a day", "8761", "18446744073709551615"] {
            assert!(
                matches!(
                    open(SECRET, hours),
                    Err(Error::Misconfigured("JWT_EXPIRATION_HOURS"))
                ),
                "{hours}"
            );
        }
    }
}
