//! The page at `/dashboard` and what keeps it alive. The page is put together once from the sources beside
//! this file, carries no data, loads nothing from elsewhere, and may run nothing but its own script.

use std::sync::{Arc, LazyLock, Mutex};

use actix_web::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use actix_web::{HttpResponse, web};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use sha2::{Digest, Sha256};
use tokio::sync::Semaphore;

mod events;
pub(super) mod matters;
mod sample;

/// Pages that are kept alive at once; the next is answered 503.
const PAGES: usize = 16;

const FRAME: &str = include_str!("dashboard/page.html");
const STYLE: &str = concat!(include_str!("dashboard/style.css"), include_str!("dashboard/parts.css"));
/// One script, in the order in which its parts build on each other.
const SCRIPT: &str = concat!(
    include_str!("dashboard/words.js"),
    include_str!("dashboard/charts.js"),
    include_str!("dashboard/nodes.js"),
    include_str!("dashboard/letters.js"),
    include_str!("dashboard/lists.js"),
    include_str!("dashboard/live.js"),
);

/// What the open pages share.
pub struct Dashboard {
    places: Arc<Semaphore>,
    sample: Mutex<sample::Cache>,
}

impl Default for Dashboard {
    fn default() -> Dashboard {
        Dashboard { places: Arc::new(Semaphore::new(PAGES)), sample: Mutex::default() }
    }
}

struct Page {
    text: String,
    policy: String,
}

static PAGE: LazyLock<Page> = LazyLock::new(|| {
    let hash = |source: &str| format!("'sha256-{}'", BASE64_STANDARD.encode(Sha256::digest(source)));
    let (style, script) = (hash(STYLE), hash(SCRIPT));
    Page {
        text: FRAME.replacen("/* style */", STYLE, 1).replacen("/* script */", SCRIPT, 1),
        policy: format!(
            "default-src 'none'; style-src {style}; script-src {script}; connect-src 'self'; img-src data:; \
            base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        ),
    }
});

pub(super) fn routes(config: &mut web::ServiceConfig) {
    config
        .route("/dashboard", web::get().to(page))
        .route("/dashboard", web::head().to(page))
        .route("/dashboard/events", web::get().to(events::events));
}

async fn page() -> HttpResponse {
    HttpResponse::Ok()
        .content_type("text/html; charset=utf-8")
        .insert_header((CACHE_CONTROL, "no-store"))
        .insert_header((CONTENT_SECURITY_POLICY, PAGE.policy.as_str()))
        .insert_header((REFERRER_POLICY, "no-referrer"))
        .insert_header((X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .body(PAGE.text.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_is_whole_and_loads_nothing() {
        let page = &PAGE.text;
        assert!(page.contains(STYLE) && page.contains(SCRIPT));
        assert_eq!(page.matches("<script").count(), 1, "a second one would not be allowed to run");
        assert_eq!(SCRIPT.matches("</").count(), 0, "it would end the script, or is markup made of text");
        for outside in ["http://", "https://", "@import", "url(", "src=", "innerHTML", "insertAdjacent"] {
            assert!(!page.replace("http://www.w3.org/2000/svg", "").contains(outside), "{outside}");
        }
        assert_eq!(page.matches(" style=").count(), 0, "the policy forbids it");
    }

    #[test]
    fn the_sources_are_short() {
        for (name, source) in [
            ("page.html", FRAME),
            ("style.css", include_str!("dashboard/style.css")),
            ("parts.css", include_str!("dashboard/parts.css")),
            ("words.js", include_str!("dashboard/words.js")),
            ("charts.js", include_str!("dashboard/charts.js")),
            ("nodes.js", include_str!("dashboard/nodes.js")),
            ("letters.js", include_str!("dashboard/letters.js")),
            ("lists.js", include_str!("dashboard/lists.js")),
            ("live.js", include_str!("dashboard/live.js")),
        ] {
            assert!(source.lines().count() <= 250, "{name}");
        }
    }
}
