//! Frames, built octet by octet and by nothing that the program under test shares.
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

pub const ICMP: u8 = 1;
pub const TCP: u8 = 6;
pub const UDP: u8 = 17;
pub const ESP: u8 = 50;
pub const AH: u8 = 51;
pub const ICMPV6: u8 = 58;
pub const HOPOPTS: u8 = 0;
pub const ROUTING: u8 = 43;
pub const FRAGMENT: u8 = 44;
pub const DSTOPTS: u8 = 60;

pub const IPV4: u16 = 0x0800;
pub const IPV6: u16 = 0x86dd;
const UNICAST: [u8; 6] = [0x02, 0, 0, 0, 0, 0x01];

/// Ethernet II with these tags (TPID each) before the type.
pub fn ethernet_to(destination: [u8; 6], tags: &[u16], kind: u16, payload: &[u8]) -> Vec<u8> {
    let mut frame = [destination, [0x02, 0, 0, 0, 0, 0x02]].concat();
    for (number, tag) in tags.iter().enumerate() {
        frame.extend(tag.to_be_bytes());
        frame.extend((100 + number as u16).to_be_bytes());
    }
    frame.extend(kind.to_be_bytes());
    frame.extend(payload);
    frame
}

pub fn ethernet(tags: &[u16], kind: u16, payload: &[u8]) -> Vec<u8> {
    ethernet_to(UNICAST, tags, kind, payload)
}

/// An IP packet of either family in an untagged frame.
pub fn framed(packet: &[u8]) -> Vec<u8> {
    tagged(&[], packet)
}

pub fn tagged(tags: &[u16], packet: &[u8]) -> Vec<u8> {
    let kind = if packet[0] >> 4 == 4 { IPV4 } else { IPV6 };
    ethernet(tags, kind, packet)
}

/// Where a fragment lies: offset in octets and whether more follow. `None` for whole packets.
pub type Piece = Option<(u16, bool)>;

#[derive(Clone)]
pub struct Packet {
    pub from: IpAddr,
    pub to: IpAddr,
    pub protocol: u8,
    pub hops: u8,
    pub piece: Piece,
    /// IPv4 options, in multiples of four octets.
    pub options: Vec<u8>,
    /// IPv6 extension headers before the upper layer, each with its length in units of eight octets.
    pub chain: Vec<(u8, usize)>,
    pub payload: Vec<u8>,
}

pub fn packet(from: &str, to: &str, protocol: u8, payload: &[u8]) -> Packet {
    let (from, to) = (from.parse().unwrap(), to.parse().unwrap());
    let payload = payload.to_vec();
    Packet { from, to, protocol, hops: 64, piece: None, options: vec![], chain: vec![], payload }
}

impl Packet {
    pub fn piece(mut self, offset: u16, more: bool) -> Self {
        self.piece = Some((offset, more));
        if self.from.is_ipv6() {
            self.chain.push((FRAGMENT, 1));
        }
        self
    }
    pub fn options(mut self, octets: usize) -> Self {
        self.options = vec![1; octets];
        self
    }
    pub fn chain(mut self, chain: &[(u8, usize)]) -> Self {
        self.chain.extend(chain);
        self
    }
    pub fn hops(mut self, hops: u8) -> Self {
        self.hops = hops;
        self
    }
    pub fn build(&self) -> Vec<u8> {
        match (self.from, self.to) {
            (IpAddr::V4(from), IpAddr::V4(to)) => self.ipv4(from, to),
            (IpAddr::V6(from), IpAddr::V6(to)) => self.ipv6(from, to),
            _ => panic!("one family"),
        }
    }
    fn ipv4(&self, from: Ipv4Addr, to: Ipv4Addr) -> Vec<u8> {
        let header = 20 + self.options.len();
        let total = (header + self.payload.len()) as u16;
        let (offset, more) = self.piece.unwrap_or((0, false));
        let word = (offset / 8) | (u16::from(more) << 13);
        let mut octets = vec![0x40 | (header / 4) as u8, 0];
        octets.extend(total.to_be_bytes());
        octets.extend([0x12, 0x34]);
        octets.extend(word.to_be_bytes());
        octets.extend([self.hops, self.protocol, 0, 0]);
        octets.extend(from.octets());
        octets.extend(to.octets());
        octets.extend(&self.options);
        octets.extend(&self.payload);
        octets
    }
    fn ipv6(&self, from: Ipv6Addr, to: Ipv6Addr) -> Vec<u8> {
        let chain = self.headers();
        let length = (chain.len() + self.payload.len()) as u16;
        let first = self.chain.first().map_or(self.protocol, |(kind, _)| *kind);
        let mut octets = vec![0x60, 0, 0, 0];
        octets.extend(length.to_be_bytes());
        octets.extend([first, self.hops]);
        octets.extend(from.octets());
        octets.extend(to.octets());
        octets.extend(chain);
        octets.extend(&self.payload);
        octets
    }
    fn headers(&self) -> Vec<u8> {
        let next = self.chain.iter().skip(1).map(|(kind, _)| *kind).chain([self.protocol]);
        let mut octets = Vec::new();
        for ((kind, units), next) in self.chain.iter().zip(next) {
            let mut header = vec![0; units * 8];
            header[0] = next;
            header[1] = (units - 1) as u8;
            if *kind == FRAGMENT {
                let (offset, more) = self.piece.unwrap_or((0, false));
                header[1] = 0;
                header[2..4].copy_from_slice(&(offset | u16::from(more)).to_be_bytes());
            }
            octets.extend(header);
        }
        octets
    }
}

/// A UDP datagram whose length field tells the truth.
pub fn udp(port: u16, payload: &[u8]) -> Vec<u8> {
    udp_claiming(port, payload, 8 + payload.len() as u16)
}

pub fn udp_claiming(port: u16, payload: &[u8], length: u16) -> Vec<u8> {
    let mut octets = 40_000_u16.to_be_bytes().to_vec();
    octets.extend(port.to_be_bytes());
    octets.extend(length.to_be_bytes());
    octets.extend([0, 0]);
    octets.extend(payload);
    octets
}

/// SPI 0x1001, sequence 1, and some ciphertext.
pub fn esp() -> Vec<u8> {
    let mut octets = vec![0, 0, 0x10, 0x01, 0, 0, 0, 1];
    octets.extend([0xaa; 32]);
    octets
}

/// The non-ESP marker and the start of an IKE header.
pub fn ike() -> Vec<u8> {
    let mut octets = vec![0; 4];
    octets.extend([0x5a; 28]);
    octets
}
