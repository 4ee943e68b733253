//! Packets that another implementation sealed, through the walk. What they carry is noise and no IP packet, so each
//! must get as far as the inner parser: SPI, window, ICV and trailer were right, and one octet less is not.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)] // a test may
mod common;
use common::*;
use sadb::{DropReason, SaKeys};
use std::collections::HashMap;

fn hex(text: &str) -> Vec<u8> {
    (0..text.len() / 2).map(|n| u8::from_str_radix(&text[2 * n..2 * n + 2], 16).unwrap()).collect()
}

#[test]
fn another_implementations_packets_reach_the_inner_parser() {
    let text = include_str!("../crypto/tests/vectors/esp.txt");
    let mut seen = 0;
    for block in text.split("\n\n").filter(|block| block.contains("packet =")) {
        let lines = block.lines().filter_map(|line| line.split_once('='));
        let fields: HashMap<&str, &str> =
            lines.map(|(key, value)| (key.trim(), value.trim())).collect();
        let suite = crypto::Suite::from_name(fields["suite"]).unwrap();
        let agreement = Agreement { suite, esn: fields["esn"] == "1", ..Agreement::usual() };
        let packet = hex(fields["packet"]);
        let mut sa = agreement.sa(End::A, End::B);
        sa.spi = u32::from_be_bytes(packet[..4].try_into().unwrap());
        sa.initial_sequence = fields["sequence"].parse::<u64>().unwrap() - 1;
        let keys =
            SaKeys { encryption: hex(fields["key"]), integrity: hex(fields["integrity_key"]) };
        let mut b = Gateway::with(End::B, 1, 256, 2048);
        b.install(&sa, &keys);
        let peer = Peer::new(agreement, End::A);
        let mut forged = packet.clone();
        *forged.last_mut().unwrap() ^= 1;
        let lost = b.loses(OUTSIDE, &ethernet(&peer.outer(&forged, 0)));
        assert_eq!(lost, DropReason::BadIcv, "{block}");
        let lost = b.loses(OUTSIDE, &ethernet(&peer.outer(&packet, 0)));
        assert_eq!(lost, DropReason::MalformedInner, "{block}");
        let lost = b.loses(OUTSIDE, &ethernet(&peer.outer(&packet, 0)));
        assert_eq!(lost, DropReason::ReplayDuplicate, "{block}");
        seen += 1;
    }
    assert!(seen >= 19 * 2, "{seen} vectors");
}
