//! The built functions, and a process that runs one of them.

use std::{
    fs,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    process::{Command, ExitStatus, Stdio},
    sync::{Arc, LazyLock, Mutex},
    time::Duration,
};

use rustix::process::{Pid, PidfdFlags, PidfdGetfdFlags, Signal};
use tokio::{
    io::{AsyncRead, AsyncReadExt},
    process::Child,
    sync::watch,
    task::JoinSet,
};

/// No step of a test takes this long, on however busy a machine; it ends a test that hangs.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// The root of the repository.
pub(crate) fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ lies in the repository")
}

/// The executable called `name`, in the profile that the tests were built with.
pub(crate) fn binary(name: &str) -> PathBuf {
    static FOLDER: LazyLock<PathBuf> = LazyLock::new(build);
    let path = FOLDER.join(name);
    assert!(path.is_file(), "the workspace has no bin called {name}");
    path
}

/// Builds every bin of the default members, as Vercel's builder would, and returns their
/// folder. The tests cannot depend on the bins of another package, so Cargo is asked here.
fn build() -> PathBuf {
    let tests = std::env::current_exe().expect("a running program has a path");
    // <target>/<profile>/deps/tests-<hash>
    let folder =
        tests.ancestors().nth(2).expect("Cargo puts tests into deps/").to_owned();
    let target = folder.parent().expect("a profile's folder lies in the target folder");
    let profile =
        folder.file_name().and_then(|it| it.to_str()).expect("a profile's name");
    let profile = if profile == "debug" { "dev" } else { profile };
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args([
        "build",
        "--workspace",
        "--bins",
        "--locked",
        "--quiet",
        "--profile",
        profile,
    ]);
    cargo.current_dir(repository()).env("CARGO_TARGET_DIR", target);
    // What Cargo has told us about ourselves would make ring's build script, and everything
    // above it, run again.
    for name in ["MANIFEST_DIR", "MANIFEST_LINKS", "MANIFEST_PATH", "PKG_NAME"] {
        cargo.env_remove(format!("CARGO_{name}"));
    }
    for part in ["", "_MAJOR", "_MINOR", "_PATCH", "_PRE"] {
        cargo.env_remove(format!("CARGO_PKG_VERSION{part}"));
    }
    let built = cargo.status().expect("Cargo ran these tests, so it is there");
    assert!(built.success(), "the functions do not build");
    folder
}

/// A child with nothing of our own environment, killed when this is dropped.
pub(crate) struct Process {
    child: Child,
    pid: Pid,
    printed: watch::Receiver<String>,
    readers: JoinSet<()>,
}

impl Process {
    /// Starts `program` with exactly these variables.
    pub(crate) fn spawn(program: &Path, args: &[&str], env: &[(String, String)]) -> Self {
        let mut child = tokio::process::Command::new(program)
            .args(args)
            .env_clear()
            .envs(env.iter().cloned())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("the program starts");
        let pid = child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
        let (printed_tx, printed) = watch::channel(String::new());
        let printed_tx = Arc::new(printed_tx);
        let mut readers = JoinSet::new();
        readers.spawn(read(child.stdout.take(), printed_tx.clone()));
        readers.spawn(read(child.stderr.take(), printed_tx));
        Self { child, pid: pid.expect("a fresh child runs"), printed, readers }
    }

    /// The process id.
    pub(crate) fn pid(&self) -> Pid {
        self.pid
    }

    /// Everything printed so far, both streams in the order in which they were read.
    pub(crate) fn output(&self) -> String {
        self.printed.borrow().clone()
    }

    /// Waits until `words` were printed, and returns everything printed by then.
    pub(crate) async fn printed(&self, words: &str) -> String {
        let mut printed = self.printed.clone();
        let seen = printed.wait_for(|text| text.contains(words));
        let seen = matches!(tokio::time::timeout(PATIENCE, seen).await, Ok(Ok(_)));
        assert!(seen, "never printed {words:?}, but:\n{}", self.output());
        self.output()
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        // A process that has just ended cannot be signalled, and need not be.
        rustix::process::kill_process(self.pid, signal).ok();
    }

    /// Waits for the end, and until everything that was printed has been read.
    pub(crate) async fn wait(&mut self) -> ExitStatus {
        let ended = tokio::time::timeout(PATIENCE, self.child.wait()).await;
        let Ok(status) = ended else { panic!("it does not end:\n{}", self.output()) };
        while self.readers.join_next().await.is_some() {}
        status.expect("our own child can be waited for")
    }

    /// Our own handles on its TCP connections that `mine` accepts, given the local and the
    /// remote port. The option of a socket cannot be seen from outside, but Linux lets a
    /// parent share the socket itself.
    pub(crate) fn sockets(&self, mine: impl Fn(u16, u16) -> bool) -> Vec<OwnedFd> {
        use rustix::net::{SocketAddrV4, getpeername, getsockname};
        let process = rustix::process::pidfd_open(self.pid, PidfdFlags::empty())
            .expect("the process runs");
        let folder = format!("/proc/{}/fd", self.pid.as_raw_nonzero());
        let port = |address: rustix::net::SocketAddrAny| {
            SocketAddrV4::try_from(address).ok().map(|it| it.port())
        };
        let mut found = Vec::new();
        for entry in fs::read_dir(folder).expect("the process runs").flatten() {
            let Some(number) = entry.file_name().to_str().and_then(|it| it.parse().ok())
            else {
                continue;
            };
            let flags = PidfdGetfdFlags::empty();
            let Ok(socket) = rustix::process::pidfd_getfd(&process, number, flags) else {
                continue;
            };
            let local = getsockname(&socket).ok().and_then(port);
            let remote = getpeername(&socket).ok().flatten().and_then(port);
            if let (Some(local), Some(remote)) = (local, remote)
                && mine(local, remote)
            {
                found.push(socket);
            }
        }
        found
    }
}

/// Stops the process where it is, and returns when it stands still.
pub(crate) fn freeze(pid: Pid) {
    rustix::process::kill_process(pid, Signal::STOP).ok();
    let path = format!("/proc/{}/stat", pid.as_raw_nonzero());
    // The state follows the name, which ends with a bracket. A process that is gone stands
    // still as well.
    while let Ok(text) = fs::read_to_string(&path) {
        let state = text.rsplit(") ").next().and_then(|it| it.chars().next());
        if matches!(state, Some('T' | 'Z' | 'X')) {
            return;
        }
        std::thread::yield_now();
    }
}

/// Lets a frozen process go on.
pub(crate) fn thaw(pid: Pid) {
    rustix::process::kill_process(pid, Signal::CONT).ok();
}

async fn read(pipe: Option<impl AsyncRead + Unpin>, into: Arc<watch::Sender<String>>) {
    let mut pipe = pipe.expect("both streams are pipes");
    let mut bytes = [0; 4096];
    while let Ok(count @ 1..) = pipe.read(&mut bytes).await {
        into.send_modify(|text| *text += &String::from_utf8_lossy(&bytes[..count]));
    }
}

/// A port that nobody listens on now.
pub(crate) fn free_port() -> u16 {
    static TAKEN: Mutex<Vec<u16>> = Mutex::new(Vec::new());
    let mut taken = TAKEN.lock().expect("nobody panics while holding it");
    loop {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("loopback");
        let port = listener.local_addr().expect("bound").port();
        if !taken.contains(&port) {
            taken.push(port);
            return port;
        }
    }
}
