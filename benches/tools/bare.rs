//! The server that everything is measured against: it reads the body and answers 201.

use axum::Router;
use axum::body::Bytes;
use axum::http::StatusCode;
use axum::routing::post;
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let address = std::env::args()
        .nth(1)
        .unwrap_or_else(|| "127.0.0.1:8081".to_owned());
    let listener = TcpListener::bind(address).await?;
    let router = Router::new().route(
        "/notifications",
        post(|_body: Bytes| async { StatusCode::CREATED }),
    );
    axum::serve(listener, router).await
}
