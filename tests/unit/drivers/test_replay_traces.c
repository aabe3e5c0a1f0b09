/*
 * The replay driver and whole traces: round after round they are what the trace driver reads, in every pace.
 * Arguments: folders with traces.
 *
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include "replay_play.h"

#include "../formats/compress.h"

/* What a packet is, but for its time. */
static uint64_t mix_packet(uint64_t hash, const struct mapi_view *v)
{
        struct drive d = { .hash = hash };
        struct mapi_view timeless = *v;

        timeless.ts = 0;
        drive_take(&d, &timeless);
        return d.hash;
}

struct whole {
        uint64_t packets, hash;
};

static struct whole read_once(int fd)
{
        struct mapi_source src = { .name = "x", .fd = dup(fd) };
        struct mapi_device_facts f;
        struct whole w = { 0 };
        struct mapi_error err;
        size_t needed;
        void *st;
        int n;

        assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
        if (mapi_drv_trace.open(&src, &f, &st, &err) < 0)
                return w;
        while ((n = mapi_drv_trace.recv(st, &batch, 64, SIZE_MAX, &needed, &err)) > 0) {
                for (int i = 0; i < n; i++)
                        w.hash = mix_packet(w.hash, &batch.pkt[i]);
                w.packets += (unsigned)n;
        }
        mapi_drv_trace.close(st);
        return w;
}

/* Three rounds of a file in every pace are the file three times, and no time stamp goes back. */
static void play_whole(int fd, unsigned most)
{
        static const char *const options[] = { "trace=x;loops=3", "trace=x;speed=1000000;loops=3",
                                               "trace=x;rate=1000000;loops=3", "trace=x;speed=max;loops=3" };
        struct whole once = read_once(fd);

        if (once.packets == 0)
                return;
        for (unsigned i = 0; i < 4; i++) {
                struct mapi_source src = { .name = "x", .options = options[i], .fd = dup(fd) };
                void *st = open_source(&src);
                uint64_t last = 0, first = 0;

                for (unsigned round = 0; round < 3; round++) {
                        struct whole w = { 0 };

                        while (w.packets < once.packets) {
                                size_t needed;
                                int n = take_some(st, most, SIZE_MAX, &needed);

                                for (int k = 0; k < n; k++) {
                                        w.hash = mix_packet(w.hash, &batch.pkt[k]);
                                        assert_true(batch.pkt[k].ts >= last && batch.pkt[k].ts <= ts_of(real));
                                        last = batch.pkt[k].ts;
                                        if (first == 0)
                                                first = last;
                                }
                                w.packets += (unsigned)n;
                                if (n == 0) {
                                        assert_true(armed > mono);
                                        pass(armed - mono);
                                }
                        }
                        assert_int_equal(w.packets, once.packets); /* no batch goes over the end of a round */
                        assert_true(w.hash == once.hash);
                }
                assert_int_equal(take(st), 0);
                assert_int_equal(first, ts_of(REAL0));
                mapi_drv_replay.close(st);
        }
}

static unsigned folders;
static char **folder_names;

static void all_traces(void **state)
{
        unsigned before = open_descriptors(), played = 0;

        for (unsigned i = 0; i < folders; i++) {
                DIR *dir = opendir(folder_names[i]);
                const struct dirent *e;

                if (dir == NULL)
                        continue;
                while ((e = readdir(dir)) != NULL) {
                        int fd = openat(dirfd(dir), e->d_name, O_RDONLY | O_CLOEXEC);

                        if (fd >= 0 && strstr(e->d_name, ".pcap") != NULL) {
                                play_whole(fd, ++played % 64 + 1);
                        }
                        close(fd);
                }
                closedir(dir);
        }
        assert_true(folders == 0 || played > 5);
        assert_int_equal(open_descriptors(), before);
}

/* Several blocks of records of all sizes, plain and compressed. */
static void large_traces(void **state)
{
        struct build b = { 0 }, file = { 0 };
        uint32_t dice = 7;
        int fd;

        build_pcap_head(&b, 0xa1b2c3d4, 4, 0, 1);
        for (unsigned i = 0; i < 2000; i++) {
                dice = dice * 1103515245 + 12345;
                build_pcap_record(&b, i / 9, i, (dice >> 16) % (i % 500 == 99 ? 262144 : 1600), 1600,
                                  (uint8_t)dice);
        }
        fd = drive_file(b.bytes, b.n);
        play_whole(fd, 64);
        play_whole(fd, 5);
        close(fd);
        for (int kind = 0; kind < COMPRESS_KINDS; kind++) {
                if (!compress_here[kind])
                        continue;
                compress_put(&file, kind, b.bytes, b.n / 3);
                compress_put(&file, kind, b.bytes + b.n / 3, b.n - b.n / 3);
                fd = drive_file(file.bytes, file.n);
                play_whole(fd, 64);
                close(fd);
                fd = drive_file(file.bytes, file.n - 10); /* damaged in every round */
                play_whole(fd, 17);
                close(fd);
                build_free(&file);
        }
        build_free(&b);
}
int main(int argc, char **argv)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(all_traces),
                cmocka_unit_test(large_traces),
        };

        folders = (unsigned)argc - 1;
        folder_names = argv + 1;
        return cmocka_run_group_tests(tests, NULL, NULL);
}
