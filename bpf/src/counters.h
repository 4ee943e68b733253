/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * Every way a frame can end here. The same names in the same order stand in counter.rs, and a test there
 * compares the two. New ones go at the end: the map outlives both processes, and its numbers with it.
 */
#pragma once

/* Room in the map, so that a new counter does not change the layout of what is pinned. */
#define COUNTERS_ROOM 32

enum counter {
	PASSED,			  /* not ours */
	PASSED_UNCONFIGURED,	  /* the interface has no role (yet, or any more) */
	PASSED_NOT_IP,		  /* ARP, LLDP, STP, more than two VLAN tags, ... */
	PASSED_MALFORMED,	  /* an IP or UDP header that the kernel will refuse */
	PASSED_MULTICAST,	  /* multicast and broadcast, of Ethernet or of IP */
	PASSED_IKE,		  /* UDP 500, or the non-ESP marker on an encapsulation port */
	PASSED_ND,		  /* Neighbor Discovery addressed to us */
	REDIRECTED_ESP,		  /* protocol 50 to us */
	REDIRECTED_ESP_IN_UDP,	  /* RFC 3948, to us */
	REDIRECTED_FRAGMENT,	  /* a fragment of either */
	REDIRECTED_PLAINTEXT,	  /* outside, though policy may want it protected: the SPD judges */
	REDIRECTED_INSIDE,	  /* inside, towards a protected prefix */
	DROPPED_NO_DATAPLANE,	  /* would be redirected, but no socket is bound: fail closed */
	DROPPED_KEEPALIVE,	  /* one octet 0xff on an encapsulation port (RFC 3948 section 2.3) */
	DROPPED_ENCAP_SHORT,	  /* too short for ESP and for the non-ESP marker, and no keepalive */
	COUNTERS,
};
