//! What may be chosen for a hook: what happens when it fails, and how much time, fuel and memory one call of it has.
//! What nobody chose is what the point's manifest says.

use cloudware_types::{Dimension, OnFailure};
use serde_json::Value;

use crate::{Error, limits::HOOK_DEADLINE_MS_MAX};

/// What was chosen for a hook; `None` for what the point's manifest says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HookFields {
    /// What happens when it fails.
    pub on_failure: Option<OnFailure>,
    /// Wall time of one call in milliseconds.
    pub deadline_ms: Option<u64>,
    /// Fuel of one call, whatever its arguments.
    pub fuel: Option<u64>,
    /// Further fuel for each element of the lists in the arguments.
    pub fuel_per_item: Option<u64>,
    /// Memory of one call in bytes.
    pub memory: Option<u64>,
}

impl HookFields {
    /// Refuses values that are out of bounds.
    pub(super) fn check(&self) -> Result<(), Error> {
        let fuel = Dimension::Fuel.bounds();
        let bounded = [
            ("deadline_ms", self.deadline_ms, (1, HOOK_DEADLINE_MS_MAX)),
            ("fuel", self.fuel, fuel),
            ("fuel_per_item", self.fuel_per_item, fuel),
            ("memory", self.memory, Dimension::Memory.bounds()),
        ];
        for (field, value, (min, max)) in bounded {
            if value.is_some_and(|value| !(min..=max).contains(&value)) {
                return Err(Error::invalid(
                    field,
                    format!("must be from {min} to {max}"),
                ));
            }
        }
        Ok(())
    }

    /// Refuses what makes no sense for a webhook, which computes elsewhere.
    pub(super) fn check_webhook(&self) -> Result<(), Error> {
        let of_components = [
            ("fuel", self.fuel),
            ("fuel_per_item", self.fuel_per_item),
            ("memory", self.memory),
        ];
        match of_components.iter().find(|(_, value)| value.is_some()) {
            Some((field, _)) => Err(Error::invalid(
                *field,
                "is for extensions: a webhook computes elsewhere, and only its time is bounded",
            )),
            None => Ok(()),
        }
    }

    /// Adds what was chosen to a description.
    pub(super) fn describe(&self, description: &mut Value) {
        if let Some(policy) = self.on_failure {
            description["on_failure"] = policy.name().into();
        }
        let numbers = [
            ("deadline_ms", self.deadline_ms),
            ("fuel", self.fuel),
            ("fuel_per_item", self.fuel_per_item),
            ("memory", self.memory),
        ];
        for (name, value) in numbers {
            if let Some(value) = value {
                description[name] = value.into();
            }
        }
    }
}
