//! Does anything cost more because there are many collections? Nodes are stubs, so that only the balancer's own
//! cost is in the figures.

use std::borrow::Cow;

use serde_json::json;

use super::probe::{Chart, probe};
use crate::end_to_end::context::Context;
use crate::end_to_end::ground::{Stubs, create};
use crate::end_to_end::load::{Kind, requests};
use crate::end_to_end::page::until_applied;
use crate::end_to_end::requests::COLLECTIONS;
use crate::end_to_end::wire::request;

pub(crate) const SECTION: &str = "Cost by the number of collections (2 stub nodes)";

const CHART: Chart = ("collections", "Cost by the number of collections", ["collections", "p50 ms"]);
const SIZES: [u64; 4] = [1, 10, 1_000, 20_000];
const CREATORS: usize = 16;

pub(crate) async fn measure(context: &mut Context) {
    let most = context.options.collections;
    let mut sizes: Vec<u64> = SIZES.into_iter().filter(|size| *size < most).collect();
    sizes.push(most);
    let stubs = Stubs::start(2).await;
    let (port, asked) = (stubs.balancer.port(), create(stubs.balancer.port(), "asked").await);
    let mut there = 1;
    for size in sizes {
        if size > there {
            eprintln!("    creating {} collections", size - there);
            let make = |nth: u64| {
                let body = json!({"name": format!("collection-{size}-{nth}")}).to_string();
                (Kind::Write, Cow::Owned(request("POST", COLLECTIONS, "", body.as_bytes())))
            };
            // Each client's first request is one, too.
            let (crowd, missing) = (CREATORS.min((size - there) as usize), size - there);
            let heard = requests(port, crowd, missing - crowd as u64, make).await;
            assert_eq!(heard.failures(), None, "creates");
            until_applied(port).await;
            there = size;
        }
        let words = format!("{size} collections").replace("1 collections", "1 collection");
        probe(&stubs, context, (SECTION, CHART), (&asked, size as f64, &words), true).await;
    }
}
