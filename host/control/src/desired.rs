//! Desired state: everything that the data plane must know to serve, put together from a handful of
//! queries however many instances there are.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use cloudware_types::{
    DesiredInstall, DesiredInstance, HttpRoute, InstanceId, Limit, Limits, OtherPlans, Plans,
    ReleaseId, Reuse, YankedInstall,
};

use crate::{
    Control, Error, quota,
    store::{
        self,
        desired::{InstallRow, InstanceRow, ReleaseRow},
        quota::QuotaRow,
    },
};

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
    Ok(Assembly::new(plans, installs, releases, quotas).assemble(instances))
}

/// The parts by what they belong to.
struct Assembly {
    plans: Arc<Plans>,
    installs: HashMap<InstanceId, Vec<InstallRow>>,
    releases: HashMap<ReleaseId, ReleaseRow>,
    quotas: HashMap<String, Vec<QuotaRow>>,
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
        let (mut installs, mut yanked) = (Vec::new(), Vec::new());
        for install in enabled {
            // A yanked release never starts.
            match self.yanked(&install) {
                Some(install) => yanked.push(install),
                None => installs.extend(self.install(&row, install)),
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

    fn install(&mut self, instance: &InstanceRow, row: InstallRow) -> Option<DesiredInstall> {
        let limits = self.limits_of_install(instance, &row);
        let limits = self.shared_limits(limits);
        let other_plans = self.other_plans(instance, &row);
        let release = self.releases.get(&row.release)?;
        let manifest = &release.manifest;
        let defaults = manifest.config.iter();
        let mut config: BTreeMap<_, _> = defaults
            .map(|(key, entry)| (key.clone(), entry.default.clone()))
            .collect();
        // A value for a key that this release does not know is kept, for the release that does.
        let chosen = row.config.into_iter();
        config.extend(chosen.filter(|(key, _)| manifest.config.contains_key(key)));
        let config = match self.configs.get(&config) {
            Some(shared) => Arc::clone(shared),
            None => {
                let shared = Arc::new(config.clone());
                self.configs.insert(config, Arc::clone(&shared));
                shared
            }
        };
        Some(DesiredInstall {
            id: row.id,
            app: row.app,
            release: row.release,
            version: release.version.clone(),
            component: release.component,
            http: row.mount.map(|mount| HttpRoute { mount }),
            reuse: manifest
                .http
                .as_ref()
                .map_or(Reuse::Fresh, |http| http.reuse),
            points: Vec::new(),
            calls: Vec::new(),
            dependencies: Vec::new(),
            grants: row.grants,
            config,
            database_namespace: manifest.database.as_ref().map(|db| db.namespace.clone()),
            limits,
            other_plans,
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
