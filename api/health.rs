//! `GET /health`: is anyone home?

fn main() -> shared::http::Exit {
    shared::http::serve(shared::http::health::route())
}
