/* Packing and unpacking messages without malloc. SPDX-License-Identifier: BSD-2-Clause */
#include "protocol/message.h"

#include "protocol/wire.h"

#include <string.h>

/* One unpacking: protobuf-c only says that it failed, this says whether the pool was the reason. */
struct unpacking {
        struct protocol_pool *pool;
        bool full;
};

enum { ALIGN = 8 }; /* of everything that is in unpacked messages: pointers and 64-bit numbers */

void protocol_pool_init(struct protocol_pool *p, void *mem, size_t size)
{
        size_t skip = (ALIGN - (uintptr_t)mem % ALIGN) % ALIGN;

        if (skip > size)
                skip = size;
        p->mem = (uint8_t *)mem + skip;
        p->size = size - skip;
        p->used = 0;
}

static void *pool_alloc(void *user, size_t size)
{
        struct unpacking *u = user;
        struct protocol_pool *p = u->pool;
        void *mem;

        if (size > p->size - p->used) {
                u->full = true;
                return NULL;
        }
        mem = p->mem + p->used;
        size = (size + ALIGN - 1) & ~(size_t)(ALIGN - 1); /* cannot overflow: size is small enough for the pool */
        p->used = size < p->size - p->used ? p->used + size : p->size;
        return mem;
}

static void pool_free(void *user, void *mem)
{
        (void)user; /* the pool is emptied as a whole */
        (void)mem;
}

/** What may stand in an envelope beyond the list of messages. NULL, or what is wrong. */
static const char *check_envelope(const Mapi__Envelope *e)
{
        unsigned body = (unsigned)e->body_case;

        if (body == MAPI__ENVELOPE__BODY__NOT_SET)
                return "a message of an unknown kind";
        /* These three are how versions are agreed upon, so they are the same in all. */
        if (e->version == 0 || (e->version != PROTOCOL_VERSION && body != MAPI__ENVELOPE__BODY_HELLO &&
                                body != MAPI__ENVELOPE__BODY_WELCOME && body != MAPI__ENVELOPE__BODY_ERROR))
                return "a message of another version of the protocol";
        if (e->id == 0 && body < PROTOCOL_FIRST_ANSWER)
                return "a request without an id";
        if ((body == MAPI__ENVELOPE__BODY_WELCOME && e->welcome->limits == NULL) ||
            (body == MAPI__ENVELOPE__BODY_CREATE_DEVICE && e->create_device->source == NULL) ||
            (body == MAPI__ENVELOPE__BODY_CREATE_FLOW &&
             e->create_flow->on_case == MAPI__CREATE_FLOW__ON__NOT_SET) ||
            (body == MAPI__ENVELOPE__BODY_CONNECTED && e->connected->status == NULL))
                return "a message that lacks its main part";
        return NULL;
}

int protocol_unpack(struct protocol_pool *p, const uint8_t *bytes, size_t len, Mapi__Envelope **ret,
                    struct mapi_error *err)
{
        struct unpacking u = { .pool = p };
        ProtobufCAllocator allocator = { .alloc = pool_alloc, .free = pool_free, .allocator_data = &u };
        const char *wrong;
        Mapi__Envelope *e;

        p->used = 0;
        if (len == 0 || len > PROTOCOL_LARGE_MAX)
                return mapi_fail(err, MCOM_UNKNOWN_ERROR, "a message of %zu bytes", len);
        wrong = wire_check(&mapi__envelope__descriptor, bytes, len);
        if (wrong != NULL)
                return mapi_fail(err, MCOM_UNKNOWN_ERROR, "%s", wrong);
        e = mapi__envelope__unpack(&allocator, len, bytes);
        if (e == NULL && u.full)
                return mapi_fail(err, MAPI_LIMIT_ERROR,
                                 "a message of %zu bytes needs more than %zu bytes of memory", len, p->size);
        wrong = e == NULL ? "bytes that are no message" : check_envelope(e);
        if (wrong != NULL)
                return mapi_fail(err, MCOM_UNKNOWN_ERROR, "%s", wrong);
        *ret = e;
        return 0;
}

uint64_t protocol_peek_id(const uint8_t *bytes, size_t len)
{
        const uint8_t *at = bytes, *end = bytes + len;
        struct wire_field f;
        uint64_t id = 0;
        int rc;

        while ((rc = wire_next(&at, end, &f)) == 1) {
                if (f.number == 2 && (f.type != WIRE_VARINT || id != 0))
                        return 0;
                if (f.number == 2)
                        id = f.value;
        }
        return rc == 0 ? id : 0;
}

int protocol_pack(const Mapi__Envelope *e, uint8_t *buf, size_t size, size_t *ret_len, struct mapi_error *err)
{
        size_t len = mapi__envelope__get_packed_size(e);

        if (len > size)
                return mapi_fail(err, MAPI_LIMIT_ERROR, "a message of %zu bytes; %zu are possible", len, size);
        *ret_len = mapi__envelope__pack(e, buf);
        return 0;
}
