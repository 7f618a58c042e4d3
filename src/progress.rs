//! How far is it? A bar on a terminal that is drawn in place, plain lines anywhere else, and only when
//! something has changed. Written to standard error, so that what a verb prints stays clean.

use std::io::{self, IsTerminal};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::terminal::{printed_lines, remark};

/// Between two lines about work that changes all the time.
const PACE: Duration = Duration::from_secs(5);

pub(crate) struct Progress {
    /// None: lines.
    bar: Option<ProgressBar>,
    told: String,
    told_at: Instant,
    pace: Duration,
}

impl Progress {
    /// Each change is a line, where no bar is drawn.
    pub(crate) fn start() -> Progress {
        Progress::paced(Duration::ZERO)
    }

    /// A line every 5 s, where no bar is drawn.
    pub(crate) fn of_records() -> Progress {
        Progress::paced(PACE)
    }

    fn paced(pace: Duration) -> Progress {
        let bar = io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
            if let Ok(style) = ProgressStyle::with_template("{spinner} {wide_msg}") {
                bar.set_style(style);
            }
            bar
        });
        Progress { bar, told: String::new(), told_at: Instant::now(), pace }
    }

    /// `done` of `total`, where that is known; `text` says it in words.
    pub(crate) fn tell(&mut self, done: u64, total: Option<u64>, text: &str) {
        let text = printed_lines(text);
        let Some(bar) = &self.bar else {
            if text != self.told && self.told_at.elapsed() >= self.pace {
                remark(&text);
                (self.told, self.told_at) = (text, Instant::now());
            }
            return;
        };
        if let Some(total) = total.filter(|total| bar.length() != Some(*total)) {
            bar.set_length(total);
            let style = "{spinner} [{bar:30}] {wide_msg}";
            if let Ok(style) = ProgressStyle::with_template(style) {
                bar.set_style(style.progress_chars("=> "));
            }
        }
        bar.set_position(done);
        bar.set_message(text.trim_start().to_owned());
        bar.tick();
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
