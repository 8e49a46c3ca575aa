//! `POST /api/v1/auth/login`: an email and a password become a token.

fn main() -> shared::http::Exit {
    shared::http::serve(shared::auth::login::route())
}
