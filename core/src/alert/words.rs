//! How are durations and numbers spelt for people? It knows nothing of what they measure.

/// `45 s`, `2 min 10 s`, `3 h 5 min`, `2 d 4 h`.
pub fn lasting(ms: u64) -> String {
    let seconds = ms / 1000;
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    let parts = match (days, hours, minutes) {
        (0, 0, 0) => [(seconds, "s"), (0, "")],
        (0, 0, _) => [(minutes, "min"), (seconds % 60, "s")],
        (0, _, _) => [(hours, "h"), (minutes, "min")],
        _ => [(days, "d"), (hours, "h")],
    };
    let [first, second] = parts.map(|(count, unit)| format!("{count} {unit}"));
    if parts[1].0 == 0 { first } else { format!("{first} {second}") }
}

/// `12,345`.
pub fn number(count: u64) -> String {
    let digits = count.to_string();
    let mut spelt = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            spelt.push(',');
        }
        spelt.push(digit);
    }
    spelt
}

/// `1 entry`, `2 entries`.
pub fn counted(count: u64, one: &str, many: &str) -> String {
    format!("{} {}", number(count), if count == 1 { one } else { many })
}

/// `a`, `a and b`, `a, b and c`.
pub fn listed(names: &[&str]) -> String {
    match names {
        [] => String::new(),
        [one] => (*one).to_owned(),
        [most @ .., last] => format!("{} and {last}", most.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_and_numbers_read_well() {
        let spelt =
            [0, 999, 45_000, 60_000, 130_999, 3_600_000, 11_100_000, 86_400_000, 187_200_000].map(lasting);
        let expected = ["0 s", "0 s", "45 s", "1 min", "2 min 10 s", "1 h", "3 h 5 min", "1 d", "2 d 4 h"];
        assert_eq!(spelt, expected);
        assert_eq!([0, 999, 1_000, 1_234_567].map(number), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!(counted(1, "entry", "entries"), "1 entry");
        assert_eq!(listed(&["a", "b", "c"]), "a, b and c");
    }
}
