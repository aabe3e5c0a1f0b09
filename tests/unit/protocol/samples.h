/* Messages of every kind, with every field filled, made from the descriptors: kinds added later are tested, too.
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef TEST_SAMPLES_H
#define TEST_SAMPLES_H

#include "protocol/message.h"

#define SAMPLE_BYTES_MAX 4096

/** How many kinds of body there are. */
unsigned samples_kinds(void);

/** The descriptor of body number i, counted from 0 in the order of the list of messages. */
const ProtobufCFieldDescriptor *samples_body(unsigned i);

/** How many variants this kind has: one for each member of a oneof inside. */
unsigned samples_variants(unsigned i);

/** An envelope with body i, valid until the next call. */
Mapi__Envelope *samples_make(unsigned i, unsigned variant);

/** All fields equal. */
bool samples_same(const ProtobufCMessage *a, const ProtobufCMessage *b);

/** A packed sample in static memory. */
const uint8_t *samples_packed(unsigned i, unsigned variant, size_t *ret_len);

/** Numbers that look random and are the same every time. */
uint32_t samples_random(uint64_t *state);

/** Changes a few bytes, cuts, or inserts; at most `max` bytes. Returns the new length. */
size_t samples_mutate(uint64_t *state, uint8_t *bytes, size_t len, size_t max);

#endif
