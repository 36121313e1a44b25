//! What enabling an app will do: which release, where, with which configuration, and whether anything
//! is in its way. Nothing is changed here.

use std::collections::BTreeMap;

use cloudware_types::InstallId;
use semver::Version;

use super::{EnableRequest, Install, InstallState, connect::connections};
use crate::{
    App, Call, Error, Instance, Release, ReleaseState, Timestamp, app,
    limits::{
        CONFIG_BYTES_MAX, CONFIG_VALUE_BYTES_MAX, INSTALLS_PER_INSTANCE_MAX, MOUNT_BYTES_MAX,
    },
    store::{self, Connection},
};

/// What enabling will do, decided before anything is changed.
pub(super) struct Plan {
    pub(super) install: Install,
    pub(super) release: Release,
    /// The release whose schema the tables have, if it was enabled before.
    pub(super) before: Option<(Install, Release)>,
}

/// Decides what enabling will do, or why it cannot be done.
pub(super) async fn plan(
    db: &mut Connection,
    call: &Call,
    instance: &Instance,
    request: EnableRequest,
) -> Result<Plan, Error> {
    let app = app::find(db, call, &request.app).await?;
    let others = store::install::of_instance(db, instance.id).await?;
    let (own, others): (Vec<_>, Vec<_>) = others
        .into_iter()
        .partition(|install| install.app_id == app.id);
    let before = own.into_iter().next();
    if let Some(install) = before
        .as_ref()
        .filter(|own| own.state == InstallState::Enabled)
    {
        let is_same = request
            .version
            .as_ref()
            .is_none_or(|version| *version == install.version);
        let is_changed = !request.config.is_empty() || request.mount.is_some();
        if !is_same || !is_changed {
            return Err(Error::conflict(
                "already-so",
                format!(
                    "{} is enabled already, at {}: use upgrade to change its version, or say which configuration or \
                     mount it is to have",
                    install.path(),
                    install.version
                ),
            ));
        }
    }
    if before.is_none() && others.len() as i64 >= INSTALLS_PER_INSTANCE_MAX {
        return Err(Error::conflict(
            "too-many",
            format!(
                "{} has {INSTALLS_PER_INSTANCE_MAX} installs already",
                instance.path()
            ),
        ));
    }
    let wanted = request
        .version
        .or_else(|| before.as_ref().map(|own| own.version.clone()));
    let release = pick(db, &app, wanted).await?;
    let mount = mount(&release, request.mount, before.as_ref())?;
    check_collisions(&others, mount.as_deref(), release.namespace())?;
    let before_release = match &before {
        Some(own) => store::release::get(db, own.release_id).await?,
        None => None,
    };
    let install = match &before {
        Some(own) => own.clone(),
        None => blank(instance, &release),
    };
    let config = merged_config(&release, install.config.clone(), request.config)?;
    let install = dress(install, &release, mount, config)?;
    connections(db, &install, &release).await?;
    Ok(Plan {
        install,
        release,
        before: before.zip(before_release),
    })
}

/// The wanted version, or the newest published one.
async fn pick(db: &mut Connection, app: &App, wanted: Option<Version>) -> Result<Release, Error> {
    let version = wanted.or_else(|| app.latest.clone()).ok_or_else(|| {
        Error::conflict(
            "no-release",
            format!("{} has no published release: name a version", app.slug),
        )
    })?;
    let release = store::release::find(db, app.id, &version).await?;
    let release =
        release.ok_or_else(|| Error::not_found("release", &format!("{} {version}", app.slug)))?;
    refuse_yanked(&release)?;
    Ok(release)
}

fn bytes_of(config: &BTreeMap<String, String>) -> usize {
    let pairs = config.iter();
    pairs.map(|(key, value)| key.len() + value.len()).sum()
}

/// The configuration that was chosen before with what is chosen now. What a release before knew stays for the way back.
fn merged_config(
    release: &Release,
    mut config: BTreeMap<String, String>,
    chosen: BTreeMap<String, Option<String>>,
) -> Result<BTreeMap<String, String>, Error> {
    let known = &release.manifest.config;
    let before = bytes_of(&config);
    for (key, value) in chosen {
        let field = || format!("config.{}", key.chars().take(64).collect::<String>());
        let is_given_up = value.is_none() && config.contains_key(&key);
        if !known.contains_key(&key) && !is_given_up {
            let names: Vec<_> = known.keys().map(String::as_str).collect();
            let names = match names.as_slice() {
                [] => "it has none".to_owned(),
                names => format!("it has {}", names.join(", ")),
            };
            return Err(Error::invalid(
                field(),
                format!("is no configuration key of {}: {names}", release.label()),
            ));
        }
        match value {
            Some(value) if value.len() > CONFIG_VALUE_BYTES_MAX => {
                return Err(Error::invalid(
                    field(),
                    format!("must have at most {CONFIG_VALUE_BYTES_MAX} bytes"),
                ));
            }
            Some(value) => drop(config.insert(key, value)),
            None => drop(config.remove(&key)),
        }
    }
    let bytes = bytes_of(&config);
    if bytes > CONFIG_BYTES_MAX && bytes > before {
        return Err(Error::invalid(
            "config",
            format!(
                "must have at most {CONFIG_BYTES_MAX} bytes together with what was chosen before: set keys to null that \
                 are not needed"
            ),
        ));
    }
    Ok(config)
}

/// Where it is served: as asked, as before, or as the manifest says.
fn mount(
    release: &Release,
    asked: Option<String>,
    before: Option<&Install>,
) -> Result<Option<String>, Error> {
    let Some(http) = &release.manifest.http else {
        return match asked {
            None => Ok(None),
            Some(_) => Err(Error::invalid(
                "mount",
                format!("makes no sense: {} answers no HTTP", release.label()),
            )),
        };
    };
    if let Some(asked) = asked {
        check_mount(&asked)?;
        return Ok(Some(asked));
    }
    let before = before.and_then(|install| install.mount.clone());
    Ok(Some(before.unwrap_or_else(|| http.mount.clone())))
}

fn check_mount(mount: &str) -> Result<(), Error> {
    let segment = |part: &str| {
        !matches!(part, "" | "." | "..")
            && part
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"-_.~".contains(&b))
    };
    let valid = mount.len() <= MOUNT_BYTES_MAX
        && mount
            .strip_prefix('/')
            .is_some_and(|rest| rest.is_empty() || rest.split('/').all(segment));
    if valid {
        return Ok(());
    }
    Err(Error::invalid(
        "mount",
        format!(
            "must be `/` or a path such as `/stock` of letters, digits and `-_.~`, of at most {MOUNT_BYTES_MAX} bytes"
        ),
    ))
}

fn blank(instance: &Instance, release: &Release) -> Install {
    Install {
        id: InstallId::generate(),
        instance_id: instance.id,
        instance: instance.slug.clone(),
        tenant_id: instance.tenant_id,
        tenant: instance.tenant.clone(),
        app_id: release.app_id,
        app: release.app.clone(),
        release_id: release.id,
        version: release.version.clone(),
        release_state: release.state,
        previous_release_id: None,
        previous: None,
        state: InstallState::Enabled,
        mount: None,
        namespace: None,
        config: BTreeMap::new(),
        grants: Vec::new(),
        created_at: Timestamp::now(),
        revision: 0,
    }
}

/// The install as it will be.
fn dress(
    mut install: Install,
    release: &Release,
    mount: Option<String>,
    config: BTreeMap<String, String>,
) -> Result<Install, Error> {
    set_release(&mut install, release)?;
    install.state = InstallState::Enabled;
    install.mount = mount;
    install.config = config;
    Ok(install)
}

/// A yanked release never starts.
pub(super) fn refuse_yanked(release: &Release) -> Result<(), Error> {
    if release.state != ReleaseState::Yanked {
        return Ok(());
    }
    let reason = release.state_reason.as_deref().unwrap_or("no reason given");
    Err(Error::conflict(
        "release-yanked",
        format!(
            "{} was yanked ({reason}): choose another version",
            release.label()
        ),
    ))
}

/// Two apps of an instance share neither a mount nor tables. The namespace of a disabled app stays
/// taken, because its tables stay.
pub(super) fn check_collisions(
    others: &[Install],
    mount: Option<&str>,
    namespace: Option<&str>,
) -> Result<(), Error> {
    for other in others {
        let enabled = other.state == InstallState::Enabled;
        if enabled && mount.is_some() && other.mount.as_deref() == mount {
            return Err(Error::conflict(
                "mount-taken",
                format!(
                    "the path {} is served by {} already: choose another mount",
                    mount.unwrap_or_default(),
                    other.app
                ),
            ));
        }
        if namespace.is_some() && other.namespace.as_deref() == namespace {
            return Err(Error::conflict(
                "namespace-taken",
                format!(
                    "the database namespace {} belongs to {} in this instance: use another instance",
                    namespace.unwrap_or_default(),
                    other.app
                ),
            ));
        }
    }
    Ok(())
}

/// Moves an install to a release: version, tables, consent.
pub(super) fn set_release(install: &mut Install, release: &Release) -> Result<(), Error> {
    if let (Some(old), Some(new)) = (install.namespace.as_deref(), release.namespace())
        && old != new
    {
        return Err(Error::conflict(
            "namespace-changed",
            format!(
                "{} keeps its tables under `{new}` and not under `{old}` as the installed release does: its data would be out of reach",
                release.label()
            ),
        ));
    }
    if install.release_id != release.id {
        install.previous_release_id = Some(install.release_id);
        install.previous = Some(install.version.clone());
    }
    install.release_id = release.id;
    install.version = release.version.clone();
    install.release_state = release.state;
    install.grants = release.capabilities.clone();
    if let Some(namespace) = release.namespace() {
        install.namespace = Some(namespace.to_owned());
    }
    Ok(())
}
