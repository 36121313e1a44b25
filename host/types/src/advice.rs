//! What a person can do about a stop, by what ended the invocation.

use crate::{Dimension, Limit, Stop, StopCause};

impl Stop {
    /// One or two sentences for people: what to change in the app, and which limit to raise.
    #[must_use]
    pub fn advice(&self) -> String {
        match &self.cause {
            StopCause::Limit { .. } if self.is_of_host => {
                "Nothing is wrong with the app: try again shortly. Whoever runs the host gives it more processors, or spreads instances over more hosts.".to_owned()
            }
            StopCause::Limit { limit, .. } => self.about_limit(*limit),
            StopCause::Trap { .. } => match &self.function {
                Some(function) => format!("Mend {function}; the app's log has what it wrote before."),
                None => "Mend the app; its log has what it wrote before. A component with its names kept tells the function too.".to_owned(),
            },
            StopCause::NoResponse { .. } => {
                "Mend the handler: it must set a response on every path, errors included.".to_owned()
            }
            StopCause::Overloaded { .. } => {
                "Nothing is wrong with the app. Give the host more sandboxes (engine.sandboxes_max) or memory (engine.memory_bytes_max), or spread instances over more hosts.".to_owned()
            }
        }
    }

    fn about_limit(&self, limit: Limit) -> String {
        let waited_in = self.host_call.as_deref();
        let waited_in = waited_in.filter(|_| limit.dimension() == Dimension::Deadline);
        let outside = waited_in.and_then(cure_outside);
        let mut text = outside.unwrap_or(cure(limit.dimension())).to_owned();
        if let Some(call) = waited_in.filter(|call| CHANGES.contains(call)) {
            text.push_str(&format!(
                " The last {call} may have been done all the same, unless it was part of a transaction: look before \
                 you send it again."
            ));
        }
        let half = self.elapsed_ms.saturating_mul(1_000) / 2;
        // Fuel is the guest's own, whatever the host did for it.
        let is_of_time = limit.dimension() != Dimension::Fuel;
        let most = self
            .consumers
            .first()
            .filter(|most| is_of_time && outside.is_none() && most.microseconds >= half);
        if let Some(most) = most {
            let calls = match most.calls {
                1 => "1 call".to_owned(),
                calls => format!("{calls} calls"),
            };
            text.push_str(&format!(
                " Most of the time went to {} ({calls}).",
                most.host_call
            ));
        }
        let (least, most) = limit.bounds();
        if least == most {
            // There is nothing to raise.
            return text;
        }
        text.push_str(&format!(
            " Or have the limit {limit} raised where it is set, which `quota explain` shows"
        ));
        if self.hook.is_some() && HOOKS_OWN.contains(&limit.dimension()) {
            text.push_str(", or the hook's own, which `hook show` shows: the lower one holds");
        }
        if let Some(plan) = self.fits.first() {
            text.push_str(&format!("; the plan {plan} has room"));
        }
        text.push('.');
        text
    }
}

/// What a hook has limits of its own for beside those of its class.
const HOOKS_OWN: [Dimension; 3] = [Dimension::Fuel, Dimension::Deadline, Dimension::Memory];

/// Host calls that change something for good, whatever becomes of the run.
const CHANGES: [&str; 15] = [
    "keyvalue.delete",
    "keyvalue.delete-many",
    "keyvalue.increment",
    "keyvalue.set",
    "keyvalue.set-many",
    "keyvalue.swap",
    "kv.change",
    "kv.compare-and-set",
    "kv.delete",
    "kv.increment",
    "kv.set",
    "kv.write-many",
    "sql.execute",
    "sql.statement.execute",
    "sql.transaction.commit",
];

/// What helps where the time was spent outside of the app, whatever else it waited in.
fn cure_outside(waited_in: &str) -> Option<&'static str> {
    match waited_in {
        Stop::REQUEST_BODY => {
            Some("The body of the request came too slowly: send it faster, or in parts.")
        }
        Stop::RESPONSE_BODY => {
            Some("The answer was taken too slowly: take it faster, or answer in pages.")
        }
        Stop::EGRESS_RATE => Some(
            "The instance may not send more in this time: answer less at once, or raise egress-rate.",
        ),
        Stop::APP_CALL => Some(
            "The app that it called took too long: `trace show` with the id of the request says which, and what it did.",
        ),
        Stop::HOOK_CALL => Some(
            "Its hooks took too long: `trace show` with the id of the request says which; hook-deadline and \
             extension-time give them less time.",
        ),
        _ => None,
    }
}

/// What helps without raising the limit.
fn cure(dimension: Dimension) -> &'static str {
    match dimension {
        Dimension::Fuel | Dimension::CpuTime => {
            "Compute less in one run: look for a loop that grows with the data, and cache what is computed again and again."
        }
        Dimension::FuelPerMinute => {
            "Try again in the next minute, or compute less: `usage show` says which app burns the fuel."
        }
        Dimension::FuelPerDay => {
            "Try again on the next day (UTC), or compute less: `usage show` says which app burns the fuel."
        }
        Dimension::Deadline => "Do less in one run, or do it in the background.",
        Dimension::Memory => "Hold less at once: read and answer in pieces.",
        Dimension::Stack => "Recurse less deeply.",
        Dimension::Handles => "Drop resources as soon as they are done with.",
        Dimension::HostCalls => "Call the host less often: ask for many things at once.",
        Dimension::RequestBytes => "Send a smaller body, or send it in parts.",
        Dimension::ResponseBytes => "Answer in pages.",
        Dimension::LogBytes | Dimension::LogRate => "Log less.",
        Dimension::SqlStatements => {
            "Use one statement for many rows in place of a statement in a loop."
        }
        Dimension::SqlRowsRead => "Read in pages, and let the database filter and add up.",
        Dimension::SqlRowsWritten => "Write in several runs.",
        Dimension::SqlTime => "Give the statement an index, or let it touch fewer rows.",
        Dimension::KvOperations => "Keep together in one value what is read together.",
        Dimension::OutboundCalls => {
            "Ask for everything in one request in place of one after the other."
        }
        Dimension::ExtensionTime => {
            "Look which hooks took how long (`trace show`), and make the slow ones quicker or observe instead."
        }
        Dimension::Recursion => "Look for apps and hooks that call each other in a circle.",
        Dimension::Concurrency => "Answer faster, or send fewer requests at the same time.",
        Dimension::RequestRate => "Send fewer requests a second.",
        Dimension::CpuWeight | Dimension::QueueTime => {
            "The processors were busy, with others or with what this instance does at the same time: try again later, or do less at once."
        }
        Dimension::Storage => "Delete what is not needed any more.",
        Dimension::EgressRate => "Send less, or more slowly.",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Class, Consumer};

    fn stop(dimension: Dimension) -> Stop {
        Stop {
            cause: StopCause::limit(dimension, Class::Request, 10_000, 10_000),
            app: "inventory-stock".into(),
            version: "1.0.0".into(),
            hook: None,
            function: None,
            host_call: None,
            elapsed_ms: 10_000,
            class: Class::Request,
            resets_in_ms: None,
            fits: Vec::new(),
            consumers: Vec::new(),
            is_of_host: false,
        }
    }

    #[test]
    fn advice_names_the_consumer_the_limit_and_the_plan() {
        let reading = Stop {
            host_call: Some("sql.query".into()),
            fits: vec!["large".into()],
            consumers: vec![Consumer {
                host_call: "sql.query".into(),
                calls: 900,
                microseconds: 9_000_000,
            }],
            ..stop(Dimension::Deadline)
        };
        assert_eq!(
            reading.advice(),
            "Do less in one run, or do it in the background. Most of the time went to sql.query (900 calls). \
             Or have the limit deadline raised where it is set, which `quota explain` shows; the plan large has room."
        );
        let writing = Stop {
            host_call: Some("sql.execute".into()),
            ..reading
        };
        let may_be_done = "The last sql.execute may have been done all the same";
        assert!(writing.advice().contains(may_be_done));
        let burning = Stop {
            cause: StopCause::limit(Dimension::Fuel, Class::Request, 10, 10),
            ..writing
        };
        let advice = burning.advice();
        assert!(!advice.contains("Most of the time"), "{advice}");
    }

    #[test]
    fn an_app_is_not_told_to_mend_what_others_do() {
        let slow = Stop {
            host_call: Some(Stop::REQUEST_BODY.into()),
            ..stop(Dimension::Deadline)
        };
        let advice = slow.advice();
        assert!(
            advice.starts_with("The body of the request came too slowly"),
            "{advice}"
        );
        let computing = Stop {
            host_call: Some(Stop::REQUEST_BODY.into()),
            ..stop(Dimension::CpuTime)
        };
        assert!(computing.advice().starts_with("Compute less"));
        let overloaded = Stop {
            is_of_host: true,
            ..stop(Dimension::QueueTime)
        };
        assert!(
            overloaded
                .advice()
                .starts_with("Nothing is wrong with the app")
        );
    }

    #[test]
    fn a_hook_may_have_reached_a_limit_of_its_own() {
        let hook = |dimension: Dimension| Stop {
            hook: Some("inventory-stock/allocation".into()),
            cause: StopCause::limit(dimension, Class::Hook, 9, 9),
            ..stop(dimension)
        };
        let own = "the hook's own, which `hook show` shows";
        assert!(hook(Dimension::Fuel).advice().contains(own));
        assert!(!hook(Dimension::HostCalls).advice().contains(own));
    }

    #[test]
    fn nobody_is_told_to_raise_what_is_the_same_for_all() {
        assert_eq!(Dimension::Stack.bounds().0, Dimension::Stack.bounds().1);
        assert_eq!(stop(Dimension::Stack).advice(), "Recurse less deeply.");
    }
}
