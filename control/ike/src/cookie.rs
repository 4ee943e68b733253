//! Stateless cookies (RFC 7296 §2.6): a stranger shows that it receives at the address from which it writes, before
//! anything is computed or kept for it.
use crate::algorithm::Prf;
use crate::{Key, Random};
use std::net::IpAddr;

/// How long a secret makes cookies, in milliseconds. They are good as long again.
const ROTATION_MS: u64 = 60_000;

/// What cookies are made with.
#[derive(Debug, Default)]
pub(crate) struct Cookies {
    /// The one in use first.
    secrets: [Option<(u8, Key)>; 2],
    rotates: u64,
}

impl Cookies {
    /// A cookie for this initiator: the secret's number and a MAC.
    pub(crate) fn make(
        &mut self,
        nonce: &[u8],
        source: IpAddr,
        spi: u64,
        now: u64,
        random: &mut dyn Random,
    ) -> Vec<u8> {
        self.rotate(now, random);
        let [Some((number, secret)), _] = &self.secrets else { return Vec::new() };
        [&[*number][..], mac(secret, nonce, source, spi).expose()].concat()
    }

    /// Whether a cookie is one that we made for this initiator, not long ago.
    pub(crate) fn good(
        &self,
        cookie: &[u8],
        nonce: &[u8],
        source: IpAddr,
        spi: u64,
        now: u64,
    ) -> bool {
        let Some((number, rest)) = cookie.split_first() else { return false };
        // The one before lasts until the one in use is replaced; past that both are stale.
        let current =
            if now < self.rotates.saturating_add(ROTATION_MS) { &self.secrets[..] } else { &[] };
        let of_number = current.iter().flatten().find(|(known, _)| known == number);
        of_number.is_some_and(|(_, secret)| mac(secret, nonce, source, spi) == Key::from(rest))
    }

    fn rotate(&mut self, now: u64, random: &mut dyn Random) {
        if now < self.rotates && self.secrets[0].is_some() {
            return;
        }
        let mut octets = vec![0; 32];
        random.fill(&mut octets);
        let number = self.secrets[0].as_ref().map_or(0, |(number, _)| number.wrapping_add(1));
        let stale = now >= self.rotates.saturating_add(ROTATION_MS);
        let last = self.secrets[0].take().filter(|_| !stale);
        self.secrets = [Some((number, Key::new(octets))), last];
        self.rotates = now.saturating_add(ROTATION_MS);
    }
}

fn mac(secret: &Key, nonce: &[u8], source: IpAddr, spi: u64) -> Key {
    let address = match source {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    };
    Prf::HmacSha2_256.compute(secret.expose(), &[&spi.to_be_bytes(), &address, nonce])
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Counting(u8);
    impl Random for Counting {
        fn fill(&mut self, out: &mut [u8]) {
            self.0 += 1;
            out.fill(self.0);
        }
    }

    #[test]
    fn a_cookie_is_good_for_its_initiator_and_no_other() {
        let (mut cookies, mut random) = (Cookies::default(), Counting(0));
        let (here, there) = ([192, 0, 2, 1].into(), [192, 0, 2, 2].into());
        let cookie = cookies.make(b"nonce", here, 7, 1000, &mut random);
        assert!((1..=64).contains(&cookie.len()));
        assert!(cookies.good(&cookie, b"nonce", here, 7, 1000));
        for (nonce, source, spi) in
            [(&b"other"[..], here, 7), (b"nonce", there, 7), (b"nonce", here, 8)]
        {
            assert!(!cookies.good(&cookie, nonce, source, spi, 1000));
        }
        for at in 0..cookie.len() {
            let mut mangled = cookie.clone();
            mangled[at] ^= 1;
            assert!(!cookies.good(&mangled, b"nonce", here, 7, 1000), "octet {at}");
        }
        assert!(!cookies.good(&[], b"nonce", here, 7, 1000));
        assert!(!cookies.good(&cookie[..cookie.len() - 1], b"nonce", here, 7, 1000));
    }

    #[test]
    fn a_secret_is_followed_by_another_and_then_forgotten() {
        let (mut cookies, mut random) = (Cookies::default(), Counting(0));
        let here = [192, 0, 2, 1].into();
        let first = cookies.make(b"n", here, 7, 0, &mut random);
        assert_eq!(first, cookies.make(b"n", here, 7, ROTATION_MS - 1, &mut random));
        let second = cookies.make(b"n", here, 7, ROTATION_MS, &mut random);
        assert_ne!(first, second);
        assert!(cookies.good(&first, b"n", here, 7, ROTATION_MS), "one overlap");
        cookies.make(b"n", here, 7, 2 * ROTATION_MS, &mut random);
        assert!(!cookies.good(&first, b"n", here, 7, 2 * ROTATION_MS));
        assert!(cookies.good(&second, b"n", here, 7, 2 * ROTATION_MS));
        assert!(!cookies.good(&second, b"n", here, 7, 9 * ROTATION_MS), "nobody asked for long");
    }
}
