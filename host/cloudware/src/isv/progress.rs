//! Progress on standard error: a spinner or bar where it is a terminal, plain lines where it is not.

use std::{io::IsTerminal as _, time::Duration};

use indicatif::{ProgressBar, ProgressStyle};

/// How often a spinner turns.
const TICK: Duration = Duration::from_millis(120);

/// Where progress is shown.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Progress {
    terminal: bool,
}

/// One step that is under way; dropping it clears its line.
pub(crate) struct Step {
    bar: Option<ProgressBar>,
    title: String,
}

impl Progress {
    /// Progress on this process's standard error.
    pub(crate) fn stderr() -> Self {
        Self {
            terminal: std::io::stderr().is_terminal(),
        }
    }

    /// Says one line.
    #[expect(
        clippy::print_stderr,
        reason = "messages for the person go to standard error"
    )]
    pub(crate) fn say(&self, line: &str) {
        eprintln!("{line}");
    }

    /// Begins a step of unknown length.
    pub(crate) fn step(&self, title: impl Into<String>) -> Step {
        let title = title.into();
        if !self.terminal {
            self.say(&format!("{title} …"));
            return Step { bar: None, title };
        }
        let bar = ProgressBar::new_spinner().with_message(title.clone());
        bar.enable_steady_tick(TICK);
        Step {
            bar: Some(bar),
            title,
        }
    }

    /// Begins a step that is over so soon that only a terminal shows it.
    pub(crate) fn quiet_step(&self, title: &str) -> Step {
        if self.terminal {
            self.step(title)
        } else {
            Step {
                bar: None,
                title: title.to_owned(),
            }
        }
    }

    /// Begins a step of a known number of bytes.
    pub(crate) fn bytes(&self, title: impl Into<String>, total: u64) -> Step {
        let title = title.into();
        if !self.terminal {
            self.say(&format!("{title} ({} kB) …", total.div_ceil(1_000)));
            return Step { bar: None, title };
        }
        let style =
            ProgressStyle::with_template("{msg} {wide_bar} {bytes}/{total_bytes} {bytes_per_sec}")
                .expect("the template is a constant");
        let bar = ProgressBar::new(total)
            .with_style(style)
            .with_message(title.clone());
        Step {
            bar: Some(bar),
            title,
        }
    }
}

impl Step {
    /// Shows what the step is doing now, beside its title.
    pub(crate) fn detail(&self, detail: &str) {
        if let Some(bar) = &self.bar {
            let short: String = detail
                .chars()
                .filter(|c| !c.is_control())
                .take(80)
                .collect();
            bar.set_message(format!("{}: {short}", self.title));
        }
    }

    /// Notes that more bytes are done.
    pub(crate) fn advance(&self, bytes: u64) {
        if let Some(bar) = &self.bar {
            bar.inc(bytes);
        }
    }
}

impl Drop for Step {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
