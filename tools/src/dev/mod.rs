//! `lectern dev`: everything on this machine, without a key and without an account.

#![expect(clippy::print_stdout, reason = "it talks to the person who started it")]

mod book;
mod defaults;
mod model;

use std::path::PathBuf;

use axum::{Router, routing::get};
use indicatif::ProgressBar;
use shared::{App, config::Env, http};
use tokio::net::TcpListener;
use tower_http::services::ServeDir;

use crate::{Outcome, cluster, ingest, migrate};

/// How many ports after the wanted one are tried.
const PORTS: u16 = 20;

/// `lectern dev`
#[derive(clap::Args)]
pub struct Args {
    /// The port; 0 takes any. A taken 3000 gives way to the next free one.
    #[arg(long)]
    port: Option<u16>,
    /// Where the database, the shelf and the secrets of this machine are kept.
    #[arg(long, default_value = ".lectern", value_name = "DIR")]
    data: PathBuf,
    /// The book: a folder or a file.
    #[arg(long, default_value = "docs", value_name = "PATH")]
    book: PathBuf,
    /// Open the page in a browser.
    #[arg(long)]
    open: bool,
}

/// Sets everything up, serves until Ctrl-C or SIGTERM.
pub async fn run(args: Args, env: Env) -> Outcome {
    let listener = listen(args.port).await?;
    let address = format!("http://localhost:{}", listener.local_addr()?.port());
    let env = defaults::fill(env, &args.data, &address)?;
    shared::telemetry::init(&env);

    let (env, _cluster) = database(env, &args)?;
    migrate::apply(&env).await?;
    let env = model::find(env).await;
    read_book(&args, &env).await?;

    let app: &'static App = Box::leak(Box::new(App::new(env)));
    let api = http::mount(shared::routes(), app);
    let site = Router::new()
        .route("/book", get(book::front))
        .route("/book/", get(book::front))
        .route("/book/{*path}", get(book::page))
        .with_state(book::Folder::new(&args.book))
        .fallback_service(
            ServeDir::new("public")
                .call_fallback_on_method_not_allowed(true)
                .fallback(api),
        );
    greet(&address, &args, app.env());
    if args.open {
        open(&address);
    }
    println!("ready on {address}");
    http::local::serve(listener, site).await
}

/// Ingests the book if its shelf is missing or stale.
async fn read_book(args: &Args, env: &Env) -> Outcome {
    let job = ingest::Job {
        from: args.book.clone(),
        shelf: PathBuf::from(env.need("BOOK_SHELF")?),
        to: ingest::Target::Shelf,
        source: ingest::SOURCE.to_owned(),
        language: None,
        dry_run: false,
    };
    let summary = ingest::build(&job, env, &ProgressBar::hidden()).await?;
    println!("the book: {} pages, {} passages", summary.pages, summary.passages);
    Ok(())
}

/// The reader's own database when one is named, else a private cluster, which ends with us.
fn database(env: Env, args: &Args) -> Outcome<(Env, Option<cluster::Cluster>)> {
    if env.get("NEON_DATABASE_URL").or(env.get("DATABASE_URL")).is_some() {
        return Ok((env, None));
    }
    cluster::offer_install(&env)?;
    let cluster = cluster::Cluster::kept(&env, &args.data.join("postgres"))?;
    let env = env.with("DATABASE_URL", &cluster.url("postgres"));
    Ok((env, Some(cluster)))
}

async fn listen(port: Option<u16>) -> Outcome<TcpListener> {
    let Some(port) = port else {
        for port in 3000..3000 + PORTS {
            if let Ok(listener) = TcpListener::bind(("127.0.0.1", port)).await {
                return Ok(listener);
            }
        }
        return Err("ports 3000 to 3019 are all taken: use --port".into());
    };
    let listener = TcpListener::bind(("127.0.0.1", port)).await;
    listener.map_err(|err| format!("port {port} cannot be used: {err}").into())
}

fn greet(address: &str, args: &Args, env: &Env) {
    let model = match (env.get("LLM_PROVIDER"), env.get("LLM_MODEL")) {
        (Some(provider), Some(model)) => format!("{provider} ({model})"),
        (Some(provider), None) => provider.to_owned(),
        (None, _) if env.get("OPENAI_API_KEY").is_some() => "openai".to_owned(),
        (None, _) if env.get("GEMINI_API_KEY").is_some() => "gemini".to_owned(),
        _ => {
            "no model: the best passages are quoted (set OPENAI_API_KEY, GEMINI_API_KEY, \
              or start Ollama)"
                .to_owned()
        }
    };
    println!(
        "
  ask     {address}/
  read    {address}/book/
  answers {model}
  curl    curl -N {address}/api/v1/chat/stream -H 'content-type: application/json' \\
               -d '{{\"message\":{{\"content\":\"How do I ingest a book?\"}}}}'
  data    {} (the internal API key is in {})
",
        args.data.display(),
        args.data.join("internal-api-key").display()
    );
}

fn open(address: &str) {
    let program = if cfg!(target_os = "macos") { "open" } else { "xdg-open" };
    if std::process::Command::new(program).arg(address).spawn().is_err() {
        println!("no browser could be opened: visit {address}");
    }
}
