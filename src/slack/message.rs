//! How does an alert read on a phone? Title first, then what, since when, effect and action. It knows
//! Slack's mark-up and nothing about sending.

use chroma_ha_core::alert::{Alert, Phase, Severity};
use slack_hook::{Payload, PayloadBuilder, SlackLink, SlackText, SlackTextContent};

/// Longest part of a message, in characters: Slack cuts long ones at odd places.
const LONGEST: usize = 1500;

/// The message for an alert of the service of this name.
pub(super) fn payload(alert: &Alert, service: &str) -> slack_hook::Result<Payload> {
    let since = if alert.phase == Phase::Opened { "Since:" } else { "At:" };
    let title = format!("*{} {}: {}*", lead(alert), cut(service), cut(&alert.title));
    let first = [Some(title), labelled("What:", &alert.what), Some(since.to_owned())];
    let last = [labelled("Users:", &alert.effect), labelled("To do:", &alert.action)];
    let lines = |parts: &[Option<String>]| parts.iter().flatten().cloned().collect::<Vec<_>>().join("\n");
    let mut parts = vec![text(lines(&first)), SlackTextContent::Link(local_time(alert.at_ms))];
    let last = lines(&last);
    if !last.is_empty() {
        parts.push(text(format!("\n{last}")));
    }
    PayloadBuilder::new().text(SlackText::from(&parts[..])).unfurl_links(false).build()
}

fn labelled(label: &str, words: &str) -> Option<String> {
    (!words.is_empty()).then(|| format!("{label} {}", cut(words)))
}

fn text(words: String) -> SlackTextContent {
    SlackTextContent::Text(SlackText::new(words))
}

fn lead(alert: &Alert) -> &'static str {
    match (alert.phase, alert.severity) {
        (Phase::Resolved, _) => "[RESOLVED]",
        (_, Severity::Critical) => "[CRITICAL]",
        (_, Severity::Warning) => "[WARNING]",
        (_, Severity::Info) => "[INFO]",
    }
}

fn cut(words: &str) -> String {
    match words.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &words[..end]),
        None => words.to_owned(),
    }
}

/// Slack's own mark-up for a moment, shown in the reader's time zone; UTC where it cannot.
fn local_time(at_ms: u64) -> SlackLink {
    let date = format!("!date^{}^{{date_short_pretty}} {{time_secs}}", at_ms / 1000);
    SlackLink::new(&date, &utc(at_ms))
}

/// `2026-01-31 23:59:59 UTC`, by the civil calendar's arithmetic on days since 1970.
fn utc(at_ms: u64) -> String {
    let (days, second) = (at_ms / 86_400_000, at_ms / 1000 % 86_400);
    // Years counted from March, so that the leap day is the last of its year; eras of 400 years.
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02} UTC")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alert(phase: Phase) -> Alert {
        Alert {
            key: "node-down:primary".into(),
            severity: Severity::Critical,
            phase,
            title: "primary is down".into(),
            what: "3 probes in a row failed: no answer within 750 ms <at> 10:00".into(),
            effect: "None so far: replica-1 answers reads and writes.".into(),
            action: "Restart the server.".into(),
            at_ms: 1_700_000_000_000,
        }
    }

    #[test]
    fn it_says_what_since_when_effect_and_action() {
        let text = payload(&alert(Phase::Opened), "prod").unwrap().text.unwrap().to_string();
        assert_eq!(
            text,
            "*[CRITICAL] prod: primary is down*\nWhat: 3 probes in a row failed: no answer within 750 ms \
             &lt;at&gt; 10:00\nSince: <!date^1700000000^{date_short_pretty} {time_secs}|2023-11-14 22:13:20 \
             UTC> \nUsers: None so far: replica-1 answers reads and writes.\nTo do: Restart the server."
        );
        let resolved = payload(&alert(Phase::Resolved), "prod").unwrap().text.unwrap().to_string();
        assert!(resolved.starts_with("*[RESOLVED] prod: primary is down*"), "{resolved}");
    }

    #[test]
    fn long_words_are_cut() {
        let long = Alert { what: "é".repeat(5000), ..alert(Phase::Opened) };
        assert!(payload(&long, "prod").unwrap().text.unwrap().to_string().chars().count() < 2000);
    }

    #[test]
    fn moments_are_spelt_by_the_calendar() {
        assert_eq!(utc(0), "1970-01-01 00:00:00 UTC");
        assert_eq!(utc(951_827_696_000), "2000-02-29 12:34:56 UTC");
        assert_eq!(utc(1_767_225_599_999), "2025-12-31 23:59:59 UTC");
        assert_eq!(utc(4_107_542_400_000), "2100-03-01 00:00:00 UTC");
    }
}
