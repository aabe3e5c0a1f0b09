/*
 * protocol/message: any bytes as a message. What is taken has the id that was to be seen from outside, and packed again it
 * says the same; what is refused is refused within the memory there is.
 *
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include "protocol/message.h"

#include <stdlib.h>
#include <string.h>

#define REQUIRE(condition)                                                                                        \
        do {                                                                                                      \
                if (!(condition))                                                                                 \
                        abort();                                                                                  \
        } while (0)

static _Alignas(16) uint8_t memory[PROTOCOL_POOL_BYTES], again_memory[PROTOCOL_POOL_BYTES];
static uint8_t packed[2 * PROTOCOL_MESSAGE_MAX], again[2 * PROTOCOL_MESSAGE_MAX];

/** What is inside can be looked at: strings have an end, and a message that must be there is there. */
static void look_at(const ProtobufCMessage *m)
{
        const ProtobufCMessageDescriptor *kind = m->descriptor;
        const uint8_t *at = (const uint8_t *)m;

        for (unsigned i = 0; i < kind->n_fields; i++) {
                const ProtobufCFieldDescriptor *f = &kind->fields[i];
                const void *member = at + f->offset;

                if (f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF &&
                    *(const uint32_t *)(at + f->quantifier_offset) != f->id)
                        continue;
                if (f->type == PROTOBUF_C_TYPE_STRING) {
                        REQUIRE(strlen(*(char *const *)member) <= PROTOCOL_MESSAGE_MAX);
                } else if (f->label == PROTOBUF_C_LABEL_REPEATED) {
                        size_t n = *(const size_t *)(at + f->quantifier_offset);

                        for (size_t k = 0; k < n; k++)
                                look_at((*(ProtobufCMessage *const *const *)member)[k]);
                        REQUIRE(kind != &mapi__apply__descriptor || n <= PROTOCOL_VALUES_MAX);
                } else if (f->type == PROTOBUF_C_TYPE_MESSAGE) {
                        look_at(*(ProtobufCMessage *const *)member);
                }
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        uint64_t id = protocol_peek_id(data, size);
        struct protocol_pool pool, second;
        struct mapi_error err = { 0 };
        Mapi__Envelope *e = NULL, *twin = NULL;
        size_t len, need, len_again;
        int rc;

        if (size > PROTOCOL_MESSAGE_MAX)
                return 0;
        protocol_pool_init(&pool, memory, sizeof memory);
        rc = protocol_unpack(&pool, data, size, &e, &err);
        REQUIRE(pool.used <= pool.size);
        REQUIRE(rc == 0 || (rc == -err.code && e == NULL && (rc == -5121 || rc == -9000)));
        if (rc < 0)
                return 0;
        REQUIRE(e->id == id);
        look_at(&e->base);
        need = pool.used;

        /* Unknown fields travel with it. A number that was written at length becomes shorter, one below 0 longer. */
        REQUIRE(protocol_pack(e, packed, sizeof packed, &len, &err) == 0);
        REQUIRE(protocol_peek_id(packed, len) == id);
        protocol_pool_init(&second, again_memory, sizeof again_memory);
        REQUIRE(protocol_unpack(&second, packed, len, &twin, &err) == 0);
        REQUIRE(protocol_pack(twin, again, sizeof again, &len_again, &err) == 0);
        REQUIRE(len == len_again && memcmp(packed, again, len) == 0);

        /* It fails at the same place for want of memory, whatever that place is. */
        protocol_pool_init(&second, again_memory, need > 8 ? need - 8 - id % (need - 8) : 0);
        REQUIRE(protocol_unpack(&second, data, size, &twin, &err) == -9000);
        REQUIRE(second.used <= second.size);
        return 0;
}
