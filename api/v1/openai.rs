//! `POST /v1/chat/completions`, `GET /v1/models`: the book as a model, for OpenAI's clients.

fn main() -> shared::http::Exit {
    shared::http::serve(shared::chat::completions::route())
}
