//! What an instance may log over time, whoever of its apps writes it: beyond that its text is left out, and the log says so.

use std::sync::Arc;

use cloudware_capability::{LogLevel, LogRecord, LogSink};
use cloudware_types::{Dimension, Unit, format_quantity};

use crate::{
    Admission,
    limits::{LOG_CONTROL_BYTES, LOG_RECORD_BYTES},
};

/// The log of an instance, as far as its rate goes.
pub(crate) struct RatedLog {
    admission: Arc<Admission>,
    sink: Arc<dyn LogSink>,
}

impl RatedLog {
    pub(crate) fn new(admission: &Arc<Admission>, sink: Arc<dyn LogSink>) -> Self {
        Self {
            admission: Arc::clone(admission),
            sink,
        }
    }
}

impl LogSink for RatedLog {
    fn wants(&self, level: LogLevel) -> bool {
        self.sink.wants(level)
    }

    fn record(&self, record: &LogRecord<'_>) -> bool {
        if !self.sink.wants(record.level) {
            return false;
        }
        let text = written(record.context) + written(record.message);
        if self.admission.log(text + LOG_RECORD_BYTES) {
            return self.sink.record(record);
        }
        if self.admission.tells_of_lost_log() {
            let max = self.admission.limit(Dimension::LogRate);
            let max = format_quantity(Unit::BytesPerSecond, max);
            self.sink.record(&LogRecord {
                identity: record.identity,
                // Where only what is graver is wanted, this is told as well.
                level: record.level.max(LogLevel::Warn),
                context: "",
                message: &format!("[log text left out: the limit log-rate of {max} was reached]"),
            });
        }
        false
    }
}

/// Bytes of a text about as the log has it, where control characters are written out.
fn written(text: &str) -> u64 {
    let controls = text.chars().filter(|character| character.is_control());
    text.len() as u64 + controls.count() as u64 * LOG_CONTROL_BYTES
}

#[cfg(test)]
mod tests {
    use cloudware_capability::Identity;
    use cloudware_types::{InstallId, InstanceId, Limits, TenantId};
    use parking_lot::Mutex;

    use super::*;

    #[derive(Default)]
    struct Kept(Mutex<Vec<String>>);

    impl LogSink for Kept {
        fn wants(&self, level: LogLevel) -> bool {
            level > LogLevel::Debug
        }

        fn record(&self, record: &LogRecord<'_>) -> bool {
            self.0.lock().push(record.message.to_owned());
            true
        }
    }

    #[test]
    fn a_flood_is_left_out_and_told_of_once_and_empty_lines_are_one_too() {
        let mut limits = Limits::default();
        limits
            .set(Dimension::LogRate, 10 * LOG_RECORD_BYTES)
            .unwrap();
        let identity = Identity {
            tenant: TenantId::generate(),
            tenant_slug: "acme".parse().unwrap(),
            instance: InstanceId::generate(),
            instance_slug: "main".parse().unwrap(),
            install: InstallId::generate(),
            app: "shop".parse().unwrap(),
            version: "1.0.0".to_owned(),
        };
        let record = LogRecord {
            identity: &identity,
            level: LogLevel::Info,
            context: "",
            message: "",
        };
        let [flooding, other] = [(); 2].map(|()| Arc::new(Admission::new(&limits)));
        let sink = Arc::new(Kept::default());
        // Two apps of one instance, and one of another.
        let [one, two, neighbour] = [&flooding, &flooding, &other]
            .map(|admission| RatedLog::new(admission, Arc::clone(&sink) as _));
        // What nobody wants to know costs nothing.
        let debug = LogRecord {
            level: LogLevel::Debug,
            ..record
        };
        assert!((0..1_000).all(|_| !one.record(&debug)));
        assert!(flooding.near().next().is_none());
        let kept: Vec<_> = (0..1_000)
            .map(|at| [&one, &two][at % 2].record(&record))
            .collect();
        let kept = kept.into_iter().filter(|&kept| kept).count();
        // A thread that loses the processor meanwhile may have one more each tenth of a second.
        assert!((10..20).contains(&kept), "{kept}");
        let texts = std::mem::take(&mut *sink.0.lock());
        let told: Vec<_> = texts.iter().filter(|text| !text.is_empty()).collect();
        assert_eq!(texts.len() - told.len(), kept);
        assert!((1..=2).contains(&told.len()), "{told:?}");
        assert_eq!(
            told[0],
            "[log text left out: the limit log-rate of 2.5 KiB/s was reached]"
        );
        let near: Vec<_> = flooding.near().map(|near| near.limit).collect();
        assert_eq!(near, [Dimension::LogRate.into()]);
        assert!(neighbour.record(&record));
        assert!(other.near().next().is_none());
    }

    #[test]
    fn what_is_written_out_counts_as_it_is_written() {
        assert_eq!(written("größe"), 7);
        assert_eq!(written("\u{1b}[0m\n"), 5 + 2 * LOG_CONTROL_BYTES);
    }
}
