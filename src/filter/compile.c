/* Expressions to cBPF programs through libpcap. SPDX-License-Identifier: BSD-2-Clause */
#include "filter/program.h"

#include <string.h>

/** FNV-1a: only to find equal programs, not against enemies. */
static uint64_t program_hash(const struct filter *f)
{
        const uint8_t *p = (const uint8_t *)f->insns;
        uint64_t h = 0xcbf29ce484222325u ^ f->linktype;

        for (size_t i = 0; i < f->n * sizeof f->insns[0]; i++)
                h = (h ^ p[i]) * 0x100000001b3u;
        return h;
}

int filter_compile(struct arena *a, const char *text, uint16_t linktype, uint32_t snaplen,
                   const struct filter **ret, struct mapi_error *err)
{
        struct bpf_program program;
        struct filter *f;
        pcap_t *dead;
        size_t bytes;
        int r = 0;

        if (strlen(text) > FILTER_TEXT_MAX)
                return mapi_fail(err, MAPI_LIMIT_ERROR, "a filter may have %u bytes", FILTER_TEXT_MAX);
        dead = pcap_open_dead(linktype, (int)snaplen);
        if (dead == NULL)
                return mapi_fail(err, PCAP_OPEN_DEAD_ERR, "link type %u", linktype);
        if (pcap_compile(dead, &program, text, 1, 0) < 0) {
                r = mapi_fail(err, PCAP_BPF_ERR, "'%.200s': %s", text, pcap_geterr(dead));
                pcap_close(dead);
                return r;
        }
        bytes = program.bf_len * sizeof(struct bpf_insn);
        f = arena_alloc(a, sizeof *f + bytes);
        if (f == NULL) {
                r = mapi_fail(err, MAPID_MEM_ALLOCATION_ERROR, "a filter of %u instructions", program.bf_len);
        } else if (!bpf_validate(program.bf_insns, (int)program.bf_len)) {
                r = mapi_fail(err, PCAP_BPF_ERR, "'%.200s': libpcap made a program that is not valid", text);
        } else {
                f->linktype = linktype;
                f->n = program.bf_len;
                memcpy(f->insns, program.bf_insns, bytes);
                f->hash = program_hash(f);
                *ret = f;
        }
        pcap_freecode(&program);
        pcap_close(dead);
        return r;
}

bool filter_equal(const struct filter *a, const struct filter *b)
{
        return a == b || (a->hash == b->hash && a->n == b->n && a->linktype == b->linktype &&
                          memcmp(a->insns, b->insns, a->n * sizeof a->insns[0]) == 0);
}

uint64_t filter_hash(const struct filter *f)
{
        return f->hash;
}
