/*
 * What functions of the standard library say about a trace: one line for each value, for numbers.py to compare.
 *
 *     mapi_numbers TRACE FOLDER FINE MIDDLE COARSE LONGEST
 *
 * The last four are intervals. RES2FILE writes its files into FOLDER. All flows share one device, so each packet reaches
 * all of them; queues are read to the end of the trace, everything else when it is over.
 *
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <mapi.h>
#include <mapi/binop.h>
#include <mapi/bucket.h>
#include <mapi/burst.h>
#include <mapi/dist.h>
#include <mapi/hashsamp.h>
#include <mapi/pktinfo.h>
#include <mapi/startstop.h>
#include <mapi/stats.h>

#define ASKED_MAX 64
#define FLOWS_MAX 64

enum kind { NUMBER, STATS, DIST, BURST, STARTSTOP, BUCKETS, SAMPLES };

static struct asked {
        const char *label;
        enum kind kind;
        int fd, fid;
} asked[ASKED_MAX];
static int asked_count;
static int flows[FLOWS_MAX];
static int flow_count;
static char *device;

static void fail(const char *what)
{
        char why[MAPI_ERRORSTR_LENGTH] = "";
        int code = 0;

        mapi_read_error(&code, why);
        fprintf(stderr, "mapi_numbers: %s: %d %s\n", what, code, why);
        exit(2);
}

static int good(int r, const char *what)
{
        if (r < 0)
                fail(what);
        return r;
}

#define APPLY(fd, ...) good(mapi_apply_function((fd), __VA_ARGS__), #__VA_ARGS__)

static int flow(void)
{
        if (flow_count == FLOWS_MAX)
                fail("too many flows");
        return flows[flow_count++] = good(mapi_create_flow(device), "flow");
}

static void ask(const char *label, enum kind kind, int fd, int fid)
{
        if (asked_count == ASKED_MAX)
                fail("too many questions");
        asked[asked_count++] = (struct asked){ label, kind, fd, fid };
}

/* ---- answers ---------------------------------------------------------------------------------------------- */

static void print_stats(const char *label, const stats_t *s)
{
        printf("%s %llu %.0Lf %.0Lf %.0f %.0f\n", label, s->count, s->sum, s->sum2, s->min, s->max);
}

static void print_dist(const char *label, const dist_t *d, size_t size)
{
        printf("%s %llu %llu %llu", label, d->min, d->max, d->intervals);
        for (size_t i = 0; i < (size - sizeof *d) / sizeof d->data[0]; i++)
                printf(" %llu", d->data[i]);
        printf("\n");
}

static void print_bursts(const char *label, const burst_category_t *c, size_t size)
{
        for (size_t i = 0; i < size / sizeof *c; i++)
                printf("%s %zu: %lu %lu %lu %lu %lu\n", label, i, c[i].bytes, c[i].packets, c[i].bursts,
                       c[i].gap_bytes, c[i].gaps);
}

static void print_sample(const char *label, const struct sample *s)
{
        printf("%s %x %x %u %u %u %u %u %llu\n", label, s->source_ip, s->dest_ip, s->sourceport, s->destport,
               s->sequence, s->tcp_flags, s->protocol, s->timestamp);
}

static void read_queue(const struct asked *a)
{
        mapi_results_t *r;
        int code = 0;
        char why[MAPI_ERRORSTR_LENGTH];

        while ((r = mapi_read_results(a->fd, a->fid)) != NULL)
                if (a->kind == SAMPLES) {
                        if (r->size != sizeof(struct sample))
                                fail("size of a sample");
                        print_sample(a->label, r->res);
                } else {
                        const struct bucket_data *b = r->res;

                        if (r->size != sizeof *b)
                                fail("size of a bucket");
                        printf("%s %llu %llu\n", a->label, b->timestamp, b->data);
                }
        if (mapi_read_error(&code, why) < 0 || (code != 0 && code != 9002)) /* 9002: the trace is damaged */
                fprintf(stderr, "mapi_numbers: end of %s: %d %s\n", a->label, code, why), exit(2);
}

static void read_result(const struct asked *a)
{
        mapi_results_t *r = mapi_read_results(a->fd, a->fid);

        if (r == NULL)
                fail(a->label);
        switch (a->kind) {
        case NUMBER:
                printf("%s %llu\n", a->label, *(unsigned long long *)r->res);
                break;
        case STATS:
                print_stats(a->label, r->res);
                break;
        case DIST:
                print_dist(a->label, r->res, (size_t)r->size);
                break;
        case BURST:
                print_bursts(a->label, r->res, (size_t)r->size);
                break;
        case STARTSTOP: {
                const struct mapi_startstop *s = r->res;

                printf("%s %llu %llu %llu\n", a->label, s->first, s->first_processed, s->last);
                break;
        }
        default:
                break;
        }
}

static void wait_for_end(int fd)
{
        mapi_flow_info_t info;

        do {
                good(mapi_get_flow_info(fd, &info), "flow info");
                usleep(200);
        } while (info.status != FLOW_FINISHED);
}

/* ---- questions -------------------------------------------------------------------------------------------- */

static void ask_counts(char *fine, char *coarse)
{
        int fd = flow(), size = APPLY(fd, "PKTINFO", PKT_SIZE), gap = APPLY(fd, "GAP"), source;

        ask("packets", NUMBER, fd, APPLY(fd, "PKT_COUNTER"));
        ask("bytes", NUMBER, fd, APPLY(fd, "BYTE_COUNTER"));
        ask("last_size", NUMBER, fd, size);
        ask("last_gap", NUMBER, fd, gap);
        ask("last_ts", NUMBER, fd, APPLY(fd, "PKTINFO", PKT_TS));
        ask("stats_size", STATS, fd, APPLY(fd, "STATS", fd, size, "0"));
        ask("stats_size_but_first", STATS, fd, APPLY(fd, "STATS", fd, size, "1"));
        ask("stats_gap", STATS, fd, APPLY(fd, "STATS", fd, gap, "0"));
        ask("stats_gap_but_first", STATS, fd, APPLY(fd, "STATS", fd, gap, "1"));
        ask("stats_size_coarse", STATS, fd, APPLY(fd, "STATS", fd, size, coarse));
        source = APPLY(fd, "BYTE_COUNTER");
        ask("stats_bytes_fine", STATS, fd, APPLY(fd, "STATS", fd, source, fine));
        source = APPLY(fd, "PKT_COUNTER");
        ask("stats_packets_coarse", STATS, fd, APPLY(fd, "STATS", fd, source, coarse));
        ask("dist_size", DIST, fd, APPLY(fd, "DIST", fd, size, "0", "1500", "100"));
        ask("dist_size_odd", DIST, fd, APPLY(fd, "DIST", fd, size, "54", "1000", "37"));
        ask("dist_gap", DIST, fd, APPLY(fd, "DIST", fd, gap, "0", "10ms", "1ms"));
        ask("dist_gap_us", DIST, fd, APPLY(fd, "DIST", fd, gap, "5us", "1s", "500us"));
}

static void ask_bursts(void)
{
        int fd = flow();

        ask("burst_1", BURST, fd, APPLY(fd, "BURST", 0, 10000, 1000, 160000, 12304000, 12304000, 1));
        ask("burst_10", BURST, fd, APPLY(fd, "BURST", 0, 10000, 1000, 16000, 1230400, 1230400, 10));
        ask("burst_100", BURST, fd, APPLY(fd, "BURST", 0, 10000, 1000, 1600, 123040, 123040, 100));
        ask("burst_odd", BURST, fd, APPLY(fd, "BURST", 100, 3000, 333, 500, 4000000, 0, 7));
}

static void ask_startstop(void)
{
        int fd = flow();

        ask("startstop", STARTSTOP, fd, APPLY(fd, "STARTSTOP", "+1s", "+3s"));
        ask("startstop_packets", NUMBER, fd, APPLY(fd, "PKT_COUNTER"));
        fd = flow();
        ask("startstop_0", STARTSTOP, fd, APPLY(fd, "STARTSTOP", "+0s", "+1500ms"));
        ask("startstop_0_bytes", NUMBER, fd, APPLY(fd, "BYTE_COUNTER"));
}

static void ask_hashsamp(void)
{
        int fd = flow();

        APPLY(fd, "HASHSAMP", 512, 0);
        ask("hash_512_packets", NUMBER, fd, APPLY(fd, "PKT_COUNTER"));
        ask("hash_512_bytes", NUMBER, fd, APPLY(fd, "BYTE_COUNTER"));
        fd = flow();
        APPLY(fd, "HASHSAMP", 1024, 0);
        ask("hash_all_packets", NUMBER, fd, APPLY(fd, "PKT_COUNTER"));
        fd = flow();
        ask("hash_samples", SAMPLES, fd, APPLY(fd, "HASHSAMP", 300, 1));
        ask("hash_samples_packets", NUMBER, fd, APPLY(fd, "PKT_COUNTER"));
}

static void ask_buckets(char *fine, char *coarse)
{
        int fd = flow(), source = APPLY(fd, "PKT_COUNTER");

        ask("bucket_packets_coarse", BUCKETS, fd, APPLY(fd, "BUCKET", fd, source, coarse, 1));
        fd = flow();
        source = APPLY(fd, "PKT_COUNTER");
        ask("bucket_packets_fine_total", BUCKETS, fd, APPLY(fd, "BUCKET", fd, source, fine, 0));
        fd = flow();
        source = APPLY(fd, "BYTE_COUNTER");
        ask("bucket_bytes_fine", BUCKETS, fd, APPLY(fd, "BUCKET", fd, source, fine, 1));
        fd = flow();
        source = APPLY(fd, "BYTE_COUNTER");
        ask("bucket_bytes_each", BUCKETS, fd, APPLY(fd, "BUCKET", fd, source, "0", 0));
}

static void file_in(char *to, size_t size, const char *folder, const char *name)
{
        if ((size_t)snprintf(to, size, "%s/%s", folder, name) >= size)
                fail("folder");
}

static void write_lines(const char *folder, const char *name, const char *header, char *interval, int reset)
{
        int fd = flow(), packets = APPLY(fd, "PKT_COUNTER"), size = APPLY(fd, "PKTINFO", PKT_SIZE),
            ts = APPLY(fd, "PKTINFO", PKT_TS);
        char path[4096], list[128];

        file_in(path, sizeof path, folder, name);
        snprintf(list, sizeof list, "%d@%d,%d@%d,%d@%d", packets, fd, size, fd, ts, fd);
        APPLY(fd, "RES2FILE", "1,1,2", list, header, path, interval, reset);
}

static void write_end(const char *folder)
{
        int fd = flow(), bytes = APPLY(fd, "BYTE_COUNTER"), size = APPLY(fd, "PKTINFO", PKT_SIZE),
            stats = APPLY(fd, "STATS", fd, size, "0");
        char path[4096], list[128];

        file_in(path, sizeof path, folder, "end");
        snprintf(list, sizeof list, "%d@%d,%d@%d", bytes, fd, stats, fd);
        APPLY(fd, "RES2FILE", "1,3", list, "END", path, "-1", 0);
}

/* Flows that read each other: the first one reads what is created after it. */
static void ask_across(const char *folder, char *middle, char *coarse)
{
        int reader = flow(), large = flow(), odd = flow(), both = flow();
        int large_packets, large_ts, large_counter, odd_bytes, odd_counter, size, first, second, bucket_source,
                stats_source;
        char path[4096], list[128];

        APPLY(large, "BPF_FILTER", "greater 100");
        large_packets = APPLY(large, "PKT_COUNTER");
        large_counter = APPLY(large, "PKT_COUNTER");
        bucket_source = APPLY(large, "PKT_COUNTER");
        stats_source = APPLY(large, "PKT_COUNTER");
        large_ts = APPLY(large, "PKTINFO", PKT_TS);
        APPLY(odd, "BPF_FILTER", "len & 1 = 1");
        odd_bytes = APPLY(odd, "BYTE_COUNTER");
        odd_counter = APPLY(odd, "BYTE_COUNTER");
        ask("binop_add_across", NUMBER, odd, APPLY(odd, "BINOP", BINOP_ADD, large, large_packets, odd, odd_bytes));

        APPLY(reader, "BPF_FILTER", "less 200");
        size = APPLY(reader, "PKTINFO", PKT_SIZE);
        ask("binop_sub_across", NUMBER, reader,
            APPLY(reader, "BINOP", BINOP_SUB, odd, odd_bytes, large, large_packets));
        ask("stats_across", STATS, reader, APPLY(reader, "STATS", odd, odd_bytes, "0"));
        ask("bucket_across", BUCKETS, reader, APPLY(reader, "BUCKET", large, large_counter, coarse, 1));
        file_in(path, sizeof path, folder, "across");
        snprintf(list, sizeof list, "%d@%d,%d@%d,%d@%d", odd_counter, odd, size, reader, large_ts, large);
        APPLY(reader, "RES2FILE", "1,1,2", list, "ACROSS", path, middle, 1);

        APPLY(both, "BPF_FILTER", "greater 100");
        first = APPLY(both, "PKT_COUNTER");
        APPLY(both, "BPF_FILTER", "len & 1 = 1");
        second = APPLY(both, "BYTE_COUNTER");
        ask("binop_add_one", NUMBER, both, APPLY(both, "BINOP", BINOP_ADD, both, first, both, second));
        ask("binop_sub_one", NUMBER, both, APPLY(both, "BINOP", BINOP_SUB, both, first, both, second));
        ask("bucket_behind", BUCKETS, both, APPLY(both, "BUCKET", large, bucket_source, middle, 1));
        ask("stats_behind", STATS, both, APPLY(both, "STATS", large, stats_source, middle));
}

int main(int argc, char **argv)
{
        if (argc != 7) {
                fprintf(stderr, "usage: mapi_numbers TRACE FOLDER FINE MIDDLE COARSE LONGEST\n");
                return 2;
        }
        device = mapi_create_offline_device(argv[1], MFF_PCAP);
        if (device == NULL)
                fail("device");
        ask_counts(argv[4], argv[5]);
        ask_bursts();
        ask_startstop();
        ask_hashsamp();
        ask_buckets(argv[3], argv[5]);
        ask_across(argv[2], argv[4], argv[5]);
        write_lines(argv[2], "middle", "TEST", argv[4], 1);
        write_lines(argv[2], "longest", "TEST", argv[6], 1);
        write_lines(argv[2], "each", "EACH", "0", 0);
        write_end(argv[2]);
        for (int i = 0; i < flow_count; i++)
                good(mapi_connect(flows[i]), "connect");
        good(mapi_start_offline_device(device), "start");
        for (int i = 0; i < asked_count; i++)
                if (asked[i].kind == BUCKETS || asked[i].kind == SAMPLES)
                        read_queue(&asked[i]);
        for (int i = 0; i < flow_count; i++)
                wait_for_end(flows[i]);
        for (int i = 0; i < asked_count; i++)
                if (asked[i].kind != BUCKETS && asked[i].kind != SAMPLES)
                        read_result(&asked[i]);
        for (int i = 0; i < flow_count; i++)
                good(mapi_close_flow(flows[i]), "close");
        good(mapi_delete_offline_device(device), "delete");
        return 0;
}
