//! The hooks that call an app, wherever it is installed: what its provider needs to know of them, and nothing of whose
//! they are.

use cloudware_types::{HookId, HookMode, InstallId, Slug};
use semver::Version;

use super::Observed;
use crate::{Call, Caller, Control, Error, Page, PageRequest, app, store};

/// A hook that calls an app, as the app's provider sees it.
#[derive(Clone, Debug)]
pub struct AppHook {
    /// The hook.
    pub id: HookId,
    /// The install that is called.
    pub install: InstallId,
    /// The release that the install is at.
    pub version: Version,
    /// The app that asks.
    pub app: Slug,
    /// Its extension point.
    pub point: Slug,
    /// Whether it is to be called.
    pub is_enabled: bool,
    /// Whether its result is used.
    pub mode: HookMode,
    /// What was seen of it.
    pub observed: Observed,
}

/// The hooks that call an app, in all instances, in order of their ids. For the app's provider and operators.
///
/// # Errors
/// [`Error::NotFound`], also for the apps of other providers; [`Error::Forbidden`] for tenants.
pub async fn of_app(
    control: &Control,
    call: &Call,
    app: &str,
    page: &PageRequest,
) -> Result<Page<AppHook>, Error> {
    let mut db = control.store.read().await?;
    let app = app::find(&mut db, call, app).await?;
    drop(db);
    if let Caller::Tenant(_) = call.caller {
        return Err(Error::Forbidden(
            "only the provider of an app or an operator may see its hooks in all instances; ask for the hooks of your instance"
                .to_owned(),
        ));
    }
    control.data_plane.flush_stops().await;
    let mut db = control.store.read().await?;
    let rows = store::hook_observation::of_app(&mut db, app.id, page).await?;
    Ok(page.page(rows, |hook| hook.id.to_string()))
}
