/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * The maps: what the data plane tells the program. Layouts are mirrored in maps.rs; sizes given here are least
 * ones, the loader sets what it was asked for.
 */
#pragma once

#include "counters.h"

#define SLOTS 16	/* interfaces of one data plane */
#define QUEUES 64	/* receive queues per interface */
#define ENCAP_PORTS 8	/* UDP ports on which ESP may arrive, and as many while they are replaced */

enum role { INSIDE = 0, OUTSIDE = 1 };

/* By ifindex. */
struct interface {
	__u32 role;
	__u32 slot;
};

/* Both families in one key: the family comes first, so that ::/0 covers no IPv4 address. */
struct address {
	__be32 family;	 /* 4 or 6 */
	__u8 octets[16]; /* IPv4 uses the first four, the rest are zero */
};

/* `length` counts bits of `address`, its family included: 32 + the prefix length. */
struct prefix {
	__u32 length;
	struct address address;
};

#define WHOLE_ADDRESS (8 * sizeof(struct address))

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 64);
	__type(key, __u32);
	__type(value, struct interface);
} interfaces SEC(".maps");

/* slot * QUEUES + queue. A closed socket leaves by itself: then its frames are dropped. */
struct {
	__uint(type, BPF_MAP_TYPE_XSKMAP);
	__uint(max_entries, SLOTS * QUEUES);
	__type(key, __u32);
	__type(value, __u32);
} xsks SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1);
	__type(key, struct address);
	__type(value, __u8);
} locals SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1);
	__type(key, struct address);
	__type(value, __u8);
} peers SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1);
	__type(key, struct prefix);
	__type(value, __u8);
} protected_remote SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1);
	__type(key, struct prefix);
	__type(value, __u8);
} protected_local SEC(".maps");

/* In network order. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, ENCAP_PORTS);
	__type(key, __be16);
	__type(value, __u8);
} encap_ports SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, COUNTERS_ROOM);
	__type(key, __u32);
	__type(value, __u64);
} counters SEC(".maps");

static __always_inline void count(enum counter which)
{
	__u32 key = which;
	__u64 *n = bpf_map_lookup_elem(&counters, &key);

	if (n)
		*n += 1;
}

static __always_inline bool is_local(const struct address *address)
{
	return bpf_map_lookup_elem(&locals, address) != NULL;
}

static __always_inline bool is_peer(const struct address *address)
{
	return bpf_map_lookup_elem(&peers, address) != NULL;
}

static __always_inline bool is_protected_remote(const struct address *address)
{
	struct prefix key = { .length = WHOLE_ADDRESS, .address = *address };

	return bpf_map_lookup_elem(&protected_remote, &key) != NULL;
}

static __always_inline bool is_protected_local(const struct address *address)
{
	struct prefix key = { .length = WHOLE_ADDRESS, .address = *address };

	return bpf_map_lookup_elem(&protected_local, &key) != NULL;
}

static __always_inline bool is_encap_port(__be16 port)
{
	return bpf_map_lookup_elem(&encap_ports, &port) != NULL;
}
