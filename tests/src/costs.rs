//! Measurements that are printed when they are asked for; no test depends on them.

use std::time::Instant;

use serde_json::{Value, json};

use crate::support::{
    self, Open, database,
    house::{self, FRONT, OIL, bearer},
    model::{Fake, say},
};

/// What `done` gives, and the milliseconds until then.
async fn timed<T>(done: impl Future<Output = T>) -> (T, f64) {
    let began = Instant::now();
    (done.await, began.elapsed().as_secs_f64() * 1000.0)
}

fn median(mut all: Vec<f64>) -> f64 {
    all.sort_by(f64::total_cmp);
    all[all.len() / 2]
}

#[tokio::test]
#[ignore = "prints a measurement"]
#[expect(clippy::print_stdout, reason = "it is there to print")]
async fn what_the_run_log_costs_and_how_soon_a_stop_is_felt() {
    let bundle = house::bundle(&[]).await.0;
    let model = Fake::start();
    let env = house::asking(bundle.clone(), &model);
    let logged = support::router(env.clone());
    let silent = support::router(env.with("RUN_LOG", "off"));
    let ask = |user: &str| {
        let body = json!({ "message": { "content": OIL, "user_id": user } });
        support::request("POST", "/api/v1/chat/stream", &[FRONT], &body)
    };
    let (mut with, mut without) = (Vec::new(), Vec::new());
    for n in 0..200 {
        for (router, all) in [(&logged, &mut with), (&silent, &mut without)] {
            let steps = model.stepped();
            say(&steps, "Every four hours.");
            let first = async {
                let mut live = Open::send(router, ask(&format!("ann-{n}"))).await;
                live.next().await;
                live
            };
            let (live, ms) = timed(first).await;
            all.push(ms);
            drop(steps);
            live.rest().await;
        }
    }
    let mut waits = Vec::new();
    for n in 0..20 {
        let (model, user) = (Fake::start(), format!("bob-{n}"));
        let steps = model.stepped();
        let router = support::router(house::asking(bundle.clone(), &model));
        let mut live = Open::send(&router, ask(&user)).await;
        say(&steps, "Every four hours.");
        live.next().await;
        let stop = format!("/api/v1/chat/runs/{}/stop?user_id={user}", live.id);
        let stopped = async {
            let reply =
                support::call(&router, "POST", &stop, &[FRONT], Value::Null).await;
            assert_eq!(reply.status, 200, "{}", reply.text);
            model.hung_up().await;
        };
        waits.push(timed(stopped).await.1);
        live.rest().await;
        drop(steps);
    }
    let (with, without) = (median(with), median(without));
    println!("first text: {with:.2} ms recorded, {without:.2} ms not (medians of 200)");
    let longest = waits.iter().copied().fold(0.0, f64::max);
    let usual = median(waits);
    println!(
        "from stop to the model's closed connection: {usual:.0} ms, at most {longest:.0} ms"
    );
}

/// What a search costs in the largest history that is likely: 50 conversations of 40 messages
/// with 2,000 characters each.
#[tokio::test]
#[ignore = "prints a measurement"]
#[expect(clippy::print_stdout, reason = "it is there to print")]
async fn what_a_search_costs() {
    let url = database::fresh().await;
    let (router, db) =
        (support::router(house::settings(&url)), database::client(&url).await);
    let reader = house::account(&db).await;
    let sql = format!(
        "insert into conversations (id, user_id, title)
         select md5('c' || n)::uuid, '{reader}', 'Conversation ' || n
         from generate_series(1, 50) as n;
         insert into messages (id, conversation_id, seq, role, content)
         select md5('m' || n || ' ' || m)::uuid, md5('c' || n)::uuid, m, 'assistant',
           jsonb_build_object('text',
             (select string_agg(md5(w || ' ' || m || ' ' || n), ' ') from generate_series(1, 60) as w))
         from generate_series(1, 50) as n, generate_series(1, 40) as m;
         analyze"
    );
    db.batch_execute(&sql).await.unwrap();
    let token = bearer(reader);
    for q in ["", "nothing", "所有权", "conversation+nothing+a+b+c+d", "a+b+c+d+e+f"] {
        let path = format!("/api/v1/conversations?limit=50&q={q}");
        let headers = [("authorization", token.as_str())];
        let call = support::call(&router, "GET", &path, &headers, Value::Null);
        let (page, ms) = timed(call).await;
        let found = page.json()["data"].as_array().unwrap().len();
        println!("{q:?}: {found} found in {ms:.1} ms");
    }
}
