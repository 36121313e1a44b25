//! Extension points end to end: an app asks, extensions and endpoints answer, each by the rules of the point's kind,
//! and whatever they do, the app and its caller get a definite answer that names the culprit.

mod access;
mod apps;
mod breaker;
mod bundled;
mod failures;
mod kinds;
mod ledger;
mod live;
mod nested;
mod observe;
mod recordings;
mod refused;
mod setup;
mod shadow;
mod traces;
mod webhooks;
