//! `lectern dev`: everything on this machine, without a key and without an account.

#![expect(clippy::print_stdout, reason = "it talks to the person who started it")]

mod book;
mod defaults;
mod greeting;
mod model;
mod page;
mod reading;
mod site;

use std::{
    io::ErrorKind,
    path::{Path, PathBuf},
    time::Duration,
};

use shared::{App, config::Env, http};
use tokio::{
    net::TcpListener,
    signal::unix::{Signal, SignalKind, signal},
};

use crate::{Outcome, cluster, migrate};

/// The port that is wanted when none is named, and how many after it are tried.
const PORT: u16 = 3000;
const PORTS: u16 = 20;

/// Who stops us and has nothing to wait for need not be told that we are waiting.
const SOON: Duration = Duration::from_millis(300);

/// `lectern dev`
#[derive(clap::Args)]
pub struct Args {
    /// The port; 0 takes any. Without it a taken 3000 gives way to the next free one.
    #[arg(long)]
    port: Option<u16>,
    /// Where the database, the shelf and the secrets of this machine are kept.
    #[arg(long, default_value = ".lectern", value_name = "DIR")]
    data: PathBuf,
    /// The book: a folder or a file.
    #[arg(long, default_value = MANUAL, value_name = "PATH")]
    book: PathBuf,
    /// Open the page in a browser.
    #[arg(long)]
    open: bool,
}

/// The sample book of a clone.
const MANUAL: &str = "docs";

/// Sets everything up, serves until Ctrl-C or SIGTERM.
pub async fn run(args: Args, env: Env) -> Outcome {
    if !args.book.exists() {
        let book = args.book.display();
        return Err(
            format!("{book}: no such book; name a folder or a file with --book").into()
        );
    }
    let listener = listen(args.port).await?;
    let address = format!("http://localhost:{}", listener.local_addr()?.port());
    let title = (args.book == Path::new(MANUAL)).then_some("The Lectern manual");
    let env = defaults::fill(env, &args.data, &address, title)?;
    shared::telemetry::init(&env, std::io::stderr);

    let (env, cluster) = database(env, &args)?;
    migrate::apply(&env).await?;
    let env = model::find(env).await;
    let book = reading::read(&args.book, &args.data, env).await?;

    let app: &'static App = Box::leak(Box::new(App::new(book.env.clone())));
    let site = site::site(&args.book, app.env(), http::mount(shared::routes(), app));
    greeting::print(&address, &args.data, &book, app, cluster.as_ref());
    if args.open {
        open(&address);
    }
    println!("ready on {address}");
    tokio::select! {
        served = http::local::serve(listener, site) => served,
        impatient = stopped_twice() => impatient,
    }
}

/// The reader's own database when one is named, else a private cluster, which ends with us.
fn database(env: Env, args: &Args) -> Outcome<(Env, Option<cluster::Cluster>)> {
    if env.get("NEON_DATABASE_URL").or(env.get("DATABASE_URL")).is_some() {
        return Ok((env, None));
    }
    cluster::offer_install(&env)?;
    let dir = args.data.join("postgres");
    if !dir.exists() {
        println!("making a database in {}", dir.display());
    }
    let cluster = cluster::Cluster::kept(&env, &dir)?;
    let env = env.with("DATABASE_URL", &cluster.url("postgres"));
    Ok((env, Some(cluster)))
}

async fn listen(port: Option<u16>) -> Outcome<TcpListener> {
    let Some(port) = port else {
        for port in PORT..PORT + PORTS {
            if is_free_on_ipv6(port).await
                && let Ok(listener) = TcpListener::bind(("127.0.0.1", port)).await
            {
                return Ok(listener);
            }
        }
        return Err("ports 3000 to 3019 are all taken: use --port".into());
    };
    let listener = TcpListener::bind(("127.0.0.1", port)).await;
    listener.map_err(|err| {
        format!("port {port} cannot be used: {err}; choose another with --port").into()
    })
}

/// Browsers take `localhost` for `::1` first, so somebody else's server there would answer in
/// our place. A machine without IPv6 has nobody there.
async fn is_free_on_ipv6(port: u16) -> bool {
    let taken = TcpListener::bind(("::1", port)).await;
    !taken.is_err_and(|err| err.kind() == ErrorKind::AddrInUse)
}

/// The first signal lets open answers come to their end; a second one does not.
async fn stopped_twice() -> Outcome {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    either(&mut terminate, &mut interrupt).await;
    tokio::time::sleep(SOON).await;
    println!("finishing open answers; Ctrl-C again ends at once");
    either(&mut terminate, &mut interrupt).await;
    Ok(())
}

async fn either(one: &mut Signal, other: &mut Signal) {
    tokio::select! {
        _ = one.recv() => {}
        _ = other.recv() => {}
    }
}

/// A machine without a display has nothing to open it with, which is no reason to stop.
fn open(address: &str) {
    let program = if cfg!(target_os = "macos") { "open" } else { "xdg-open" };
    let quiet = std::process::Stdio::null;
    let mut command = std::process::Command::new(program);
    command.arg(address).stdin(quiet()).stdout(quiet()).stderr(quiet());
    if command.spawn().is_err() {
        println!("no browser could be opened: visit {address}");
    }
}
