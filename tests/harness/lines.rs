//! What did the balancer log, as a machine reads it? Every whole line must be one flat JSON object.

use serde_json::Value;

use super::Balancer;

/// Lines of a balancer with `LOG_FORMAT=json`, in their order.
pub(crate) struct Lines(Vec<Value>);

impl Lines {
    pub(crate) fn of(balancer: &Balancer) -> Lines {
        let log = balancer.log();
        let whole = log.rsplit_once('\n').map_or("", |(whole, _)| whole);
        Lines(whole.lines().map(flat).collect())
    }

    /// Those in which the field has this value.
    pub(crate) fn with(&self, field: &str, value: &str) -> Lines {
        Lines(self.0.iter().filter(|line| line[field] == value).cloned().collect())
    }

    pub(crate) fn all(&self) -> &[Value] {
        &self.0
    }

    /// The one line that there is.
    pub(crate) fn only(&self) -> &Value {
        assert_eq!(self.0.len(), 1, "{:#?}", self.0);
        &self.0[0]
    }
}

fn flat(line: &str) -> Value {
    let value: Value = serde_json::from_str(line).unwrap_or_else(|reason| panic!("{reason}: {line}"));
    let fields = value.as_object().unwrap_or_else(|| panic!("no object: {line}"));
    for name in ["timestamp", "level", "target"] {
        assert!(fields.get(name).is_some_and(Value::is_string), "{name}: {line}");
    }
    assert!(!fields.values().any(|field| field.is_object() || field.is_array()), "not flat: {line}");
    value
}
