/* Lists of references: what is accepted, written again, is the same list. SPDX-License-Identifier: BSD-2-Clause */
#include "base/reflist.h"

#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST = 16, ITEM_BYTES = sizeof "2147483647@2147483647," };

/** Without the zeros that a number may begin with. */
static void normal(char *text)
{
        char *to = text;
        int inside = 0;

        for (const char *c = text; *c != '\0'; c++) {
                if (*c == '0' && !inside)
                        continue;
                inside = *c >= '0' && *c <= '9';
                *to++ = *c;
        }
        *to = '\0';
}

static void try(const char *text, bool functions)
{
        struct reflist_item item[MOST + 1];
        char again[MOST * ITEM_BYTES], *expected = strdup(text);
        int n, used = 0;

        if (expected == NULL)
                abort();
        item[MOST] = (struct reflist_item){ .flow = 4711, .fid = 4711 };
        n = reflist_parse(text, functions, item, MOST);
        if (n == 0 || n < -1 || n > MOST || item[MOST].flow != 4711 || item[MOST].fid != 4711)
                abort();
        for (int i = 0; i < n; i++) {
                if (item[i].flow < 1 || (functions ? item[i].fid < 1 : item[i].fid != 0))
                        abort();
                if (functions)
                        used += snprintf(again + used, sizeof again - (size_t)used, "%d@", item[i].fid);
                used += snprintf(again + used, sizeof again - (size_t)used, "%d%s", item[i].flow,
                                 i + 1 < n ? "," : "");
        }
        if (n > 0) {
                normal(expected);
                if (strcmp(expected, again) != 0)
                        abort();
        }
        free(expected);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        char *text = malloc(size + 1);

        if (text == NULL)
                abort();
        memcpy(text, data, size);
        text[size] = '\0';
        try(text, true);
        try(text, false);
        free(text);
        return 0;
}
