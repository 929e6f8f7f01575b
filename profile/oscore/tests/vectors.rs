//! From what a device and a relay agreed on to the keys of the device.
#![allow(clippy::unwrap_used, reason = "these are tests")]

#[path = "../../vectors/tests/reader/mod.rs"]
mod reader;

use reader::{array, bytes, file, golden, list};
use sixfold_oscore::{Derived, Secret};

#[test]
fn keys_of_agreements_are_derived() {
    for (name, vector) in list(&file(reader::AGREEMENTS), "vectors") {
        let [master_secret, master_salt, device_id, relay_id] = [
            &vector["master_secret"],
            &vector["master_salt"],
            &vector["answer"]["device_id"],
            &vector["answer"]["relay_id"],
        ]
        .map(bytes);
        let secret = Secret { master_secret: &master_secret, master_salt: &master_salt, id_context: None };
        let derived = Derived::new(secret, &device_id, &relay_id).unwrap();
        let keys = derived.parameters();
        golden(name, *keys.sender_key, array(&vector["sender_key"]));
        golden(name, *keys.recipient_key, array(&vector["recipient_key"]));
        golden(name, *keys.common_iv, array(&vector["common_iv"]));
    }
}
