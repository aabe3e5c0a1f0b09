/* protocol/message: every kind survives the journey, and what is not exactly a message is refused within bounds.
 * SPDX-License-Identifier: BSD-2-Clause */
#include "samples.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static _Alignas(16) uint8_t memory[PROTOCOL_POOL_BYTES];
static struct protocol_pool pool;

static int setup(void **state)
{
        protocol_pool_init(&pool, memory, sizeof memory);
        return 0;
}

/** Unpacks a copy that ends where its memory ends, so that a sanitizer sees every byte read behind it. */
static int unpack_exact(struct protocol_pool *p, const uint8_t *bytes, size_t len, Mapi__Envelope **ret,
                        struct mapi_error *err)
{
        uint8_t *copy = malloc(len != 0 ? len : 1);
        uint64_t id;
        int rc;

        assert_non_null(copy);
        if (len != 0)
                memcpy(copy, bytes, len);
        rc = protocol_unpack(p, copy, len, ret, err);
        id = protocol_peek_id(copy, len);
        if (rc == 0)
                assert_true(id == (*ret)->id);
        free(copy);
        return rc;
}

static void every_kind_survives_the_journey(void **state)
{
        unsigned kinds = samples_kinds(), variants = 0;

        for (unsigned i = 0; i < kinds; i++) {
                for (unsigned v = 0; v < samples_variants(i); v++, variants++) {
                        Mapi__Envelope *in = samples_make(i, v), *out = NULL;
                        static uint8_t bytes[SAMPLE_BYTES_MAX];
                        struct mapi_error err = { 0 };
                        size_t len = 0;

                        assert_int_equal(protocol_pack(in, bytes, sizeof bytes, &len, &err), 0);
                        assert_true(protocol_peek_id(bytes, len) == 0x123456789abcdef0u + i);
                        assert_int_equal(unpack_exact(&pool, bytes, len, &out, &err), 0);
                        assert_true(samples_same(&in->base, &out->base));
                        assert_true((uint8_t *)out >= memory && (uint8_t *)out < memory + sizeof memory);
                        out->id++;
                        assert_false(samples_same(&in->base, &out->base));
                        /* not one byte too few */
                        assert_int_equal(protocol_pack(in, bytes, len, &len, &err), 0);
                        assert_int_equal(protocol_pack(in, bytes, len - 1, &len, &err), -9000);
                }
        }
        assert_int_equal(kinds, 46);
        assert_int_equal(variants, 46 + 1 + 3); /* CreateFlow has two forms, Apply's values four */
}

/* What is on the wire never changes. */
static void bodies_have_their_numbers(void **state)
{
        static const char *const names[] = {
                [10] = "hello",          [11] = "catalogue",     [12] = "device_known",   [13] = "create_device",
                [14] = "start_device",   [15] = "delete_device", [16] = "create_flow",    [17] = "describe",
                [18] = "apply",          [19] = "connect",       [20] = "close_flow",     [21] = "segment",
                [22] = "ring",           [23] = "waiting",       [24] = "event_fd",       [25] = "trace_error",
                [26] = "file_error",     [27] = "flow_info",     [28] = "function_info",  [29] = "device_info",
                [30] = "library_info",   [31] = "libfunct_info", [32] = "device_stats",   [33] = "flow_stats",
                [34] = "cancel",         [35] = "ping",          [60] = "error",          [61] = "done",
                [62] = "welcome",        [63] = "libraries",     [64] = "known",          [65] = "device_name",
                [66] = "flow_number",    [67] = "function",      [68] = "function_id",    [69] = "connected",
                [70] = "segment_memory", [71] = "ring_memory",   [72] = "flow_facts",     [73] = "function_facts",
                [74] = "device_facts",   [75] = "library_facts", [76] = "libfunct_facts", [77] = "account",
                [78] = "large",          [90] = "event",
        };

        for (unsigned i = 0; i < samples_kinds(); i++) {
                const ProtobufCFieldDescriptor *f = samples_body(i);

                assert_true(f->id < sizeof names / sizeof names[0] && names[f->id] != NULL);
                assert_string_equal(f->name, names[f->id]);
        }
}

/* The walk over the bytes keeps one bit for each field, one oneof, and knows no packed numbers. */
static void check_kind(const ProtobufCMessageDescriptor *kind, unsigned depth)
{
        unsigned oneof = 0;

        assert_true(kind->n_fields <= 64);
        assert_true(depth <= 8);
        for (unsigned i = 0; i < kind->n_fields; i++) {
                const ProtobufCFieldDescriptor *f = &kind->fields[i];

                if (f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) {
                        assert_true(oneof == 0 || oneof == f->quantifier_offset);
                        oneof = f->quantifier_offset;
                }
                if (f->label == PROTOBUF_C_LABEL_REPEATED)
                        assert_int_equal(f->type, PROTOBUF_C_TYPE_MESSAGE);
                if (f->type == PROTOBUF_C_TYPE_MESSAGE)
                        check_kind(f->descriptor, depth + 1);
        }
}

static void the_list_is_what_the_checks_expect(void **state)
{
        check_kind(&mapi__envelope__descriptor, 0);
}

#define REFUSED(text, why) refused((const uint8_t *)(text), sizeof(text) - 1, (why))
#define TAKEN(text) taken((const uint8_t *)(text), sizeof(text) - 1)

static void refused(const uint8_t *bytes, size_t len, const char *why)
{
        Mapi__Envelope *e = (Mapi__Envelope *)memory;
        struct mapi_error err = { 0 };

        assert_int_equal(unpack_exact(&pool, bytes, len, &e, &err), -5121);
        assert_ptr_equal(e, memory); /* untouched */
        assert_int_equal(err.code, 5121);
        if (strstr(err.text, why) == NULL)
                fail_msg("\"%s\" does not say \"%s\"", err.text, why);
}

static Mapi__Envelope *taken(const uint8_t *bytes, size_t len)
{
        Mapi__Envelope *e = NULL;
        struct mapi_error err = { 0 };

        if (unpack_exact(&pool, bytes, len, &e, &err) != 0)
                fail_msg("%s", err.text);
        return e;
}

/* By hand, so that both sides of a mistake cannot agree. Ping is field 35, \x9a\x02; envelopes begin with version and id. */
#define HEAD "\x08\x01\x10\x07"
#define PING "\x9a\x02\x00"

static void bytes_by_hand_are_understood(void **state)
{
        Mapi__Envelope *e = TAKEN("\x08\x01\x10\xac\x02\x52\x09\x08\x01\x10\x02\x1a\x03"
                                  "abc");

        assert_int_equal(e->body_case, MAPI__ENVELOPE__BODY_HELLO);
        assert_int_equal(e->id, 300);
        assert_int_equal(e->hello->version_min, 1);
        assert_int_equal(e->hello->version_max, 2);
        assert_string_equal(e->hello->program, "abc");

        e = TAKEN("\x08\x01\x10\x05\x92\x01\x10\x08\x03\x12\x01X\x1a\x02\x10\x03\x1a\x00\x1a\x03\x0a\x01y");
        assert_int_equal(e->body_case, MAPI__ENVELOPE__BODY_APPLY);
        assert_int_equal(e->apply->flow, 3);
        assert_string_equal(e->apply->name, "X");
        assert_int_equal(e->apply->n_value, 3);
        assert_int_equal(e->apply->value[0]->is_case, MAPI__VALUE__IS_NUMBER);
        assert_int_equal(e->apply->value[0]->number, -2);
        assert_int_equal(e->apply->value[1]->is_case, MAPI__VALUE__IS__NOT_SET);
        assert_string_equal(e->apply->value[2]->text, "y");

        e = TAKEN(HEAD PING);
        assert_int_equal(e->body_case, MAPI__ENVELOPE__BODY_PING);
        e = TAKEN(HEAD "\x92\x01\x00"); /* an Apply of nothing: strings are there, and empty */
        assert_string_equal(e->apply->name, "");
        assert_int_equal(e->apply->n_value, 0);
        e = TAKEN("\x08\x01\xd2\x05\x02\x08\x01"); /* an event has no id */
        assert_int_equal(e->event->kind, MAPI__EVENT__KIND__SHUTTING_DOWN);
        e = TAKEN("\x08\x01\xe2\x03\x03\x08\x81\x28"); /* an error may have none: the request had none */
        assert_int_equal(e->error->code, 5121);
}

static void what_is_of_a_later_version_is_skipped(void **state)
{
        Mapi__Envelope *e = TAKEN(HEAD "\x20\x05" PING "\xa2\x06\x03new"
                                       "\xa9\x06"
                                       "12345678"
                                       "\xad\x06"
                                       "1234");

        assert_int_equal(e->body_case, MAPI__ENVELOPE__BODY_PING);
        e = TAKEN(HEAD "\x9a\x01\x08\x08\x04\x12\x04"
                       "more"); /* inside of Connect */
        assert_int_equal(e->connect->flow, 4);
        REFUSED(HEAD "\xa2\x02\x00", "unknown kind"); /* a request, number 36 */
        REFUSED(HEAD "\xfa\x05\x00", "unknown kind"); /* number 95 */
        assert_true(protocol_peek_id((const uint8_t *)HEAD "\xa2\x02\x00", 7) ==
                    7);                         /* so that it can be answered */
        e = TAKEN(HEAD "\xd2\x05\x02\x08\x63"); /* an event of an unknown kind is the receiver's to ignore */
        assert_int_equal(e->event->kind, 99);
}

static void an_envelope_has_version_id_and_body(void **state)
{
        Mapi__Envelope *e;

        refused(NULL, 0, "0 bytes");
        REFUSED(HEAD, "unknown kind");
        REFUSED("\x10\x07" PING, "another version");
        REFUSED("\x08\x02\x10\x07" PING, "another version");
        e = TAKEN("\x08\x09\x10\x01\x52\x00"); /* hello comes before the version is known */
        assert_int_equal(e->version, 9);
        (void)TAKEN("\x08\x02\x10\x07\xe2\x03\x00");         /* error */
        (void)TAKEN("\x08\x02\x10\x07\xf2\x03\x02\x1a\x00"); /* welcome */
        REFUSED("\x10\x01\x52\x00", "another version");
        REFUSED("\x08\x01" PING, "without an id");
        REFUSED("\x08\x01\x10\x00" PING, "without an id");
        REFUSED("\x08\x01\x52\x00", "without an id");
        REFUSED(HEAD "\xf2\x03\x00", "lacks"); /* Welcome without limits */
        REFUSED(HEAD "\x6a\x00", "lacks");     /* CreateDevice without source */
        REFUSED(HEAD "\xaa\x04\x00", "lacks"); /* Connected without status */
        REFUSED(HEAD "\x82\x01\x00", "lacks"); /* CreateFlow on nothing */
        (void)TAKEN(HEAD "\x82\x01\x02\x0a\x00");
        (void)TAKEN(HEAD "\x6a\x02\x0a\x00");
        (void)TAKEN(HEAD "\xaa\x04\x02\x0a\x00");
}

static void what_is_ambiguous_is_refused(void **state)
{
        REFUSED(HEAD "\x10\x08" PING, "twice");
        assert_true(protocol_peek_id((const uint8_t *)HEAD "\x10\x08" PING, 9) == 0);
        REFUSED(HEAD "\x08\x01" PING, "twice");
        REFUSED(HEAD PING PING, "twice");
        REFUSED(HEAD PING "\x52\x00", "only one");
        REFUSED(HEAD "\x9a\x01\x04\x08\x04\x08\x05", "twice");
        REFUSED(HEAD "\x82\x01\x05\x0a\x01x\x12\x00", "only one"); /* CreateFlow on two things */
        REFUSED(HEAD "\x92\x01\x06\x1a\x04\x10\x02\x18\x03", "only one");
}

static void what_is_no_message_is_refused(void **state)
{
        REFUSED("\xff", "no message");
        REFUSED("\x00", "no message");
        REFUSED(HEAD PING "\x00\x00", "no message");                     /* field 0 */
        REFUSED(HEAD PING "\x23\x24", "no message");                     /* groups */
        REFUSED(HEAD PING "\x27", "no message");                         /* no such type */
        REFUSED(HEAD PING "\x82\x80\x80\x80\x10\x00", "no message");     /* a field number above all others */
        REFUSED(HEAD PING "\x82\x80\x80\x80\x80\x00\x00", "no message"); /* a key of too many bytes */
        REFUSED(HEAD PING "\x20\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", "no message"); /* a number, too */
        REFUSED(HEAD PING "\x22\xff\xff\xff\xff\x0f", "no message");                         /* longer than all */
        REFUSED(HEAD PING "\x22\xff\xff\xff\xff\xff\xff\xff\xff\x7f", "no message");
        REFUSED(HEAD PING "\x21\x00", "no message");
        REFUSED(HEAD PING "\x25\x00", "no message");
        REFUSED(HEAD "\x98\x02\x00", "another type");         /* ping as a number */
        REFUSED("\x0a\x01\x01\x10\x07" PING, "another type"); /* version as a string */
        REFUSED("\x08\x01\x12\x01\x07" PING, "another type");
        REFUSED("\x08\x01\x11zzzzzzzz" PING, "another type");
        REFUSED(HEAD "\x62\x02\x08\x01", "another type"); /* a name as a number */
        assert_true(protocol_peek_id((const uint8_t *)HEAD "\xff", 5) == 0);
        assert_true(protocol_peek_id((const uint8_t *)"\x08\x01\x12\x01\x07", 5) == 0);
        assert_true(protocol_peek_id(NULL, 0) == 0);
}

static void strings_are_bytes_without_zero(void **state)
{
        Mapi__Envelope *e;

        REFUSED(HEAD "\x62\x05\x0a\x03"
                     "a\0b",
                "a 0 inside");
        REFUSED(HEAD "\x62\x04\x0a\x02"
                     "a\0",
                "a 0 inside");
        REFUSED(HEAD "\x92\x01\x05\x1a\x03\x0a\x01\0", "a 0 inside"); /* in a value */
        e = TAKEN(HEAD "\x62\x06\x0a\x04\xff\xc0\x80\xfe");           /* not UTF-8: a file may be called so */
        assert_string_equal(e->device_known->device, "\xff\xc0\x80\xfe");
}

/** An Apply with n values of `bytes` characters each. Returns the packed length. */
static size_t make_apply(unsigned n, size_t bytes, uint8_t *buf, size_t size)
{
        static Mapi__Value values[128], *list[128];
        static char text[PROTOCOL_MESSAGE_MAX];
        Mapi__Envelope e = MAPI__ENVELOPE__INIT;
        Mapi__Apply a = MAPI__APPLY__INIT;
        size_t len = 0;

        memset(text, 'x', bytes);
        text[bytes] = '\0';
        for (unsigned i = 0; i < n; i++) {
                mapi__value__init(&values[i]);
                values[i].is_case = MAPI__VALUE__IS_TEXT;
                values[i].text = text;
                list[i] = &values[i];
        }
        a.name = "BPF_FILTER";
        a.n_value = n;
        a.value = list;
        e.version = 1;
        e.id = 1;
        e.body_case = MAPI__ENVELOPE__BODY_APPLY;
        e.apply = &a;
        assert_int_equal(protocol_pack(&e, buf, size, &len, NULL), 0);
        return len;
}

static void an_apply_has_sixty_four_values_at_most(void **state)
{
        static uint8_t bytes[PROTOCOL_MESSAGE_MAX];
        size_t len = make_apply(PROTOCOL_VALUES_MAX, 3, bytes, sizeof bytes);

        assert_int_equal(taken(bytes, len)->apply->n_value, 64);
        len = make_apply(PROTOCOL_VALUES_MAX + 1, 3, bytes, sizeof bytes);
        refused(bytes, len, "more arguments");
}

/* Whatever an honest client may send fits into the pool: up to the last byte of the largest message. */
static void the_largest_messages_fit_into_the_pool(void **state)
{
        static uint8_t bytes[PROTOCOL_MESSAGE_MAX];

        for (unsigned n = 1; n <= PROTOCOL_VALUES_MAX; n++) {
                size_t len = make_apply(n, (PROTOCOL_MESSAGE_MAX - 64) / n - 12, bytes, sizeof bytes);

                assert_true(len > PROTOCOL_MESSAGE_MAX - 2048);
                assert_int_equal(taken(bytes, len)->apply->n_value, n);
        }
}

static void messages_that_expand_meet_the_ceiling(void **state)
{
        static uint8_t bytes[PROTOCOL_MESSAGE_MAX];
        struct mapi_error err = { 0 };
        Mapi__Envelope *e = NULL;
        size_t n = 7;

        memcpy(bytes, HEAD PING, 7);
        for (; n + 2 <= sizeof bytes; n += 2) /* unknown fields of two bytes take some hundred when unpacked */
                memcpy(bytes + n, "\x20\x01", 2);
        assert_int_equal(unpack_exact(&pool, bytes, n, &e, &err), -9000);
        assert_true(pool.used <= pool.size);
        assert_null(e);
        assert_non_null(strstr(err.text, "needs more than"));

        /* Libraries with tens of thousands of nothings */
        memcpy(bytes, HEAD "\xfa\x03", 6);
        n = sizeof bytes - 9;
        n -= n % 2;
        bytes[6] = (uint8_t)(0x80 | (n & 0x7f));
        bytes[7] = (uint8_t)(0x80 | (n >> 7 & 0x7f));
        bytes[8] = (uint8_t)(n >> 14);
        for (size_t i = 0; i < n; i += 2)
                memcpy(bytes + 9 + i, "\x0a\x00", 2);
        assert_int_equal(unpack_exact(&pool, bytes, n + 9, &e, &err), -9000);
        assert_true(pool.used <= pool.size);
        (void)TAKEN(HEAD PING); /* the pool is as good as new */

        assert_int_equal(protocol_unpack(&pool, bytes, PROTOCOL_LARGE_MAX + 1, &e, &err), -5121);
}

static void cut_anywhere_they_hurt_nobody(void **state)
{
        struct mapi_error err = { 0 };

        for (unsigned i = 0; i < samples_kinds(); i++) {
                size_t len, cut;
                const uint8_t *bytes = samples_packed(i, 0, &len);

                for (cut = 0; cut < len; cut++) {
                        Mapi__Envelope *e = NULL;
                        int rc = unpack_exact(&pool, bytes, cut, &e, &err);

                        assert_true(rc == -5121); /* the body comes last and has a length */
                        assert_true(protocol_peek_id(bytes, cut) == 0 || cut == 11 || cut == 2 + 10);
                }
        }
}

/* Every place at which memory can run out, in every kind of message. */
static void too_small_pools_fail_cleanly(void **state)
{
        for (unsigned i = 0; i < samples_kinds(); i++) {
                size_t len, need;
                const uint8_t *bytes = samples_packed(i, samples_variants(i) - 1, &len);
                struct protocol_pool p;
                Mapi__Envelope *e = NULL;
                struct mapi_error err = { 0 };

                assert_int_equal(protocol_unpack(&pool, bytes, len, &e, &err), 0);
                need = pool.used;
                for (size_t size = 0; size < need; size++) {
                        uint8_t *mem = malloc(size != 0 ? size : 1);

                        assert_non_null(mem);
                        protocol_pool_init(&p, mem, size);
                        e = NULL;
                        /* the last piece is not rounded up */
                        if (protocol_unpack(&p, bytes, len, &e, &err) == 0) {
                                assert_true(need - size < 8);
                        } else {
                                assert_int_equal(err.code, 9000);
                                assert_null(e);
                        }
                        assert_true(p.used <= p.size);
                        free(mem);
                }
        }
}

static void a_pool_may_begin_anywhere(void **state)
{
        size_t len;
        const uint8_t *bytes = samples_packed(8, 0, &len);
        struct mapi_error err = { 0 };
        struct protocol_pool p;
        Mapi__Envelope *e;

        for (size_t skip = 0; skip < 16; skip++) {
                protocol_pool_init(&p, memory + skip, 8192);
                assert_true((uintptr_t)p.mem % 8 == 0);
                assert_true(p.mem + p.size == memory + skip + 8192);
                assert_int_equal(protocol_unpack(&p, bytes, len, &e, &err), 0);
                assert_true((uintptr_t)e % 8 == 0);
        }
        protocol_pool_init(&p, memory + 1, 3);
        assert_true(p.size == 0);
        assert_int_equal(protocol_unpack(&p, bytes, len, &e, &err), -9000);
}

static void packed_again_is_the_same(const Mapi__Envelope *e)
{
        static _Alignas(16) uint8_t again_memory[PROTOCOL_POOL_BYTES];
        static uint8_t bytes[PROTOCOL_MESSAGE_MAX];
        struct protocol_pool p;
        struct mapi_error err = { 0 };
        Mapi__Envelope *again;
        size_t len;

        protocol_pool_init(&p, again_memory, sizeof again_memory);
        assert_int_equal(protocol_pack(e, bytes, sizeof bytes, &len, &err), 0);
        assert_int_equal(protocol_unpack(&p, bytes, len, &again, &err), 0);
        assert_true(samples_same(&e->base, &again->base));
}

static void mutated_messages_hurt_nobody(void **state)
{
        static uint8_t bytes[SAMPLE_BYTES_MAX + 64];
        unsigned good = 0, bad = 0;
        uint64_t random = 1;

        for (unsigned n = 0; n < 100000; n++) {
                unsigned kind = samples_random(&random) % samples_kinds();
                size_t len;
                const uint8_t *sample = samples_packed(kind, n % samples_variants(kind), &len);
                struct mapi_error err = { 0 };
                Mapi__Envelope *e = NULL;
                int rc;

                memcpy(bytes, sample, len);
                len = samples_mutate(&random, bytes, len, sizeof bytes);
                rc = unpack_exact(&pool, bytes, len, &e, &err);
                assert_true(pool.used <= pool.size);
                if (rc == 0) {
                        good++;
                        packed_again_is_the_same(e);
                } else {
                        bad++;
                        assert_int_equal(rc, -5121);
                        assert_null(e);
                }
        }
        assert_true(good > 10000 && bad > 10000); /* both ways have been taken */
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup(every_kind_survives_the_journey, setup),
                cmocka_unit_test_setup(bodies_have_their_numbers, setup),
                cmocka_unit_test_setup(the_list_is_what_the_checks_expect, setup),
                cmocka_unit_test_setup(bytes_by_hand_are_understood, setup),
                cmocka_unit_test_setup(what_is_of_a_later_version_is_skipped, setup),
                cmocka_unit_test_setup(an_envelope_has_version_id_and_body, setup),
                cmocka_unit_test_setup(what_is_ambiguous_is_refused, setup),
                cmocka_unit_test_setup(what_is_no_message_is_refused, setup),
                cmocka_unit_test_setup(strings_are_bytes_without_zero, setup),
                cmocka_unit_test_setup(an_apply_has_sixty_four_values_at_most, setup),
                cmocka_unit_test_setup(the_largest_messages_fit_into_the_pool, setup),
                cmocka_unit_test_setup(messages_that_expand_meet_the_ceiling, setup),
                cmocka_unit_test_setup(cut_anywhere_they_hurt_nobody, setup),
                cmocka_unit_test_setup(too_small_pools_fail_cleanly, setup),
                cmocka_unit_test_setup(a_pool_may_begin_anywhere, setup),
                cmocka_unit_test_setup(mutated_messages_hurt_nobody, setup),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
