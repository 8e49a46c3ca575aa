//! `POST /api/v1/rag/query`: find passages, without an answer.

fn main() -> shared::http::Exit {
    shared::http::serve(shared::retrieval::query::route())
}
