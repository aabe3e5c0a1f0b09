/* The bytes of a message, looked at before they are unpacked. SPDX-License-Identifier: BSD-2-Clause */
#include "protocol/wire.h"

#include "protocol/message.h"

#include <assert.h>
#include <string.h>

enum {
        FIELDS_MAX = 64, /* of one kind of message; a bit for each */
        DEPTH_MAX = 8    /* the list of messages has no recursion, so this is never reached */
};

/** A number of at most `max` bytes; false: it has no end there. */
static bool wire_varint(const uint8_t **at, const uint8_t *end, unsigned max, uint64_t *ret)
{
        uint64_t value = 0;

        for (unsigned i = 0; i < max && *at + i < end; i++) {
                value |= (uint64_t)((*at)[i] & 0x7f) << (7 * i);
                if (((*at)[i] & 0x80) == 0) {
                        *at += i + 1;
                        *ret = value;
                        return true;
                }
        }
        return false;
}

int wire_next(const uint8_t **at, const uint8_t *end, struct wire_field *ret)
{
        struct wire_field f = { 0 };
        uint64_t key, len;

        if (*at == end)
                return 0;
        if (!wire_varint(at, end, 5, &key) || key > UINT32_MAX || key >> 3 == 0)
                return -1;
        f.number = (uint32_t)(key >> 3);
        f.type = (enum wire_type)(key & 7);
        f.bytes = *at;
        switch (f.type) {
        case WIRE_VARINT:
                if (!wire_varint(at, end, 10, &f.value))
                        return -1;
                break;
        case WIRE_BYTES:
                if (!wire_varint(at, end, 5, &len) || len > (uint64_t)(end - *at))
                        return -1;
                f.bytes = *at;
                f.len = (size_t)len;
                *at += len;
                break;
        case WIRE_64BIT:
        case WIRE_32BIT:
                len = f.type == WIRE_64BIT ? 8 : 4;
                if (len > (uint64_t)(end - *at))
                        return -1;
                *at += len;
                break;
        default: /* groups, which proto3 does not have */
                return -1;
        }
        *ret = f;
        return 1;
}

static const char *check_message(const ProtobufCMessageDescriptor *kind, const uint8_t *bytes, size_t len,
                                 unsigned depth);

static const char *check_field(const ProtobufCFieldDescriptor *known, const struct wire_field *f, unsigned depth)
{
        switch (known->type) {
        case PROTOBUF_C_TYPE_STRING:
                if (f->type != WIRE_BYTES)
                        return "a field of another type than it should be";
                if (f->len != 0 && memchr(f->bytes, '\0', f->len) != NULL)
                        return "a string with a 0 inside";
                return NULL;
        case PROTOBUF_C_TYPE_MESSAGE:
                if (f->type != WIRE_BYTES)
                        return "a field of another type than it should be";
                return check_message(known->descriptor, f->bytes, f->len, depth + 1);
        default: /* numbers; ours are all of variable length */
                return f->type == WIRE_VARINT ? NULL : "a field of another type than it should be";
        }
}

static const char *check_message(const ProtobufCMessageDescriptor *kind, const uint8_t *bytes, size_t len,
                                 unsigned depth)
{
        const uint8_t *at = bytes, *end = bytes + len;
        const ProtobufCFieldDescriptor *known;
        unsigned values = 0;
        struct wire_field f;
        const char *wrong;
        uint64_t seen = 0, bit;
        bool one_of = false;
        int rc;

        assert(kind->n_fields <= FIELDS_MAX);
        if (depth > DEPTH_MAX)
                return "messages inside of messages inside of messages";
        while ((rc = wire_next(&at, end, &f)) == 1) {
                known = protobuf_c_message_descriptor_get_field(kind, f.number);
                if (known == NULL) /* of a later version; ours to skip */
                        continue;
                if (known->label != PROTOBUF_C_LABEL_REPEATED) {
                        bit = (uint64_t)1 << (known - kind->fields);
                        if (seen & bit)
                                return "a field that comes twice";
                        seen |= bit;
                        if (known->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) {
                                if (one_of)
                                        return "two fields of which only one may come";
                                one_of = true;
                        }
                } else if (kind == &mapi__apply__descriptor && ++values > PROTOCOL_VALUES_MAX) {
                        return "more arguments than any function has";
                }
                wrong = check_field(known, &f, depth);
                if (wrong != NULL)
                        return wrong;
        }
        return rc < 0 ? "bytes that are no message" : NULL;
}

const char *wire_check(const ProtobufCMessageDescriptor *kind, const uint8_t *bytes, size_t len)
{
        return check_message(kind, bytes, len, 0);
}
