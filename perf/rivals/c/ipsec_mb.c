/* Intel's multi-buffer library, 1.3 or later: its direct, job and burst interfaces over the same packets. */
#define NO_COMPAT_IMB_API_053
#include <intel-ipsec-mb.h>
#include <stdlib.h>
#include <string.h>
#include "rival.h"

#if IMB_VERSION_NUM < 0x10300
#error "libipsec-mb 1.3 or later"
#endif

enum { API_DIRECT, API_JOB, API_BURST };
enum { ARCH_AUTO, ARCH_SSE, ARCH_AVX, ARCH_AVX2, ARCH_AVX512 };
enum { MOST = 64 }; /* packets of a batch */

struct etm_key {
	uint8_t inner[64] __attribute__((aligned(64)));
	uint8_t outer[64];
	uint32_t encrypt[60] __attribute__((aligned(16)));
	uint32_t decrypt[60] __attribute__((aligned(16)));
};
struct chacha_key {
	uint8_t octets[32];
};

struct rival_mb {
	IMB_MGR *mgr;
	struct rival_algorithm algorithm;
	int api;
	size_t stride;
	uint8_t *keys;
};

const char *rival_mb_version(void)
{
	return imb_get_version_str();
}

static size_t key_size(uint32_t cipher)
{
	switch (cipher) {
	case CIPHER_AES_GCM: return sizeof(struct gcm_key_data);
	case CIPHER_CHACHA20_POLY1305: return sizeof(struct chacha_key);
	default: return sizeof(struct etm_key);
	}
}

static IMB_MGR *manager(int arch, uint64_t flags)
{
	IMB_MGR *mgr = alloc_mb_mgr(flags);
	if (!mgr)
		return NULL;
	switch (arch) {
	case ARCH_SSE: init_mb_mgr_sse(mgr); break;
	case ARCH_AVX: init_mb_mgr_avx(mgr); break;
	case ARCH_AVX2: init_mb_mgr_avx2(mgr); break;
	case ARCH_AVX512: init_mb_mgr_avx512(mgr); break;
	default: init_mb_mgr_auto(mgr, NULL); break;
	}
	if (imb_get_errno(mgr) != 0) {
		free_mb_mgr(mgr);
		return NULL;
	}
	return mgr;
}

void rival_mb_free(struct rival_mb *mb)
{
	if (!mb)
		return;
	if (mb->mgr)
		free_mb_mgr(mb->mgr);
	free(mb->keys);
	free(mb);
}

/* NULL: no memory, or the CPU lacks what `arch` needs. */
struct rival_mb *rival_mb_new(const struct rival_algorithm *a, int api, int arch, uint64_t flags, size_t sas)
{
	struct rival_mb *mb = calloc(1, sizeof(*mb));
	if (!mb)
		return NULL;
	mb->algorithm = *a;
	mb->api = api;
	mb->stride = key_size(a->cipher);
	mb->mgr = manager(arch, flags);
	mb->keys = aligned_alloc(64, (mb->stride * sas + 63) / 64 * 64);
	if (!mb->mgr || !mb->keys) {
		rival_mb_free(mb);
		return NULL;
	}
	return mb;
}

static void one_block(IMB_MGR *mgr, uint32_t hash, const uint8_t *block, void *state)
{
	switch (hash) {
	case HASH_MD5: IMB_MD5_ONE_BLOCK(mgr, block, state); break;
	case HASH_SHA1: IMB_SHA1_ONE_BLOCK(mgr, block, state); break;
	case HASH_SHA256: IMB_SHA256_ONE_BLOCK(mgr, block, state); break;
	case HASH_SHA384: IMB_SHA384_ONE_BLOCK(mgr, block, state); break;
	case HASH_SHA512: IMB_SHA512_ONE_BLOCK(mgr, block, state); break;
	}
}

static void hmac_state(const struct rival_mb *mb, const uint8_t *key, uint8_t pad, void *state)
{
	uint8_t block[128];
	memset(block, pad, sizeof(block));
	for (uint32_t i = 0; i < mb->algorithm.mac_key_len; i++)
		block[i] ^= key[i];
	one_block(mb->mgr, mb->algorithm.hash, block, state);
}

static void expand_aes(IMB_MGR *mgr, uint32_t key_len, const uint8_t *key, struct etm_key *out)
{
	switch (key_len) {
	case 16: IMB_AES_KEYEXP_128(mgr, key, out->encrypt, out->decrypt); break;
	case 24: IMB_AES_KEYEXP_192(mgr, key, out->encrypt, out->decrypt); break;
	case 32: IMB_AES_KEYEXP_256(mgr, key, out->encrypt, out->decrypt); break;
	}
}

static void expand_gcm(IMB_MGR *mgr, uint32_t key_len, const uint8_t *key, struct gcm_key_data *out)
{
	switch (key_len) {
	case 16: IMB_AES128_GCM_PRE(mgr, key, out); break;
	case 24: IMB_AES192_GCM_PRE(mgr, key, out); break;
	case 32: IMB_AES256_GCM_PRE(mgr, key, out); break;
	}
}

void rival_mb_key(struct rival_mb *mb, size_t sa, const uint8_t *key, const uint8_t *mac_key)
{
	const struct rival_algorithm *a = &mb->algorithm;
	void *at = mb->keys + sa * mb->stride;
	struct etm_key *etm = at;
	switch (a->cipher) {
	case CIPHER_AES_GCM: expand_gcm(mb->mgr, a->key_len, key, at); return;
	case CIPHER_CHACHA20_POLY1305: memcpy(at, key, sizeof(struct chacha_key)); return;
	}
	memset(etm, 0, sizeof(*etm));
	expand_aes(mb->mgr, a->key_len, key, etm);
	hmac_state(mb, mac_key, 0x36, etm->inner);
	hmac_state(mb, mac_key, 0x5c, etm->outer);
}

static const void *key_of(const struct rival_mb *mb, const struct rival_packet *p)
{
	return mb->keys + p->sa * mb->stride;
}

/* --- direct --- */

#define GCM_DIRECT(bits)                                                                                     \
	static int gcm_direct_##bits(struct rival_mb *mb, int sealing, const struct rival_packet *p, size_t n) \
	{                                                                                                    \
		const struct rival_algorithm *a = &mb->algorithm;                                            \
		struct gcm_context_data context;                                                             \
		int done = 0;                                                                                \
		for (size_t i = 0; i < n; i++) {                                                             \
			uint8_t *body = body_of(&p[i], a), tag[16];                                          \
			if (sealing) {                                                                       \
				IMB_AES##bits##_GCM_ENC(mb->mgr, key_of(mb, &p[i]), &context, body, body,    \
							body_len(&p[i], a), p[i].nonce, p[i].octets,         \
							ESP_HEADER, icv_of(&p[i], a), a->icv_len);           \
				done++;                                                                      \
			} else {                                                                             \
				IMB_AES##bits##_GCM_DEC(mb->mgr, key_of(mb, &p[i]), &context, body, body,    \
							body_len(&p[i], a), p[i].nonce, p[i].octets,         \
							ESP_HEADER, tag, a->icv_len);                        \
				done += same(tag, icv_of(&p[i], a), a->icv_len);                             \
			}                                                                                    \
		}                                                                                            \
		return done;                                                                                 \
	}
GCM_DIRECT(128)
GCM_DIRECT(192)
GCM_DIRECT(256)

static int chacha_direct(struct rival_mb *mb, int sealing, const struct rival_packet *p, size_t n)
{
	const struct rival_algorithm *a = &mb->algorithm;
	struct chacha20_poly1305_context_data context;
	int done = 0;
	for (size_t i = 0; i < n; i++) {
		const void *key = key_of(mb, &p[i]);
		uint8_t *body = body_of(&p[i], a), tag[16];
		const uint32_t len = body_len(&p[i], a);
		IMB_CHACHA20_POLY1305_INIT(mb->mgr, key, &context, p[i].nonce, p[i].octets, ESP_HEADER);
		if (sealing) {
			IMB_CHACHA20_POLY1305_ENC_UPDATE(mb->mgr, key, &context, body, body, len);
			IMB_CHACHA20_POLY1305_ENC_FINALIZE(mb->mgr, &context, icv_of(&p[i], a), 16);
			done++;
		} else {
			IMB_CHACHA20_POLY1305_DEC_UPDATE(mb->mgr, key, &context, body, body, len);
			IMB_CHACHA20_POLY1305_DEC_FINALIZE(mb->mgr, &context, tag, 16);
			done += same(tag, icv_of(&p[i], a), 16);
		}
	}
	return done;
}

static int direct(struct rival_mb *mb, int sealing, const struct rival_packet *p, size_t n)
{
	if (mb->algorithm.cipher == CIPHER_CHACHA20_POLY1305)
		return chacha_direct(mb, sealing, p, n);
	switch (mb->algorithm.key_len) {
	case 16: return gcm_direct_128(mb, sealing, p, n);
	case 24: return gcm_direct_192(mb, sealing, p, n);
	default: return gcm_direct_256(mb, sealing, p, n);
	}
}

/* --- job and burst --- */

static inline __attribute__((always_inline)) void
fill_aead(IMB_JOB *job, const struct rival_mb *mb, uint32_t cipher, const struct rival_packet *p)
{
	const void *key = key_of(mb, p);
	job->enc_keys = key;
	job->dec_keys = key;
	job->src = body_of(p, &mb->algorithm);
	job->cipher_start_src_offset_in_bytes = 0;
	job->msg_len_to_hash_in_bytes = job->msg_len_to_cipher_in_bytes;
	job->iv = p->nonce;
	job->iv_len_in_bytes = 12;
	if (cipher == CIPHER_AES_GCM) {
		job->u.GCM.aad = p->octets;
		job->u.GCM.aad_len_in_bytes = ESP_HEADER;
		job->cipher_mode = IMB_CIPHER_GCM;
		job->hash_alg = IMB_AUTH_AES_GMAC;
	} else {
		job->u.CHACHA20_POLY1305.aad = p->octets;
		job->u.CHACHA20_POLY1305.aad_len_in_bytes = ESP_HEADER;
		job->cipher_mode = IMB_CIPHER_CHACHA20_POLY1305;
		job->hash_alg = IMB_AUTH_CHACHA20_POLY1305;
	}
}

static inline IMB_CIPHER_MODE mode_of(uint32_t cipher)
{
	switch (cipher) {
	case CIPHER_AES_CBC: return IMB_CIPHER_CBC;
	case CIPHER_AES_CTR: return IMB_CIPHER_CNTR;
	default: return IMB_CIPHER_NULL;
	}
}

static inline IMB_HASH_ALG hash_of(uint32_t hash)
{
	switch (hash) {
	case HASH_MD5: return IMB_AUTH_MD5;
	case HASH_SHA1: return IMB_AUTH_HMAC_SHA_1;
	case HASH_SHA256: return IMB_AUTH_HMAC_SHA_256;
	case HASH_SHA384: return IMB_AUTH_HMAC_SHA_384;
	default: return IMB_AUTH_HMAC_SHA_512;
	}
}

static inline __attribute__((always_inline)) void
fill_etm(IMB_JOB *job, const struct rival_mb *mb, uint32_t cipher, const struct rival_packet *p)
{
	const struct rival_algorithm *a = &mb->algorithm;
	const struct etm_key *key = key_of(mb, p);
	job->enc_keys = key->encrypt;
	job->dec_keys = cipher == CIPHER_AES_CTR ? key->encrypt : key->decrypt;
	job->src = p->octets;
	job->cipher_start_src_offset_in_bytes = ESP_HEADER + a->iv_len;
	job->msg_len_to_hash_in_bytes = ESP_HEADER + a->iv_len + job->msg_len_to_cipher_in_bytes;
	job->iv = cipher == CIPHER_AES_CTR ? p->nonce : p->octets + ESP_HEADER;
	job->iv_len_in_bytes = cipher == CIPHER_AES_CTR ? 12 : 16;
	job->u.HMAC._hashed_auth_key_xor_ipad = key->inner;
	job->u.HMAC._hashed_auth_key_xor_opad = key->outer;
	job->cipher_mode = mode_of(cipher);
	job->hash_alg = hash_of(a->hash);
}

static inline __attribute__((always_inline)) void
fill(IMB_JOB *job, const struct rival_mb *mb, uint32_t cipher, int sealing, const struct rival_packet *p, uint8_t *tag)
{
	const struct rival_algorithm *a = &mb->algorithm;
	job->key_len_in_bytes = a->key_len;
	job->dst = body_of(p, a);
	job->msg_len_to_cipher_in_bytes = body_len(p, a);
	job->hash_start_src_offset_in_bytes = 0;
	job->auth_tag_output = tag;
	job->auth_tag_output_len_in_bytes = a->icv_len;
	job->cipher_direction = sealing ? IMB_DIR_ENCRYPT : IMB_DIR_DECRYPT;
	job->chain_order = sealing ? IMB_ORDER_CIPHER_HASH : IMB_ORDER_HASH_CIPHER;
	job->sgl_state = IMB_SGL_COMPLETE;
	if (cipher == CIPHER_AES_GCM || cipher == CIPHER_CHACHA20_POLY1305)
		fill_aead(job, mb, cipher, p);
	else
		fill_etm(job, mb, cipher, p);
}

typedef uint8_t tags[MOST][64];

static inline uint8_t *tag_for(const struct rival_mb *mb, int sealing, const struct rival_packet *p, size_t i, tags t)
{
	return sealing ? icv_of(&p[i], &mb->algorithm) : t[i];
}

static inline __attribute__((always_inline)) int
run_jobs(struct rival_mb *mb, uint32_t cipher, int sealing, const struct rival_packet *p, size_t n, tags t)
{
	int done = 0;
	IMB_JOB *job;
	for (size_t i = 0; i < n; i++) {
		job = IMB_GET_NEXT_JOB(mb->mgr);
		fill(job, mb, cipher, sealing, &p[i], tag_for(mb, sealing, p, i, t));
		for (job = IMB_SUBMIT_JOB_NOCHECK(mb->mgr); job; job = IMB_GET_COMPLETED_JOB(mb->mgr))
			done += job->status == IMB_STATUS_COMPLETED;
	}
	while ((job = IMB_FLUSH_JOB(mb->mgr)))
		done += job->status == IMB_STATUS_COMPLETED;
	return done;
}

static inline __attribute__((always_inline)) int
run_burst(struct rival_mb *mb, uint32_t cipher, int sealing, const struct rival_packet *p, size_t n, tags t)
{
	IMB_JOB *jobs[MOST];
	size_t given = 0;
	int done = 0;
	while (given < n) {
		const uint32_t got = IMB_GET_NEXT_BURST(mb->mgr, n - given, jobs);
		if (got == 0) {
			done += IMB_FLUSH_BURST(mb->mgr, MOST, jobs);
			continue;
		}
		for (uint32_t i = 0; i < got; i++)
			fill(jobs[i], mb, cipher, sealing, &p[given + i], tag_for(mb, sealing, p, given + i, t));
		done += IMB_SUBMIT_BURST_NOCHECK(mb->mgr, got, jobs);
		given += got;
	}
	while (IMB_QUEUE_SIZE(mb->mgr) > 0)
		done += IMB_FLUSH_BURST(mb->mgr, MOST, jobs);
	return done;
}

static inline __attribute__((always_inline)) int
queued(struct rival_mb *mb, uint32_t cipher, int sealing, const struct rival_packet *p, size_t n)
{
	tags t;
	const uint32_t icv = mb->algorithm.icv_len;
	const int done = mb->api == API_JOB ? run_jobs(mb, cipher, sealing, p, n, t)
					    : run_burst(mb, cipher, sealing, p, n, t);
	int genuine = 0;
	if (sealing || done != (int)n)
		return sealing ? done : 0;
	for (size_t i = 0; i < n; i++)
		genuine += same(t[i], icv_of(&p[i], &mb->algorithm), icv);
	return genuine;
}

/* Seals or opens at most 64 packets. Returns how many were sealed, or were genuine. */
int rival_mb_run(struct rival_mb *mb, int sealing, const struct rival_packet *p, size_t n)
{
	if (n > MOST)
		return 0;
	if (mb->api == API_DIRECT)
		return direct(mb, sealing, p, n);
	switch (mb->algorithm.cipher) {
	case CIPHER_AES_GCM: return queued(mb, CIPHER_AES_GCM, sealing, p, n);
	case CIPHER_CHACHA20_POLY1305: return queued(mb, CIPHER_CHACHA20_POLY1305, sealing, p, n);
	case CIPHER_AES_CBC: return queued(mb, CIPHER_AES_CBC, sealing, p, n);
	case CIPHER_AES_CTR: return queued(mb, CIPHER_AES_CTR, sealing, p, n);
	default: return queued(mb, CIPHER_NULL, sealing, p, n);
	}
}
