/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * From a frame to what the verdict needs to know. Every read is checked against the frame's end; lengths that
 * the IP header states are kept beside it in `left`, so that what trails the packet (Ethernet padding) is not
 * taken for a part of it.
 */
#pragma once

#include "maps.h"

#define VLAN_TAGS 2
#define EXTENSIONS 8
#define OFFSET_MAX 0x3fff /* no header of ours lies deeper; a frame without fragments is far shorter */
#define UPPER_UNKNOWN 255 /* reserved by IANA: cut short, too many extensions, or in another fragment */

#define IPV4_MORE 0x2000
#define IPV4_OFFSET 0x1fff
#define IPV6_MORE 0x0001
#define IPV6_OFFSET 0xfff8

enum fragment { WHOLE, FIRST, LATER };

struct packet {
	struct address source;
	struct address destination;
	void *upper;	  /* the upper layer's first octet */
	void *end;	  /* of the frame */
	__u32 left;	  /* octets from `upper` to the end of the IP packet */
	__u8 protocol;	  /* of the upper layer */
	__u8 hop_limit;
	enum fragment fragment;
};

struct vlan {
	__be16 tag;
	__be16 type;
};

struct extension {
	__u8 next;
	__u8 length; /* in units of 8 octets, the first not counted */
	__be16 fragment;
	__be32 id;
};

static __always_inline bool is_vlan(__be16 type)
{
	return type == bpf_htons(ETH_P_8021Q) || type == bpf_htons(ETH_P_8021AD);
}

/* Steps over Ethernet and up to two tags: the next header, or NULL. */
static __always_inline void *ethernet(void *at, void *end, __be16 *type)
{
	struct ethhdr *eth = at;

	if ((void *)(eth + 1) > end)
		return NULL;
	*type = eth->h_proto;
	at = eth + 1;
	for (int i = 0; i < VLAN_TAGS; i++) {
		struct vlan *vlan = at;

		if (!is_vlan(*type))
			break;
		if ((void *)(vlan + 1) > end)
			return NULL;
		*type = vlan->type;
		at = vlan + 1;
	}
	return at;
}

/* False if the kernel will refuse the header, and so forward nothing. */
static __always_inline bool ipv4(struct packet *p, void *at)
{
	struct iphdr *ip = at;
	__u32 header, total, fragment;

	if ((void *)(ip + 1) > p->end || ip->version != 4)
		return false;
	header = ip->ihl * 4;
	total = bpf_ntohs(ip->tot_len);
	if (header < sizeof(*ip) || total < header || total > p->end - at)
		return false;
	p->source.family = p->destination.family = bpf_htonl(4);
	__builtin_memcpy(p->source.octets, &ip->saddr, 4);
	__builtin_memcpy(p->destination.octets, &ip->daddr, 4);
	p->protocol = ip->protocol;
	p->hop_limit = ip->ttl;
	fragment = bpf_ntohs(ip->frag_off);
	if (fragment & IPV4_OFFSET)
		p->fragment = LATER;
	else if (fragment & IPV4_MORE)
		p->fragment = FIRST;
	p->upper = at + header;
	p->left = total - header;
	return true;
}

static __always_inline bool is_extension(__u8 next)
{
	return next == IPPROTO_HOPOPTS || next == IPPROTO_ROUTING || next == IPPROTO_DSTOPTS ||
	       next == IPPROTO_FRAGMENT;
}

/* What the walk over extension headers found, in one number: only that may leave a function of its own. */
union walk {
	__u64 number;
	struct {
		__u16 at;	/* from the frame's start */
		__u16 left;	/* from there to the end of the packet */
		__u8 protocol;
		__u8 fragment;
		__u16 zero;
	};
};

/*
 * Where the upper layer starts and what it is; UPPER_UNKNOWN where the walk cannot tell. AH ends it, as ESP does.
 * A function of its own, so that the verifier looks at the loop once and not along every path that led to it.
 */
__noinline __u64 ipv6_walk(struct xdp_md *ctx, __u16 at, __u16 left, __u8 next)
{
	union walk walk = { .at = at, .left = left, .protocol = UPPER_UNKNOWN };

	for (int i = 0; i <= EXTENSIONS; i++) {
		struct extension *header = (void *)(long)ctx->data + walk.at;
		__u16 length = 8;

		if (walk.at > OFFSET_MAX)
			break;
		if (!is_extension(next)) {
			walk.protocol = next;
			break;
		}
		if (walk.fragment == LATER) /* what follows is from the middle of something */
			break;
		if (walk.left < sizeof(*header))
			break;
		if ((void *)(header + 1) > (void *)(long)ctx->data_end)
			break;
		if (next == IPPROTO_FRAGMENT) {
			/* RFC 8200 section 4.5; a whole packet in one fragment is no fragment (RFC 6946). */
			if (header->fragment & bpf_htons(IPV6_OFFSET))
				walk.fragment = LATER;
			else if (header->fragment & bpf_htons(IPV6_MORE))
				walk.fragment = FIRST;
		} else {
			length += header->length * 8;
		}
		if (length > walk.left)
			break;
		next = header->next;
		walk.at += length;
		walk.left -= length;
	}
	return walk.number;
}

static __always_inline bool ipv6(struct xdp_md *ctx, struct packet *p, void *at)
{
	struct ipv6hdr *ip = at;
	void *frame = (void *)(long)ctx->data;
	union walk walk;
	__u32 left;

	if ((void *)(ip + 1) > p->end || ip->version != 6)
		return false;
	left = bpf_ntohs(ip->payload_len);
	if (left + sizeof(*ip) > p->end - at)
		return false;
	p->source.family = p->destination.family = bpf_htonl(6);
	__builtin_memcpy(p->source.octets, &ip->saddr, 16);
	__builtin_memcpy(p->destination.octets, &ip->daddr, 16);
	p->hop_limit = ip->hop_limit;
	walk.number = ipv6_walk(ctx, at + sizeof(*ip) - frame, left, ip->nexthdr);
	p->protocol = walk.protocol;
	p->fragment = walk.fragment;
	p->left = walk.left;
	p->upper = frame + (walk.at & OFFSET_MAX); /* the mask is for the verifier */
	return true;
}

static __always_inline bool is_ipv6(const struct address *address)
{
	return address->family == bpf_htonl(6);
}

/* Multicast of either family, and the limited broadcast. */
static __always_inline bool is_multicast(const struct address *address)
{
	const __u8 *o = address->octets;

	if (is_ipv6(address))
		return o[0] == 0xff;
	return (o[0] & 0xf0) == 0xe0 || (o[0] & o[1] & o[2] & o[3]) == 0xff;
}

/* fe80::/10. No router forwards from or to these (RFC 4291 section 2.5.6), so they never need a tunnel. */
static __always_inline bool is_link_local(const struct address *address)
{
	return is_ipv6(address) && address->octets[0] == 0xfe && (address->octets[1] & 0xc0) == 0x80;
}
