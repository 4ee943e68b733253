//! Asking for memory before it is wanted, so that it comes while something else is done.

/// Octets of a cache line.
const LINE: usize = 64;

/// Asks for the cache lines of `value`, as far as the second level: the first has no room for all that a batch of packets
/// needs, and of prefetches into it CPUs drop those that find its miss buffers taken. A hint to the CPU, which reads nothing, waits for nothing and cannot fault.
#[inline(always)]
pub fn prefetch<T: ?Sized>(value: &T) {
    lines(core::ptr::from_ref(value).cast(), size_of_val(value));
}

#[inline(always)]
fn lines(start: *const u8, len: usize) {
    let lines = (start.addr() % LINE + len).div_ceil(LINE);
    for n in 0..lines {
        line(start.wrapping_add(n * LINE));
    }
}

#[cfg(all(target_arch = "x86_64", not(miri)))]
#[inline(always)]
fn line(at: *const u8) {
    use core::arch::x86_64::{_MM_HINT_T1, _mm_prefetch};
    // SAFETY: a prefetch accesses no memory as far as the program can tell; any address will do. Miri does not know
    // the instruction: there `line` does nothing.
    unsafe { _mm_prefetch::<_MM_HINT_T1>(at.cast()) };
}

#[cfg(any(not(target_arch = "x86_64"), miri))]
#[inline(always)]
fn line(_: *const u8) {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_value_can_be_asked_for() {
        let octets = [0u8; 300];
        prefetch(&octets[3..]);
        prefetch(&octets[..0]);
        prefetch(&());
    }
}
