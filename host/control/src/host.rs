//! The host: what it has to do.

use cloudware_types::HostLoad;

use crate::{Call, Control, Error};

/// What the host has to do at this moment. For operators.
///
/// # Errors
/// [`Error::Forbidden`] for others.
pub fn load(control: &Control, call: &Call) -> Result<HostLoad, Error> {
    call.operator("see what the host has to do")?;
    Ok(control.data_plane.host_load())
}
