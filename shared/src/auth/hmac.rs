//! The one algorithm our tokens use, for `jsonwebtoken`: HMAC with SHA-256, by `ring`.
//!
//! `jsonwebtoken`'s own provider links RSA and three elliptic curves beside HMAC, about a
//! megabyte in every function. `ring` is there already, for TLS. Every other algorithm and
//! every JWK function stays absent, so no token can reach them.

use jsonwebtoken::{
    Algorithm, DecodingKey, EncodingKey,
    crypto::{CryptoProvider, JwtSigner, JwtVerifier, KeyUtils},
    errors::{Error, ErrorKind},
    signature::{self, Signer, Verifier},
};
use ring::hmac;

use crate::Result;

/// Makes this module the provider of the process. Later calls change nothing.
pub(super) fn install() {
    static PROVIDER: CryptoProvider = CryptoProvider {
        signer_factory: signer,
        verifier_factory: verifier,
        key_utils: KeyUtils::new_unimplemented(),
    };
    // An error means that it is installed already, by us: nobody else links this crate.
    PROVIDER.install_default().ok();
}

struct Hs256(hmac::Key);

impl Hs256 {
    fn new(algorithm: Algorithm, secret: &[u8]) -> Result<Box<Self>, Error> {
        if algorithm != Algorithm::HS256 {
            return Err(ErrorKind::InvalidAlgorithm.into());
        }
        Ok(Box::new(Self(hmac::Key::new(hmac::HMAC_SHA256, secret))))
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "`CryptoProvider` asks for it")]
fn signer(algorithm: &Algorithm, key: &EncodingKey) -> Result<Box<dyn JwtSigner>, Error> {
    Ok(Hs256::new(*algorithm, key.as_bytes())?)
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "`CryptoProvider` asks for it")]
fn verifier(
    algorithm: &Algorithm,
    key: &DecodingKey,
) -> Result<Box<dyn JwtVerifier>, Error> {
    Ok(Hs256::new(*algorithm, key.try_get_as_bytes()?)?)
}

impl Signer<Vec<u8>> for Hs256 {
    fn try_sign(&self, message: &[u8]) -> Result<Vec<u8>, signature::Error> {
        Ok(hmac::sign(&self.0, message).as_ref().to_vec())
    }
}

impl Verifier<Vec<u8>> for Hs256 {
    /// In constant time; a signature that is cut short does not hold.
    fn verify(&self, message: &[u8], tag: &Vec<u8>) -> Result<(), signature::Error> {
        hmac::verify(&self.0, message, tag).map_err(|_| signature::Error::new())
    }
}

impl JwtSigner for Hs256 {
    fn algorithm(&self) -> Algorithm {
        Algorithm::HS256
    }
}

impl JwtVerifier for Hs256 {
    fn algorithm(&self) -> Algorithm {
        Algorithm::HS256
    }
}
