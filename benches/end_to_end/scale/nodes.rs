//! What does each further node cost? Stubs, so that the machine's few cores are not what is measured.

use super::probe::{Chart, probe};
use crate::end_to_end::context::Context;
use crate::end_to_end::figures::Side;
use crate::end_to_end::ground::{Stubs, create};
use crate::end_to_end::load::clients;
use crate::end_to_end::page::until_applied;
use crate::end_to_end::requests::Ack;

pub(crate) const SECTION: &str = "Cost by the number of nodes (stub nodes)";

const CHART: Chart = ("nodes", "Cost by the number of nodes", ["nodes", "p50 ms"]);
const SIZES: [usize; 3] = [2, 3, 5];

pub(crate) async fn measure(context: &mut Context) {
    for size in SIZES {
        let stubs = Stubs::start(size).await;
        let port = stubs.balancer.port();
        let asked = create(port, "asked").await;
        until_applied(port).await;
        let words = format!("{size} nodes");
        probe(&stubs, context, (SECTION, CHART), (&asked, size as f64, &words), true).await;
        for (crowd, ack) in [("32 clients", Ack::Usual), ("32 clients, `all`", Ack::All)] {
            let ask = |nth: u64| asked.write(nth, 1, ack);
            let heard = clients(port, 32, context.span(), ask).await;
            until_applied(port).await;
            let rate = heard.done() as f64 / heard.begun.elapsed().as_secs_f64();
            context.figures.note(SECTION, format!("{words}: {crowd}"), "records/s", Side::Balancer, rate);
            context.note_failures(&words, Side::Balancer, &heard);
        }
    }
}
