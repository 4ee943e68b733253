// SPDX-License-Identifier: Apache-2.0 OR MIT
/*
 * Which frames are ours? Those go to the AF_XDP socket of the queue they came in by, all others to the kernel.
 *
 *   outside   ESP to a local address                                       redirect
 *             UDP to a local address and encapsulation port:
 *               non-ESP marker (IKE)                                       pass
 *               keepalive, or shorter than a marker                        drop
 *               else (ESP)                                                 redirect
 *             UDP to a local address, port 500 (IKE)                       pass
 *             fragments to a local address: of ESP                         redirect
 *               of UDP, or of what cannot be told, from a known peer       redirect
 *             Neighbor Discovery to a local address                        pass
 *             from a protected remote to a protected local prefix          redirect (the SPD judges)
 *   inside    to a protected remote prefix that is not a local address     redirect
 *   both      everything else, all that is not unicast IP                  pass
 *
 * A redirect without a bound socket is a drop: when the data plane is gone, no plaintext leaves or enters by
 * the kernel's forwarding. What the kernel refuses in any case (a broken IP header) passes, and is refused there.
 */
#include <stdbool.h>
#include <stddef.h>
#include <linux/bpf.h>
#include <linux/icmpv6.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/in6.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/udp.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_endian.h>

#include "parse.h"

#define IKE_PORT 500
#define MARKER 4 /* octets of the non-ESP marker: zeros, where ESP has an SPI (RFC 3948 section 2.2) */
#define ND_FIRST 133
#define ND_LAST 137

/* The datagram's first octets decide; its end is where UDP says, which IP must have room for. */
static __always_inline enum counter encapsulated(const struct packet *p, const struct udphdr *udp)
{
	const __u8 *payload = (const __u8 *)(udp + 1);
	__u32 length = bpf_ntohs(udp->len);

	if (length < sizeof(*udp) || length > p->left)
		return PASSED_MALFORMED;
	length -= sizeof(*udp);
	if (length < MARKER) {
		if (length == 1 && (void *)(payload + 1) <= p->end && *payload == 0xff)
			return DROPPED_KEEPALIVE;
		return DROPPED_ENCAP_SHORT;
	}
	if ((void *)(payload + MARKER) > p->end)
		return PASSED_MALFORMED;
	if ((payload[0] | payload[1] | payload[2] | payload[3]) == 0)
		return PASSED_IKE;
	return REDIRECTED_ESP_IN_UDP;
}

static __always_inline enum counter udp_to_us(const struct packet *p)
{
	const struct udphdr *udp = p->upper;

	if (p->left < sizeof(*udp) || (void *)(udp + 1) > p->end)
		return PASSED;
	if (is_encap_port(udp->dest))
		return encapsulated(p, udp);
	if (udp->dest == bpf_htons(IKE_PORT))
		return PASSED_IKE;
	return PASSED;
}

/* RFC 4861 section 6.1, 7.1: only with hop limit 255, so that it cannot come from afar. */
static __always_inline bool is_neighbor_discovery(const struct packet *p)
{
	const struct icmp6hdr *icmp = p->upper;

	if (p->protocol != IPPROTO_ICMPV6 || p->fragment != WHOLE || p->hop_limit != 255)
		return false;
	if (p->left < sizeof(*icmp) || (void *)(icmp + 1) > p->end)
		return false;
	return icmp->icmp6_type >= ND_FIRST && icmp->icmp6_type <= ND_LAST;
}

/* Addressed to us, outside: ESP, IKE or neither (PASSED). */
static __always_inline enum counter to_us(const struct packet *p)
{
	if (p->protocol == IPPROTO_ESP)
		return p->fragment == WHOLE ? REDIRECTED_ESP : REDIRECTED_FRAGMENT;
	if (p->fragment != WHOLE) {
		/* Later fragments name no port, so all fragments of a peer's datagrams go one way. */
		bool may_be_ours = p->protocol == IPPROTO_UDP || p->protocol == UPPER_UNKNOWN;

		return may_be_ours && is_peer(&p->source) ? REDIRECTED_FRAGMENT : PASSED;
	}
	if (p->protocol == IPPROTO_UDP)
		return udp_to_us(p);
	return is_neighbor_discovery(p) ? PASSED_ND : PASSED;
}

static __always_inline enum counter outside(const struct packet *p)
{
	if (is_local(&p->destination)) {
		enum counter ours = to_us(p);

		if (ours != PASSED)
			return ours;
	}
	if (is_link_local(&p->source) || is_link_local(&p->destination))
		return PASSED;
	if (is_protected_remote(&p->source) && is_protected_local(&p->destination))
		return REDIRECTED_PLAINTEXT;
	return PASSED;
}

static __always_inline enum counter inside(const struct packet *p)
{
	if (is_link_local(&p->source) || is_link_local(&p->destination))
		return PASSED;
	if (is_protected_remote(&p->destination) && !is_local(&p->destination))
		return REDIRECTED_INSIDE;
	return PASSED;
}

static __always_inline enum counter judge(struct xdp_md *ctx, __u32 role)
{
	void *frame = (void *)(long)ctx->data;
	struct packet p = { .end = (void *)(long)ctx->data_end };
	__be16 type = 0;
	void *at = ethernet(frame, p.end, &type);

	if (!at)
		return PASSED_NOT_IP;
	if (type != bpf_htons(ETH_P_IP) && type != bpf_htons(ETH_P_IPV6))
		return PASSED_NOT_IP;
	if (*(__u8 *)frame & 1) /* the group bit: nothing so addressed is forwarded as unicast */
		return PASSED_MULTICAST;
	if (type == bpf_htons(ETH_P_IP) ? !ipv4(&p, at) : !ipv6(ctx, &p, at))
		return PASSED_MALFORMED;
	if (is_multicast(&p.destination))
		return PASSED_MULTICAST;
	return role == OUTSIDE ? outside(&p) : inside(&p);
}

static __always_inline int redirect(struct xdp_md *ctx, __u32 slot, enum counter why)
{
	__u32 queue = ctx->rx_queue_index;
	__u32 key = slot * QUEUES + queue;

	/* A queue beyond the last would land in the next slot. */
	if (queue >= QUEUES || !bpf_map_lookup_elem(&xsks, &key)) {
		count(DROPPED_NO_DATAPLANE);
		return XDP_DROP;
	}
	count(why);
	return bpf_redirect_map(&xsks, key, XDP_DROP);
}

SEC("xdp")
int postern(struct xdp_md *ctx)
{
	__u32 ifindex = ctx->ingress_ifindex;
	struct interface *interface = bpf_map_lookup_elem(&interfaces, &ifindex);
	enum counter why;

	if (!interface) {
		count(PASSED_UNCONFIGURED);
		return XDP_PASS;
	}
	why = judge(ctx, interface->role);
	if (why >= REDIRECTED_ESP && why <= REDIRECTED_INSIDE)
		return redirect(ctx, interface->slot, why);
	count(why);
	return why > REDIRECTED_INSIDE ? XDP_DROP : XDP_PASS;
}

/* No helper that only GPL programs may call is used. */
char LICENSE[] SEC("license") = "Apache-2.0 OR MIT";
