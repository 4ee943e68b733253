//! Intel's libipsec-mb, where it is installed.
#![cfg_attr(ipsec_mb, allow(unsafe_code, reason = "a shim in C"))]
use crate::Rival;
use crate::algorithm::{Algorithm, Keys};
use core::fmt;
use core::str::FromStr;

/// The instruction sets that libipsec-mb has code for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum Arch {
    /// The best that it finds.
    Auto = 0,
    /// SSE.
    Sse = 1,
    /// AVX.
    Avx = 2,
    /// AVX2.
    Avx2 = 3,
    /// AVX-512.
    Avx512 = 4,
}

const ARCHS: [(&str, Arch); 5] = [
    ("auto", Arch::Auto),
    ("sse", Arch::Sse),
    ("avx", Arch::Avx),
    ("avx2", Arch::Avx2),
    ("avx512", Arch::Avx512),
];

/// Which of the library's codes is to run. On a CPU with GFNI, VAES and SHA-NI it takes its "type 2" code unless one
/// of them is taken away: `avx512:gfni-off` is what a CPU without VAES would run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tier {
    /// The instruction set.
    pub arch: Arch,
    /// Without GFNI, and so without the code for VAES.
    pub gfni_off: bool,
    /// Without SHA-NI.
    pub shani_off: bool,
}

/// Not a tier.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadTier(String);

impl fmt::Display for BadTier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = "auto, sse, avx, avx2 or avx512, with :gfni-off or :shani-off behind it";
        write!(f, "{:?} is no tier of libipsec-mb: give {known}", self.0)
    }
}

impl core::error::Error for BadTier {}

impl FromStr for Tier {
    type Err = BadTier;

    fn from_str(text: &str) -> Result<Self, BadTier> {
        let bad = || BadTier(text.into());
        let mut words = text.split(':');
        let name = words.next().unwrap_or_default();
        let (_, arch) = *ARCHS.iter().find(|(known, _)| *known == name).ok_or_else(bad)?;
        let mut tier = Self { arch, gfni_off: false, shani_off: false };
        for word in words {
            match word {
                "gfni-off" => tier.gfni_off = true,
                "shani-off" => tier.shani_off = true,
                _ => return Err(bad()),
            }
        }
        Ok(tier)
    }
}

impl fmt::Display for Tier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = ARCHS.iter().find(|(_, arch)| *arch == self.arch).map_or("?", |(name, _)| name);
        let off = |off: bool, word: &'static str| if off { word } else { "" };
        let (gfni, shani) = (off(self.gfni_off, ":gfni-off"), off(self.shani_off, ":shani-off"));
        write!(f, "{name}{gfni}{shani}")
    }
}

/// The library's own word for its version.
#[cfg(not(ipsec_mb))]
pub(crate) fn version() -> Option<String> {
    None
}

/// Not installed.
#[cfg(not(ipsec_mb))]
pub(crate) fn rivals(_: Algorithm, _: &[Keys], _: Tier) -> Vec<Box<dyn Rival>> {
    Vec::new()
}

#[cfg(ipsec_mb)]
pub(crate) use here::{rivals, version};

#[cfg(ipsec_mb)]
mod here {
    use super::{Algorithm, Arch, Keys, Rival, Tier};
    use crate::Packet;
    use crate::algorithm::Cipher;
    use core::ffi::{CStr, c_char, c_int};
    use core::ptr::NonNull;

    #[repr(C)]
    struct Handle {
        opaque: [u8; 0],
    }

    // SAFETY: as c/ipsec_mb.c defines them.
    unsafe extern "C" {
        safe fn rival_mb_version() -> *const c_char;
        fn rival_mb_new(
            a: *const Algorithm,
            api: c_int,
            arch: c_int,
            flags: u64,
            sas: usize,
        ) -> *mut Handle;
        fn rival_mb_key(mb: *mut Handle, sa: usize, key: *const u8, mac_key: *const u8);
        fn rival_mb_run(mb: *mut Handle, sealing: c_int, p: *const Packet<'_>, n: usize) -> c_int;
        fn rival_mb_free(mb: *mut Handle);
    }

    /// IMB_FLAG_SHANI_OFF and IMB_FLAG_GFNI_OFF of its header.
    const SHANI_OFF: u64 = 1 << 0;
    const GFNI_OFF: u64 = 1 << 2;

    pub(crate) fn version() -> Option<String> {
        // SAFETY: a static string that ends with a zero.
        let text = unsafe { CStr::from_ptr(rival_mb_version()) };
        Some(text.to_string_lossy().into_owned())
    }

    #[derive(Clone, Copy)]
    enum Api {
        Direct = 0,
        Job = 1,
        Burst = 2,
    }

    /// The manager and the contexts of one direction.
    struct Side {
        handle: NonNull<Handle>,
        algorithm: Algorithm,
        sas: usize,
    }

    impl Side {
        fn new(algorithm: &Algorithm, keys: &[Keys], tier: Tier, api: Api) -> Option<Self> {
            let flag = |off: bool, flag: u64| if off { flag } else { 0 };
            let flags = flag(tier.gfni_off, GFNI_OFF) | flag(tier.shani_off, SHANI_OFF);
            if !keys.iter().all(|keys| keys.fit(algorithm)) {
                return None;
            }
            let (api, arch) = (api as c_int, tier.arch as c_int);
            // SAFETY: reads the algorithm, keeps no pointer to it.
            let handle = unsafe { rival_mb_new(algorithm, api, arch, flags, keys.len()) };
            let side =
                Self { handle: NonNull::new(handle)?, algorithm: *algorithm, sas: keys.len() };
            for (sa, keys) in keys.iter().enumerate() {
                let (key, mac) = (keys.cipher.as_ptr(), keys.mac.as_ptr());
                // SAFETY: `sa` is below the number of SAs, the keys have the algorithm's lengths (`fit`).
                unsafe { rival_mb_key(side.handle.as_ptr(), sa, key, mac) };
            }
            Some(side)
        }

        fn run(&mut self, batch: &mut [Packet<'_>], sealing: bool) -> usize {
            if !Packet::all_within(batch, self.sas, &self.algorithm) {
                return 0;
            }
            let (packets, count) = (batch.as_ptr(), batch.len());
            // SAFETY: the handle is live and ours alone; every packet's SA has a key and its parts lie inside the
            // slice that the packet borrows (`all_within`); more than 64 are refused.
            let done =
                unsafe { rival_mb_run(self.handle.as_ptr(), sealing.into(), packets, count) };
            done as usize
        }
    }

    impl Drop for Side {
        fn drop(&mut self) {
            // SAFETY: came from `rival_mb_new`, is freed here only.
            unsafe { rival_mb_free(self.handle.as_ptr()) };
        }
    }

    struct IpsecMb {
        name: String,
        seal: Side,
        open: Side,
    }

    impl Rival for IpsecMb {
        fn name(&self) -> &str {
            &self.name
        }

        fn seal(&mut self, batch: &mut [Packet<'_>]) -> usize {
            self.seal.run(batch, true)
        }

        fn open(&mut self, batch: &mut [Packet<'_>]) -> usize {
            self.open.run(batch, false)
        }
    }

    /// Through each of its interfaces that has the algorithm.
    pub(crate) fn rivals(algorithm: Algorithm, keys: &[Keys], tier: Tier) -> Vec<Box<dyn Rival>> {
        let direct = matches!(algorithm.cipher, Cipher::AesGcm | Cipher::ChaCha20Poly1305);
        let apis = [(Api::Direct, "direct"), (Api::Job, "job"), (Api::Burst, "burst")];
        let apis = apis.into_iter().skip(usize::from(!direct));
        apis.filter_map(|(api, word)| rival(&algorithm, keys, tier, api, word)).collect()
    }

    fn rival(
        algorithm: &Algorithm,
        keys: &[Keys],
        tier: Tier,
        api: Api,
        word: &str,
    ) -> Option<Box<dyn Rival>> {
        let plain = tier == Tier { arch: Arch::Auto, gfni_off: false, shani_off: false };
        let suffix = if plain { String::new() } else { format!(" ({tier})") };
        let seal = Side::new(algorithm, keys, tier, api)?;
        let open = Side::new(algorithm, keys, tier, api)?;
        Some(Box::new(IpsecMb { name: format!("libipsec-mb {word}{suffix}"), seal, open }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tier_is_read_as_it_is_written() {
        for text in ["auto", "sse:shani-off", "avx512:gfni-off", "avx2:gfni-off:shani-off"] {
            assert_eq!(text.parse::<Tier>().unwrap().to_string(), text);
        }
        for text in ["", "avx3", "avx512:", "auto:aesni-off"] {
            assert_eq!(text.parse::<Tier>(), Err(BadTier(text.into())));
        }
    }
}
