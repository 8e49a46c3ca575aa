//! Settings, read from the environment by the room that needs them.

use std::{collections::HashMap, str::FromStr};

use crate::{Error, Result};

/// A snapshot of the environment, so that tests can bring their own.
#[derive(Clone, Default)]
pub struct Env(HashMap<String, String>);

impl Env {
    /// The environment of this process. A variable that is not UTF-8 is left out.
    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads it")]
    pub fn process() -> Self {
        let pairs = std::env::vars_os();
        Self(
            pairs
                .filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?)))
                .collect(),
        )
    }

    /// The value, trimmed; `None` when the variable is unset or blank.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(|value| value.trim()).filter(|value| !value.is_empty())
    }

    /// The value of a setting without which the request cannot be served.
    pub fn need(&self, name: &'static str) -> Result<&str> {
        self.get(name).ok_or(Error::Misconfigured(name))
    }

    /// A number (or anything else with `FromStr`), or `default` when unset.
    /// A value that does not parse is [`Error::Misconfigured`], never silently the default.
    pub fn parse<T: FromStr>(&self, name: &'static str, default: T) -> Result<T> {
        match self.get(name) {
            None => Ok(default),
            Some(value) => value.parse().map_err(|_| Error::Misconfigured(name)),
        }
    }

    /// A switch: `1`, `true`, `yes`, `on` against `0`, `false`, `no`, `off`.
    pub fn flag(&self, name: &'static str, default: bool) -> Result<bool> {
        match self.get(name).map(str::to_ascii_lowercase).as_deref() {
            None => Ok(default),
            Some("1" | "true" | "yes" | "on") => Ok(true),
            Some("0" | "false" | "no" | "off") => Ok(false),
            Some(_) => Err(Error::Misconfigured(name)),
        }
    }

    /// Every setting, for a process that is started with the same ones.
    pub fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Which platform started this process.
    pub fn platform(&self) -> Platform {
        let vercel = ["VERCEL_IPC_PATH", "VERCEL", "VERCEL_DEV"];
        if vercel.iter().any(|name| self.get(name).is_some()) {
            Platform::Vercel
        } else if self.get("AWS_LAMBDA_RUNTIME_API").is_some() {
            Platform::Lambda
        } else {
            Platform::Local
        }
    }

    /// Sets one variable unless it is set already, for the tools that fill in defaults.
    #[must_use]
    pub fn or(self, name: &str, value: &str) -> Self {
        if self.get(name).is_some() { self } else { self.with(name, value) }
    }

    /// Sets one variable, for the tools and the tests.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.0.insert(name.to_owned(), value.to_owned());
        self
    }
}

/// Where a function runs. Vercel is asked first: its micro-VMs may carry Lambda's variables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Platform {
    /// Vercel Functions.
    Vercel,
    /// AWS Lambda.
    Lambda,
    /// A plain process: `make dev`, a container, a test.
    Local,
}

impl<const N: usize> From<[(&str, &str); N]> for Env {
    fn from(pairs: [(&str, &str); N]) -> Self {
        Self(pairs.into_iter().map(|(k, v)| (k.to_owned(), v.to_owned())).collect())
    }
}
