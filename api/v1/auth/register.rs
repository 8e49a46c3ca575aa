//! `POST /api/v1/auth/register`: an email and a password become an account.

fn main() -> shared::http::Exit {
    shared::http::serve(shared::auth::register::route())
}
