/* How the scripted mapid notes requests: one line each. SPDX-License-Identifier: BSD-2-Clause */
#include "scripted.h"

#include <stdio.h>

static void note_apply(struct scripted *s, const Mapi__Apply *m, unsigned nfds)
{
        char line[SCRIPTED_LINE];
        int at = snprintf(line, sizeof line, "apply %d %s(", m->flow, m->name);

        for (size_t i = 0; i < m->n_value && at > 0 && at < SCRIPTED_LINE - 40; i++) {
                const Mapi__Value *v = m->value[i];

                switch (v->is_case) {
                case MAPI__VALUE__IS_TEXT:
                        at += snprintf(line + at, sizeof line - (size_t)at, "'%.16s'", v->text);
                        break;
                case MAPI__VALUE__IS_NUMBER:
                        at += snprintf(line + at, sizeof line - (size_t)at, "%lld", (long long)v->number);
                        break;
                case MAPI__VALUE__IS_NATURAL:
                        at += snprintf(line + at, sizeof line - (size_t)at, "%lluu",
                                       (unsigned long long)v->natural);
                        break;
                case MAPI__VALUE__IS_FILE:
                        at += snprintf(line + at, sizeof line - (size_t)at, "file");
                        break;
                default:
                        at += snprintf(line + at, sizeof line - (size_t)at, "none");
                }
                at += snprintf(line + at, sizeof line - (size_t)at, i + 1 < m->n_value ? ", " : "");
        }
        scripted_note(s, "%s) %u", line, nfds);
}

void scripted_note_request(struct scripted *s, const Mapi__Envelope *q, unsigned nfds)
{
        switch (q->body_case) {
        case MAPI__ENVELOPE__BODY_HELLO:
                scripted_note(s, "hello %u-%u", q->hello->version_min, q->hello->version_max);
                break;
        case MAPI__ENVELOPE__BODY_CREATE_DEVICE:
                scripted_note(s, "create_device %s %u", q->create_device->source->driver, nfds);
                break;
        case MAPI__ENVELOPE__BODY_START_DEVICE:
                scripted_note(s, "start_device %s", q->start_device->device);
                break;
        case MAPI__ENVELOPE__BODY_DELETE_DEVICE:
                scripted_note(s, "delete_device %s", q->delete_device->device);
                break;
        case MAPI__ENVELOPE__BODY_CREATE_FLOW:
                if (q->create_flow->on_case == MAPI__CREATE_FLOW__ON_DEVICE)
                        scripted_note(s, "create_flow %s wanted %u", q->create_flow->device,
                                      q->create_flow->wanted);
                else
                        scripted_note(s, "create_flow private %s %u wanted %u", q->create_flow->source->driver,
                                      nfds, q->create_flow->wanted);
                break;
        case MAPI__ENVELOPE__BODY_DESCRIBE:
                scripted_note(s, "describe %d %s", q->describe->flow, q->describe->name);
                break;
        case MAPI__ENVELOPE__BODY_APPLY:
                note_apply(s, q->apply, nfds);
                break;
        case MAPI__ENVELOPE__BODY_CONNECT:
                scripted_note(s, "connect %d", q->connect->flow);
                break;
        case MAPI__ENVELOPE__BODY_CLOSE_FLOW:
                scripted_note(s, "close_flow %d", q->close_flow->flow);
                break;
        case MAPI__ENVELOPE__BODY_EVENT_FD:
                scripted_note(s, "event_fd %d", q->event_fd->flow);
                break;
        default:
                scripted_note(s, "request %d", (int)q->body_case);
        }
}
