//! The extension points of the app: where others decide, refuse and are told. What an extension answers is
//! the word of a stranger: it is checked here, and what can't be used is logged and not used.

pub mod after_stock_moved;
pub mod allocation;
pub mod barcode;
pub mod before_receive;

use cloudware_sdk::logging;

/// What the app's log groups these messages under.
const LOG_CONTEXT: &str = "extension-points";

/// Logs that an answer is not used, why, and what holds instead.
fn log_unusable(point: &str, why: &str, instead: &str) {
    logging::warn(
        LOG_CONTEXT,
        &format!("the answer of the extension point `{point}` is not used: {why}; {instead}"),
    );
}
