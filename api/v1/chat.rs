//! `POST /api/v1/chat`: ask the book, get the whole answer; and `/api/ai/…`, an older form of it.

fn main() -> shared::http::Exit {
    shared::http::serve(shared::chat::send::route().merge(shared::chat::ai::route()))
}
