//! `POST /api/v1/chat/stream`: ask the book, read the answer as it is written.

fn main() -> shared::http::Exit {
    shared::http::serve(shared::chat::stream::route())
}
