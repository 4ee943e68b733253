//! What arrives at the gateway under test: UDP over IPv4 in Ethernet, in the clear on one side, sealed on the other.
use crate::rng::Rng;
use core::fmt;
use core::net::Ipv4Addr;
use core::str::FromStr;
use wire::iana::{EtherType, IpProtocol};
use wire::{esp, ethernet, ipv4, udp};

/// The host behind the gateway.
pub const NEAR_HOST: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 2);
/// The gateway's outside address.
pub const GATEWAY: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
/// The router on the gateway's outside.
pub const ROUTER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 254);
/// Everybody's Ethernet address by last octet: gateway inside 1, gateway outside 2, host 3, router 4.
pub const fn mac(last: u8) -> [u8; 6] {
    [2, 0, 0, 0, 0, last]
}

/// The smallest inner packet: IPv4 and UDP headers.
pub const SMALLEST: u16 = (ipv4::HEADER + udp::HEADER) as u16;
/// The largest: with every suite it fits an outer MTU of 1500.
pub const LARGEST: u16 = 1420;

/// The host behind peer `n`. Unique for 2^24 of them.
pub fn far_host(n: u32) -> Ipv4Addr {
    Ipv4Addr::from_bits(0x1400_0000 | n & 0x00ff_ffff)
}

/// The outer address of peer `n`.
pub fn peer(n: u32) -> Ipv4Addr {
    Ipv4Addr::from_bits(0x1500_0000 | n & 0x00ff_ffff)
}

/// How long inner IP packets are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mix {
    /// All of the same length, octets.
    Fixed(u16),
    /// 64, 576 and 1420 octets, 7:4:1, in random order.
    Imix,
}

/// Not a length of packets.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no packet size: give octets of the inner IP packet from {SMALLEST} to {LARGEST}, or IMIX"
)]
pub struct BadMix(String);

impl FromStr for Mix {
    type Err = BadMix;

    fn from_str(text: &str) -> Result<Self, BadMix> {
        if text.eq_ignore_ascii_case("imix") {
            return Ok(Self::Imix);
        }
        let fits = |len: &u16| (SMALLEST..=LARGEST).contains(len);
        let len = text.parse().ok().filter(fits);
        len.map(Self::Fixed).ok_or_else(|| BadMix(text.into()))
    }
}

impl fmt::Display for Mix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed(len) => len.fmt(f),
            Self::Imix => f.pad("IMIX"),
        }
    }
}

impl Mix {
    /// Lengths of `count` packets. IMIX keeps its proportions exactly in every dozen, and shuffles the whole.
    pub fn lengths(self, count: usize, rng: &mut Rng) -> Vec<u16> {
        match self {
            Self::Fixed(len) => vec![len; count],
            Self::Imix => imix(count, rng).collect(),
        }
    }
}

/// `count` lengths of 64, 576 and 1420 octets, 7:4:1, the whole in random order.
pub fn imix(count: usize, rng: &mut Rng) -> impl Iterator<Item = u16> + use<> {
    let dozen = |n: usize| match n % 12 {
        0..7 => 64,
        7..11 => 576,
        _ => 1420,
    };
    let mut all: Vec<u16> = (0..count).map(dozen).collect();
    rng.shuffle(&mut all);
    all.into_iter()
}

/// Appends an IPv4 packet of `len` octets with a UDP datagram in it, checksums and all.
fn datagram(out: &mut Vec<u8>, src: Ipv4Addr, dst: Ipv4Addr, len: u16) {
    let mut ip = [0; ipv4::HEADER];
    let payload_len = len.saturating_sub(ipv4::HEADER as u16);
    ipv4::Repr {
        src,
        dst,
        protocol: IpProtocol::UDP,
        ttl: 64,
        tos: 0,
        id: 0,
        dont_fragment: true,
        more_fragments: false,
        fragment_offset: 0,
        payload_len,
    }
    .emit(&mut ip);
    out.extend(ip);
    let start = out.len();
    let body = payload_len.saturating_sub(udp::HEADER as u16);
    let header = udp::Header { source: 4000, destination: 5000, payload_len: body, checksum: 0 };
    out.extend(header.emit());
    out.extend((0..body).map(|n| n as u8));
    let sum = udp::checksum(src.into(), dst.into(), out.get(start..).unwrap_or_default());
    if let Some(place) = out.get_mut(start + 6..start + 8) {
        place.copy_from_slice(&sum.to_be_bytes());
    }
}

fn link(out: &mut Vec<u8>, source: [u8; 6], destination: [u8; 6]) {
    out.extend(ethernet::Header { destination, source, ethertype: EtherType::IPV4 }.emit());
}

/// Makes `out` the frame that the near host sends to the host behind peer `n`.
pub fn plain(out: &mut Vec<u8>, n: u32, len: u16) {
    out.clear();
    link(out, mac(3), mac(1));
    datagram(out, NEAR_HOST, far_host(n), len);
}

/// Where the ESP packet stands in what [`to_seal`] makes.
pub const ESP_AT: usize = ethernet::HEADER + ipv4::HEADER;

/// Makes `out` the frame that peer `n` sends to the gateway, still to be sealed from [`ESP_AT`] on.
pub fn to_seal(
    out: &mut Vec<u8>,
    n: u32,
    len: u16,
    suite: crypto::Suite,
    header: esp::Header,
) -> Result<(), wire::Malformed> {
    let pad = esp::pad_len(usize::from(len), suite.block());
    let esp_len = esp::packet_len(usize::from(len), suite.iv_len(), suite.icv_len(), suite.block());
    out.clear();
    link(out, mac(4), mac(2));
    let mut ip = [0; ipv4::HEADER];
    ipv4::Repr {
        src: peer(n),
        dst: GATEWAY,
        protocol: IpProtocol::ESP,
        ttl: 64,
        tos: 0,
        id: header.sequence as u16,
        dont_fragment: true,
        more_fragments: false,
        fragment_offset: 0,
        payload_len: esp_len as u16,
    }
    .emit(&mut ip);
    out.extend(ip);
    out.extend(header.emit());
    out.resize(out.len() + suite.iv_len(), 0);
    datagram(out, far_host(n), NEAR_HOST, len);
    let trailer = out.len();
    out.resize(trailer + pad + esp::TRAILER, 0);
    esp::emit_trailer(out.get_mut(trailer..).unwrap_or_default(), IpProtocol::IPV4)?;
    out.resize(out.len() + suite.icv_len(), 0);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use wire::ip::Packet;

    #[test]
    fn a_size_is_a_length_that_fits_or_imix() {
        assert_eq!("64".parse(), Ok(Mix::Fixed(64)));
        assert_eq!("imix".parse(), Ok(Mix::Imix));
        for text in ["27", "1421", "", "-1", "IMIXX"] {
            assert_eq!(text.parse::<Mix>(), Err(BadMix(text.into())));
        }
    }

    #[test]
    fn imix_is_seven_to_four_to_one() {
        let lengths = Mix::Imix.lengths(1200, &mut Rng::new(1));
        let count = |len| lengths.iter().filter(|&&l| l == len).count();
        assert_eq!((count(64), count(576), count(1420)), (700, 400, 100));
        assert_ne!(lengths[..12], lengths[12..24], "in random order");
    }

    #[test]
    fn a_frame_holds_an_ip_packet_of_the_length_asked_for_with_good_checksums() {
        for len in [SMALLEST, 64, 65, LARGEST] {
            let mut frame = Vec::new();
            plain(&mut frame, 70_000, len);
            let packet = Packet::parse(&frame[ethernet::HEADER..]).unwrap();
            assert_eq!(packet.total_len(), usize::from(len));
            assert_eq!(packet.dst(), far_host(70_000));
            let datagram = udp::Udp::parse(packet.upper()).unwrap();
            assert!(datagram.checksum_ok(packet.src(), packet.dst()));
        }
    }
}
