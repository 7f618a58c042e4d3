//! In which words is a person told what the balancer is short of, and that it is over?

use super::kind::{Kind, Words};
use super::{Alert, Severity};
use crate::pressure::{Pressure, QUEUE_PERCENT, Sample, Strain, Thresholds};

const MIB: f64 = 1024.0 * 1024.0;

/// `at_ms`: since when.
pub fn opened(strain: Strain, sample: &Sample, thresholds: &Thresholds, at_ms: u64) -> Alert {
    let shed_percent = thresholds.shed_percent();
    let (title, effect, action) = match strain {
        Strain::MemoryShort => (
            "Memory is nearly used up",
            "New writes are refused with 503 and Retry-After until memory falls; reads go on.".to_owned(),
            "Give the container more memory. If the balancer itself holds most of it, lower \
             MAX_BODY_MEMORY, WAL_MEMORY_BYTES or REQUEST_QUEUE_SIZE.",
        ),
        Strain::Memory => (
            "Memory is short",
            format!("None yet. From {shed_percent:.0} % on new writes are refused with 503."),
            "Give the container more memory, or end what else uses it.",
        ),
        Strain::Cpu => (
            "CPU is short",
            "Requests may be slow; none is refused for it.".to_owned(),
            "Give the container more CPU, or find out what else runs there.",
        ),
        Strain::Queue => (
            "Requests queue up",
            "Requests wait before they are worked on; once the queue is full, more are answered 503."
                .to_owned(),
            "See \"Requests are refused with 503\" in the operations manual.",
        ),
    };
    let severity = if strain.level() == Pressure::Shed { Severity::Critical } else { Severity::Warning };
    let words = Words::new(title, measured(strain, sample, thresholds), effect, action);
    Kind::Pressure.opened(strain.name(), severity, at_ms, words)
}

/// What was measured, against what.
fn measured(strain: Strain, sample: &Sample, thresholds: &Thresholds) -> String {
    match strain {
        Strain::MemoryShort => memory(sample, thresholds.shed_percent()),
        Strain::Memory => memory(sample, thresholds.memory_percent),
        Strain::Cpu => {
            let (used, limit) = (sample.cpu_percent, thresholds.cpu_percent);
            format!("{used:.0} % of the CPU that may be used is used, the threshold is {limit:.0} %.")
        }
        Strain::Queue => {
            let queue = &sample.queue;
            format!(
                "{} of {} requests are worked on, {} of {} places in the queue are taken ({QUEUE_PERCENT:.0} % for \
                 some seconds is too much); {} writes wait for the log.",
                queue.in_flight,
                queue.in_flight_limit,
                queue.queued,
                queue.queued_limit,
                queue.appends_waiting
            )
        }
    }
}

fn memory(sample: &Sample, threshold: f64) -> String {
    let [used, limit, own] =
        [sample.memory_used_bytes, sample.memory_limit_bytes, sample.rss_bytes].map(|b| b as f64 / MIB);
    format!(
        "{used:.0} of {limit:.0} MiB are used ({:.0} %), the threshold is {threshold:.0} %. The balancer itself \
         holds {own:.0} MiB.",
        sample.memory_percent
    )
}

/// It lasted until `at_ms`.
pub fn resolved(strain: Strain, sample: &Sample, thresholds: &Thresholds, at_ms: u64) -> Alert {
    let title = match strain {
        Strain::MemoryShort => "Memory is no longer nearly used up",
        Strain::Memory => "Memory is no longer short",
        Strain::Cpu => "CPU is no longer short",
        Strain::Queue => "Requests no longer queue up",
    };
    let words = Words::over(title, measured(strain, sample, thresholds));
    Kind::Pressure.resolved(strain.name(), at_ms, words)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alert::Phase;
    use crate::pressure::Queue;

    fn sample() -> Sample {
        Sample {
            cpu_percent: 91.4,
            memory_percent: 93.0,
            memory_used_bytes: 476 << 20,
            memory_limit_bytes: 512 << 20,
            rss_bytes: 80 << 20,
            queue: Queue {
                in_flight: 4,
                in_flight_limit: 4,
                queued: 9,
                queued_limit: 10,
                appends_waiting: 3,
            },
            ..Sample::default()
        }
    }

    #[test]
    fn each_strain_says_what_is_short_by_how_much_and_what_it_means() {
        let told = |strain| opened(strain, &sample(), &Thresholds::default(), 7);
        let short = told(Strain::MemoryShort);
        assert_eq!(
            (short.severity, short.key.as_str(), short.at_ms),
            (Severity::Critical, "pressure:memory-short", 7)
        );
        assert!(
            short.what.starts_with("476 of 512 MiB are used (93 %), the threshold is 92 %."),
            "{}",
            short.what
        );
        assert!(short.what.ends_with("holds 80 MiB."), "{}", short.what);
        let memory = told(Strain::Memory);
        assert_eq!(memory.severity, Severity::Warning);
        assert!(memory.effect.contains("From 92 % on"), "{}", memory.effect);
        assert!(told(Strain::Cpu).what.starts_with("91 % of the CPU"), "{}", told(Strain::Cpu).what);
        assert!(told(Strain::Queue).what.starts_with("4 of 4 requests are worked on, 9 of 10 places"));
    }

    #[test]
    fn it_is_over_under_the_key_under_which_it_began() {
        for strain in Strain::ALL {
            let [began, ended] =
                [opened, resolved].map(|told| told(strain, &sample(), &Thresholds::default(), 1));
            assert_eq!((began.key, began.phase), (ended.key, Phase::Opened));
            assert_eq!((ended.severity, ended.phase), (Severity::Info, Phase::Resolved));
        }
    }
}
