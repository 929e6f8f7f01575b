//! The end of a flash file.

use sixfold_device::flash_file::{Geometry, TRAILER};

/// The trailer of a flash file: what is read is written again as the same bytes, and its records and slots are whole pages that
/// do not overlap.
pub fn flash_trailer(data: &[u8]) {
    let Some(trailer) = data.first_chunk::<TRAILER>() else { return };
    let Some(geometry) = Geometry::decode(trailer) else { return };
    assert_eq!(geometry.encode(), *trailer);
    let Some(layout) = geometry.layout() else { return };
    let [first, second] = &layout.slots;
    let mut places: Vec<_> = layout.records.iter().chain([first]).cloned().collect();
    if !layout.is_single() {
        places.push(second.clone());
    }
    assert!(
        places
            .iter()
            .all(|place| place.start < place.end && place.start % 4096 == 0 && place.end % 4096 == 0)
    );
    assert!(places.windows(2).all(|two| two[0].end == two[1].start), "{layout:?}");
}
