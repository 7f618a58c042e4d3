//! How does one variable become one value? Typed look-ups against the table that collect every problem
//! instead of stopping at the first. What the values mean together is not known here.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::time::Duration;

use super::problem::{Problem, Warning};
use super::secret::{RedactedUrl, Secret};
use super::table::{self, Accepts, Preset, Variable};
use super::urls;

/// The environment while it is being read.
pub(super) struct Reader {
    values: BTreeMap<String, String>,
    pub(super) problems: Vec<Problem>,
    pub(super) warnings: Vec<Warning>,
}

impl Reader {
    /// Blank values count as not set, as `${NAME:-}` in a compose file makes them.
    pub(super) fn new(vars: impl Iterator<Item = (String, String)>) -> Reader {
        let values = vars
            .map(|(name, value)| (name, value.trim().to_owned()))
            .filter(|(_, value)| !value.is_empty())
            .collect();
        Reader { values, problems: Vec::new(), warnings: Vec::new() }
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &String> {
        self.values.keys()
    }

    pub(super) fn is_set(&self, name: &str) -> bool {
        self.values.contains_key(name)
    }

    pub(super) fn warn(&mut self, line: String) {
        self.warnings.push(Warning(line));
    }

    /// Refuses a value for a reason that the table does not hold.
    pub(super) fn refuse(&mut self, name: &'static str, reason: &str) {
        if let Some(row) = table::find(name) {
            let value = self.values.get(name).cloned().unwrap_or_default();
            self.problems.push(Problem::because(row, &value, reason));
        }
    }

    /// The value that is set, or the default, through `parse`. `None`: unset, or refused and noted.
    fn read<T>(&mut self, name: &'static str, parse: impl Fn(Accepts, &str) -> Option<T>) -> Option<T> {
        let Some(row) = table::find(name) else {
            self.warn(format!("{name} is missing in the table of variables: this is a defect"));
            return None;
        };
        let value = self.value(row)?;
        let parsed = parse(row.accepts, &value);
        if parsed.is_none() {
            self.problems.push(Problem::refused(row, &value));
        }
        parsed
    }

    fn value(&mut self, row: &'static Variable) -> Option<String> {
        match (self.values.get(row.name), row.default) {
            (Some(value), _) => Some(value.clone()),
            (None, Preset::Value(value)) => Some(value.to_owned()),
            (None, Preset::Required) => {
                self.problems.push(Problem::missing(row));
                None
            }
            (None, Preset::Unset | Preset::Computed(_)) => None,
        }
    }

    /// A whole number; `None` where the default is computed.
    pub(super) fn whole_or_computed(&mut self, name: &'static str) -> Option<u64> {
        self.read(name, |accepts, value| match accepts {
            Accepts::Whole(least, most) => {
                value.parse().ok().filter(|number| (least..=most).contains(number))
            }
            _ => None,
        })
    }

    pub(super) fn whole(&mut self, name: &'static str) -> u64 {
        self.whole_or_computed(name).unwrap_or_default()
    }

    /// A whole number that counts things in memory.
    pub(super) fn count(&mut self, name: &'static str) -> usize {
        usize::try_from(self.whole(name)).unwrap_or(usize::MAX)
    }

    /// A whole number whose bounds fit.
    pub(super) fn small(&mut self, name: &'static str) -> u32 {
        u32::try_from(self.whole(name)).unwrap_or(u32::MAX)
    }

    pub(super) fn decimal(&mut self, name: &'static str) -> f64 {
        let number = self.read(name, |accepts, value| match accepts {
            Accepts::Decimal(least, most) => {
                value.parse::<f64>().ok().filter(|number| (least..=most).contains(number))
            }
            _ => None,
        });
        number.unwrap_or_default()
    }

    pub(super) fn seconds(&mut self, name: &'static str) -> Duration {
        Duration::try_from_secs_f64(self.decimal(name)).unwrap_or_default()
    }

    pub(super) fn flag(&mut self, name: &'static str) -> bool {
        let flag = self.read(name, |_, value| match value.to_ascii_lowercase().as_str() {
            "true" | "1" | "yes" | "on" => Some(true),
            "false" | "0" | "no" | "off" => Some(false),
            _ => None,
        });
        flag.unwrap_or_default()
    }

    /// One of the table's words, already turned into its meaning.
    pub(super) fn word<T>(&mut self, name: &'static str, parse: impl Fn(&str) -> Option<T>) -> Option<T> {
        self.read(name, |_, value| parse(&value.to_ascii_lowercase()))
    }

    pub(super) fn address(&mut self) -> IpAddr {
        let address = self.read("BIND_ADDRESS", |_, value| {
            value.trim_start_matches('[').trim_end_matches(']').parse().ok()
        });
        address.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED))
    }

    pub(super) fn http_url(&mut self, name: &'static str) -> Option<RedactedUrl> {
        self.read(name, |_, value| urls::http(value))
    }

    pub(super) fn http_urls(&mut self, name: &'static str) -> Vec<RedactedUrl> {
        let urls = self.read(name, |_, value| {
            let items = value.split(',').map(str::trim).filter(|url| !url.is_empty());
            items.map(urls::http).collect::<Option<Vec<_>>>().filter(|urls| !urls.is_empty())
        });
        urls.unwrap_or_default()
    }

    pub(super) fn postgres_url(&mut self, name: &'static str) -> Option<RedactedUrl> {
        self.read(name, |_, value| urls::postgres(value))
    }

    pub(super) fn secret(&mut self, name: &'static str) -> Option<Secret> {
        self.read(name, |_, value| fits_header(value).then(|| Secret::new(value)))
    }

    /// A secret of several words.
    pub(super) fn secret_text(&mut self, name: &'static str) -> Option<String> {
        self.read(name, |_, value| Some(value.to_owned()))
    }

    /// Secrets separated by commas; an empty place means none.
    pub(super) fn secrets(&mut self, name: &'static str) -> Option<Vec<Option<Secret>>> {
        self.read(name, |_, value| {
            let items: Vec<&str> = value.split(',').map(str::trim).collect();
            let secret = |item: &str| (!item.is_empty()).then(|| Secret::new(item));
            items.iter().all(|item| fits_header(item)).then(|| items.into_iter().map(secret).collect())
        })
    }

    pub(super) fn secret_url(&mut self, name: &'static str) -> Option<Secret> {
        self.read(name, |_, value| {
            let url = url::Url::parse(value).ok()?;
            (matches!(url.scheme(), "http" | "https") && url.has_host()).then(|| Secret::new(value))
        })
    }

    pub(super) fn file(&mut self, name: &'static str) -> Option<PathBuf> {
        self.read(name, |_, value| std::fs::File::open(value).is_ok().then(|| PathBuf::from(value)))
    }

    pub(super) fn name(&mut self, name: &'static str) -> String {
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        let text = self.read(name, |_, value| {
            (value.len() <= 64 && value.chars().all(allowed)).then(|| value.to_owned())
        });
        text.unwrap_or_default()
    }

    pub(super) fn log_filter(&mut self, name: &'static str) -> String {
        let filter = self.read(name, |_, value| {
            tracing_subscriber::EnvFilter::try_new(value).is_ok().then(|| value.to_owned())
        });
        filter.unwrap_or_default()
    }
}

/// Whether the value can stand in a header as it is.
fn fits_header(value: &str) -> bool {
    value.bytes().all(|byte| byte.is_ascii_graphic())
}
