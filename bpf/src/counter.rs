//! Every way a frame can end in the program. `counters.h` holds the same names in the same order.

/// The counters' names, by index.
pub const NAMES: [&str; 15] = [
    "passed",
    "passed_unconfigured",
    "passed_not_ip",
    "passed_malformed",
    "passed_multicast",
    "passed_ike",
    "passed_nd",
    "redirected_esp",
    "redirected_esp_in_udp",
    "redirected_fragment",
    "redirected_plaintext",
    "redirected_inside",
    "dropped_no_dataplane",
    "dropped_keepalive",
    "dropped_encap_short",
];

/// Entries of the pinned map, so that a new name does not change its layout.
pub(crate) const ROOM: u32 = 32;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_are_those_of_the_program_in_its_order() {
        let header = include_str!("counters.h");
        let (_, body) = header.split_once("enum counter {").unwrap();
        let (body, _) = body.split_once("};").unwrap();
        let mut names: Vec<String> = body
            .lines()
            .filter_map(|line| line.trim().split_once(','))
            .map(|(name, _)| name.to_lowercase())
            .collect();
        assert_eq!(names.pop().as_deref(), Some("counters"), "the enum ends with its count");
        assert_eq!(names, NAMES);
        assert!(header.contains(&format!("#define COUNTERS_ROOM {ROOM}\n")));
        assert!(NAMES.len() <= ROOM as usize);
    }
}
