//! A private Postgres: a throw-away one for the tests, one that stays for `lectern dev`.

mod binaries;
mod guard;

use std::{
    fmt::Write as _,
    fs,
    io::{Read, Write as _},
    os::unix::{ffi::OsStrExt, net::UnixStream},
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use sha2::{Digest, Sha256};
use shared::config::Env;

pub use self::{
    binaries::{Binaries, HINT, all as binaries, install, offer_install, on_path},
    guard::{Guard, Server},
};
use crate::Outcome;

/// Longer paths of sockets are refused by the kernel (108 bytes with the closing zero).
const LONGEST_SOCKET: usize = 106;

/// A running server that nobody but this machine's user can reach: no TCP, a socket in a
/// private directory, no password. It ends when this is dropped and when this process dies.
pub struct Cluster {
    /// The directory of its socket.
    socket: PathBuf,
    /// Where its files are.
    dir: PathBuf,
    /// `None` for a server that was running already.
    guard: Option<Guard>,
}

impl Cluster {
    /// A new one that leaves nothing behind. Unsafe for data on purpose: nothing is synced.
    pub fn throwaway(env: &Env) -> Outcome<Self> {
        let found = binaries(env).into_iter().next().ok_or(HINT)?;
        let dir = private_temp_dir()?;
        let made = init(&found, &dir).and_then(|()| {
            let unsafely =
                ["-F", "-c", "synchronous_commit=off", "-c", "full_page_writes=off"];
            let sizes = ["-c", "shared_buffers=16MB", "-c", "max_connections=100"];
            let flags: Vec<_> = unsafely.into_iter().chain(sizes).collect();
            start(&found, &dir, &dir, &flags, true)
        });
        if made.is_err() {
            fs::remove_dir_all(&dir).ok();
        }
        made
    }

    /// The one whose files are kept in `dir`: made if it is missing, reused if it is running
    /// (somebody else's process may serve it), recovered if the machine crashed. As root, where
    /// the server's user cannot enter `dir`, the files go to a directory that it can enter.
    pub fn kept(env: &Env, dir: &Path) -> Outcome<Self> {
        fs::create_dir_all(dir)?;
        let asked = fs::canonicalize(dir)?;
        let dir = if guard::can_enter(&asked)? {
            asked
        } else {
            let own =
                Path::new("/var/lib").join(format!("lectern-{}", short_hash(&asked)));
            guard::private_dir(&own)?
        };
        let socket = if socket_in(&dir).as_os_str().len() <= LONGEST_SOCKET {
            dir.clone()
        } else {
            short_temp_dir(&short_hash(&dir))
        };
        if answers(&socket) {
            return Ok(Self { socket, dir, guard: None });
        }
        let found = matching(env, &dir)?;
        if !dir.join("data").exists() {
            init(&found, &dir)?;
        }
        if socket != dir {
            guard::private_dir(&socket)?;
        }
        let begin =
            || start(&found, &dir, &socket, &["-c", "shared_buffers=32MB"], false);
        match begin() {
            // Two who started at the same moment: the other one's server is as good.
            Err(_) if soon_answers(&socket, &dir) => {
                Ok(Self { socket, dir, guard: None })
            }
            // The server of somebody who was killed had not ended yet, and now it has.
            Err(_) => begin(),
            made => made,
        }
    }

    /// Where its files are; not always where they were asked to be.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The directory of its socket.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Whether this process started it, and will end it.
    pub fn is_ours(&self) -> bool {
        self.guard.is_some()
    }

    /// A connection string for one of its databases; `postgres` is always there.
    pub fn url(&self, database: &str) -> String {
        url(&self.socket, 5432, database)
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if self.guard.take().is_some() && self.socket != self.dir {
            fs::remove_dir(&self.socket).ok();
        }
    }
}

/// A new directory that only its owner can enter, with a path short enough for a socket.
pub fn private_temp_dir() -> Outcome<PathBuf> {
    guard::private_dir(&short_temp_dir(&uuid::Uuid::now_v7().simple().to_string()))
}

/// A connection string for a server on a socket.
pub fn url(socket: &Path, port: u16, database: &str) -> String {
    let mut host = String::new();
    for byte in socket.as_os_str().as_bytes() {
        if byte.is_ascii_alphanumeric() || b"._-".contains(byte) {
            host.push(char::from(*byte));
        } else {
            write!(host, "%{byte:02X}").ok();
        }
    }
    format!("postgresql://app@{host}:{port}/{database}")
}

/// The binaries that can read the files in `dir`, or the preferred ones if there are none.
fn matching(env: &Env, dir: &Path) -> Outcome<Binaries> {
    let mut found = binaries(env);
    if found.is_empty() {
        return Err(HINT.into());
    }
    let Ok(version) = fs::read_to_string(dir.join("data/PG_VERSION")) else {
        return Ok(found.swap_remove(0));
    };
    let version = version.trim();
    match found.iter().position(|it| it.major.to_string() == version) {
        Some(at) => Ok(found.swap_remove(at)),
        None => Err(format!(
            "{} was made by Postgres {version}, and this machine has {}; install that version, \
             or remove the directory to begin anew",
            dir.join("data").display(),
            found.iter().map(|it| it.major.to_string()).collect::<Vec<_>>().join(", ")
        )
        .into()),
    }
}

/// Makes `data` in one step: a directory that was left half made is never taken for a cluster.
fn init(found: &Binaries, dir: &Path) -> Outcome {
    let half = dir.join("data.new");
    if half.exists() {
        fs::remove_dir_all(&half)?;
    }
    let mut command = Command::new(found.dir.join("initdb"));
    command.arg("-D").arg(&half).args(["-U", "app", "--auth=trust", "--no-sync"]);
    command.args(["--no-instructions", "--locale=C", "-E", "UTF8"]);
    let made = guard::as_servant(&mut command, dir)?.output()?;
    if !made.status.success() {
        let words = String::from_utf8_lossy(&made.stderr);
        return Err(format!("initdb failed: {}", words.trim()).into());
    }
    fs::rename(half, dir.join("data"))?;
    Ok(())
}

fn start(
    found: &Binaries,
    dir: &Path,
    socket: &Path,
    flags: &[&str],
    remove: bool,
) -> Outcome<Cluster> {
    let text = |path: &Path| path.to_string_lossy().into_owned();
    let mut args = vec!["-D".into(), text(&dir.join("data")), "-k".into(), text(socket)];
    // No TCP at all; the socket's file answers to nobody else either.
    args.extend(["-h", "", "-p", "5432", "-c", "timezone=UTC"].map(str::to_owned));
    args.extend(["-c", "unix_socket_permissions=0700"].map(str::to_owned));
    args.extend(flags.iter().map(|it| (*it).to_owned()));
    if socket != dir
        && let Some((uid, gid)) = guard::servant()?
    {
        std::os::unix::fs::chown(socket, Some(uid), Some(gid))?;
    }
    let program = found.dir.join("postgres");
    let mut guard =
        Guard::start(&Server { program: &program, args, dir, signal: "INT", remove })?;
    guard.wait_until(|| answers(socket)).map_err(|err| {
        let log = fs::read_to_string(dir.join("log")).unwrap_or_default();
        let last: Vec<_> = log.lines().rev().take(20).collect();
        let last: Vec<_> = last.into_iter().rev().collect();
        format!("Postgres did not start: {err}\n{}", last.join("\n"))
    })?;
    Ok(Cluster { socket: socket.to_owned(), dir: dir.to_owned(), guard: Some(guard) })
}

fn socket_in(dir: &Path) -> PathBuf {
    dir.join(".s.PGSQL.5432")
}

/// Whether a server takes connections here. The first byte of its answer to a start-up
/// message says so: `R` is a request to log in, `E` means that it is still starting.
fn answers(socket: &Path) -> bool {
    let ask = || {
        let mut stream = UnixStream::connect(socket_in(socket))?;
        stream.set_read_timeout(Some(Duration::from_secs(1)))?;
        let words = b"user\0app\0database\0postgres\0\0";
        stream.write_all(&(words.len() as u32 + 8).to_be_bytes())?;
        stream.write_all(&196_608_u32.to_be_bytes())?; // protocol 3.0
        stream.write_all(words)?;
        let mut first = [0];
        stream.read_exact(&mut first)?;
        std::io::Result::Ok(first == *b"R")
    };
    ask().unwrap_or(false)
}

/// The same, with some patience while another process's server holds the files.
fn soon_answers(socket: &Path, dir: &Path) -> bool {
    (0..500).any(|_| {
        std::thread::sleep(Duration::from_millis(10));
        answers(socket) || !dir.join("data/postmaster.pid").exists()
    }) && answers(socket)
}

/// A directory with a short path, for the socket's sake.
fn short_temp_dir(name: &str) -> PathBuf {
    let dir = std::env::temp_dir().join(format!("lectern-{name}"));
    if socket_in(&dir).as_os_str().len() <= LONGEST_SOCKET {
        dir
    } else {
        Path::new("/tmp").join(format!("lectern-{name}"))
    }
}

fn short_hash(path: &Path) -> String {
    let hash = Sha256::digest(path.as_os_str().as_bytes());
    hash[..6].iter().fold(String::new(), |mut hex, byte| {
        write!(hex, "{byte:02x}").ok();
        hex
    })
}
