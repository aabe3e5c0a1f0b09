/*
 * A main for fuzz targets without libFuzzer: runs the target on every file of its corpus, on every prefix of the
 * small ones and with single bytes changed, always the same ones. So a crash that became a seed stays fixed, and
 * every compiler and sanitizer build sees the hostile input.
 *
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define INPUT_MAX (4u << 20)  /* bytes of a seed that is read */
#define PREFIXES_MAX 512u     /* shortened versions of one seed */
#define CHANGES_MAX 512u      /* changed versions of one seed */
#define CHANGED_SIZE_MAX 8192 /* bytes of a seed that is still changed; larger ones take too long */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv) __attribute__((weak));

static unsigned long inputs;

/* The copy has exactly `size` bytes, so that a sanitizer sees every read behind the end. */
static void run_exact(const uint8_t *data, size_t size)
{
        uint8_t *copy = malloc(size > 0 ? size : 1);

        if (copy == NULL) {
                fprintf(stderr, "replay: out of memory\n");
                exit(1);
        }
        if (size > 0)
                memcpy(copy, data, size);
        (void)LLVMFuzzerTestOneInput(copy, size);
        inputs++;
        free(copy);
}

static void run_variants(uint8_t *data, size_t size)
{
        static const uint8_t flips[] = { 0x01, 0x80, 0xff };
        size_t step = size / PREFIXES_MAX + 1;

        run_exact(data, size);
        if (size > CHANGED_SIZE_MAX)
                return;
        for (size_t n = 0; n < size; n += step)
                run_exact(data, n);
        step = size * sizeof flips / CHANGES_MAX + 1;
        for (size_t i = 0; i < size * sizeof flips; i += step) {
                uint8_t *byte = data + i / sizeof flips;
                uint8_t old = *byte;

                *byte ^= flips[i % sizeof flips];
                run_exact(data, size);
                *byte = old;
        }
}

static void run_file(const char *path)
{
        uint8_t *data = malloc(INPUT_MAX);
        FILE *file = fopen(path, "rb");
        size_t size;

        if (data == NULL || file == NULL) {
                perror(path);
                exit(1);
        }
        size = fread(data, 1, INPUT_MAX, file);
        fclose(file);
        run_variants(data, size);
        free(data);
}

static int by_name(const void *a, const void *b)
{
        return strcmp(*(char *const *)a, *(char *const *)b);
}

static void run_path(const char *path)
{
        struct dirent **entries;
        struct stat status;
        char *names[4096];
        size_t n = 0;
        int found;

        if (stat(path, &status) != 0) {
                perror(path);
                exit(1);
        }
        if (!S_ISDIR(status.st_mode)) {
                run_file(path);
                return;
        }
        found = scandir(path, &entries, NULL, NULL);
        for (int i = 0; i < found; i++) {
                char *name = NULL;

                if (entries[i]->d_name[0] != '.' && n < sizeof names / sizeof names[0] &&
                    asprintf(&name, "%s/%s", path, entries[i]->d_name) > 0)
                        names[n++] = name;
                free(entries[i]);
        }
        if (found >= 0)
                free(entries);
        qsort(names, n, sizeof names[0], by_name);
        for (size_t i = 0; i < n; i++) {
                run_path(names[i]);
                free(names[i]);
        }
}

int main(int argc, char *argv[])
{
        if (LLVMFuzzerInitialize != NULL)
                (void)LLVMFuzzerInitialize(&argc, &argv);
        run_exact(NULL, 0);
        for (int i = 1; i < argc; i++)
                run_path(argv[i]);
        printf("%lu inputs\n", inputs);
        return 0;
}
