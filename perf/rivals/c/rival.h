/* What both shims share. `struct rival_packet` is `Packet` of src/packet.rs, field by field. */
#ifndef RIVAL_H
#define RIVAL_H
#include <stddef.h>
#include <stdint.h>

struct rival_packet {
	uint8_t *octets; /* ESP header | IV | body | ICV */
	uint32_t len;    /* of all of it */
	uint32_t sa;
	uint8_t nonce[12]; /* salt | IV, ready made */
};

/* `Algorithm` of src/algorithm.rs. */
struct rival_algorithm {
	uint32_t cipher;
	uint32_t hash;
	uint32_t key_len; /* of the cipher, without salt */
	uint32_t mac_key_len;
	uint32_t iv_len;
	uint32_t icv_len;
};

enum { ESP_HEADER = 8 };
enum { CIPHER_NULL, CIPHER_AES_CBC, CIPHER_AES_CTR, CIPHER_AES_GCM, CIPHER_CHACHA20_POLY1305 };
enum { HASH_NONE, HASH_MD5, HASH_SHA1, HASH_SHA256, HASH_SHA384, HASH_SHA512 };

static inline uint8_t *body_of(const struct rival_packet *p, const struct rival_algorithm *a)
{
	return p->octets + ESP_HEADER + a->iv_len;
}
static inline uint32_t body_len(const struct rival_packet *p, const struct rival_algorithm *a)
{
	return p->len - ESP_HEADER - a->iv_len - a->icv_len;
}
static inline uint8_t *icv_of(const struct rival_packet *p, const struct rival_algorithm *a)
{
	return p->octets + p->len - a->icv_len;
}
static inline int same(const uint8_t *a, const uint8_t *b, uint32_t n)
{
	uint8_t differ = 0;
	for (uint32_t i = 0; i < n; i++)
		differ |= a[i] ^ b[i];
	return differ == 0;
}
static inline size_t hash_block(uint32_t hash)
{
	return hash >= HASH_SHA384 ? 128 : 64;
}
#endif
