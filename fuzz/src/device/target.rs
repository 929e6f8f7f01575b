//! Names of manifests and images.

use sixfold_device::Fetch;
use sixfold_device::prepare::Target;
use sixfold_profile::Instant;
use sixfold_profile::coap::{Options, Szx};
use sixfold_profile::ticket::MAX_OPTIONS_LENGTH;

/// What the boot programs for microcontrollers have room for.
const LONGEST_REQUEST: usize = 320;

/// Two lines: the name of a manifest, and what stands in it. Whatever goes into a ticket, a boot program can ask for.
pub fn target_reference(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let (manifest, reference) = text.split_once('\n').unwrap_or((&text, ""));
    let Ok(manifest) = Target::new(manifest) else { return };
    check(&manifest);
    let Ok(image) = manifest.join(reference) else { return };
    assert_eq!(Target::new(image.uri()).as_ref(), Ok(&image), "its URI means the same");
    check(&image);
}

fn check(target: &Target) {
    let Ok(encoded) = target.encode() else { return };
    assert!(encoded.len() <= MAX_OPTIONS_LENGTH && Options::are_valid(&encoded));
    let options = Options::new(&encoded);
    let taken = options.clone().map(|option| (option.number, option.value.to_vec()));
    assert_eq!(taken.collect::<Vec<_>>(), target.options);
    let mut fetch = Fetch::new(options, Szx::MAX, 1);
    let length = fetch.poll_transmit(Instant::ZERO, &mut [0; LONGEST_REQUEST]);
    assert!(matches!(length, Ok(Some(_))), "{length:?}: {}", target.uri());
}
