//! A real Postgres for every test: one throw-away cluster, one database a test.
#![expect(clippy::unwrap_used, reason = "these are tests")]

use std::{
    path::Path,
    sync::{
        OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
};

use shared::{
    config::Env,
    db::{Client, Pool},
};
use tokio::sync::OnceCell;
use tools::{
    cluster::{self, Cluster},
    migrate,
};

/// The cluster of this test binary. Without a Postgres to run, tests fail and say what to
/// install; where `CI` is set it is installed.
pub(crate) fn cluster() -> &'static Cluster {
    static CLUSTER: OnceLock<Cluster> = OnceLock::new();
    CLUSTER.get_or_init(|| {
        let env = Env::process();
        if let Err(err) = cluster::offer_install(&env) {
            panic!("{err}");
        }
        Cluster::throwaway(&env).unwrap_or_else(|err| panic!("{err}"))
    })
}

/// The connection string of a new, migrated database of this test's own.
pub(crate) async fn fresh() -> String {
    static TEMPLATE: OnceCell<()> = OnceCell::const_new();
    TEMPLATE
        .get_or_init(|| async {
            administer("create database migrated").await;
            migrate::apply(&env(&cluster().url("migrated")))
                .await
                .unwrap_or_else(|err| panic!("{err}"));
        })
        .await;
    create("template migrated").await
}

/// The same without a single table.
pub(crate) async fn empty_database() -> String {
    create("").await
}

async fn create(with: &str) -> String {
    static NUMBER: AtomicUsize = AtomicUsize::new(0);
    let name = format!("t_{}", NUMBER.fetch_add(1, Ordering::Relaxed));
    administer(&format!("create database {name} {with}")).await;
    cluster().url(&name)
}

async fn administer(sql: &str) {
    let pool = pool(&cluster().url("postgres"));
    pool.client().await.unwrap().batch_execute(sql).await.unwrap();
}

/// Settings that name this database and nothing else.
pub(crate) fn env(url: &str) -> Env {
    Env::from([("DATABASE_URL", url)])
}

/// A pool of its own, as a function would have it.
pub(crate) fn pool(url: &str) -> Pool {
    Pool::from_env(&env(url)).unwrap()
}

/// A connection to look at what a room has done.
pub(crate) async fn client(url: &str) -> Client {
    pool(url).client().await.unwrap()
}

/// The one number that a query returns.
pub(crate) async fn count(client: &Client, sql: &str) -> i64 {
    client.query_typed_one(sql, &[]).await.unwrap().get(0)
}

/// The same database through another socket.
pub(crate) fn through(url: &str, socket: &Path, port: u16) -> String {
    let name = url.rsplit('/').next().unwrap();
    cluster::url(socket, port, name)
}
