//! `POST /api/chat`: the book for the Vercel AI SDK, and `POST /chat`.

fn main() -> shared::http::Exit {
    shared::http::serve(shared::chat::ui::route())
}
