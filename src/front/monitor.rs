//! What a watcher says of itself: that it lives, and what it saw of each part of the cluster. It answers
//! nothing else, and asks nobody.

use std::net::TcpListener;
use std::sync::Arc;

use actix_web::{App, HttpResponse, HttpServer, web};
use chroma_ha_actors::system::outside::OutsideSystem;
use serde_json::json;

/// Whoever asks whether it lives asks briefly.
const CONNECTIONS: usize = 64;

/// What the routes share.
#[derive(Clone)]
pub struct Watcher {
    pub system: Arc<OutsideSystem>,
    pub service: String,
}

/// Serves on an address that is bound already, until the returned server is stopped.
pub fn serve(watcher: Watcher, bound: TcpListener) -> std::io::Result<actix_web::dev::Server> {
    let server = HttpServer::new(move || {
        let routes = ["/health", "/livez", "/readyz"];
        let app = App::new().app_data(web::Data::new(watcher.clone()));
        let app = routes.into_iter().fold(app, |app, route| app.route(route, web::get().to(health)));
        app.route("/status", web::get().to(status))
    });
    Ok(server
        .workers(1)
        .max_connections(CONNECTIONS)
        .disable_signals()
        .shutdown_timeout(1)
        .listen(bound)?
        .run())
}

async fn health() -> HttpResponse {
    HttpResponse::Ok().json(json!({ "status": "watching" }))
}

async fn status(watcher: web::Data<Watcher>) -> HttpResponse {
    HttpResponse::Ok().json(json!({
        "service": watcher.service,
        "version": env!("CARGO_PKG_VERSION"),
        "role": "monitor",
        "uptime_seconds": watcher.system.board.uptime().as_secs(),
        "parts": *watcher.system.parts(),
        "actors": watcher.system.rows(),
    }))
}
