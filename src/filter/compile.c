/* Expressions to cBPF programs through libpcap. SPDX-License-Identifier: BSD-2-Clause */
#include "filter/program.h"

#include <stdlib.h>
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

int filter_translate(const char *text, uint16_t linktype, uint32_t snaplen, struct filter_program *ret,
                     struct mapi_error *err)
{
        struct bpf_program program;
        struct bpf_insn *copy;
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
        copy = malloc(bytes);
        if (copy == NULL) {
                r = mapi_fail(err, MAPID_MEM_ALLOCATION_ERROR, "a filter of %u instructions", program.bf_len);
        } else {
                memcpy(copy, program.bf_insns, bytes);
                *ret = (struct filter_program){ .insns = copy, .n = program.bf_len };
        }
        pcap_freecode(&program);
        pcap_close(dead);
        return r;
}

int filter_compile(struct arena *a, const struct filter_compiler *compiler, const char *text, uint16_t linktype,
                   uint32_t snaplen, const struct filter **ret, struct mapi_error *err)
{
        struct filter_program program = { 0 };
        struct filter *f;
        size_t bytes;
        int r;

        if (strlen(text) > FILTER_TEXT_MAX)
                return mapi_fail(err, MAPI_LIMIT_ERROR, "a filter may have %u bytes", FILTER_TEXT_MAX);
        if (compiler != NULL && compiler->compile != NULL)
                r = compiler->compile(compiler->context, text, linktype, snaplen, &program, err);
        else
                r = filter_translate(text, linktype, snaplen, &program, err);
        if (r < 0)
                return r;
        bytes = program.n * sizeof(struct bpf_insn);
        if (program.n == 0 || program.n > FILTER_PROGRAM_MAX || !bpf_validate(program.insns, (int)program.n)) {
                r = mapi_fail(err, PCAP_BPF_ERR, "'%.200s': what the compiler made is not a valid program", text);
                goto out;
        }
        f = arena_alloc(a, sizeof *f + bytes);
        if (f == NULL) {
                r = mapi_fail(err, MAPID_MEM_ALLOCATION_ERROR, "a filter of %u instructions", program.n);
                goto out;
        }
        f->linktype = linktype;
        f->n = program.n;
        memcpy(f->insns, program.insns, bytes);
        f->hash = program_hash(f);
        *ret = f;
out:
        free(program.insns);
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
