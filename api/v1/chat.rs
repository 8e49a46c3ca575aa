//! `POST /api/v1/chat`: ask the book, get the whole answer.

fn main() -> shared::http::Exit {
    shared::http::serve(shared::chat::send::route())
}
