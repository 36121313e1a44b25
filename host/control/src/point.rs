//! Extension points of an instance: where the apps that are enabled in it ask others, with the types of all
//! functions and the hooks that answer.

use cloudware_types::{InstallId, OnFailure, PointKind, Slug};
use semver::Version;

use crate::{
    Call, Control, Error, HookShown, Page, PageRequest,
    composition::{Composition, Member},
    hook, instance,
};
use cloudware_packages::{FunctionShape, PointShape};

/// An extension point of an app that is enabled in an instance.
#[derive(Clone, Debug)]
pub struct Point {
    /// The app that asks.
    pub app: Slug,
    /// Its version.
    pub version: Version,
    /// The point's name, unique in the app.
    pub name: Slug,
    /// The interface that the app imports and hooks export.
    pub interface: String,
    /// What it is for.
    pub kind: PointKind,
    /// What it decides or tells, in the words of its provider.
    pub description: String,
    /// What holds for hooks where nobody chose.
    pub defaults: PointDefaults,
    /// Its functions with their types.
    pub functions: Vec<FunctionShape>,
    /// The hooks on it, in the order in which they are asked.
    pub hooks: Vec<HookShown>,
}

/// What holds for the hooks of a point where nobody chose.
#[derive(Clone, Copy, Debug)]
pub struct PointDefaults {
    /// What happens when a hook fails.
    pub on_failure: OnFailure,
    /// Wall time of one call in milliseconds.
    pub deadline_ms: u64,
    /// Fuel of one call, whatever its arguments.
    pub fuel: u64,
    /// Further fuel for each element of the lists in the arguments.
    pub fuel_per_item: u64,
}

impl Point {
    /// The name as people write it, `app/point`.
    #[must_use]
    pub fn path(&self) -> String {
        format!("{}/{}", self.app, self.name)
    }
}

/// The extension points of the apps that are enabled in an instance, in order of apps and names.
///
/// # Errors
/// [`Error::NotFound`] for tenant or instance; [`Error::Invalid`] for a cursor that leads nowhere any more.
pub async fn list(
    control: &Control,
    call: &Call,
    (tenant, instance): (&str, &str),
    page: &PageRequest,
) -> Result<Page<Point>, Error> {
    let mut db = control.store.read().await?;
    let (_, instance) = instance::find(&mut db, call, tenant, instance).await?;
    let composition = Composition::read(&mut db, instance.id).await?;
    drop(db);
    let mut hooks = hook::of_instance(control, instance.id).await?;
    let members = composition.members().iter();
    let offered = members.flat_map(|app| app.shapes.points.iter().map(move |point| (app, point)));
    let mut points: Vec<_> = offered
        .filter_map(|(app, point)| {
            let own = take(&mut hooks, (app.install, &point.name));
            describe(app, point, own)
        })
        .collect();
    points.sort_by(|a, b| (&a.app, &a.name).cmp(&(&b.app, &b.name)));
    page.page_of(points, Point::path)
}

/// The hooks of one point, in order.
fn take(hooks: &mut Vec<HookShown>, (app, point): (InstallId, &Slug)) -> Vec<HookShown> {
    hooks
        .extract_if(.., |shown| {
            shown.hook.app_install == app && shown.hook.point == *point
        })
        .collect()
}

fn describe(app: &Member, point: &PointShape, hooks: Vec<HookShown>) -> Option<Point> {
    let declared = app.manifest.extension_points.get(&point.name)?;
    Some(Point {
        app: app.app.clone(),
        version: app.version.clone(),
        name: point.name.clone(),
        interface: point.interface.clone(),
        kind: point.kind,
        description: declared.description.clone(),
        defaults: PointDefaults {
            on_failure: declared.on_failure,
            deadline_ms: declared.deadline_ms,
            fuel: declared.fuel,
            fuel_per_item: declared.fuel_per_item,
        },
        functions: point.functions.clone(),
        hooks,
    })
}
