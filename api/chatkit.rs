//! `POST /api/chatkit`: the book for OpenAI's ChatKit.

fn main() -> shared::http::Exit {
    shared::http::serve(shared::chat::chatkit::route())
}
