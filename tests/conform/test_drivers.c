/*
 * What every driver of the table promises (mapi/driver.h), tried on each: its life from open to close, again and
 * again, any width and any limit of bytes, an end that stays the end, and nothing left behind.
 *
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include <dirent.h>

#include "../unit/drivers/drive.h"

/* Something that each driver can open; the bytes are put into a file for those that read one. */
struct sample {
        const char *driver;
        const char *options;
        void (*build)(struct build *b); /* NULL: the driver needs no descriptor */
        unsigned packets;
        int end; /* 0: of a live device, which does not end; then nothing comes any more */
};

static void build_plain(struct build *b)
{
        build_pcap_head(b, 0xa1b2c3d4, 4, 65535, 1);
        for (unsigned i = 0; i < 1000; i++)
                build_pcap_record(b, i, i, i * 37 % 1500, 1500, (uint8_t)i);
}

static void build_damaged(struct build *b)
{
        build_plain(b);
        build_32(b, 1);
}

static void build_ng(struct build *b)
{
        b->big = 1;
        build_ng_section(b);
        build_ng_interface(b, 1, 0, 9, 0);
        build_ng_interface(b, 101, 0, 0x80 | 32, 0);
        for (unsigned i = 0; i < 700; i++)
                build_ng_packet(b, i % 2, i, i * 41 % 1400, 1500, (uint8_t)i);
}

static void build_dag(struct build *b)
{
        struct build lead = { 0 };

        build_put(&lead, "\0\0", 2);
        for (unsigned i = 0; i < 500; i++)
                build_erf(b, 2, (uint8_t)(i % 4), 0x5f5e100000000000u + i, 0, &lead, (uint16_t)(46 + i % 1000),
                          1500, (uint8_t)i);
        build_free(&lead);
}

static void build_empty(struct build *b)
{
        build_pcap(b, 0);
}

static const struct sample samples[] = {
        { "trace", NULL, build_plain, 1000, MAPI_RECV_END },
        { "trace", NULL, build_damaged, 1000, -MAPI_TRACE_DAMAGED },
        { "trace", "wait_ms=10", build_ng, 700, MAPI_RECV_END },
        { "trace", NULL, build_dag, 500, MAPI_RECV_END },
        { "trace", NULL, build_empty, 0, MAPI_RECV_END },
        { "null", "packets=1000,size=100,flows=9", NULL, 1000, MAPI_RECV_END },
        { "replay", "trace=x;rate=max;loops=1", build_plain, 1000, 0 },
        { "replay", "trace=x;rate=max;loops=7", build_damaged, 7000, 0 },
};

static int is_live(const struct sample *s)
{
        return (drivers_find(s->driver)->traits & MAPI_DRV_OFFLINE) == 0;
}

#define N_SAMPLES (sizeof(samples) / sizeof(samples[0]))

static unsigned open_descriptors(void)
{
        DIR *dir = opendir("/proc/self/fd");
        unsigned n = 0;

        assert_non_null(dir);
        while (readdir(dir) != NULL)
                n++;
        closedir(dir);
        return n;
}

static struct mapi_source source_of(const struct sample *s)
{
        struct mapi_source src = { .name = "sample", .options = s->options, .fd = -1 };

        if (s->build != NULL) {
                struct build b = { 0 };

                s->build(&b);
                src.fd = drive_file(b.bytes, b.n);
                build_free(&b);
        }
        return src;
}

static struct drive run(const struct sample *s, unsigned most, size_t max_bytes)
{
        struct mapi_source src = source_of(s);

        return drive_source(drivers_find(s->driver), &src, most, max_bytes);
}

static void descriptors(void **state)
{
        for (size_t i = 0; mapi_drivers[i] != NULL; i++) {
                const struct mapi_driver *d = mapi_drivers[i];
                unsigned used = 0;

                assert_int_equal(d->abi, MAPI_DRIVER_ABI);
                assert_true(d->name != NULL && d->name[0] != '\0');
                assert_true(d->help != NULL && d->help[strlen(d->help) - 1] == '.');
                assert_true(d->open != NULL && d->recv != NULL && d->release != NULL && d->close != NULL);
                assert_ptr_equal(drivers_find(d->name), d); /* names are unique */
                for (size_t k = 0; k < N_SAMPLES; k++)
                        used += strcmp(samples[k].driver, d->name) == 0;
                if (used == 0 && d->prepare == NULL) /* otherwise it needs rights that we may not have */
                        fail_msg("no sample for the driver %s: add one to this test", d->name);
                d->close(NULL);
        }
        assert_null(drivers_find("no such driver"));
}

static void any_width(void **state)
{
        for (size_t k = 0; k < N_SAMPLES; k++) {
                struct drive all;

                if (is_live(&samples[k])) /* its time stamps are never the same */
                        continue;
                all = run(&samples[k], MAPI_BATCH_MAX, SIZE_MAX);
                assert_int_equal(all.packets, samples[k].packets);
                assert_int_equal(all.end, samples[k].end);
                assert_int_equal(all.stats.received, samples[k].packets);
                assert_true(all.facts.snaplen > 0 && all.facts.snaplen <= MAPI_CAPLEN_MAX);
                assert_int_equal(all.facts.offline, 1);
                for (unsigned most = 1; most < MAPI_BATCH_MAX; most++) {
                        struct drive d = run(&samples[k], most, SIZE_MAX);

                        assert_true(d.packets == all.packets && d.hash == all.hash && d.end == all.end);
                }
                for (size_t max_bytes = 0; max_bytes < 4000; max_bytes += 397) {
                        struct drive d = run(&samples[k], MAPI_BATCH_MAX, max_bytes);

                        assert_true(d.packets == all.packets && d.hash == all.hash && d.end == all.end);
                }
        }
}

/* Views stay as they are from recv to release, whatever stats and fd are asked meanwhile. */
static void lent_bytes(void **state)
{
        for (size_t k = 0; k < N_SAMPLES; k++) {
                const struct mapi_driver *drv = drivers_find(samples[k].driver);
                struct mapi_source src = source_of(&samples[k]);
                struct mapi_device_facts facts;
                struct mapi_driver_stats stats;
                struct mapi_batch b = { 0 };
                struct mapi_error err;
                uint64_t total = 0;
                size_t needed;
                void *st;
                int n;

                assert_int_equal(drv->open(&src, &facts, &st, &err), 0);
                while ((n = drv->recv(st, &b, 17, SIZE_MAX, &needed, &err)) > 0) {
                        struct drive before = { 0 }, after = { 0 };

                        for (int i = 0; i < n; i++) {
                                assert_true(b.pkt[i].caplen <= facts.snaplen);
                                drive_take(&before, &b.pkt[i]);
                        }
                        total += (uint64_t)n;
                        if (drv->stats != NULL) {
                                drv->stats(st, &stats);
                                assert_int_equal(stats.received, total);
                        }
                        if (drv->fd != NULL && !is_live(&samples[k]))
                                assert_int_equal(drv->fd(st),
                                                 -1); /* files and generators never make anybody wait */
                        for (int i = 0; i < n; i++)
                                drive_take(&after, &b.pkt[i]);
                        assert_true(before.hash == after.hash);
                        drv->release(st, &b);
                }
                assert_int_equal(n, samples[k].end);
                assert_int_equal(total, samples[k].packets);
                drv->close(st);
        }
}

/* Opened and closed in every state, many times, in any mixture: no descriptor and (with ASan) no byte stays
   behind. */
static void no_leaks(void **state)
{
        unsigned before = open_descriptors();

        for (unsigned round = 0; round < 20; round++) {
                void *open[N_SAMPLES];

                for (size_t k = 0; k < N_SAMPLES; k++) {
                        const struct mapi_driver *drv = drivers_find(samples[k].driver);
                        struct mapi_source src = source_of(&samples[k]);
                        struct mapi_device_facts facts;
                        struct mapi_batch b;
                        struct mapi_error err;
                        size_t needed;

                        assert_int_equal(drv->open(&src, &facts, &open[k], &err), 0);
                        for (unsigned i = 0; i < round; i++) /* closed with a batch lent */
                                (void)drv->recv(open[k], &b, 1 + i, SIZE_MAX, &needed, &err);
                }
                for (size_t k = 0; k < N_SAMPLES; k++)
                        drivers_find(samples[k].driver)->close(open[k]);
        }
        assert_int_equal(open_descriptors(), before);
}

/* Whatever open does not like, the descriptor is the driver's and the sentence says something. */
static void open_fails(void **state)
{
        unsigned before = open_descriptors();

        for (size_t i = 0; mapi_drivers[i] != NULL; i++) {
                struct mapi_source src = { .name = "sample",
                                           .options = "no=such=option",
                                           .fd = drive_file("x", 1) };
                struct mapi_device_facts facts;
                struct mapi_error err = { 0 };
                void *st = &src;

                assert_true(mapi_drivers[i]->open(&src, &facts, &st, &err) < -1);
                assert_ptr_equal(st, &src);
                assert_true(err.code > 0 && strlen(err.text) > 10);
                src.fd = drive_file("x", 1);
                assert_true(mapi_drivers[i]->open(&src, &facts, &st, NULL) < -1); /* nobody wants the sentence */
        }
        assert_int_equal(open_descriptors(), before);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(descriptors), cmocka_unit_test(any_width),  cmocka_unit_test(lent_bytes),
                cmocka_unit_test(no_leaks),    cmocka_unit_test(open_fails),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
