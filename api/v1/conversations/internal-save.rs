//! `POST /api/v1/conversations/internal-save`: keep an exchange that another server answered.

fn main() -> shared::http::Exit {
    shared::http::serve(shared::conversations::save::route())
}
