//! How many writes a second does the log take, when clients wait for nothing else? Skipped where the balancer
//! does not know this acknowledgement.

use crate::end_to_end::context::Context;
use crate::end_to_end::figures::Side;
use crate::end_to_end::ground::Real;
use crate::end_to_end::load::clients;
use crate::end_to_end::page::until_applied;
use crate::end_to_end::requests::Ack;
use crate::end_to_end::wire::Wire;

pub(crate) const SECTION: &str = "Writes acknowledged by the log (`x-chroma-ha-ack: log`)";
pub(crate) const CROWD: &str = "32 clients, acknowledged by the log";

const CLIENTS: usize = 32;

pub(crate) async fn measure(real: &mut Real, context: &mut Context) {
    let pair = real.pair().await;
    let mut wire = Wire::to(real.balancer());
    let status = wire.send(&pair.balanced.upsert(0, 1, Ack::Log)).await.expect("an answer");
    if status >= 400 {
        let words = String::from_utf8_lossy(wire.body()).into_owned();
        context.figures.remark(format!(
            "acknowledgement by the log: not supported by this build: skipped ({status} {words})"
        ));
        real.drop_pair(pair).await;
        return;
    }
    let ask = |nth: u64| pair.balanced.write(1 + nth, 1, Ack::Log);
    let heard = clients(real.balancer(), CLIENTS, context.span(), ask).await;
    context.figures.note(SECTION, CROWD, "writes/s", Side::Balancer, heard.rate());
    context.note_times(SECTION, CROWD, Side::Balancer, &heard.times());
    context.note_failures(CROWD, Side::Balancer, &heard);
    until_applied(real.balancer()).await;
    let all = heard.done() as f64 / heard.begun.elapsed().as_secs_f64();
    context.figures.note(SECTION, "until both nodes have them", "writes/s", Side::Balancer, all);
    real.drop_pair(pair).await;
}
