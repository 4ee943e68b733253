//! Plays one end with the keys that it has, and says what that end never would.
use super::World;
use ike::action::Endpoint;
use ike::engine::SessionKeys;
use ike::protect;
use wire::iana::ike::{ExchangeType, PayloadType};
use wire::ike::{Contents, Flags, Header, Message};

/// Seals with the keys of one end, and opens what is sent to it.
pub struct Player {
    /// The end that it plays.
    pub from: usize,
    /// Whether that end began the IKE SA.
    pub initiator: bool,
    pub spis: (u64, u64),
    sealer: protect::Sealer,
    opener: protect::Opener,
}

impl Player {
    pub fn new(keys: &SessionKeys, from: usize, initiator: bool) -> Self {
        let (sealer, opener) = protect::pair(&keys.suite, &keys.keys, initiator);
        Self { from, initiator, spis: keys.spis, sealer, opener }
    }

    /// Plays `from` in the only IKE SA of a world in which everything is established.
    pub fn established(world: &World, from: usize) -> Self {
        let keys = world.ends[1 - from].engine.keys().remove(0);
        Self::new(&keys, from, keys.spis.0 == world.ends[from].engine.status()[0].local_spi)
    }

    /// The path on which the other end hears it.
    pub fn path(&self, world: &World) -> Endpoint {
        world.path(1 - self.from)
    }

    pub fn header(&self, exchange: ExchangeType, response: bool, id: u32) -> Header {
        let flags = Flags { initiator: self.initiator, version: false, response };
        Header::new(self.spis, exchange, flags, id)
    }

    /// In datagrams of at most `most` octets. Empty when it cannot be said.
    pub fn seal(
        &mut self,
        header: &Header,
        first: PayloadType,
        inner: &[u8],
        most: usize,
    ) -> Vec<Vec<u8>> {
        // counter-mode IVs of these keys may repeat here: nobody listens
        self.sealer
            .seal_within(&mut super::Seeded::new(5), header, first, inner, most)
            .unwrap_or_default()
    }

    pub fn request(&mut self, exchange: ExchangeType, id: u32, contents: Contents) -> Vec<u8> {
        let (header, first) = (self.header(exchange, false, id), contents.first());
        self.seal(&header, first, &contents.finish().unwrap(), 60_000).remove(0)
    }

    /// What is inside a message to this end: the first payload's type, and all payloads.
    pub fn open(&self, datagram: &[u8]) -> Option<(PayloadType, Vec<u8>)> {
        let message = Message::parse(datagram).ok()?;
        let opened = self.opener.open(&message.sealed()?).ok()?;
        Some((opened.first, opened.payloads.expose().to_vec()))
    }
}

/// The keys that the IKE SA of these two will have: those of a world that is the same in everything. What is random here
/// is seeded, so they are known before either end will tell.
pub fn foreseen(mut twin: World) -> SessionKeys {
    twin.run(5_000);
    twin.ends[super::B].engine.keys().remove(0)
}
