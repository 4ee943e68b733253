//! Memory that is shared with the kernel (mappings) or stands in for it (the heap, under Miri and
//! for the twin).

use std::alloc::Layout;
use std::os::fd::BorrowedFd;
use std::ptr::NonNull;

use rustix::io::Errno;
use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mmap, mmap_anonymous, munmap};

/// A page, and the alignment of every block made here.
const ALIGN: usize = 4096;

#[derive(Debug)]
enum Backing {
    Mapping,
    Heap(Layout),
}

/// A block of zeroed or kernel-owned memory with a fixed address; released when dropped.
#[derive(Debug)]
pub(crate) struct Memory {
    base: NonNull<u8>,
    len: usize,
    backing: Backing,
}

// SAFETY: a `Memory` is an address and a length. It gives out raw pointers only; what is done
// through them is argued where it is done (`frame`, `ring`).
unsafe impl Send for Memory {}
// SAFETY: as above: no method reads or writes the block.
unsafe impl Sync for Memory {}

impl Memory {
    /// `len` octets of private memory for a UMEM: huge pages if the kernel likes, and all of it
    /// present before the first packet, so that a shortage is an error here and not a fault later.
    pub fn anonymous(len: usize) -> Result<Self, Errno> {
        if cfg!(miri) {
            return Self::heap(len);
        }
        let rights = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: a new private mapping at an address that the kernel chooses touches no memory
        // that exists. Miri cannot make mappings: there `heap` stands in.
        let base = unsafe { mmap_anonymous(std::ptr::null_mut(), len, rights, MapFlags::PRIVATE) }?;
        let memory = Self::mapped(base, len)?;
        memory.populate()?;
        Ok(memory)
    }

    /// Huge pages are a wish: a kernel without them says so and is not asked again.
    fn populate(&self) -> Result<(), Errno> {
        // SAFETY: the range is the mapping just made; this advice changes no content.
        let _wish = unsafe { madvise(self.base.as_ptr().cast(), self.len, Advice::LinuxHugepage) };
        // SAFETY: as above; the pages become present and stay zero.
        unsafe { madvise(self.base.as_ptr().cast(), self.len, Advice::LinuxPopulateWrite) }.or_else(
            // Linux before 5.14 does not know the advice: the pages come when they are touched.
            |errno| if errno == Errno::INVAL { Ok(()) } else { Err(errno) },
        )
    }

    /// One of the four rings of an AF_XDP socket, `len` octets at `offset` (`XDP_PGOFF_*`).
    pub fn of_socket(fd: BorrowedFd<'_>, offset: u64, len: usize) -> Result<Self, Errno> {
        let rights = ProtFlags::READ | ProtFlags::WRITE;
        let flags = MapFlags::SHARED | MapFlags::POPULATE;
        // SAFETY: a new mapping at an address that the kernel chooses touches no memory that
        // exists. No Miri: it has no sockets of this kind.
        let base = unsafe { mmap(std::ptr::null_mut(), len, rights, flags, fd, offset) }?;
        Self::mapped(base, len)
    }

    fn mapped(base: *mut core::ffi::c_void, len: usize) -> Result<Self, Errno> {
        let base = NonNull::new(base.cast()).ok_or(Errno::NOMEM)?;
        Ok(Self { base, len, backing: Backing::Mapping })
    }

    /// `len` zeroed octets of the heap.
    pub fn heap(len: usize) -> Result<Self, Errno> {
        let layout = Layout::from_size_align(len.max(1), ALIGN).map_err(|_| Errno::NOMEM)?;
        // SAFETY: the layout's size is not zero. Test: `frames_do_not_alias`.
        let base = unsafe { std::alloc::alloc_zeroed(layout) };
        let base = NonNull::new(base).ok_or(Errno::NOMEM)?;
        Ok(Self { base, len, backing: Backing::Heap(layout) })
    }

    /// Where it starts.
    #[inline]
    pub const fn base(&self) -> NonNull<u8> {
        self.base
    }

    pub const fn len(&self) -> usize {
        self.len
    }

    /// The address of `count` values of `T` at `offset`, if they lie inside and are aligned.
    #[inline]
    pub fn span<T>(&self, offset: usize, count: usize) -> Option<NonNull<T>> {
        let end = count.checked_mul(size_of::<T>())?.checked_add(offset)?;
        if end > self.len {
            return None;
        }
        // SAFETY: `offset` ≤ `end` ≤ `len`, so the address is in the block or one past its end.
        // Test: `spans_stay_inside_and_aligned`.
        let at = unsafe { self.base.add(offset) }.cast::<T>();
        at.is_aligned().then_some(at)
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        match self.backing {
            Backing::Mapping => {
                // SAFETY: the range is exactly one mapping that this value made and that nobody
                // else unmaps; rings keep an `Arc` of it and a UMEM's is never dropped.
                let _ = unsafe { munmap(self.base.as_ptr().cast(), self.len) };
            }
            // SAFETY: allocated by `heap` with this very layout.
            Backing::Heap(layout) => unsafe { std::alloc::dealloc(self.base.as_ptr(), layout) },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(not(miri))]
    fn no_memory_is_an_error_and_not_a_fault() {
        assert_eq!(Memory::anonymous(1 << 62).unwrap_err(), Errno::NOMEM);
        assert!(Memory::heap(usize::MAX).is_err());
    }

    #[test]
    fn spans_stay_inside_and_aligned() {
        let memory = Memory::heap(4096).unwrap();
        assert!(memory.span::<u64>(4088, 1).is_some());
        assert!(memory.span::<u64>(4089, 1).is_none(), "past the end");
        assert!(memory.span::<u64>(4, 1).is_none(), "not aligned");
        assert!(memory.span::<u64>(0, usize::MAX).is_none(), "overflow");
        assert!(memory.span::<u8>(usize::MAX, 1).is_none(), "overflow");
    }
}
