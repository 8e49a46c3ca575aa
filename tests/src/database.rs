//! The pool, the migrations and the private cluster, against real Postgres.
#![expect(clippy::unwrap_used, reason = "these are tests")]

use std::{fs, time::Duration};

use shared::{
    Error,
    config::Env,
    conversations::log,
    db::{self, Pool},
};
use tools::{
    cluster::Cluster,
    migrate,
    prune::{self, Pruned},
};

use crate::support::{
    database::{self, client, count, env, pool},
    pgbouncer,
};

#[tokio::test]
async fn the_first_query_after_the_server_closed_the_connection_works() {
    let url = database::fresh().await;
    let pool = pool(&url);
    pool.check().await.unwrap();
    client(&url)
        .await
        .batch_execute(
            "select pg_terminate_backend(pid, 5000) from pg_stat_activity
             where datname = current_database() and pid <> pg_backend_pid()",
        )
        .await
        .unwrap();
    let db = pool.client().await.unwrap();
    assert_eq!(count(&db, "select 7::bigint").await, 7);
}

#[tokio::test]
async fn a_connection_that_dies_under_a_query_is_replaced_once() {
    let url = database::fresh().await;
    let pool = pool(&url);
    let attempts = std::cell::Cell::new(0);
    let answer = db::retry(|| async {
        attempts.set(attempts.get() + 1);
        let db = pool.client().await?;
        if attempts.get() == 1 {
            let kill = "select pg_terminate_backend(pg_backend_pid())";
            db.query_typed(kill, &[]).await?;
        }
        let row = db.query_typed_one("select 7::bigint", &[]).await?;
        Ok(row.get::<_, i64>(0))
    })
    .await;
    assert_eq!(answer.unwrap(), 7);
    assert_eq!(attempts.get(), 2);
}

#[tokio::test]
async fn a_server_that_is_not_there_is_unavailable_and_its_url_stays_secret() {
    let dir = tempfile::tempdir().unwrap();
    let url = format!(
        "postgresql://app:hush@{}/x",
        dir.path().to_str().unwrap().replace('/', "%2F")
    );
    let Err(err) = pool(&url).check().await else { panic!("nobody listens there") };
    assert!(matches!(err, Error::Unavailable { service: "database", .. }));
    assert!(!err.chain().contains("hush"), "{}", err.chain());
}

#[tokio::test]
async fn an_error_never_repeats_what_a_user_wrote() {
    let url = database::fresh().await;
    let db = client(&url).await;
    let insert = "insert into users (id, subject, email) values
                  (gen_random_uuid(), 'a', 'reader@example.org'),
                  (gen_random_uuid(), 'b', 'Reader@example.org')";
    let err: Error = db.query_typed(insert, &[]).await.unwrap_err().into();
    assert_eq!(err.chain(), "database is unavailable: SQLSTATE 23505: users_email_key");
}

#[tokio::test]
async fn a_url_with_an_unknown_parameter_is_misconfigured() {
    let url = format!("{}?sslrootcert=/x", database::fresh().await);
    let outcome = Pool::from_env(&env(&url));
    assert!(matches!(outcome, Err(Error::Misconfigured("DATABASE_URL"))));
}

#[tokio::test]
async fn model_answers_are_counted_by_the_day() {
    let pool = pool(&database::fresh().await);
    assert!(log::take_answer(&pool, 1).await.unwrap());
    assert!(!log::take_answer(&pool, 1).await.unwrap());
}

#[tokio::test]
async fn prune_removes_what_has_expired_and_nothing_else() {
    let url = database::fresh().await;
    let db = client(&url).await;
    db.batch_execute(
        "insert into interaction_logs (id, request_content, response_content,
           request_timestamp, response_timestamp, response_time_ms, agent_model)
         select gen_random_uuid(), '', '', now() - make_interval(days => days), now(), 1, 'm'
         from unnest(array[0, 29, 31, 400]) as days;
         insert into idempotency_keys (caller, key, request_hash, response, created_at)
         select 'c', hours::text, '', '{}', now() - make_interval(hours => hours)
         from unnest(array[1, 23, 25]) as hours",
    )
    .await
    .unwrap();
    let thirty = env(&url).with("LOG_RETENTION_DAYS", "30");
    assert_eq!(
        prune::prune(&thirty).await.unwrap(),
        Pruned { logs: 2, keys: 1, ..Pruned::default() }
    );
    assert_eq!(prune::prune(&thirty).await.unwrap(), Pruned::default());
    assert_eq!(prune::prune(&env(&url)).await.unwrap(), Pruned::default());
    assert_eq!(count(&db, "select count(*) from interaction_logs").await, 2);
}

#[tokio::test]
async fn two_tools_migrate_at_once_and_a_second_run_does_nothing() {
    let env = env(&database::empty_database().await);
    let (one, two) = tokio::join!(migrate::apply(&env), migrate::apply(&env));
    let (one, two) = (one.unwrap().ran, two.unwrap().ran);
    assert_eq!(
        one.len() + two.len(),
        migrate::FILES.len(),
        "each file ran once: {one:?} {two:?}"
    );
    assert!(migrate::apply(&env).await.unwrap().ran.is_empty());
}

#[tokio::test]
async fn a_file_that_was_changed_after_it_was_applied_is_refused() {
    let url = database::fresh().await;
    let db = client(&url).await;
    db.batch_execute(
        "update lectern_migrations set sha256 = 'x' where name like '0002%'",
    )
    .await
    .unwrap();
    let err = migrate::apply(&env(&url)).await.unwrap_err();
    assert!(err.to_string().starts_with("0002_counters is not the file"), "{err}");
}

#[tokio::test]
async fn the_files_run_by_hand_and_twice_and_the_tool_goes_on_from_there() {
    let url = database::empty_database().await;
    let db = client(&url).await;
    for _ in 0..2 {
        for (name, _) in migrate::FILES {
            db.batch_execute(&migration(name)).await.unwrap();
        }
    }
    assert_eq!(migrate::apply(&env(&url)).await.unwrap().ran.len(), migrate::FILES.len());
}

fn migration(name: &str) -> String {
    let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/../migrations");
    fs::read_to_string(format!("{dir}/{name}.sql")).unwrap()
}

/// The tables as the earlier system makes them.
const SEED: &str = "
create table users (
  id uuid primary key default gen_random_uuid(),
  email varchar(255) unique not null,
  password_hash varchar(255) not null,
  created_at timestamp default current_timestamp
);
create table conversations (
  id uuid primary key default gen_random_uuid(),
  user_id uuid not null references users (id) on delete cascade,
  query text not null,
  response text not null,
  timestamp timestamp default current_timestamp,
  created_at timestamp default current_timestamp
);
create index idx_conversations_user_id on conversations (user_id);
create table interaction_logs (
  id uuid primary key,
  user_id varchar(255),
  session_id varchar(255),
  request_content text,
  response_content text,
  request_timestamp timestamp,
  response_timestamp timestamp,
  response_time_ms integer,
  agent_model varchar(100),
  error_occurred boolean default false,
  error_message text,
  metadata jsonb
);
insert into users (id, email, password_hash, created_at) values
  ('11111111-1111-4111-8111-111111111111', 'First@Example.org', '$2b$12$first', '2025-01-02 03:04:05'),
  ('22222222-2222-4222-8222-222222222222', 'second@example.org', '$2b$12$second', '2025-01-02 03:04:05');
insert into conversations (user_id, query, response, timestamp)
select '11111111-1111-4111-8111-111111111111', 'question ' || n, 'answer ' || n,
  timestamp '2025-02-01 00:00:00' + make_interval(mins => n)
from generate_series(1, 60) as n;
insert into conversations (user_id, query, response) values
  ('22222222-2222-4222-8222-222222222222', 'What is  a move?', 'It is …');
insert into interaction_logs values
  ('33333333-3333-4333-8333-333333333333', '11111111-1111-4111-8111-111111111111', 's1', 'q', 'a',
   '2025-02-01 00:00:00', '2025-02-01 00:00:02', 2000, 'm', false, null, '{\"k\": 1}'),
  ('44444444-4444-4444-8444-444444444444', 'anonymous', null, 'q', null,
   '2025-02-01 00:00:00', null, null, 'm', true, 'it broke', null);";

#[tokio::test]
async fn the_earlier_systems_database_is_carried_over_and_nothing_of_it_is_lost() {
    let url = database::empty_database().await;
    let db = client(&url).await;
    db.batch_execute(SEED).await.unwrap();
    let applied = migrate::apply(&env(&url)).await.unwrap();
    assert!(applied.carried_over.unwrap().contains("2 accounts, 51 conversations"));

    let accounts = db
        .query_typed(
            "select issuer, subject, email, password_hash,
               to_char(created_at at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS')
             from users order by id",
            &[],
        )
        .await
        .unwrap();
    let first: Vec<&str> = (0..5).map(|at| accounts[0].get(at)).collect();
    assert_eq!(
        first,
        [
            "lectern",
            "11111111-1111-4111-8111-111111111111",
            "first@example.org",
            "$2b$12$first",
            "2025-01-02 03:04:05"
        ]
    );
    // The newest 50 of the first reader, each with its two messages; question 10 is too old.
    for (sql, expected) in [
        ("select count(*) from seed_conversations", 61),
        ("select count(*) from seed_users", 2),
        ("select count(*) from seed_interaction_logs", 2),
        ("select count(*) from messages", 102),
        ("select count(*) from conversations where title = 'question 11'", 1),
        ("select count(*) from conversations where title = 'question 10'", 0),
        ("select count(*) from conversations where title = 'What is a move?'", 1),
        (
            "select count(*) from conversations c join seed_conversations s on s.id = c.id
             join messages q on q.conversation_id = c.id and q.seq = 1 and q.role = 'user'
             join messages a on a.conversation_id = c.id and a.seq = 2 and a.role = 'assistant'
             where q.content ->> 'text' = s.query and a.content ->> 'text' = s.response
               and c.last_message_at = s.timestamp at time zone 'UTC'",
            51,
        ),
        ("select count(*) from interaction_logs where user_id is not null", 1),
        (
            "select count(*) from interaction_logs where error_code = 'seed-error'
             and metadata = '{\"error_message\": \"it broke\", \"seed_user_id\": \"anonymous\"}'",
            1,
        ),
    ] {
        assert_eq!(count(&db, sql).await, expected, "{sql}");
    }
    // By hand once more: what a reader has deleted since does not come back.
    db.batch_execute("delete from conversations; delete from users").await.unwrap();
    db.batch_execute(&migration("0001_first_tables")).await.unwrap();
    assert_eq!(count(&db, "select count(*) from users").await, 0);
    assert_eq!(count(&db, "select count(*) from conversations").await, 0);
}

#[tokio::test]
async fn a_database_that_cannot_be_carried_over_is_refused_and_left_alone() {
    let twins = format!(
        "{SEED} insert into users (email, password_hash) values ('SECOND@example.org', 'x');"
    );
    for (made, said) in [
        (
            "create table users (id serial primary key, name text)",
            "table users that is not ours",
        ),
        ("create table messages (id int)", "table messages that is not ours"),
        ("create table conversations (id int)", "conversations that is not ours"),
        (twins.as_str(), "the same email but for upper and lower case"),
    ] {
        let url = database::empty_database().await;
        let db = client(&url).await;
        db.batch_execute(made).await.unwrap();
        let tables =
            "select count(*) from pg_class where relnamespace = 'public'::regnamespace
                      and relname !~ '^lectern'";
        let before = count(&db, tables).await;
        let err = migrate::apply(&env(&url)).await.unwrap_err().to_string();
        assert!(err.contains(said), "{err}");
        assert!(!err.contains('@'), "no address in it: {err}");
        assert_eq!(count(&db, tables).await, before);
        assert_eq!(
            count(
                &db,
                "select count(*) from pg_class where relname ~ '^(lectern|seed)_'"
            )
            .await,
            0
        );
    }
}

#[tokio::test]
async fn behind_pgbouncer_a_named_statement_fails_and_ours_do_not() {
    let url = pgbouncer::pooled(&database::fresh().await);
    // The canary: if this passed, the pooler would prove nothing.
    let (a, c) = (client(&url).await, client(&url).await);
    let named = a.prepare("select 1").await.unwrap();
    c.batch_execute("begin").await.unwrap();
    let err = a.query(&named, &[]).await.unwrap_err();
    assert_eq!(err.code().unwrap().code(), "26000");
    c.batch_execute("commit").await.unwrap();
    drop((a, c));

    let (one, two) = (pool(&url), pool(&url));
    for _ in 0..50 {
        let (first, second) = tokio::join!(one.check(), two.check());
        first.unwrap();
        second.unwrap();
    }
}

#[tokio::test]
async fn migrations_also_run_through_pgbouncer() {
    let url = pgbouncer::pooled(&database::empty_database().await);
    assert_eq!(migrate::apply(&env(&url)).await.unwrap().ran.len(), migrate::FILES.len());
    assert!(migrate::apply(&env(&url)).await.unwrap().ran.is_empty());
}

#[tokio::test]
async fn a_kept_cluster_keeps_its_data_and_is_shared_while_it_runs() {
    // A path too long for a socket, and with a space.
    let root = tempfile::tempdir().unwrap();
    fs::set_permissions(root.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755))
        .unwrap();
    let dir = root.path().join(format!("a b/{}", "long".repeat(25)));
    let start = || {
        tools::cluster::offer_install(&Env::process())
            .unwrap_or_else(|err| panic!("{err}"));
        Cluster::kept(&Env::process(), &dir).unwrap_or_else(|err| panic!("{err}"))
    };
    let first = start();
    assert!(first.is_ours());
    client(&first.url("postgres"))
        .await
        .batch_execute("create table t ()")
        .await
        .unwrap();
    let second = start();
    assert!(!second.is_ours(), "it found the first one's server");
    drop(second);
    let db = client(&first.url("postgres")).await;
    assert_eq!(count(&db, "select count(*) from t").await, 0);
    drop((db, first));

    let again = start();
    assert!(again.is_ours());
    let db = client(&again.url("postgres")).await;
    assert_eq!(count(&db, "select count(*) from t").await, 0);
    drop((db, again));

    fs::write(dir.join("data/PG_VERSION"), "9\n").unwrap();
    let Err(err) = Cluster::kept(&Env::process(), &dir) else {
        panic!("nobody can read 9")
    };
    assert!(err.to_string().contains("was made by Postgres 9"), "{err}");
}

#[tokio::test]
async fn a_server_ends_with_the_process_that_started_it() {
    let cluster =
        Cluster::throwaway(&Env::process()).unwrap_or_else(|err| panic!("{err}"));
    let url = cluster.url("postgres");
    let dir = cluster.dir().to_owned();
    let db = client(&url).await;
    assert_eq!(count(&db, "select 7::bigint").await, 7);
    // Dropping closes the pipe that the guard listens on, as the end of the process would.
    drop(cluster);
    assert!(!dir.exists());
    assert!(
        tokio::time::timeout(Duration::from_secs(5), pool(&url).check())
            .await
            .unwrap()
            .is_err()
    );
}
