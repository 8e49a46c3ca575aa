//! `GET /health`, `GET /openapi.json` and `GET /docs`: is anyone home, and what do they do?

use shared::http::{Exit, health, openapi, serve};

fn main() -> Exit {
    serve(health::route().merge(openapi::route()))
}
