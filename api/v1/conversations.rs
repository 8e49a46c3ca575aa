//! `GET /api/v1/conversations` and all that a reader does with a history of their own.

fn main() -> shared::http::Exit {
    shared::http::serve(shared::conversations::own::route())
}
