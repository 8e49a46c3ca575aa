//! A server process that ends when we do, however we end.

use std::{
    fs,
    io::ErrorKind,
    os::unix::{
        fs::{MetadataExt, PermissionsExt, chown},
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use crate::Outcome;

/// Runs the server until it ends or our end of the pipe closes, which the kernel does for us
/// whatever kills us; then sends the signal `$1` and, if `$2` says so, removes the directory.
/// A directory whose server ended by itself stays, for its log.
const GUARD: &str = r#"
signal=$1 remove=$2; shift 2
exec 3<&0
"$@" </dev/null 3<&- & server=$!
{ read -r _ <&3; true >asked-to-stop; kill "-$signal" $server; } 2>/dev/null & reader=$!
wait $server
kill $reader 2>/dev/null
if [ -n "$remove" ] && [ -e asked-to-stop ]; then rm -rf "$remove"; fi
rm -f asked-to-stop
"#;

/// A running server and the shell that guards it.
pub struct Guard(Child);

/// How a server is started and stopped.
pub struct Server<'a> {
    /// The program.
    pub program: &'a Path,
    /// Its arguments.
    pub args: Vec<String>,
    /// Where it runs and writes its `log`; it must be able to enter it.
    pub dir: &'a Path,
    /// The signal that ends it, without `SIG`.
    pub signal: &'static str,
    /// Whether `dir` goes when the server was stopped.
    pub remove: bool,
}

impl Guard {
    /// Starts the server.
    pub fn start(server: &Server<'_>) -> Outcome<Self> {
        let log = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(server.dir.join("log"))?;
        let remove = if server.remove { server.dir.as_os_str() } else { "".as_ref() };
        let mut command = Command::new("/bin/sh");
        command
            .args(["-c", GUARD, "sh", server.signal])
            .arg(remove)
            .arg(server.program)
            .args(&server.args)
            .stdin(Stdio::piped())
            .stdout(log.try_clone()?)
            .stderr(log)
            // A Ctrl-C at our terminal is ours to handle; the server goes after us.
            .process_group(0);
        Ok(Self(as_servant(&mut command, server.dir)?.spawn()?))
    }

    /// Asks `ready` every 10 ms. An error if the server has ended, or takes longer than a minute.
    pub fn wait_until(&mut self, ready: impl Fn() -> bool) -> Outcome {
        let begun = Instant::now();
        while !ready() {
            if self.0.try_wait()?.is_some() {
                return Err("the server has ended".into());
            }
            if begun.elapsed() > Duration::from_mins(1) {
                return Err("the server does not answer".into());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }
}

impl Drop for Guard {
    /// Stops the server and waits for it.
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        self.0.wait().ok();
    }
}

/// Servers refuse to run as root. Then this makes the command run as `postgres` or `nobody`,
/// in `dir`, which becomes that user's.
pub(super) fn as_servant<'a>(
    command: &'a mut Command,
    dir: &Path,
) -> Outcome<&'a mut Command> {
    command.current_dir(dir);
    if let Some((uid, gid)) = servant()? {
        chown(dir, Some(uid), Some(gid))?;
        command.uid(uid).gid(gid);
    }
    Ok(command)
}

/// Whether we are root: the owner of what we make.
pub(super) fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|it| it.uid() == 0) || made_by_us() == Some(0)
}

fn made_by_us() -> Option<u32> {
    let file = std::env::temp_dir().join(format!("lectern-{}", uuid::Uuid::now_v7()));
    fs::write(&file, "").ok()?;
    let uid = fs::metadata(&file).ok().map(|it| it.uid());
    fs::remove_file(&file).ok();
    uid
}

/// Uid and gid to run a server with, if we may not run it ourselves.
pub(super) fn servant() -> Outcome<Option<(u32, u32)>> {
    if !is_root() {
        return Ok(None);
    }
    let users = fs::read_to_string("/etc/passwd")?;
    let ids = |name: &str| {
        let line = users.lines().find(|it| it.split(':').next() == Some(name))?;
        let mut fields = line.split(':').skip(2);
        Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
    };
    match ids("postgres").or_else(|| ids("nobody")) {
        Some(ids) => Ok(Some(ids)),
        None => {
            Err("Postgres does not run as root, and there is no user postgres or nobody"
                .into())
        }
    }
}

/// Whether the user that runs the server can enter this directory, which we own.
pub(super) fn can_enter(dir: &Path) -> Outcome<bool> {
    let Some((uid, gid)) = servant()? else { return Ok(true) };
    Ok(dir.ancestors().skip(1).all(|it| match fs::metadata(it) {
        Ok(it) if it.uid() == uid => it.mode() & 0o100 != 0,
        Ok(it) if it.gid() == gid => it.mode() & 0o010 != 0,
        Ok(it) => it.mode() & 0o001 != 0,
        Err(_) => true,
    }))
}

/// A directory that only its owner can enter; one that is there must be the servant's or ours.
pub(super) fn private_dir(dir: &Path) -> Outcome<PathBuf> {
    match fs::create_dir(dir) {
        Err(err) if err.kind() == ErrorKind::AlreadyExists => {
            let owner = fs::symlink_metadata(dir)?;
            let allowed = [servant()?.map(|(uid, _)| uid), made_by_us()];
            if !owner.is_dir() || !allowed.contains(&Some(owner.uid())) {
                return Err(format!("{} belongs to somebody else", dir.display()).into());
            }
        }
        other => other?,
    }
    fs::set_permissions(dir, fs::Permissions::from_mode(0o700))?;
    Ok(dir.to_owned())
}
