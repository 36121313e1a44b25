//! Which limit is in force: the levels laid over each other, with who set what.

use std::collections::BTreeMap;

use cloudware_types::{Limit, Limits, Scope, Slug};
use serde::Serialize;

use crate::{Release, Timestamp, store::quota::QuotaRow};

/// Where a value comes from, from weak to strong.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum QuotaLevel {
    /// The table of limits.
    Default,
    /// The app's manifest.
    Manifest,
    /// The tenant's plan.
    Plan,
    /// The tenant.
    Tenant,
    /// The instance.
    Instance,
    /// The install.
    Install,
}

impl QuotaLevel {
    /// The word in answers.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::Manifest => "manifest",
            Self::Plan => "plan",
            Self::Tenant => "tenant",
            Self::Instance => "instance",
            Self::Install => "install",
        }
    }
}

/// One value that one level sets.
#[derive(Clone, Debug)]
pub struct QuotaSetting {
    /// The level.
    pub level: QuotaLevel,
    /// The plan's name, at the level of plans.
    pub plan: Option<Slug>,
    /// The value, in the limit's unit.
    pub value: u64,
    /// Who set it; `platform` for the default and the release for a manifest.
    pub set_by: String,
    /// When it was set; `None` for the default.
    pub set_at: Option<Timestamp>,
    /// Why, in the words of who set it.
    pub reason: Option<String>,
}

impl QuotaSetting {
    pub(super) fn new(level: QuotaLevel, row: QuotaRow) -> Self {
        Self {
            level,
            plan: None,
            value: row.value,
            set_by: row.set_by,
            set_at: Some(row.set_at),
            reason: row.reason,
        }
    }
}

/// The value in force of one limit.
#[derive(Clone, Debug)]
pub struct EffectiveLimit {
    /// The limit.
    pub limit: Limit,
    /// Every level that sets it, weak to strong; never empty. The last one is in force.
    pub settings: Vec<QuotaSetting>,
}

impl EffectiveLimit {
    /// The setting that is in force.
    #[must_use]
    pub fn in_force(&self) -> &QuotaSetting {
        self.settings
            .last()
            .expect("the default level sets every limit")
    }
}

/// The values of every level of one target.
#[derive(Default)]
pub(crate) struct Levels(BTreeMap<Limit, Vec<QuotaSetting>>);

impl Levels {
    /// Adds the stored values of a level.
    pub(crate) fn push(&mut self, level: QuotaLevel, rows: Vec<QuotaRow>) {
        for row in rows {
            let settings = self.0.entry(row.limit).or_default();
            settings.push(QuotaSetting::new(level, row));
        }
    }

    /// Says which plan it is whose values were added.
    pub(crate) fn name_plan(&mut self, plan: &Slug) {
        let settings = self.0.values_mut().flatten();
        for setting in settings.filter(|setting| setting.level == QuotaLevel::Plan) {
            setting.plan = Some(plan.clone());
        }
    }

    /// The value that a level sets, if it does.
    pub(crate) fn value_at(&self, level: QuotaLevel, limit: Limit) -> Option<u64> {
        let mut settings = self.0.get(&limit).into_iter().flatten();
        let own = settings.find(|setting| setting.level == level);
        own.map(|setting| setting.value)
    }

    /// Adds what a release's manifest asks for.
    pub(crate) fn manifest(&mut self, release: &Release) {
        for (&limit, &value) in &release.manifest.limits {
            if lowers(limit, value) {
                self.0.entry(limit).or_default().push(QuotaSetting {
                    level: QuotaLevel::Manifest,
                    plan: None,
                    value,
                    set_by: format!("{} {}", release.app, release.version),
                    set_at: Some(release.created_at),
                    reason: None,
                });
            }
        }
    }

    /// Every limit with its settings from weak to strong.
    pub(crate) fn effective(&self) -> Vec<EffectiveLimit> {
        let of = |limit: Limit| {
            let mut settings = vec![QuotaSetting {
                level: QuotaLevel::Default,
                plan: None,
                value: limit.default_value(),
                set_by: "platform".to_owned(),
                set_at: None,
                reason: None,
            }];
            settings.extend(self.0.get(&limit).into_iter().flatten().cloned());
            settings.sort_by_key(|setting| setting.level);
            EffectiveLimit { limit, settings }
        };
        Limit::all().iter().map(|&limit| of(limit)).collect()
    }
}

/// A manifest bounds its own invocations and may only lower what the platform gives.
fn lowers(limit: Limit, value: u64) -> bool {
    let (min, _) = limit.bounds();
    limit.scope() == Scope::Invocation && value >= min && value < limit.default_value()
}

/// The limits where no level but the default sets anything.
pub(crate) fn base_limits() -> Limits {
    Limits::default()
}

/// Lays a manifest's values over limits.
pub(crate) fn overlay_manifest(limits: &mut Limits, values: &BTreeMap<Limit, u64>) {
    for (&limit, &value) in values {
        if lowers(limit, value) {
            put(limits, limit, value);
        }
    }
}

/// Lays the stored values of a level over limits.
pub(crate) fn overlay(limits: &mut Limits, rows: &[QuotaRow]) {
    for row in rows {
        put(limits, row.limit, row.value);
    }
}

/// Values were checked when they were set. One that is out of bounds by now, because the bounds of a
/// newer release of the platform are narrower, is brought to the nearest that is allowed.
fn put(limits: &mut Limits, limit: Limit, value: u64) {
    let (min, max) = limit.bounds();
    limits
        .set(limit, value.clamp(min, max))
        .expect("a clamped value is within its bounds");
}
