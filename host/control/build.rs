//! Rebuilds the crate when a migration is added: the list is read while it is compiled.

fn main() {
    println!("cargo:rerun-if-changed=migrations");
}
