//! Who is asking: accounts, passwords, tokens.

pub mod access;
pub mod email;
mod hmac;
pub mod login;
pub mod password;
pub mod register;
mod token;
pub mod users;

pub use access::{Access, Caller, Credentials};
pub use token::Signer;
