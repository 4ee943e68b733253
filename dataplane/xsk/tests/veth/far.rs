//! The far end: another implementation of AF_XDP (xsk-rs on libxdp), so that our rings and
//! descriptors are judged by somebody else's.

use std::io::Write;
use std::num::NonZeroU32;
use std::os::fd::{AsRawFd, BorrowedFd};

use xsk_rs::config::{LibxdpFlags, QueueSize, SocketConfig, UmemConfig};
use xsk_rs::umem::frame::FrameDesc;
use xsk_rs::{CompQueue, FillQueue, RxQueue, Socket, TxQueue, Umem};

use crate::lab::Interface;

const RING: u32 = 512;

pub struct Far {
    umem: Umem,
    transmit: TxQueue,
    receive: RxQueue,
    fill: FillQueue,
    completion: CompQueue,
    /// Frames to send from.
    free: Vec<FrameDesc>,
    /// What `consume` writes to.
    arrived: Vec<FrameDesc>,
}

impl Far {
    pub fn open(interface: &Interface, queue: u32) -> Self {
        let ring = QueueSize::new(RING).unwrap();
        let config = UmemConfig::builder().fill_queue_size(ring).comp_queue_size(ring).build();
        let frames = NonZeroU32::new(2 * RING).unwrap();
        let (umem, mut free) = Umem::new(config.unwrap(), frames, false).expect("far UMEM");
        let socket = SocketConfig::builder()
            .rx_queue_size(ring)
            .tx_queue_size(ring)
            .libxdp_flags(LibxdpFlags::XSK_LIBXDP_FLAGS_INHIBIT_PROG_LOAD)
            .build();
        let name = interface.name.parse().unwrap();
        // SAFETY: this UMEM has no other socket.
        let opened = unsafe { Socket::new(socket, &umem, &name, queue) };
        let (transmit, receive, rings) = opened.expect("far socket");
        let (mut fill, completion) = rings.expect("rings of its own");
        let arrived = free.split_off(RING as usize);
        // SAFETY: these frames are of this UMEM and in no ring yet.
        assert_eq!(unsafe { fill.produce(&arrived) }, RING as usize);
        // SAFETY: `receive` keeps the socket open for longer than this borrow.
        let fd = unsafe { BorrowedFd::borrow_raw(receive.fd().as_raw_fd()) };
        interface.feed(queue, fd);
        Self { umem, transmit, receive, fill, completion, free, arrived }
    }

    /// Sends one packet; `false` if no frame is free just now.
    pub fn send(&mut self, packet: &[u8]) -> bool {
        self.complete();
        let Some(mut frame) = self.free.pop() else { return false };
        // SAFETY: `frame` is free: in no ring, and nobody reads it.
        let mut data = unsafe { self.umem.data_mut(&mut frame) };
        data.cursor().set_pos(0);
        data.cursor().write_all(packet).unwrap();
        // SAFETY: as above; the kernel has it from here on, until its completion.
        let sent = unsafe { self.transmit.produce_one(&frame) };
        if sent == 0 {
            self.free.push(frame);
        }
        self.transmit.wakeup().ok(); // "busy" is asked again by the next packet
        sent == 1
    }

    fn complete(&mut self) {
        let mut done = [FrameDesc::default(); 64];
        // SAFETY: descriptors are only written here, and come from this UMEM's ring.
        let count = unsafe { self.completion.consume(&mut done) };
        self.free.extend(&done[..count]);
        if self.transmit.needs_wakeup() {
            self.transmit.wakeup().ok();
        }
    }

    /// What has arrived, without waiting.
    pub fn received(&mut self) -> Vec<Vec<u8>> {
        // SAFETY: descriptors are only written here, and come from this UMEM's ring.
        let count = unsafe { self.receive.consume(&mut self.arrived) };
        let arrived = &self.arrived[..count];
        // SAFETY: between `consume` and `produce` the kernel does not touch these frames.
        let copy = |frame| unsafe { self.umem.data(frame) }.contents().to_vec();
        let packets = arrived.iter().map(copy).collect();
        // SAFETY: the frames just consumed, which nobody reads any more.
        assert_eq!(unsafe { self.fill.produce(arrived) }, count);
        packets
    }
}
