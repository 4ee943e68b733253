/* OpenSSL 3: EVP for the ciphers, a context for each SA that is given a new IV for each packet; for HMAC the
 * hash functions themselves, from precomputed states, which is the fastest that it offers. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/md5.h>
#include <openssl/sha.h>
#include <stdlib.h>
#include <string.h>
#include "rival.h"

union hash_state {
	MD5_CTX md5;
	SHA_CTX sha1;
	SHA256_CTX sha256;
	SHA512_CTX sha512;
};
struct sa_key {
	EVP_CIPHER_CTX *cipher;
	union hash_state inner, outer;
};
struct rival_openssl {
	struct rival_algorithm algorithm;
	int sealing;
	size_t sas;
	struct sa_key *keys;
};

const char *rival_openssl_version(void)
{
	return OpenSSL_version(OPENSSL_VERSION);
}

static const EVP_CIPHER *cipher_of(const struct rival_algorithm *a)
{
	const int index = a->key_len == 16 ? 0 : a->key_len == 24 ? 1 : 2;
	const EVP_CIPHER *gcm[] = {EVP_aes_128_gcm(), EVP_aes_192_gcm(), EVP_aes_256_gcm()};
	const EVP_CIPHER *cbc[] = {EVP_aes_128_cbc(), EVP_aes_192_cbc(), EVP_aes_256_cbc()};
	const EVP_CIPHER *ctr[] = {EVP_aes_128_ctr(), EVP_aes_192_ctr(), EVP_aes_256_ctr()};
	switch (a->cipher) {
	case CIPHER_AES_GCM: return gcm[index];
	case CIPHER_AES_CBC: return cbc[index];
	case CIPHER_AES_CTR: return ctr[index];
	case CIPHER_CHACHA20_POLY1305: return EVP_chacha20_poly1305();
	default: return NULL;
	}
}

static int is_aead(const struct rival_algorithm *a)
{
	return a->hash == HASH_NONE;
}

void rival_openssl_free(struct rival_openssl *o)
{
	if (!o)
		return;
	for (size_t sa = 0; o->keys && sa < o->sas; sa++)
		EVP_CIPHER_CTX_free(o->keys[sa].cipher);
	free(o->keys);
	free(o);
}

/* For one direction. NULL: no memory. */
struct rival_openssl *rival_openssl_new(const struct rival_algorithm *a, int sealing, size_t sas)
{
	struct rival_openssl *o = calloc(1, sizeof(*o));
	if (!o)
		return NULL;
	o->algorithm = *a;
	o->sealing = sealing;
	o->sas = sas;
	o->keys = calloc(sas, sizeof(*o->keys));
	if (!o->keys) {
		rival_openssl_free(o);
		return NULL;
	}
	return o;
}

static void update(uint32_t hash, union hash_state *s, const void *data, size_t len)
{
	switch (hash) {
	case HASH_MD5: MD5_Update(&s->md5, data, len); break;
	case HASH_SHA1: SHA1_Update(&s->sha1, data, len); break;
	case HASH_SHA256: SHA256_Update(&s->sha256, data, len); break;
	case HASH_SHA384: SHA384_Update(&s->sha512, data, len); break;
	case HASH_SHA512: SHA512_Update(&s->sha512, data, len); break;
	}
}

static size_t finish(uint32_t hash, union hash_state *s, uint8_t *out)
{
	switch (hash) {
	case HASH_MD5: MD5_Final(out, &s->md5); return 16;
	case HASH_SHA1: SHA1_Final(out, &s->sha1); return 20;
	case HASH_SHA256: SHA256_Final(out, &s->sha256); return 32;
	case HASH_SHA384: SHA384_Final(out, &s->sha512); return 48;
	default: SHA512_Final(out, &s->sha512); return 64;
	}
}

static void start(const struct rival_algorithm *a, union hash_state *s, const uint8_t *key, uint8_t pad)
{
	uint8_t block[128];
	switch (a->hash) {
	case HASH_MD5: MD5_Init(&s->md5); break;
	case HASH_SHA1: SHA1_Init(&s->sha1); break;
	case HASH_SHA256: SHA256_Init(&s->sha256); break;
	case HASH_SHA384: SHA384_Init(&s->sha512); break;
	case HASH_SHA512: SHA512_Init(&s->sha512); break;
	}
	memset(block, pad, sizeof(block));
	for (uint32_t i = 0; i < a->mac_key_len; i++)
		block[i] ^= key[i];
	update(a->hash, s, block, hash_block(a->hash));
}

int rival_openssl_key(struct rival_openssl *o, size_t sa, const uint8_t *key, const uint8_t *mac_key)
{
	const struct rival_algorithm *a = &o->algorithm;
	const EVP_CIPHER *cipher = cipher_of(a);
	struct sa_key *k = &o->keys[sa];
	if (cipher) {
		k->cipher = EVP_CIPHER_CTX_new();
		if (!k->cipher || EVP_CipherInit_ex(k->cipher, cipher, NULL, key, NULL, o->sealing) != 1)
			return 0;
		EVP_CIPHER_CTX_set_padding(k->cipher, 0);
	}
	if (!is_aead(a)) {
		start(a, &k->inner, mac_key, 0x36);
		start(a, &k->outer, mac_key, 0x5c);
	}
	return 1;
}

static int aead(struct rival_openssl *o, const struct rival_packet *p)
{
	const struct rival_algorithm *a = &o->algorithm;
	EVP_CIPHER_CTX *c = o->keys[p->sa].cipher;
	uint8_t *body = body_of(p, a), rest[16];
	int len, good;
	EVP_CipherInit_ex(c, NULL, NULL, NULL, p->nonce, o->sealing);
	if (!o->sealing)
		EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_SET_TAG, a->icv_len, icv_of(p, a));
	EVP_CipherUpdate(c, NULL, &len, p->octets, ESP_HEADER);
	EVP_CipherUpdate(c, body, &len, body, body_len(p, a));
	good = EVP_CipherFinal_ex(c, rest, &len) == 1;
	if (o->sealing)
		EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_GET_TAG, a->icv_len, icv_of(p, a));
	return good;
}

static void crypt(struct rival_openssl *o, const struct rival_packet *p)
{
	const struct rival_algorithm *a = &o->algorithm;
	EVP_CIPHER_CTX *c = o->keys[p->sa].cipher;
	uint8_t *body = body_of(p, a), block[16] = {0};
	int len;
	if (!c)
		return;
	memcpy(block, p->nonce, 12);
	block[15] = 1; /* RFC 3686 section 4 */
	EVP_CipherInit_ex(c, NULL, NULL, NULL, a->cipher == CIPHER_AES_CTR ? block : p->octets + ESP_HEADER, o->sealing);
	EVP_CipherUpdate(c, body, &len, body, body_len(p, a));
}

static void sign(const struct rival_openssl *o, const struct rival_packet *p, uint8_t *tag)
{
	const struct rival_algorithm *a = &o->algorithm;
	union hash_state s = o->keys[p->sa].inner;
	update(a->hash, &s, p->octets, p->len - a->icv_len);
	const size_t len = finish(a->hash, &s, tag);
	s = o->keys[p->sa].outer;
	update(a->hash, &s, tag, len);
	finish(a->hash, &s, tag);
}

static int encrypt_then_mac(struct rival_openssl *o, const struct rival_packet *p)
{
	const struct rival_algorithm *a = &o->algorithm;
	uint8_t tag[64];
	if (o->sealing)
		crypt(o, p);
	sign(o, p, tag);
	if (o->sealing) {
		memcpy(icv_of(p, a), tag, a->icv_len);
		return 1;
	}
	if (CRYPTO_memcmp(tag, icv_of(p, a), a->icv_len) != 0)
		return 0;
	crypt(o, p);
	return 1;
}

/* Returns how many packets were sealed, or were genuine. */
int rival_openssl_run(struct rival_openssl *o, const struct rival_packet *p, size_t n)
{
	int done = 0;
	for (size_t i = 0; i < n; i++)
		done += is_aead(&o->algorithm) ? aead(o, &p[i]) : encrypt_then_mac(o, &p[i]);
	return done;
}
