//! Dimensions: the resources that can be limited, with units, defaults, bounds and reasons, as one table;
//! and the classes of invocation, each with defaults of its own. Quotas, enforcement, stops and
//! documentation all read this table.

use std::{fmt, str::FromStr, sync::LazyLock};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::LimitsError;

/// What one limit bounds: a single sandboxed run, or everything an instance does.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scope {
    /// One sandboxed run of a component.
    Invocation,
    /// All of an instance together.
    Instance,
}

/// Why a component runs. Each class has its own limits: a hook holds up somebody else's request, a job
/// nobody's.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    /// It answers an HTTP request.
    #[default]
    Request,
    /// It fills an extension point inside another app's run.
    Hook,
    /// It works in the background.
    Job,
}

impl Class {
    /// Every class.
    pub const ALL: [Self; 3] = [Self::Request, Self::Hook, Self::Job];

    /// The word in APIs and tables.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Request => "request",
            Self::Hook => "hook",
            Self::Job => "job",
        }
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The unit in which a dimension is counted.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unit {
    /// Wasm instructions as the engine weighs them, roughly one each.
    Fuel,
    /// Bytes.
    Bytes,
    /// Bytes a second.
    BytesPerSecond,
    /// Milliseconds.
    Milliseconds,
    /// A plain number of things.
    Count,
    /// Things a second.
    PerSecond,
}

impl Unit {
    /// The word behind a number of this unit, for people.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Fuel => "fuel",
            Self::Bytes => "bytes",
            Self::BytesPerSecond => "bytes/s",
            Self::Milliseconds => "ms",
            Self::Count => "",
            Self::PerSecond => "/s",
        }
    }
}

macro_rules! dimensions {
    ($($variant:ident $name:literal $scope:ident $unit:ident $min:literal ..= $max:literal,
       default $request:literal / $hook:literal / $job:literal: $reason:literal;)*) => {
        /// One resource that can be limited. The order is the order in which people see them.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        #[repr(usize)]
        pub enum Dimension {
            $(#[doc = concat!("`", $name, "`: ", $reason)] $variant,)*
        }

        impl Dimension {
            /// Every dimension, in order.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The name, for example `memory`.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),* }
            }

            /// What the limit bounds.
            #[must_use]
            pub fn scope(self) -> Scope {
                match self { $(Self::$variant => Scope::$scope),* }
            }

            /// The unit of its numbers.
            #[must_use]
            pub fn unit(self) -> Unit {
                match self { $(Self::$variant => Unit::$unit),* }
            }

            /// The value for a class of invocations where no level sets one.
            #[must_use]
            pub fn default_value(self, class: Class) -> u64 {
                let [request, hook, job] = match self { $(Self::$variant => [$request, $hook, $job]),* };
                match class {
                    Class::Request => request,
                    Class::Hook => hook,
                    Class::Job => job,
                }
            }

            /// The smallest and the largest value that an admin may set.
            #[must_use]
            pub fn bounds(self) -> (u64, u64) {
                match self { $(Self::$variant => ($min, $max)),* }
            }

            /// What it bounds and why the default is what it is, one sentence each.
            #[must_use]
            pub fn reason(self) -> &'static str {
                match self { $(Self::$variant => $reason),* }
            }

            fn names(self) -> [&'static str; 3] {
                match self { $(Self::$variant => [$name, concat!("hook-", $name), concat!("job-", $name)]),* }
            }
        }
    };
}

// Defaults are for requests / hooks / jobs; those of a whole instance are written three times.
dimensions! {
    Fuel "fuel" Invocation Fuel 0..=1_000_000_000_000, default 2_000_000_000 / 100_000_000 / 200_000_000_000:
        "Wasm instructions of one run. A core does two to eight billion a second; a page needs a few millions.";
    CpuTime "cpu-time" Invocation Milliseconds 1..=3_600_000, default 5_000 / 100 / 600_000:
        "Processor time of one run in its sandbox, host waits not counted. Fuel stops guest code first; this bounds what host functions work for it.";
    Deadline "deadline" Invocation Milliseconds 1..=3_600_000, default 10_000 / 50 / 900_000:
        "Wall time of one run, host waits included. A request has longer than any page should take, and less than the usual proxy time-out of 30 s; a hook keeps its caller waiting.";
    Memory "memory" Invocation Bytes 65_536..=268_435_456, default 134_217_728 / 67_108_864 / 134_217_728:
        "Sum of all linear memories and tables of one run, and of what the host holds behind its handles, such as headers and statements. An interpreter with its standard library fits; the most is what a pool slot holds.";
    Stack "stack" Invocation Bytes 524_288..=524_288, default 524_288 / 524_288 / 524_288:
        "Call stack of guest code in one run. The same for all, because a sandbox keeps its stack for the next one; deep recursion in an interpreter fits.";
    Handles "handles" Invocation Count 8..=1_000_000, default 10_000 / 1_000 / 10_000:
        "Component resources open at once in one run. Each costs the host about 100 bytes; what it holds behind them counts as memory.";
    HostCalls "host-calls" Invocation Count 1..=1_000_000_000, default 1_000_000 / 1_000 / 100_000_000:
        "Calls of capability functions in one run. A call costs about a microsecond of host time.";
    RequestBytes "request-bytes" Invocation Bytes 0..=1_073_741_824, default 16_777_216 / 8_388_608 / 16_777_216:
        "Body of one request, or the arguments of one call of a hook. Uploads of documents fit; larger files belong into blobs.";
    ResponseBytes "response-bytes" Invocation Bytes 0..=10_737_418_240, default 67_108_864 / 8_388_608 / 67_108_864:
        "Body of one response, or what one call of a hook returns. An export of a table fits.";
    LogBytes "log-bytes" Invocation Bytes 0..=16_777_216, default 65_536 / 16_384 / 1_048_576:
        "Log text of one run; what is beyond is cut and marked. Hundreds of lines fit.";
    SqlStatements "sql-statements" Invocation Count 0..=10_000_000, default 10_000 / 100 / 1_000_000:
        "SQL statements of one run. A page that needs more has a query in a loop.";
    SqlRowsRead "sql-rows-read" Invocation Count 0..=100_000_000, default 100_000 / 1_000 / 10_000_000:
        "Rows that the SQL statements of one run return, added up. Larger sets are read in pages.";
    SqlRowsWritten "sql-rows-written" Invocation Count 0..=100_000_000, default 100_000 / 1_000 / 10_000_000:
        "Rows that the SQL statements of one run insert, update or delete, added up. An import of a file fits.";
    SqlTime "sql-time" Invocation Milliseconds 1..=3_600_000, default 5_000 / 20 / 600_000:
        "Time that the database works for one run. Half of the default deadline or less.";
    KvOperations "kv-operations" Invocation Count 0..=10_000_000, default 10_000 / 100 / 1_000_000:
        "Key-value operations of one run.";
    OutboundCalls "outbound-calls" Invocation Count 0..=1_000_000, default 100 / 10 / 100_000:
        "HTTP requests that one run sends, those to other apps of the instance included. Each takes a sandbox of the app that is called; a page that needs more asks in a loop for what it could ask at once.";
    ExtensionTime "extension-time" Invocation Milliseconds 1..=3_600_000, default 1_000 / 200 / 60_000:
        "Time that all hooks of one run may take together. A request that asks ten slow hooks is told which they were; pages should not wait longer.";
    Recursion "recursion" Invocation Count 0..=32, default 8 / 8 / 8:
        "How deep apps and hooks may call each other below one request. Sensible compositions have three or four levels; more is a circle.";
    Concurrency "concurrency" Instance Count 1..=100_000, default 256 / 256 / 256:
        "Runs of an instance at the same time. One instance cannot take the whole pool of sandboxes. What a run does behind its complete answer has places of its own.";
    RequestRate "request-rate" Instance PerSecond 1..=1_000_000, default 1_000 / 1_000 / 1_000:
        "Requests a second of an instance, with a burst of one second's worth.";
    FuelPerMinute "fuel-per-minute" Instance Fuel 0..=1_000_000_000_000_000, default 120_000_000_000 / 120_000_000_000 / 120_000_000_000:
        "Fuel of all runs of an instance in a minute of the clock. A core does two to eight billion a second: from a quarter of one that never rests to all of it.";
    FuelPerDay "fuel-per-day" Instance Fuel 0..=1_000_000_000_000_000_000, default 20_000_000_000_000 / 20_000_000_000_000 / 20_000_000_000_000:
        "Fuel of all runs of an instance in a day (UTC). One to three hours of one core.";
    CpuWeight "cpu-weight" Instance Count 1..=10_000, default 100 / 100 / 100:
        "Share of the processors when several instances want them: twice the weight is twice the time. Nothing is taken from an instance that is alone.";
    QueueTime "queue-time" Instance Milliseconds 1..=600_000, default 2_000 / 2_000 / 2_000:
        "How long runs of an instance may wait for a processor before new ones are refused. An overloaded host puts off observers from half of it on, and refuses the least patient instances first, and whoever asks for little last: it is the priority of a plan.";
    Storage "storage" Instance Bytes 65_536..=1_099_511_627_776, default 1_073_741_824 / 1_073_741_824 / 1_073_741_824:
        "Size of the private database of an instance.";
    EgressRate "egress-rate" Instance BytesPerSecond 1_024..=10_737_418_240, default 67_108_864 / 67_108_864 / 67_108_864:
        "Bytes of response bodies a second of an instance, with a burst of one second's worth; faster answers are slowed down. Half of a gigabit.";
    LogRate "log-rate" Instance BytesPerSecond 1_024..=1_073_741_824, default 1_048_576 / 1_048_576 / 1_048_576:
        "Log text a second of an instance, with a burst of one second's worth, each record counted with 256 bytes more and control characters as they are written out; what is beyond is left out, and the log says so. Thousands of lines fit.";
}

impl Dimension {
    /// The number of dimensions.
    pub const COUNT: usize = Self::ALL.len();

    /// The limit in this dimension for invocations of `class`; the class says nothing where the
    /// dimension bounds a whole instance.
    #[must_use]
    pub fn of(self, class: Class) -> Limit {
        match self.scope() {
            Scope::Invocation => Limit {
                dimension: self,
                class,
            },
            Scope::Instance => Limit::from(self),
        }
    }
}

impl fmt::Display for Dimension {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One number that an admin can set: a dimension, for one class of invocations. Named as the dimension
/// for requests and whole instances (`fuel`), and with the class before it for others (`hook-fuel`).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Limit {
    class: Class,
    dimension: Dimension,
}

static LIMITS: LazyLock<Vec<Limit>> = LazyLock::new(|| {
    let of = |class| {
        let dimensions = Dimension::ALL.iter().copied();
        dimensions
            .filter(move |d| class == Class::Request || d.scope() == Scope::Invocation)
            .map(move |dimension| Limit { class, dimension })
    };
    Class::ALL.into_iter().flat_map(of).collect()
});

impl Limit {
    /// Every limit: those of requests and whole instances, then those of hooks, then those of jobs.
    #[must_use]
    pub fn all() -> &'static [Self] {
        &LIMITS
    }

    /// The resource.
    #[must_use]
    pub fn dimension(self) -> Dimension {
        self.dimension
    }

    /// The class of invocations; [`Class::Request`] where it bounds a whole instance.
    #[must_use]
    pub fn class(self) -> Class {
        self.class
    }

    /// The name in manifests, APIs and commands.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.dimension.names()[self.class as usize]
    }

    /// What it bounds.
    #[must_use]
    pub fn scope(self) -> Scope {
        self.dimension.scope()
    }

    /// The unit of its numbers.
    #[must_use]
    pub fn unit(self) -> Unit {
        self.dimension.unit()
    }

    /// The value where no level sets one.
    #[must_use]
    pub fn default_value(self) -> u64 {
        self.dimension.default_value(self.class)
    }

    /// The smallest and the largest value that an admin may set.
    #[must_use]
    pub fn bounds(self) -> (u64, u64) {
        self.dimension.bounds()
    }
}

impl From<Dimension> for Limit {
    fn from(dimension: Dimension) -> Self {
        Self {
            class: Class::Request,
            dimension,
        }
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Limit {
    type Err = LimitsError;

    fn from_str(text: &str) -> Result<Self, LimitsError> {
        Self::all()
            .iter()
            .copied()
            .find(|limit| limit.name() == text)
            .ok_or_else(|| LimitsError::UnknownLimit(text.chars().take(64).collect()))
    }
}

impl Serialize for Limit {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl<'de> Deserialize<'de> for Limit {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_lead_back() {
        for &limit in Limit::all() {
            assert_eq!(limit.name().parse(), Ok(limit));
        }
        assert_eq!(Dimension::Fuel.of(Class::Hook).name(), "hook-fuel");
        assert_eq!(Dimension::Storage.of(Class::Hook).name(), "storage");
        assert!("hook-storage".parse::<Limit>().is_err());
    }
}
