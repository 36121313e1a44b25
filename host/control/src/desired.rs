//! Desired state: everything that the data plane must know to serve, put together from a handful of
//! queries however many instances there are.

mod connections;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use cloudware_types::{
    DesiredCall, DesiredInstall, DesiredInstance, DesiredRecording, HttpRoute, InstallId,
    InstanceId, Limit, Limits, OtherPlans, Plans, ReleaseId, YankedInstall,
};

use crate::{
    Control, Error, Timestamp, quota,
    store::{
        self,
        desired::{HookRow, InstallRow, InstanceRow, RecordingRow, ReleaseRow},
        quota::QuotaRow,
    },
};
use connections::Texts;

/// Every instance as it should be served.
pub(crate) async fn all(control: &Control) -> Result<Vec<DesiredInstance>, Error> {
    read(control, None).await
}

/// One instance as it should be served; `None` if it does not exist.
pub(crate) async fn one(
    control: &Control,
    instance: InstanceId,
) -> Result<Option<DesiredInstance>, Error> {
    Ok(read(control, Some(instance)).await?.pop())
}

async fn read(control: &Control, only: Option<InstanceId>) -> Result<Vec<DesiredInstance>, Error> {
    let mut connection = control.store.read().await?;
    // One transaction: all parts are of the same moment.
    let mut db = sqlx::Connection::begin(&mut *connection)
        .await
        .map_err(store::StoreError::from)?;
    let instances = store::desired::instances(&mut db, only).await?;
    let installs = store::desired::installs(&mut db, only).await?;
    let releases = store::desired::releases(&mut db, only).await?;
    let hooks = store::desired::hooks(&mut db, only).await?;
    let recordings = store::desired::recordings(&mut db, only).await?;
    let quotas = match (only, instances.first()) {
        (None, _) => store::quota::list(&mut db).await?,
        (Some(_), Some(instance)) => {
            let mut subjects = vec![instance.tenant.to_string(), instance.id.to_string()];
            subjects.extend(instance.plan.map(|plan| plan.to_string()));
            subjects.extend(installs.iter().map(|install| install.id.to_string()));
            let mut rows = Vec::new();
            for subject in subjects {
                rows.extend(store::quota::of_subject(&mut db, &subject).await?);
            }
            rows
        }
        (Some(_), None) => Vec::new(),
    };
    db.commit().await.map_err(store::StoreError::from)?;
    let plans = Arc::clone(&control.plans);
    let assembly = Assembly::new(plans, installs, releases, quotas)
        .with_hooks(hooks)
        .with_recordings(recordings);
    Ok(assembly.assemble(instances))
}

/// The parts by what they belong to.
struct Assembly {
    plans: Arc<Plans>,
    installs: HashMap<InstanceId, Vec<InstallRow>>,
    releases: HashMap<ReleaseId, ReleaseRow>,
    quotas: HashMap<String, Vec<QuotaRow>>,
    /// By the install whose app asks, in the order of their positions.
    hooks: HashMap<InstallId, Vec<HookRow>>,
    /// Those that run, by the install that is recorded.
    recordings: HashMap<InstallId, RecordingRow>,
    texts: Texts,
    /// Equal limits are held once: most installs have the same.
    limits: HashMap<Vec<u64>, Arc<Limits>>,
    /// The limits that are set above plans, for most installs none.
    above_plans: HashMap<BTreeSet<Limit>, Arc<BTreeSet<Limit>>>,
    configs: HashMap<BTreeMap<String, String>, Arc<BTreeMap<String, String>>>,
}

impl Assembly {
    fn new(
        plans: Arc<Plans>,
        installs: Vec<InstallRow>,
        releases: Vec<ReleaseRow>,
        quotas: Vec<QuotaRow>,
    ) -> Self {
        let mut assembly = Self {
            plans,
            installs: HashMap::new(),
            releases: releases.into_iter().map(|row| (row.id, row)).collect(),
            quotas: HashMap::new(),
            hooks: HashMap::new(),
            recordings: HashMap::new(),
            texts: Texts::default(),
            limits: HashMap::new(),
            above_plans: HashMap::new(),
            configs: HashMap::new(),
        };
        for row in installs {
            assembly.installs.entry(row.instance).or_default().push(row);
        }
        for row in quotas {
            assembly
                .quotas
                .entry(row.subject.clone())
                .or_default()
                .push(row);
        }
        assembly
    }

    fn with_hooks(mut self, hooks: Vec<HookRow>) -> Self {
        for row in hooks {
            self.hooks.entry(row.app_install).or_default().push(row);
        }
        self
    }

    fn with_recordings(mut self, recordings: Vec<RecordingRow>) -> Self {
        let now = Timestamp::now();
        let running = recordings
            .into_iter()
            .filter(|row| row.ends_at > now && row.calls_left > 0);
        self.recordings = running.map(|row| (row.install, row)).collect();
        self
    }

    fn assemble(mut self, instances: Vec<InstanceRow>) -> Vec<DesiredInstance> {
        instances
            .into_iter()
            .map(|row| self.instance(row))
            .collect()
    }

    fn instance(&mut self, row: InstanceRow) -> DesiredInstance {
        let limits = self.limits_of_instance(&row);
        let unavailable = match (row.tenant_suspended, row.instance_suspended) {
            (true, _) => Some("the tenant is suspended".to_owned()),
            (false, true) => Some("the instance is suspended".to_owned()),
            (false, false) => None,
        };
        let mut enabled = self.installs.remove(&row.id).unwrap_or_default();
        if unavailable.is_some() {
            enabled.clear();
        }
        let limits_of_installs = self.limits_of_installs(&row, &enabled);
        let mut calls = self.calls(&enabled);
        let (mut installs, mut yanked) = (Vec::new(), Vec::new());
        for install in enabled {
            // A yanked release never starts. Hooks and calls that lead to it stay: whoever asks is told that it is
            // not there, and a guard that refuses when it fails goes on refusing.
            match self.yanked(&install) {
                Some(install) => yanked.push(install),
                None => {
                    let calls = calls.remove(&install.id).unwrap_or_default();
                    installs.extend(self.install(&row, install, calls, &limits_of_installs));
                }
            }
        }
        DesiredInstance {
            id: row.id,
            slug: row.slug,
            tenant: row.tenant,
            tenant_slug: row.tenant_slug,
            is_default: row.is_default,
            unavailable,
            limits: self.shared_limits(limits),
            installs,
            yanked,
        }
    }

    fn yanked(&self, row: &InstallRow) -> Option<YankedInstall> {
        let release = self.releases.get(&row.release).filter(|r| r.is_yanked)?;
        let reason = release.state_reason.clone();
        Some(YankedInstall {
            app: row.app.clone(),
            version: release.version.clone(),
            http: row.mount.clone().map(|mount| HttpRoute { mount }),
            reason: reason.unwrap_or_else(|| "no reason given".to_owned()),
        })
    }

    /// The limits of every enabled install of an instance.
    fn limits_of_installs(
        &mut self,
        instance: &InstanceRow,
        enabled: &[InstallRow],
    ) -> HashMap<InstallId, Arc<Limits>> {
        let mut limits = HashMap::with_capacity(enabled.len());
        for row in enabled {
            let own = self.limits_of_install(instance, row);
            limits.insert(row.id, self.shared_limits(own));
        }
        limits
    }

    /// Who answers the calls of every enabled install of an instance, for those that call.
    fn calls(&self, enabled: &[InstallRow]) -> HashMap<InstallId, Vec<DesiredCall>> {
        let manifests = enabled.iter().filter_map(|row| {
            let release = self.releases.get(&row.release)?;
            Some((row.id, &release.manifest))
        });
        let callers = manifests
            .clone()
            .filter(|(_, manifest)| !manifest.calls.is_empty());
        callers
            .map(|caller| (caller.0, connections::calls(caller, manifests.clone())))
            .collect()
    }

    fn install(
        &mut self,
        instance: &InstanceRow,
        row: InstallRow,
        calls: Vec<DesiredCall>,
        limits: &HashMap<InstallId, Arc<Limits>>,
    ) -> Option<DesiredInstall> {
        let other_plans = self.other_plans(instance, &row);
        let release = self.releases.get(&row.release)?;
        let manifest = &release.manifest;
        let defaults = manifest.config.iter();
        let mut config: BTreeMap<_, _> = defaults
            .map(|(key, entry)| (key.clone(), entry.default.clone()))
            .collect();
        // A value for a key that this release does not know is kept, for the release that does.
        let chosen = row.config.into_iter();
        let chosen: Vec<_> = chosen
            .filter(|(key, value)| config.get(key).is_some_and(|default| default != value))
            .collect();
        let recording = self.recordings.remove(&row.id).map(|recording| {
            Arc::new(DesiredRecording {
                id: recording.id,
                calls_left: recording.calls_left,
                ends_at_ms: u64::try_from(recording.ends_at.millis()).unwrap_or(0),
                redact: recording.redact.into(),
                private_config: Arc::new(chosen.iter().map(|(key, _)| key.clone()).collect()),
            })
        });
        config.extend(chosen);
        let config = match self.configs.get(&config) {
            Some(shared) => Arc::clone(shared),
            None => {
                let shared = Arc::new(config.clone());
                self.configs.insert(config, Arc::clone(&shared));
                shared
            }
        };
        let hooks = self.hooks.remove(&row.id).unwrap_or_default();
        let offered = &manifest.extension_points;
        Some(DesiredInstall {
            id: row.id,
            app: row.app,
            release: row.release,
            version: release.version.clone(),
            component: release.component,
            http: row.mount.map(|mount| HttpRoute { mount }),
            reuse: connections::reuse(manifest),
            points: connections::points(offered, hooks, &mut self.texts),
            calls,
            dependencies: manifest.dependencies.keys().cloned().collect(),
            grants: row.grants,
            config,
            access_tables: connections::access_tables(manifest, &mut self.texts),
            database_namespace: manifest.database.as_ref().map(|db| db.namespace.clone()),
            limits: Arc::clone(limits.get(&row.id)?),
            other_plans,
            recording,
        })
    }

    /// What decides how another plan would change the install's limits.
    fn other_plans(&mut self, instance: &InstanceRow, row: &InstallRow) -> OtherPlans {
        let below = self.limits_below_plans(row);
        let above = levels_above_plans(instance, row);
        let above: BTreeSet<_> = above
            .iter()
            .flat_map(|subject| self.quotas.get(subject).into_iter().flatten())
            .map(|quota| quota.limit)
            .collect();
        let shared = self.above_plans.entry(above.clone());
        OtherPlans {
            plans: Arc::clone(&self.plans),
            above: Arc::clone(shared.or_insert_with(|| Arc::new(above))),
            below: self.shared_limits(below),
        }
    }

    fn limits_of_instance(&self, row: &InstanceRow) -> Limits {
        let mut limits = quota::base_limits();
        self.overlay_plan(&mut limits, row);
        for subject in [row.tenant.to_string(), row.id.to_string()] {
            self.overlay(&mut limits, &subject);
        }
        limits
    }

    fn limits_of_install(&self, instance: &InstanceRow, row: &InstallRow) -> Limits {
        let mut limits = self.limits_below_plans(row);
        self.overlay_plan(&mut limits, instance);
        for subject in levels_above_plans(instance, row) {
            self.overlay(&mut limits, &subject);
        }
        limits
    }

    fn limits_below_plans(&self, row: &InstallRow) -> Limits {
        let mut limits = quota::base_limits();
        if let Some(release) = self.releases.get(&row.release) {
            quota::overlay_manifest(&mut limits, &release.manifest.limits);
        }
        limits
    }

    fn overlay_plan(&self, limits: &mut Limits, instance: &InstanceRow) {
        if let Some(plan) = instance.plan {
            self.overlay(limits, &plan.to_string());
        }
    }

    fn overlay(&self, limits: &mut Limits, subject: &str) {
        if let Some(rows) = self.quotas.get(subject) {
            quota::overlay(limits, rows);
        }
    }

    fn shared_limits(&mut self, limits: Limits) -> Arc<Limits> {
        let key: Vec<u64> = limits.iter().map(|(_, value)| value).collect();
        Arc::clone(self.limits.entry(key).or_insert_with(|| Arc::new(limits)))
    }
}

/// The subjects of the levels that are stronger than a plan, from weak to strong.
fn levels_above_plans(instance: &InstanceRow, row: &InstallRow) -> [String; 3] {
    [
        instance.tenant.to_string(),
        instance.id.to_string(),
        row.id.to_string(),
    ]
}
