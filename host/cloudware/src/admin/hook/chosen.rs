//! Options for what can be chosen for a hook.

use anyhow::Result;
use clap::{Args, ValueEnum};
use cloudware_types::{Class, Dimension, HookMode, OnFailure, parse_quantity};
use serde_json::{Map, Value};

/// What is chosen for a hook.
#[derive(Debug, Args)]
pub(super) struct Chosen {
    /// active, or shadow: it runs beside the others, its result is compared and used for nothing.
    #[arg(long, value_name = "MODE")]
    mode: Option<HookMode>,
    /// What happens when it fails: refuse, skip, default or retry, as the kind of the point allows.
    #[arg(long, value_name = "POLICY")]
    on_failure: Option<OnFailure>,
    /// Time of one call, such as 20ms.
    #[arg(long, value_name = "TIME", value_parser = milliseconds)]
    deadline: Option<u64>,
    /// Fuel of one call, whatever its arguments, such as 5M; for extensions.
    #[arg(long, value_parser = fuel)]
    fuel: Option<u64>,
    /// Further fuel for each element of the lists in the arguments; for extensions.
    #[arg(long, value_name = "FUEL", value_parser = fuel)]
    fuel_per_item: Option<u64>,
    /// Memory of one call, such as 16MiB; for extensions.
    #[arg(long, value_name = "BYTES", value_parser = memory)]
    memory: Option<u64>,
}

/// What can go back to what the point says.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum Unset {
    OnFailure,
    Deadline,
    Fuel,
    FuelPerItem,
    Memory,
}

impl Chosen {
    /// What was given, as members of a body.
    pub(super) fn body(&self) -> Map<String, Value> {
        let words = [
            ("mode", self.mode.map(HookMode::name)),
            ("on_failure", self.on_failure.map(OnFailure::name)),
        ];
        let numbers = [
            ("deadline_ms", self.deadline),
            ("fuel", self.fuel),
            ("fuel_per_item", self.fuel_per_item),
            ("memory", self.memory),
        ];
        let words = words.map(|(name, word)| (name, word.map(Value::from)));
        let numbers = numbers.map(|(name, number)| (name, number.map(Value::from)));
        words
            .into_iter()
            .chain(numbers)
            .filter_map(|(name, value)| Some((name.to_owned(), value?)))
            .collect()
    }
}

impl Unset {
    /// The member of a hook's body.
    pub(super) fn member(self) -> &'static str {
        match self {
            Self::OnFailure => "on_failure",
            Self::Deadline => "deadline_ms",
            Self::Fuel => "fuel",
            Self::FuelPerItem => "fuel_per_item",
            Self::Memory => "memory",
        }
    }
}

fn milliseconds(text: &str) -> Result<u64> {
    Ok(parse_quantity(Dimension::Deadline.of(Class::Hook), text)?)
}

fn fuel(text: &str) -> Result<u64> {
    Ok(parse_quantity(Dimension::Fuel.of(Class::Hook), text)?)
}

fn memory(text: &str) -> Result<u64> {
    Ok(parse_quantity(Dimension::Memory.of(Class::Hook), text)?)
}
