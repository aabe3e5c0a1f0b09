/*
 * The bytes of a message, looked at before protobuf-c does: it copies strings without their length, joins fields that
 * come twice, and wants memory for everything that it does not know.
 *
 * SPDX-License-Identifier: BSD-2-Clause
 */
#ifndef PROTOCOL_WIRE_H
#define PROTOCOL_WIRE_H

#include "protocol/mapi.pb-c.h"

#include <stddef.h>
#include <stdint.h>

enum wire_type { WIRE_VARINT = 0, WIRE_64BIT = 1, WIRE_BYTES = 2, WIRE_32BIT = 5 };

struct wire_field {
        uint32_t number;
        enum wire_type type;
        uint64_t value; /* WIRE_VARINT */
        const uint8_t *bytes;
        size_t len; /* WIRE_BYTES */
};

/** Takes the next field from *at. Returns 1; 0 the end; -1 this is no message. */
int wire_next(const uint8_t **at, const uint8_t *end, struct wire_field *ret);

/** NULL if these bytes are a message of that kind within our bounds, or what is wrong with them. */
const char *wire_check(const ProtobufCMessageDescriptor *kind, const uint8_t *bytes, size_t len);

#endif
