//! Cycles by stage of the walk, where the data plane was built to count them.
use dataplane::stage::Stage;
use std::collections::BTreeMap;

/// How many stages there are.
const STAGES: usize = Stage::ALL.len();

/// Cycles of each stage, in the order of [`Stage::ALL`].
#[derive(Clone, Copy, Debug, Default)]
pub struct Sums([u64; STAGES]);

/// Whether this build counts.
pub const fn counted() -> bool {
    cfg!(feature = "stages")
}

/// Before a turn.
pub fn start() {
    #[cfg(feature = "stages")]
    dataplane::stage::start(rivals::tsc::now);
}

/// What was counted since the last call.
pub fn take() -> Sums {
    #[cfg(feature = "stages")]
    return Sums(dataplane::stage::take());
    #[cfg(not(feature = "stages"))]
    Sums::default()
}

impl Sums {
    /// Cycles per packet, by name; stages that did nothing are left out.
    pub fn per_packet(&self, packets: u64) -> BTreeMap<&'static str, f64> {
        let named = Stage::ALL.iter().zip(self.0).filter(|(_, sum)| *sum > 0);
        named.map(|(stage, sum)| (stage.name(), sum as f64 / packets.max(1) as f64)).collect()
    }
}
