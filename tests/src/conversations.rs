//! Exchanges: kept exactly, kept once, and kept for the right reader.
#![expect(clippy::unwrap_used, clippy::print_stderr, reason = "these are tests")]

use std::{
    fs,
    sync::atomic::{AtomicBool, Ordering},
    time::Instant,
};

use futures_util::future::{Either, select, try_join_all};
use serde_json::json;
use shared::{
    Error,
    conversations::{
        Exchange, Owner, Role, Status, Thread,
        fallback::Fallback,
        store::{self, Turn},
    },
    db::{Client, Pool},
};
use time::{Duration, OffsetDateTime};
use tools::replay;
use uuid::Uuid;

use crate::support::{
    database::{client, count, env, fresh, pool},
    eventually, house, pgbouncer,
};

fn exchange(owner: &Owner, conversation: Uuid, question: &str) -> Exchange {
    let words = [question, &format!("answer to {question}")];
    house::exchange(owner.clone(), conversation, words)
}

async fn account(db: &Client) -> Owner {
    Owner::User(house::account(db).await)
}

fn said(role: Role, text: &str) -> Turn {
    Turn { role, text: text.to_owned() }
}

/// The turns that are remembered of a conversation.
async fn memory(
    pool: &Pool,
    owner: &Owner,
    conversation: Uuid,
    budget_chars: usize,
) -> Vec<Turn> {
    let thread = Thread::Known(conversation);
    store::recall(pool, owner, &thread, None, budget_chars).await.unwrap().turns
}

async fn ids(db: &Client) -> Vec<Uuid> {
    let sql = "select id from conversations order by last_message_at desc, id desc";
    db.query_typed(sql, &[]).await.unwrap().iter().map(|row| row.get(0)).collect()
}

#[tokio::test]
async fn an_exchange_is_kept_with_its_messages_and_its_log_row() {
    let url = fresh().await;
    let (db, pool) = (client(&url).await, pool(&url));
    let owner = account(&db).await;
    let conversation = Uuid::now_v7();
    let mut said_with_zero =
        exchange(&owner, conversation, "What is\0 a '; drop table users;--?");
    said_with_zero.metadata = json!({"reason": "\0"});
    said_with_zero.sources = json!([{"n": 1}]);
    said_with_zero.first_token_ms = Some(300);
    said_with_zero.asked_at -= Duration::seconds(2);
    let saved = store::save(&pool, &said_with_zero, None).await.unwrap();
    assert_eq!(Owner::User(saved.user_id.unwrap()), owner);
    for sql in [
        "select count(*) from conversations where title = 'What is\u{fffd} a ''; drop table users;--?'
           and last_message_at > now() - interval '1 minute'",
        "select count(*) from messages where seq = 1 and role = 'user' and sources = '[]'
           and content = '{\"text\": \"What is\u{fffd} a ''; drop table users;--?\"}'",
        "select count(*) from messages where seq = 2 and role = 'assistant'
           and sources = '[{\"n\": 1}]' and status = 'complete'",
        "select count(*) from interaction_logs where response_time_ms = 2000
           and first_token_ms = 300 and agent_model = 'scripted' and user_id is not null",
    ] {
        assert_eq!(count(&db, sql).await, 1, "{sql}");
    }
}

#[tokio::test]
async fn memory_is_the_newest_turns_that_fit_oldest_first() {
    let url = fresh().await;
    let (db, pool) = (client(&url).await, pool(&url));
    let owner = account(&db).await;
    let conversation = Uuid::now_v7();
    for question in ["one", "two", "three"] {
        store::save(&pool, &exchange(&owner, conversation, question), None)
            .await
            .unwrap();
    }
    let memory = |budget| memory(&pool, &owner, conversation, budget);
    assert_eq!(memory(10_000).await.len(), 6);
    let three = [said(Role::User, "three"), said(Role::Assistant, "answer to three")];
    assert_eq!(memory(20).await, three);
    assert_eq!(memory(19).await, three[1..]);
    assert!(memory(3).await.is_empty());
    let new = store::recall(&pool, &owner, &Thread::New, None, 100).await;
    assert!(new.unwrap().turns.is_empty());
}

#[tokio::test]
async fn somebody_elses_conversation_is_not_found_and_nothing_is_stored() {
    let url = fresh().await;
    let (db, pool) = (client(&url).await, pool(&url));
    let (one, other) = (account(&db).await, account(&db).await);
    let conversation = Uuid::now_v7();
    store::save(&pool, &exchange(&one, conversation, "mine"), None).await.unwrap();
    for _ in 0..50 {
        store::save(&pool, &exchange(&other, Uuid::now_v7(), "theirs"), None)
            .await
            .unwrap();
    }
    let intruder = exchange(&other, conversation, "theirs");
    for at in [None, Some(OffsetDateTime::now_utc())] {
        let outcome = store::save(&pool, &intruder, at).await;
        assert!(matches!(outcome, Err(Error::NotFound("conversation"))));
    }
    for owner in [other.clone(), Owner::Named("subject".to_owned()), Owner::Guest] {
        let outcome = store::exists(&pool, &owner, conversation).await;
        assert!(matches!(outcome, Err(Error::NotFound("conversation"))));
    }
    assert_eq!(count(&db, "select count(*) from conversations").await, 51);
    assert_eq!(count(&db, "select count(*) from messages").await, 102);
    assert_eq!(count(&db, "select count(*) from interaction_logs").await, 51);
}

#[tokio::test]
async fn an_account_that_is_gone_is_unauthorized_and_nothing_is_stored() {
    let url = fresh().await;
    let (db, pool) = (client(&url).await, pool(&url));
    let gone = Owner::User(Uuid::now_v7());
    let outcome = store::save(&pool, &exchange(&gone, Uuid::now_v7(), "?"), None).await;
    assert!(matches!(outcome, Err(Error::Unauthorized)));
    let outcome = store::recall(&pool, &gone, &Thread::New, None, 100).await;
    assert!(matches!(outcome, Err(Error::Unauthorized)));
    assert_eq!(count(&db, "select count(*) from interaction_logs").await, 0);
}

#[tokio::test]
async fn a_trusted_server_names_users_by_our_id_or_by_its_own() {
    let url = fresh().await;
    let (db, pool) = (client(&url).await, pool(&url));
    let Owner::User(known) = account(&db).await else { unreachable!() };
    let save = async |name: String| {
        let exchange = exchange(&Owner::Named(name), Uuid::now_v7(), "?");
        store::save(&pool, &exchange, None).await.unwrap().user_id.unwrap()
    };
    assert_eq!(save(known.to_string()).await, known);
    let made = save("user_2abc".to_owned()).await;
    assert_eq!(save("user_2abc".to_owned()).await, made);
    assert_eq!(save(made.to_string()).await, made);
    let stranger = Uuid::now_v7().to_string();
    let (one, two) = tokio::join!(save(stranger.clone()), save(stranger));
    assert_eq!(one, two, "a name is one account, also when two come first");
    let services = "select count(*) from users where issuer = 'service'";
    assert_eq!(count(&db, services).await, 2);
}

#[tokio::test]
async fn guests_and_failures_leave_only_a_log_row() {
    let url = fresh().await;
    let (db, pool) = (client(&url).await, pool(&url));
    let mut guest = exchange(&Owner::Guest, Uuid::now_v7(), "?");
    guest.conversation_id = None;
    let mut failed = exchange(&account(&db).await, Uuid::now_v7(), "?");
    failed.status = Status::Failed;
    failed.error_code = Some("llm".to_owned());
    for exchange in [&guest, &failed, &guest, &failed] {
        store::save(&pool, exchange, None).await.unwrap();
    }
    assert_eq!(count(&db, "select count(*) from conversations").await, 0);
    let logged = "select count(*) from interaction_logs";
    assert_eq!(count(&db, logged).await, 2);
    let theirs = format!("{logged} where error_code = 'llm' and user_id is not null");
    assert_eq!(count(&db, &theirs).await, 1);
}

/// Saves `number` new conversations of one user at once, while a reader looks all the time.
/// Each look must be the one before with newer conversations in front and, past 50, as many
/// of the oldest gone: never a 51st, and none of the newest missing.
async fn save_many_at_once(url: &str, pools: &[Pool], number: usize) {
    let db = client(url).await;
    let owner = account(&db).await;
    let exchanges: Vec<_> =
        (0..number).map(|_| exchange(&owner, Uuid::now_v7(), "?")).collect();
    let over = AtomicBool::new(false);
    let writers = async {
        let begun = Instant::now();
        let saves = exchanges.iter().zip(pools.iter().cycle());
        try_join_all(saves.map(|(it, pool)| store::save(pool, it, None))).await.unwrap();
        over.store(true, Ordering::Relaxed);
        begun.elapsed()
    };
    let reader = async {
        let mut looks = 0;
        let mut before = Vec::new();
        while !over.load(Ordering::Relaxed) {
            let now = ids(&db).await;
            assert!(now.len() <= 50, "{} were there to be read", now.len());
            let still =
                now.iter().position(|it| before.contains(it)).unwrap_or(now.len());
            let still = &now[still..];
            assert_eq!(still, &before[..still.len()], "the oldest go first");
            assert!(
                still.len() == before.len() || now.len() == 50,
                "only for newer ones"
            );
            (before, looks) = (now, looks + 1);
            // A reader in a tight loop would take a whole core from the writers.
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
        looks
    };
    let (took, looks) = tokio::join!(writers, reader);
    eprintln!("{number} saves took {took:?}; a reader looked {looks} times");
    assert_eq!(ids(&db).await.len(), 50);
    let logged = count(&db, "select count(*) from interaction_logs").await;
    assert_eq!(usize::try_from(logged), Ok(number));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_saves_at_once_leave_fifty_at_every_moment() {
    let url = fresh().await;
    let pools: Vec<_> = (0..4).map(|_| pool(&url)).collect();
    save_many_at_once(&url, &pools, 200).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_holds_behind_pgbouncer_with_two_clients_interleaved() {
    let url = fresh().await;
    let pooled = pgbouncer::pooled(&url);
    let pools = [pool(&pooled), pool(&pooled)];
    save_many_at_once(&url, &pools, 200).await;
}

#[tokio::test]
async fn what_was_saved_last_is_always_there_to_be_read() {
    let url = fresh().await;
    let (db, pool) = (client(&url).await, pool(&url));
    let owner = account(&db).await;
    let mut order = Vec::new();
    for _ in 0..60 {
        let id = Uuid::now_v7();
        store::save(&pool, &exchange(&owner, id, "?"), None).await.unwrap();
        order.insert(0, id);
        assert_eq!(ids(&db).await, order[..order.len().min(50)]);
    }
    // Talking in the oldest one makes it the newest: nothing has to go.
    let oldest = order[49];
    store::save(&pool, &exchange(&owner, oldest, "?"), None).await.unwrap();
    let now = ids(&db).await;
    assert_eq!((now.len(), now[0]), (50, oldest));
    // Messages go with their conversation.
    assert_eq!(count(&db, "select count(*) from messages").await, 102);
}

#[tokio::test]
async fn saves_of_one_conversation_at_once_keep_question_and_answer_together() {
    let url = fresh().await;
    let (db, pool) = (client(&url).await, pool(&url));
    let owner = account(&db).await;
    let conversation = Uuid::now_v7();
    let exchanges: Vec<_> =
        (0..20).map(|n| exchange(&owner, conversation, &n.to_string())).collect();
    try_join_all(exchanges.iter().map(|it| store::save(&pool, it, None))).await.unwrap();
    let pairs = "select count(*) from messages q join messages a
                 on a.seq = q.seq + 1 and a.role = 'assistant' and q.role = 'user'
                 and a.content ->> 'text' = 'answer to ' || (q.content ->> 'text')";
    assert_eq!(count(&db, pairs).await, 20);
    assert_eq!(count(&db, "select max(seq)::bigint from messages").await, 40);
}

#[tokio::test]
async fn storing_the_same_exchange_twice_is_storing_it_once() {
    let url = fresh().await;
    let (db, pool) = (client(&url).await, pool(&url));
    let exchange = exchange(&account(&db).await, Uuid::now_v7(), "?");
    let (one, two) = tokio::join!(
        store::save(&pool, &exchange, None),
        store::save(&pool, &exchange, None)
    );
    assert_eq!(one.unwrap(), two.unwrap());
    store::save(&pool, &exchange, Some(exchange.answered_at)).await.unwrap();
    assert_eq!(count(&db, "select count(*) from messages").await, 2);
    assert_eq!(count(&db, "select count(*) from interaction_logs").await, 1);
}

#[tokio::test]
async fn replay_brings_each_exchange_home_once_and_with_its_own_time() {
    let url = fresh().await;
    let (db, pool) = (client(&url).await, pool(&url));
    let (owner, other) = (account(&db).await, account(&db).await);
    let wait = tempfile::tempdir().unwrap();
    let fallback =
        Fallback::parse(&format!("file:{}/deep", wait.path().display())).unwrap();

    // A conversation whose second question was asked while the database was away.
    let conversation = Uuid::now_v7();
    let at = |minutes| OffsetDateTime::now_utc() - Duration::minutes(minutes);
    let earlier = |question: &str, minutes| {
        let mut it = exchange(&owner, conversation, question);
        (it.asked_at, it.answered_at) = (at(minutes), at(minutes) + Duration::seconds(1));
        it
    };
    store::save(&pool, &earlier("one", 30), None).await.unwrap();
    fallback.keep(&earlier("two", 20)).await.unwrap();
    store::save(&pool, &earlier("three", 10), None).await.unwrap();
    // One that was stored after all, one that was sent to somebody else's conversation, and
    // one that is no exchange.
    let twice = earlier("one more", 5);
    store::save(&pool, &twice, None).await.unwrap();
    fallback.keep(&twice).await.unwrap();
    let astray = exchange(&other, conversation, "whose?");
    fallback.keep(&astray).await.unwrap();
    fs::write(wait.path().join("deep/broken.json"), "{").unwrap();
    let mode = fs::metadata(wait.path().join(format!("deep/{}.json", astray.id)))
        .map(|it| std::os::unix::fs::PermissionsExt::mode(&it.permissions()) & 0o777);
    assert_eq!(mode.unwrap(), 0o600);

    let report = replay::replay(&env(&url), &fallback).await.unwrap();
    assert_eq!((report.home, report.rehoused), (3, 1));
    let broken = [("broken.json".to_owned(), "it is not an exchange".to_owned())];
    assert_eq!(report.failed, broken);
    let turns = memory(&pool, &owner, conversation, 1000).await;
    let questions = turns.iter().filter(|it| it.role == Role::User);
    let questions: Vec<_> = questions.map(|it| it.text.as_str()).collect();
    assert_eq!(questions, ["one", "two", "three", "one more"]);
    let own = memory(&pool, &other, astray.question_id, 1000).await;
    assert_eq!(own[0], said(Role::User, "whose?"));
    let old = "select count(*) from interaction_logs
               where request_content = 'two' and request_timestamp < now() - interval '19 min'";
    assert_eq!(count(&db, old).await, 1);

    let again = replay::replay(&env(&url), &fallback).await.unwrap();
    assert_eq!((again.home, again.failed.len()), (0, 1), "only the broken one is left");
}

#[tokio::test]
async fn a_late_exchange_never_evicts_a_newer_conversation() {
    let url = fresh().await;
    let (db, pool) = (client(&url).await, pool(&url));
    let owner = account(&db).await;
    let late = |minutes| {
        let at = OffsetDateTime::now_utc() - Duration::minutes(minutes);
        (exchange(&owner, Uuid::now_v7(), "late"), Some(at))
    };
    for _ in 0..49 {
        store::save(&pool, &exchange(&owner, Uuid::now_v7(), "?"), None).await.unwrap();
    }
    // Room for one: it comes last, and gives way to an hour-old one, which is newer.
    let (day_old, at) = late(24 * 60);
    store::save(&pool, &day_old, at).await.unwrap();
    assert_eq!(ids(&db).await.last().copied(), day_old.conversation_id);
    let (hour_old, at) = late(60);
    store::save(&pool, &hour_old, at).await.unwrap();
    let now = ids(&db).await;
    assert_eq!((now.len(), now.last().copied()), (50, hour_old.conversation_id));
    // No room: its log row is stored and nothing else changes.
    let (week_old, at) = late(7 * 24 * 60);
    store::save(&pool, &week_old, at).await.unwrap();
    assert_eq!(ids(&db).await, now);
    assert_eq!(count(&db, "select count(*) from interaction_logs").await, 52);
    // A time from the future counts as now, and does not stay on top for ever.
    let (hasty, _) = late(0);
    let future = OffsetDateTime::now_utc() + Duration::hours(1);
    store::save(&pool, &hasty, Some(future)).await.unwrap();
    let newest = exchange(&owner, Uuid::now_v7(), "?");
    store::save(&pool, &newest, None).await.unwrap();
    assert_eq!(
        ids(&db).await[..2],
        [newest.conversation_id.unwrap(), hasty.conversation_id.unwrap()]
    );
}

#[tokio::test]
async fn a_save_whose_caller_went_away_is_finished_and_leaves_nothing_open() {
    let url = fresh().await;
    let db = client(&url).await;
    let pool = Pool::from_env(&env(&url).with("DATABASE_POOL_SIZE", "1")).unwrap();
    pool.check().await.unwrap();
    let owner = account(&db).await;
    // Hold the lock, so that the save cannot be over before it is dropped.
    let Owner::User(id) = owner else { unreachable!() };
    db.batch_execute(&format!("begin; select 1 from users where id = '{id}' for update"))
        .await
        .unwrap();
    let exchange = exchange(&owner, Uuid::now_v7(), "?");
    {
        let save = std::pin::pin!(store::save(&pool, &exchange, None));
        let waits = async {
            let sql = "select count(*) from pg_stat_activity
                       where datname = current_database() and wait_event_type = 'Lock'";
            eventually(async || (count(&db, sql).await > 0).then_some(())).await;
        };
        let waits = std::pin::pin!(waits);
        let first = select(save, waits).await;
        assert!(matches!(first, Either::Right(_)));
    }
    db.batch_execute("commit").await.unwrap();
    // The pool's one connection serves the next request, outside of any transaction.
    let open = "select count(*) from pg_stat_activity
                where datname = current_database() and state = 'idle in transaction'";
    assert_eq!(count(&pool.client().await.unwrap(), open).await, 0);
    assert_eq!(count(&db, "select count(*) from messages").await, 2);
}

/// What is shown of all conversations: who said what.
async fn shown(db: &Client) -> Vec<String> {
    let sql = "select content ->> 'text' from messages order by seq";
    db.query_typed(sql, &[]).await.unwrap().iter().map(|row| row.get(0)).collect()
}

#[tokio::test]
async fn a_maker_that_comes_late_finds_its_place() {
    // `None` is a first answer, `Some` one that asks the first question once more, with these
    // words; each has said so much when it is taken for dead.
    let retry = Some("q");
    let edit = Some("q edited");
    for (asked_again, said, meanwhile, expected) in [
        (None, "par", None, ["q", "whole"].as_slice()),
        (None, "", retry, &["q", "other"]),
        (None, "par", retry, &["q", "other"]),
        (None, "par", edit, &["q edited", "other"]),
        (retry, "", None, &["q", "whole"]),
        (retry, "par", None, &["q", "whole"]),
        (edit, "par", None, &["q edited", "whole"]),
        (retry, "par", edit, &["q edited", "other"]),
        (retry, "", retry, &["q", "other"]),
        (edit, "", edit, &["q edited", "other"]),
    ] {
        let url = fresh().await;
        let (db, pool) = (client(&url).await, pool(&url));
        let owner = account(&db).await;
        let conversation = Uuid::now_v7();
        let say = |question: &str, answer: &str| {
            let words = [question, answer];
            Exchange {
                answered_at: OffsetDateTime::now_utc(),
                ..house::exchange(owner.clone(), conversation, words)
            }
        };
        let again = |words: &str, first: &Exchange, answer: &str| {
            let mut again = say(words, answer);
            again.replaces = Some(first.question_id);
            if words == first.question {
                again.question_id = first.question_id;
            }
            again
        };
        let first = say("q", "first");
        let late = match asked_again {
            None => say("q", "whole"),
            Some(words) => {
                store::save(&pool, &first, None).await.unwrap();
                again(words, &first, "whole")
            }
        };
        let settled = Exchange {
            answer: said.to_owned(),
            status: Status::Interrupted,
            error_code: Some("interrupted".to_owned()),
            answered_at: OffsetDateTime::now_utc(),
            ..late.clone()
        };
        let now = Some(OffsetDateTime::now_utc());
        store::save(&pool, &settled, now).await.unwrap();
        if let Some(words) = meanwhile {
            let before = if asked_again.is_some() { &first } else { &late };
            let other = again(words, before, "other");
            store::save(&pool, &other, None).await.unwrap();
        }
        store::save(&pool, &late, None).await.unwrap();
        let case = (asked_again, said, meanwhile);
        assert_eq!(shown(&db).await, expected, "{case:?}");
        let logged =
            "select count(*) from interaction_logs where response_content = 'whole'";
        assert_eq!(count(&db, logged).await, 1, "{case:?}");
    }
}
