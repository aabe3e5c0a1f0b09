/* Whether this build has a sanitizer in it, which must be left room. SPDX-License-Identifier: BSD-2-Clause */
#ifndef MAPID_SANITIZED_H
#define MAPID_SANITIZED_H

#ifndef __has_feature
#define __has_feature(x) 0
#endif

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || __has_feature(address_sanitizer) ||          \
        __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define SANITIZED 1
#else
#define SANITIZED 0
#endif

#endif
