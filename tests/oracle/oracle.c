/*
 * The oracle: packets, wire bytes and captured bytes that each filter of a list lets through, by our own small reader
 * and libpcap's pcap_compile() and bpf_filter() alone.
 *
 *     oracle TRACE FILTERS        one filter in a line; an empty line is all packets, without a filter
 *
 * Prints a line for each filter: "packets wirebytes capbytes" or "refused reason"; then "end" or "damaged reason".
 *
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include <fcntl.h>
#include <pcap/pcap.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "reader.h"

#define FILTERS_MAX 256u
#define LINKS_MAX 8u

/** A filter, compiled for each link type of the trace. */
struct filter {
        char *text;
        struct bpf_program program[LINKS_MAX];
        char refused[PCAP_ERRBUF_SIZE];
        unsigned long long packets, wire_bytes, cap_bytes;
};

static struct filter filters[FILTERS_MAX];
static unsigned filter_count;
static int links[LINKS_MAX];
static unsigned link_count;

static void die(const char *what)
{
        fprintf(stderr, "oracle: %s\n", what);
        exit(2);
}

static void read_filters(const char *path)
{
        FILE *file = fopen(path, "r");
        char line[4096];

        if (file == NULL)
                die("no list of filters");
        while (fgets(line, sizeof(line), file) != NULL) {
                line[strcspn(line, "\n")] = 0;
                if (filter_count == FILTERS_MAX)
                        die("too many filters");
                filters[filter_count++].text = strdup(line);
        }
        fclose(file);
}

static unsigned compile_for(int link)
{
        pcap_t *handle;
        unsigned i, l;

        for (l = 0; l < link_count; l++)
                if (links[l] == link)
                        return l;
        if (link_count == LINKS_MAX)
                die("too many link types");
        handle = pcap_open_dead(link, (int)READER_CAPLEN_MAX);
        if (handle == NULL)
                die("pcap_open_dead");
        for (i = 0; i < filter_count; i++) {
                struct filter *f = &filters[i];

                if (f->text[0] != 0 && f->refused[0] == 0 &&
                    pcap_compile(handle, &f->program[l], f->text, 1, 0) < 0)
                        snprintf(f->refused, sizeof(f->refused), "%s", pcap_geterr(handle));
        }
        pcap_close(handle);
        links[link_count++] = link;
        return l;
}

static void count(const struct packet *p)
{
        unsigned i, l = compile_for(p->linktype);

        for (i = 0; i < filter_count; i++) {
                struct filter *f = &filters[i];

                if (f->refused[0] != 0)
                        continue;
                if (f->text[0] != 0 && bpf_filter(f->program[l].bf_insns, p->data, p->wirelen, p->caplen) == 0)
                        continue;
                f->packets++;
                f->wire_bytes += p->wirelen;
                f->cap_bytes += p->caplen;
        }
}

int main(int argc, char **argv)
{
        struct reader r;
        struct packet p;
        struct stat st;
        unsigned i;
        void *file = NULL;
        int fd;

        if (argc != 3)
                die("usage: oracle TRACE FILTERS");
        read_filters(argv[2]);
        fd = open(argv[1], O_RDONLY | O_CLOEXEC);
        if (fd < 0 || fstat(fd, &st) < 0)
                die("cannot open the trace");
        if (st.st_size > 0 && (file = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0)) == MAP_FAILED)
                die("cannot map the trace");
        if (reader_open(&r, file, (size_t)st.st_size) < 0)
                die(r.damage);
        if (!r.ng)
                compile_for(r.linktypes[0]); /* also when there is no packet */
        while (reader_next(&r, &p))
                count(&p);
        for (i = 0; i < filter_count; i++) {
                if (filters[i].refused[0] != 0)
                        printf("refused %s\n", filters[i].refused);
                else
                        printf("%llu %llu %llu\n", filters[i].packets, filters[i].wire_bytes,
                               filters[i].cap_bytes);
        }
        printf("%s%s\n", r.damage == NULL ? "end" : "damaged ", r.damage == NULL ? "" : r.damage);
        return 0;
}
