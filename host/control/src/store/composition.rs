//! What the enabled installs of an instance offer each other and need from each other.

use cloudware_types::InstanceId;

use super::{Connection, Result, all, json, parsed, release::shapes_of};
use crate::composition::Member;

/// The enabled installs of an instance, in the order in which they were first enabled.
pub(crate) async fn members(db: &mut Connection, instance: InstanceId) -> Result<Vec<Member>> {
    let rows = sqlx::query(
        "SELECT l.id, a.slug AS app, r.version, r.manifest, r.shapes
         FROM installs l JOIN apps a ON a.id = l.app_id JOIN releases r ON r.id = l.release_id
         WHERE l.instance_id = $1 AND l.state = 'enabled' ORDER BY l.id",
    )
    .bind(instance.to_string())
    .fetch_all(db)
    .await?;
    all(&rows, |row| {
        Ok(Member {
            install: parsed(row, "id")?,
            app: parsed(row, "app")?,
            version: parsed(row, "version")?,
            manifest: json(row, "manifest")?,
            shapes: shapes_of(row)?,
        })
    })
}
