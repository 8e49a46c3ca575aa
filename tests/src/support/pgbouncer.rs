//! A transaction-mode PgBouncer in front of the tests' cluster.
#![expect(clippy::unwrap_used, reason = "these are tests")]

use std::{
    fs,
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    sync::OnceLock,
};

use shared::config::Env;
use tools::cluster::{self, Guard, Server};

use super::database;

const PORT: u16 = 6432;

struct Bouncer {
    socket: PathBuf,
    _guard: Guard,
}

/// The same database, through PgBouncer.
pub(crate) fn pooled(url: &str) -> String {
    static BOUNCER: OnceLock<Bouncer> = OnceLock::new();
    database::through(url, &BOUNCER.get_or_init(start).socket, PORT)
}

fn start() -> Bouncer {
    let env = Env::process();
    let program = cluster::on_path(&env, "pgbouncer").unwrap_or_else(|| {
        if let Err(err) = cluster::install(&env, "pgbouncer") {
            panic!("the tests need PgBouncer (apt-get install pgbouncer): {err}");
        }
        cluster::on_path(&env, "pgbouncer").expect("its package holds it")
    });
    let dir = cluster::private_temp_dir().unwrap_or_else(|err| panic!("{err}"));
    fs::write(dir.join("ini"), settings(&dir)).unwrap();
    let server = Server {
        program: &program,
        args: vec![dir.join("ini").to_string_lossy().into_owned()],
        dir: &dir,
        signal: "TERM",
        remove: true,
    };
    let mut guard = Guard::start(&server).unwrap_or_else(|err| panic!("{err}"));
    let socket = dir.join(format!(".s.PGSQL.{PORT}"));
    guard.wait_until(|| UnixStream::connect(&socket).is_ok()).unwrap_or_else(|err| {
        panic!("{err}: {}", fs::read_to_string(dir.join("log")).unwrap_or_default())
    });
    Bouncer { socket: dir, _guard: guard }
}

/// No TCP, no password; few server connections, so that clients must share them.
fn settings(dir: &Path) -> String {
    let (dir, cluster) = (dir.display(), database::cluster().socket().display());
    format!(
        "[databases]
* = host={cluster} port=5432 user=app
[pgbouncer]
listen_addr =
listen_port = {PORT}
unix_socket_dir = {dir}
auth_type = any
pool_mode = transaction
default_pool_size = 2
pidfile = {dir}/pid
"
    )
}
