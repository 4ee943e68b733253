//! OpenSSL, where it is installed.
#![cfg_attr(openssl, allow(unsafe_code, reason = "a shim in C"))]
use crate::Rival;
use crate::algorithm::{Algorithm, Keys};

/// The library's own word for its version.
#[cfg(not(openssl))]
pub(crate) fn version() -> Option<String> {
    None
}

/// Not installed.
#[cfg(not(openssl))]
pub(crate) fn rival(_: Algorithm, _: &[Keys]) -> Option<Box<dyn Rival>> {
    None
}

#[cfg(openssl)]
pub(crate) use here::{rival, version};

#[cfg(openssl)]
mod here {
    use super::{Algorithm, Keys, Rival};
    use crate::Packet;
    use core::ffi::{CStr, c_char, c_int};
    use core::ptr::NonNull;

    #[repr(C)]
    struct Handle {
        opaque: [u8; 0],
    }

    // SAFETY: as c/openssl.c defines them.
    unsafe extern "C" {
        safe fn rival_openssl_version() -> *const c_char;
        fn rival_openssl_new(a: *const Algorithm, sealing: c_int, sas: usize) -> *mut Handle;
        fn rival_openssl_key(
            o: *mut Handle,
            sa: usize,
            key: *const u8,
            mac_key: *const u8,
        ) -> c_int;
        fn rival_openssl_run(o: *mut Handle, p: *const Packet<'_>, n: usize) -> c_int;
        fn rival_openssl_free(o: *mut Handle);
    }

    pub(crate) fn version() -> Option<String> {
        // SAFETY: a static string that ends with a zero.
        let text = unsafe { CStr::from_ptr(rival_openssl_version()) };
        Some(text.to_string_lossy().trim_start_matches("OpenSSL ").to_owned())
    }

    /// The contexts of one direction.
    struct Side {
        handle: NonNull<Handle>,
        algorithm: Algorithm,
        sas: usize,
    }

    impl Side {
        fn new(algorithm: &Algorithm, keys: &[Keys], sealing: bool) -> Option<Self> {
            if !keys.iter().all(|keys| keys.fit(algorithm)) {
                return None;
            }
            // SAFETY: reads the algorithm, keeps no pointer to it.
            let handle = unsafe { rival_openssl_new(algorithm, sealing.into(), keys.len()) };
            let side =
                Self { handle: NonNull::new(handle)?, algorithm: *algorithm, sas: keys.len() };
            for (sa, keys) in keys.iter().enumerate() {
                let (key, mac) = (keys.cipher.as_ptr(), keys.mac.as_ptr());
                // SAFETY: `sa` is below the number of SAs, the keys have the algorithm's lengths (`fit`).
                let good = unsafe { rival_openssl_key(side.handle.as_ptr(), sa, key, mac) };
                if good != 1 {
                    return None;
                }
            }
            Some(side)
        }

        fn run(&mut self, batch: &mut [Packet<'_>]) -> usize {
            if !Packet::all_within(batch, self.sas, &self.algorithm) {
                return 0;
            }
            // SAFETY: the handle is live and ours alone; every packet's SA has a key and its parts lie inside the
            // slice that the packet borrows (`all_within`).
            let done =
                unsafe { rival_openssl_run(self.handle.as_ptr(), batch.as_ptr(), batch.len()) };
            done as usize
        }
    }

    impl Drop for Side {
        fn drop(&mut self) {
            // SAFETY: came from `rival_openssl_new`, is freed here only.
            unsafe { rival_openssl_free(self.handle.as_ptr()) };
        }
    }

    struct OpenSsl {
        seal: Side,
        open: Side,
    }

    /// With these keys.
    pub(crate) fn rival(algorithm: Algorithm, keys: &[Keys]) -> Option<Box<dyn Rival>> {
        let seal = Side::new(&algorithm, keys, true)?;
        let open = Side::new(&algorithm, keys, false)?;
        Some(Box::new(OpenSsl { seal, open }))
    }

    impl Rival for OpenSsl {
        fn name(&self) -> &str {
            "OpenSSL"
        }

        fn seal(&mut self, batch: &mut [Packet<'_>]) -> usize {
            self.seal.run(batch)
        }

        fn open(&mut self, batch: &mut [Packet<'_>]) -> usize {
            self.open.run(batch)
        }
    }
}
