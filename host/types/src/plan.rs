//! Plans as the data plane knows them: which limits each plan sets, so that a stop can name the plans
//! under which it would not have happened.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Arc, PoisonError, RwLock},
};

use crate::{Limit, Limits, Slug};

/// The limits that all plans set. One value is shared by everything that is served; the control plane
/// replaces its content when a plan changes.
#[derive(Debug, Default)]
pub struct Plans(RwLock<Offers>);

/// What the plans offer, limit by limit.
#[derive(Debug, Default)]
struct Offers {
    /// Every limit that a plan sets.
    limits: HashMap<Limit, Offer>,
    /// The names of all plans, ascending.
    names: Vec<Slug>,
}

/// What the plans offer of one limit.
#[derive(Debug, Default)]
struct Offer {
    /// The plans that set it with their values, ascending.
    set: Vec<(u64, Slug)>,
    /// The names of the plans that do not set it, ascending.
    silent: Vec<Slug>,
}

impl Plans {
    /// Takes over what the plans set now.
    pub fn replace(&self, plans: BTreeMap<Slug, BTreeMap<Limit, u64>>) {
        let mut offers = Offers::default();
        for (name, values) in &plans {
            for (&limit, &value) in values {
                let offer = offers.limits.entry(limit).or_default();
                offer.set.push((value, name.clone()));
            }
            offers.names.push(name.clone());
        }
        for (limit, offer) in &mut offers.limits {
            let silent = plans.iter().filter(|(_, set)| !set.contains_key(limit));
            offer.silent = silent.map(|(name, _)| name.clone()).collect();
            offer.set.sort();
        }
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = offers;
    }

    /// The plans that give at least `least`, ascending by what they give, at most `count`. A plan that
    /// does not set the limit gives `unset`.
    fn giving(&self, limit: Limit, least: u64, unset: u64, count: usize) -> Vec<String> {
        let offers = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let (set, silent) = match offers.limits.get(&limit) {
            Some(offer) => (offer.set.as_slice(), offer.silent.as_slice()),
            None => (&[][..], offers.names.as_slice()),
        };
        let enough = set.partition_point(|(value, _)| *value < least);
        let mut found: Vec<(u64, &Slug)> = set[enough..]
            .iter()
            .take(count)
            .map(|(value, name)| (*value, name))
            .collect();
        if unset >= least {
            found.extend(silent.iter().take(count).map(|name| (unset, name)));
            found.sort();
            found.truncate(count);
        }
        let names = found.into_iter();
        names.map(|(_, name)| name.to_string()).collect()
    }
}

/// What an install could use if its tenant had another plan.
#[derive(Clone, Debug, Default)]
pub struct OtherPlans {
    /// All plans.
    pub plans: Arc<Plans>,
    /// The limits under a plan that sets nothing: the defaults, lowered as the app's manifest asks.
    pub below: Arc<Limits>,
    /// The limits that are set for the tenant, the instance or the install: no plan changes them.
    pub above: Arc<BTreeSet<Limit>>,
}

impl OtherPlans {
    /// Plans that [`Self::fitting`] names.
    pub const FITTING_MAX: usize = 3;

    /// The names of plans under which a run that used `used` would not have reached `limit`, the one
    /// with the smallest value first: those that give more than `used` and no less than the `present`
    /// value. Empty where no plan does, or where a level above plans sets the limit. Costs about a
    /// microsecond.
    #[must_use]
    pub fn fitting(&self, limit: impl Into<Limit>, used: u64, present: u64) -> Vec<String> {
        let limit = limit.into();
        if self.above.contains(&limit) {
            return Vec::new();
        }
        let Some(more) = used.checked_add(1) else {
            return Vec::new();
        };
        let unset = self.below.get(limit);
        self.plans
            .giving(limit, more.max(present), unset, Self::FITTING_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Dimension::{Fuel, Memory, SqlStatements};

    /// Plans by name with their fuel; `None` for a plan that does not set it.
    fn other_plans(fuel: &[(&str, Option<u64>)]) -> OtherPlans {
        let plan = |(name, fuel): &(&str, Option<u64>)| {
            let values = fuel.map(|fuel| (Fuel.into(), fuel));
            (name.parse().unwrap(), values.into_iter().collect())
        };
        let others = OtherPlans::default();
        others.plans.replace(fuel.iter().map(plan).collect());
        others
    }

    #[test]
    fn the_smallest_plans_that_give_more_are_named() {
        let plans = [
            ("a", Some(900)),
            ("b", Some(100)),
            ("c", Some(500)),
            ("d", Some(101)),
            ("e", Some(700)),
        ];
        let others = other_plans(&plans);
        assert_eq!(others.fitting(Fuel, 100, 100), ["d", "c", "e"]);
        assert_eq!(others.fitting(Fuel, 700, 100), ["a"]);
        assert!(others.fitting(Fuel, 900, 100).is_empty());
        assert!(others.fitting(Fuel, u64::MAX, 0).is_empty());
        assert_eq!(
            others.fitting(Fuel, 3, 600),
            ["e", "a"],
            "a plan with less than now is no help"
        );
    }

    #[test]
    fn a_plan_that_is_silent_gives_what_holds_without_it() {
        let mut others =
            other_plans(&[("free", Some(100)), ("pro", None), ("huge", Some(1 << 40))]);
        assert_eq!(others.fitting(Fuel, 100, 100), ["pro", "huge"]);
        assert_eq!(
            others.fitting(Memory, 1 << 20, 1 << 20),
            ["free", "huge", "pro"]
        );
        let mut lowered = Limits::default();
        lowered.set(Fuel, 90).unwrap();
        others.below = Arc::new(lowered);
        assert_eq!(others.fitting(Fuel, 90, 90), ["free", "huge"]);
    }

    #[test]
    fn what_is_set_above_plans_no_plan_changes() {
        let mut others = other_plans(&[("pro", Some(1 << 40))]);
        others.above = Arc::new([Fuel.into()].into());
        assert!(others.fitting(Fuel, 1, 1).is_empty());
        assert_eq!(others.fitting(SqlStatements, 1, 1), ["pro"]);
    }

    #[test]
    fn what_replaces_plans_is_seen_by_all_that_share_them() {
        let others = other_plans(&[("free", Some(100))]);
        let shared = others.clone();
        others.plans.replace(BTreeMap::new());
        assert!(shared.fitting(Fuel, 1, 1).is_empty());
    }
}
