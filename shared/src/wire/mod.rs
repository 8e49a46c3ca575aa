//! How one answer is spelt for a client.

pub mod simple;
