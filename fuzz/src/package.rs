//! An uploaded archive.

use cloudware_packages::{accept, read};

use crate::{
    component::{check_shared, host},
    manifest,
};

/// How a zstd frame begins.
const ZSTD: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// Takes any bytes as an archive; bytes that are not compressed are taken as the tar inside one, because
/// the checksum of a compressed one hardly survives a change.
///
/// # Panics
/// Where what was taken breaks a rule, or is another thing when it is read again.
pub fn run(data: &[u8]) {
    let archive = if data.starts_with(&ZSTD) {
        data.to_vec()
    } else {
        zstd::encode_all(data, 1).expect("memory can be written")
    };
    match accept(&archive, None, &host()) {
        Ok((package, verified)) => {
            manifest::check(&package.manifest);
            check_shared(&verified);
            for path in package.files.keys() {
                assert!(
                    path.starts_with("assets/") || path.starts_with("i18n/"),
                    "{path}"
                );
                assert!(
                    !path.split('/').any(|part| matches!(part, "" | "." | "..")),
                    "{path}"
                );
                assert!(!path.contains(['\\', '\0']), "{path}");
            }
            let again = read(&archive, Some(&package.digest)).expect("it was read before");
            assert_eq!(again.component_digest, package.component_digest);
            assert_eq!(again.manifest, package.manifest);
        }
        Err(problems) => manifest::check_problems(&problems),
    }
}
