/* Messages of every kind, made from the descriptors. SPDX-License-Identifier: BSD-2-Clause */
#include "samples.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

enum { MEMORY = 1 << 16, IN_ARRAY = 2, FIRST_BODY = 2 };

static _Alignas(16) uint8_t memory[MEMORY];
static size_t used;
static unsigned counter;

static void *take(size_t size)
{
        void *mem = memory + used;

        used += (size + 15) & ~(size_t)15;
        assert(used <= MEMORY);
        memset(mem, 0, size);
        return mem;
}

unsigned samples_kinds(void)
{
        return mapi__envelope__descriptor.n_fields - FIRST_BODY;
}

const ProtobufCFieldDescriptor *samples_body(unsigned i)
{
        return &mapi__envelope__descriptor.fields[FIRST_BODY + i];
}

static unsigned choices(const ProtobufCMessageDescriptor *kind)
{
        unsigned n = 0, inside, most = 0;

        for (unsigned i = 0; i < kind->n_fields; i++) {
                const ProtobufCFieldDescriptor *f = &kind->fields[i];

                if (f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF)
                        n++;
                inside = f->type == PROTOBUF_C_TYPE_MESSAGE ? choices(f->descriptor) : 0;
                most = inside > most ? inside : most;
        }
        return n > most ? n : most;
}

unsigned samples_variants(unsigned i)
{
        unsigned n = choices(samples_body(i)->descriptor);

        return n != 0 ? n : 1;
}

static ProtobufCMessage *fill(const ProtobufCMessageDescriptor *kind, unsigned variant);

static void fill_one(const ProtobufCFieldDescriptor *f, void *to, unsigned variant)
{
        uint64_t odd = 0x8000000000000001u + (uint64_t)++counter * 0x100000001u;
        char *text;

        switch (f->type) {
        case PROTOBUF_C_TYPE_INT32:
                *(int32_t *)to = -(int32_t)counter;
                break;
        case PROTOBUF_C_TYPE_UINT32:
                *(uint32_t *)to = (uint32_t)-counter;
                break;
        case PROTOBUF_C_TYPE_ENUM:
                *(uint32_t *)to = counter % 4;
                break;
        case PROTOBUF_C_TYPE_SINT64:
                *(int64_t *)to = counter % 2 != 0 ? -(int64_t)(odd >> 2) : (int64_t)(odd >> 2);
                break;
        case PROTOBUF_C_TYPE_UINT64:
                *(uint64_t *)to = odd;
                break;
        case PROTOBUF_C_TYPE_BOOL:
                *(protobuf_c_boolean *)to = 1;
                break;
        case PROTOBUF_C_TYPE_STRING:
                text = take(32);
                snprintf(text, 32, "text %u \xc3\xa9", counter);
                *(char **)to = text;
                break;
        case PROTOBUF_C_TYPE_MESSAGE:
                *(ProtobufCMessage **)to = fill(f->descriptor, variant);
                break;
        default:
                assert(!"a type that the list of messages does not have");
        }
}

static ProtobufCMessage *fill(const ProtobufCMessageDescriptor *kind, unsigned variant)
{
        uint8_t *m = take(kind->sizeof_message);
        unsigned choice = 0;

        protobuf_c_message_init(kind, m);
        for (unsigned i = 0; i < kind->n_fields; i++) {
                const ProtobufCFieldDescriptor *f = &kind->fields[i];

                if (f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) {
                        if (choice++ == variant) {
                                fill_one(f, m + f->offset, variant);
                                *(uint32_t *)(m + f->quantifier_offset) = f->id;
                        }
                } else if (f->label == PROTOBUF_C_LABEL_REPEATED) {
                        ProtobufCMessage **list = take(IN_ARRAY * sizeof *list);

                        assert(f->type == PROTOBUF_C_TYPE_MESSAGE);
                        for (unsigned k = 0; k < IN_ARRAY; k++)
                                list[k] = fill(f->descriptor, variant);
                        *(ProtobufCMessage ***)(m + f->offset) = list;
                        *(size_t *)(m + f->quantifier_offset) = IN_ARRAY;
                } else {
                        fill_one(f, m + f->offset, variant);
                }
        }
        return (ProtobufCMessage *)m;
}

Mapi__Envelope *samples_make(unsigned i, unsigned variant)
{
        const ProtobufCFieldDescriptor *body = samples_body(i);
        Mapi__Envelope *e;

        used = 0;
        counter = 0;
        e = take(sizeof *e);
        mapi__envelope__init(e);
        e->version = PROTOCOL_VERSION;
        e->id = 0x123456789abcdef0u + i;
        e->body_case = (Mapi__Envelope__BodyCase)body->id;
        *(ProtobufCMessage **)((uint8_t *)e + body->offset) = fill(body->descriptor, variant);
        return e;
}

static bool same_one(const ProtobufCFieldDescriptor *f, const void *a, const void *b)
{
        switch (f->type) {
        case PROTOBUF_C_TYPE_INT32:
        case PROTOBUF_C_TYPE_UINT32:
        case PROTOBUF_C_TYPE_ENUM:
        case PROTOBUF_C_TYPE_BOOL:
                return memcmp(a, b, 4) == 0;
        case PROTOBUF_C_TYPE_STRING:
                return strcmp(*(char *const *)a, *(char *const *)b) == 0;
        case PROTOBUF_C_TYPE_MESSAGE:
                return samples_same(*(ProtobufCMessage *const *)a, *(ProtobufCMessage *const *)b);
        default:
                return memcmp(a, b, 8) == 0;
        }
}

bool samples_same(const ProtobufCMessage *a, const ProtobufCMessage *b)
{
        const ProtobufCMessageDescriptor *kind;
        const uint8_t *x = (const uint8_t *)a, *y = (const uint8_t *)b;

        if (a == NULL || b == NULL)
                return a == b;
        kind = a->descriptor;
        if (kind != b->descriptor)
                return false;
        for (unsigned i = 0; i < kind->n_fields; i++) {
                const ProtobufCFieldDescriptor *f = &kind->fields[i];

                if (f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) {
                        uint32_t is = *(const uint32_t *)(x + f->quantifier_offset);

                        if (is != *(const uint32_t *)(y + f->quantifier_offset))
                                return false;
                        if (is == f->id && !same_one(f, x + f->offset, y + f->offset))
                                return false;
                } else if (f->label == PROTOBUF_C_LABEL_REPEATED) {
                        size_t n = *(const size_t *)(x + f->quantifier_offset);

                        if (n != *(const size_t *)(y + f->quantifier_offset))
                                return false;
                        for (size_t k = 0; k < n; k++)
                                if (!samples_same((*(ProtobufCMessage *const *const *)(x + f->offset))[k],
                                                  (*(ProtobufCMessage *const *const *)(y + f->offset))[k]))
                                        return false;
                } else if (!same_one(f, x + f->offset, y + f->offset)) {
                        return false;
                }
        }
        return true;
}

const uint8_t *samples_packed(unsigned i, unsigned variant, size_t *ret_len)
{
        static uint8_t bytes[SAMPLE_BYTES_MAX];
        int rc = protocol_pack(samples_make(i, variant), bytes, sizeof bytes, ret_len, NULL);

        assert(rc == 0);
        return rc == 0 ? bytes : NULL;
}

uint32_t samples_random(uint64_t *state)
{
        *state = *state * 6364136223846793005u + 1442695040888963407u;
        return (uint32_t)(*state >> 33);
}

size_t samples_mutate(uint64_t *state, uint8_t *bytes, size_t len, size_t max)
{
        for (unsigned n = 1 + samples_random(state) % 4; n > 0 && len > 0; n--) {
                size_t at = samples_random(state) % len, span = 1 + samples_random(state) % 8;

                switch (samples_random(state) % 6) {
                case 0:
                        bytes[at] ^= (uint8_t)(1u << samples_random(state) % 8);
                        break;
                case 1:
                        bytes[at] = (uint8_t)samples_random(state);
                        break;
                case 2: /* lengths that are wrong */
                        bytes[at] = samples_random(state) % 2 ? 0xff : 0x80;
                        break;
                case 3:
                        len = at;
                        break;
                case 4: /* a piece once more */
                        span = span > len - at ? len - at : span;
                        if (len + span <= max) {
                                memmove(bytes + at + span, bytes + at, len - at);
                                len += span;
                        }
                        break;
                default: /* a piece less */
                        span = span > len - at ? len - at : span;
                        memmove(bytes + at, bytes + at + span, len - at - span);
                        len -= span;
                }
        }
        return len;
}
