//! Which database, as people paste it; never printed.

use std::net::IpAddr;

use tokio_postgres::{
    Config,
    config::{Host, SslMode, SslNegotiation},
};

use crate::{
    Error, Result,
    config::{Env, Platform},
};

/// Where to connect, and how.
#[derive(Debug)]
pub(super) struct Target {
    /// Host, user, database and the rest.
    pub(super) config: Config,
    /// TLS from the first byte, without asking first.
    pub(super) direct_tls: bool,
    /// What the URL says about the size of the pool.
    pub(super) connection_limit: Option<usize>,
}

/// The database that the functions use.
pub(super) fn pooled(env: &Env) -> Result<Target> {
    let name = if env.get(NEON).is_some() { NEON } else { "DATABASE_URL" };
    target(env, name, env.need(name)?)
}

/// The same database past its pooler. `DATABASE_URL_UNPOOLED` belongs to `DATABASE_URL`:
/// beside `NEON_DATABASE_URL` it may name another database, and is not looked at.
pub(super) fn unpooled(env: &Env) -> Result<Target> {
    let unpooled = "DATABASE_URL_UNPOOLED";
    if env.get(NEON).is_none()
        && let Some(url) = env.get(unpooled)
    {
        return target(env, unpooled, url);
    }
    let mut target = pooled(env)?;
    target.config = past_neons_pooler(&target.config);
    Ok(target)
}

const NEON: &str = "NEON_DATABASE_URL";

fn target(env: &Env, name: &'static str, pasted: &str) -> Result<Target> {
    let (url, connection_limit) = translate(pasted).map_err(|words| {
        tracing::error!(setting = name, "{words}");
        Error::Misconfigured(name)
    })?;
    let mut config: Config = url.parse().map_err(|err: tokio_postgres::Error| {
        // This source names an option of a fixed list, never a value.
        let cause = std::error::Error::source(&err).map(ToString::to_string);
        let cause = cause.filter(|it| it.starts_with("invalid value for option"));
        let words =
            cause.as_deref().unwrap_or("it cannot be read as a connection string");
        tracing::error!(setting = name, "{words}");
        Error::Misconfigured(name)
    })?;
    if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
        tracing::error!(setting = name, "it names no host");
        return Err(Error::Misconfigured(name));
    }
    let asked_for = config.get_ssl_negotiation() == SslNegotiation::Direct;
    // What the connector does is said by `direct_tls` alone.
    config.ssl_negotiation(SslNegotiation::Postgres);
    config.ssl_mode(ssl_mode(&config, env.platform()));
    let negotiation = "DATABASE_SSL_NEGOTIATION";
    let direct_tls = match env.get(negotiation).unwrap_or("auto") {
        "auto" => {
            let hosts = config.get_hosts();
            asked_for || (!hosts.is_empty() && hosts.iter().all(is_neon))
        }
        "direct" => true,
        "postgres" => false,
        _ => return Err(Error::Misconfigured(negotiation)),
    };
    let direct_tls = direct_tls && config.get_ssl_mode() == SslMode::Require;
    Ok(Target { config, direct_tls, connection_limit })
}

/// `prefer`, the default, falls back to plain text in silence. So whatever leaves this
/// machine is encrypted and verified, unless the URL says `disable` in so many words, which
/// a platform's functions do not get; and what stays on it is not, unless the URL demands
/// it: a local server's own certificate (Debian makes one) would not be trusted.
fn ssl_mode(config: &Config, platform: Platform) -> SslMode {
    let local = config.get_hosts().iter().all(is_local)
        && config.get_hostaddrs().iter().all(IpAddr::is_loopback);
    match config.get_ssl_mode() {
        SslMode::Require => SslMode::Require,
        _ if local => SslMode::Disable,
        SslMode::Disable if platform == Platform::Local => SslMode::Disable,
        _ => SslMode::Require,
    }
}

fn is_local(host: &Host) -> bool {
    match host {
        Host::Unix(_) => true,
        Host::Tcp(name) => {
            name.eq_ignore_ascii_case("localhost")
                || name.parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
        }
    }
}

fn is_neon(host: &Host) -> bool {
    matches!(host, Host::Tcp(name) if name.to_ascii_lowercase().ends_with(".neon.tech"))
}

/// The same config with `ep-x-pooler.….neon.tech` made `ep-x.….neon.tech`. A config cannot
/// forget a host, so everything else is carried to a new one.
fn past_neons_pooler(from: &Config) -> Config {
    let pooler = |host: &Host| match host {
        Host::Tcp(name) if is_neon(host) => {
            let (first, rest) = name.split_once('.')?;
            Some(format!("{}.{rest}", first.strip_suffix("-pooler")?))
        }
        _ => None,
    };
    let [host] = from.get_hosts() else { return from.clone() };
    let Some(direct) = pooler(host) else { return from.clone() };
    let mut to = Config::new();
    to.host(direct).ssl_mode(from.get_ssl_mode());
    to.channel_binding(from.get_channel_binding());
    from.get_ports().iter().for_each(|it| _ = to.port(*it));
    from.get_user().map(|it| to.user(it));
    from.get_password().map(|it| to.password(it));
    from.get_dbname().map(|it| to.dbname(it));
    from.get_options().map(|it| to.options(it));
    from.get_connect_timeout().map(|it| to.connect_timeout(*it));
    to
}

/// The options that tokio-postgres reads itself.
const KNOWN: [&str; 18] = [
    "user",
    "password",
    "dbname",
    "options",
    "application_name",
    "sslmode",
    "sslnegotiation",
    "host",
    "hostaddr",
    "port",
    "connect_timeout",
    "tcp_user_timeout",
    "keepalives",
    "keepalives_idle",
    "keepalives_interval",
    "keepalives_retries",
    "target_session_attrs",
    "channel_binding",
];

/// Rewrites what people paste (a whole `psql '…'` command, a URL made for another driver)
/// where the meaning is kept. The error is a sentence that names a parameter and repeats no
/// value.
fn translate(pasted: &str) -> Result<(String, Option<usize>), String> {
    let bare = pasted.strip_prefix("psql ").unwrap_or(pasted).trim();
    let bare = bare.trim_matches(|it| it == '\'' || it == '"');
    let Some((scheme, rest)) = bare.split_once("://") else {
        return Ok((bare.to_owned(), None));
    };
    // SQLAlchemy says which driver: `postgresql+asyncpg://`.
    if !matches!(scheme.split('+').next(), Some("postgres" | "postgresql")) {
        return Err("its scheme is not postgresql".to_owned());
    }
    // A password may hold a question mark; the parameters come after the host.
    let host_at = rest.find('@').map_or(0, |at| at + 1);
    let Some(question) = rest[host_at..].find('?').map(|at| at + host_at) else {
        return Ok((format!("postgresql://{rest}"), None));
    };
    let (front, params) = (&rest[..question], &rest[question + 1..]);
    let (mut kept, mut limit) = (Vec::new(), None);
    for pair in params.split('&').filter(|it| !it.is_empty()) {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        match (key, value) {
            // rustls always checks the chain and the name.
            ("sslmode", "verify-full" | "verify-ca") | ("ssl", "true" | "require") => {
                kept.push("sslmode=require".to_owned());
            }
            ("sslmode", "allow") => kept.push("sslmode=prefer".to_owned()),
            ("ssl", "false") => kept.push("sslmode=disable".to_owned()),
            ("connection_limit", n) if n.parse::<usize>().is_ok() => {
                limit = n.parse().ok();
            }
            // Hints for drivers that name their statements (we never do), for GSS (never
            // spoken), and words that say what is the case anyway.
            ("pgbouncer" | "uselibpqcompat", "true" | "false")
            | ("schema", "public")
            | ("sslrootcert", "system")
            | ("gssencmode", "disable" | "prefer")
            | ("statement_cache_size" | "prepared_statement_cache_size", "0")
            | ("pool_timeout", _) => {}
            (key, _) if key == "load_balance_hosts" || KNOWN.contains(&key) => {
                kept.push(pair.to_owned());
            }
            (key, _) => {
                let readable = key.len() <= 40
                    && key.bytes().all(|it| it.is_ascii_alphanumeric() || it == b'_');
                let name = if readable && !params.contains('@') { key } else { "…" };
                return Err(format!("it has a parameter that is not understood: {name}"));
            }
        }
    }
    let params =
        if kept.is_empty() { String::new() } else { format!("?{}", kept.join("&")) };
    Ok((format!("postgresql://{front}{params}"), limit))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(url: &str) -> Target {
        pooled(&Env::from([("DATABASE_URL", url)])).expect("this URL is fine")
    }

    #[test]
    fn neons_own_url_goes_direct_and_encrypted() {
        let target = read(
            "psql 'postgresql://o:p@ep-a-1-pooler.eu-central-1.aws.neon.tech/neondb?sslmode=require&channel_binding=require'",
        );
        assert!(target.direct_tls);
        assert_eq!(target.config.get_ssl_mode(), SslMode::Require);
    }

    #[test]
    fn a_foreign_host_is_always_encrypted_and_a_local_one_is_not() {
        let mode = |url| read(url).config.get_ssl_mode();
        assert_eq!(mode("postgres://u@db.example.org/x"), SslMode::Require);
        assert_eq!(
            mode("postgres://u@db.example.org/x?sslmode=prefer"),
            SslMode::Require
        );
        assert_eq!(mode("postgres://u@localhost/x"), SslMode::Disable);
        assert_eq!(mode("postgres://u@[::1]:5433/x"), SslMode::Disable);
        assert_eq!(mode("postgres://u@%2Frun%2Fpg/x"), SslMode::Disable);
        assert_eq!(mode("postgres://u@127.0.0.1/x?sslmode=require"), SslMode::Require);
        assert_eq!(mode("postgres://u@db/x?sslmode=disable"), SslMode::Disable);
        let vercel = Env::from([
            ("VERCEL", "1"),
            ("DATABASE_URL", "postgres://u@db.example.org/x?sslmode=disable"),
        ]);
        let target = pooled(&vercel).expect("this URL is fine");
        assert_eq!(target.config.get_ssl_mode(), SslMode::Require);
    }

    #[test]
    fn negotiation_can_be_overridden() {
        let url = "postgres://u:p@ep-a-1.eu-central-1.aws.neon.tech/x";
        let direct = |negotiation| {
            let env = Env::from([
                ("NEON_DATABASE_URL", url),
                ("DATABASE_SSL_NEGOTIATION", negotiation),
            ]);
            pooled(&env).map(|it| it.direct_tls)
        };
        assert!(direct("auto").expect("known word"));
        assert!(!direct("postgres").expect("known word"));
        assert!(matches!(
            direct("sometimes"),
            Err(Error::Misconfigured("DATABASE_SSL_NEGOTIATION"))
        ));
        assert!(read("postgres://u@db.example.org/x?sslnegotiation=direct").direct_tls);
        assert!(!read("postgres://u@db.example.org/x").direct_tls);
    }

    #[test]
    fn what_other_drivers_add_is_understood_where_its_meaning_is_kept() {
        let target = read(
            "postgresql+asyncpg://u:p%3F@db.example.org/x?sslmode=verify-full&pgbouncer=true&schema=public&connection_limit=2",
        );
        assert_eq!(target.config.get_ssl_mode(), SslMode::Require);
        assert_eq!(target.config.get_password(), Some(&b"p?"[..]));
        assert_eq!(target.connection_limit, Some(2));
    }

    #[test]
    fn a_parameter_that_is_not_understood_is_named_and_nothing_else_is() {
        let words = |url| translate(url).expect_err("this is refused");
        assert_eq!(
            words("postgres://u:secret@host/db?sslrootcert=/etc/ca.pem"),
            "it has a parameter that is not understood: sslrootcert"
        );
        // Half a password that was pasted without escaping is not a name.
        assert_eq!(
            words("postgres://u@x:sec?ret=1@host/db"),
            "it has a parameter that is not understood: …"
        );
    }

    #[test]
    fn migrations_leave_neons_pooler_aside() {
        let host = |pairs: [(&str, &str); 2]| {
            let target = unpooled(&Env::from(pairs)).expect("this URL is fine");
            match &target.config.get_hosts()[0] {
                Host::Tcp(name) => name.clone(),
                Host::Unix(path) => path.display().to_string(),
            }
        };
        let pooler = "postgres://u:p@ep-a-1-pooler.eu.aws.neon.tech/x";
        let other = ("DATABASE_URL_UNPOOLED", "postgres://u:p@other.example.org/x");
        assert_eq!(
            host([("DATABASE_URL", pooler), ("PORT", "1")]),
            "ep-a-1.eu.aws.neon.tech"
        );
        assert_eq!(host([("DATABASE_URL", pooler), other]), "other.example.org");
        assert_eq!(
            host([("NEON_DATABASE_URL", pooler), other]),
            "ep-a-1.eu.aws.neon.tech"
        );
    }

    #[test]
    fn a_missing_or_unreadable_url_names_its_setting() {
        let outcome = |pairs: [(&str, &str); 1]| pooled(&Env::from(pairs)).err();
        assert!(matches!(
            outcome([("PORT", "1")]),
            Some(Error::Misconfigured("DATABASE_URL"))
        ));
        assert!(matches!(
            outcome([("DATABASE_URL", "mysql://u@h/d")]),
            Some(Error::Misconfigured("DATABASE_URL"))
        ));
        assert!(matches!(
            outcome([("NEON_DATABASE_URL", "postgres://u@h:port/d")]),
            Some(Error::Misconfigured("NEON_DATABASE_URL"))
        ));
    }
}
