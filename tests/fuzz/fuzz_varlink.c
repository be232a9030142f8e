/* SPDX-License-Identifier: MIT */

/* Frames out of a stream of bytes, each as a call and as a reply; what is taken is printed and taken again.
 */

#include "proto/varlink.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void try_call(const char *frame, size_t length)
{
        char message[JSON_MESSAGE_SIZE];
        struct varlink_call call, again;
        size_t printed;
        char *text;

        if (!varlink_call_parse(frame, length, &call, message))
                return;
        text = varlink_print_call(call.method, json_copy(call.parameters), call.more, call.oneway, &printed);
        if (varlink_frame_length(text, printed) != (long)printed - 1)
                abort();
        /* The text may have grown: U+0001 has six bytes. */
        if (printed - 1 <= VARLINK_FRAME_MAX) {
                if (!varlink_call_parse(text, printed - 1, &again, message) || again.more != call.more ||
                    again.oneway != call.oneway || strcmp(again.method, call.method) != 0)
                        abort();
                varlink_call_done(&again);
        }
        free(text);
        varlink_call_done(&call);
}

static void try_reply(const char *frame, size_t length)
{
        char message[JSON_MESSAGE_SIZE];
        struct varlink_reply reply, again;
        size_t printed;
        char *text;

        if (!varlink_reply_parse(frame, length, &reply, message))
                return;
        text = varlink_print_reply(json_copy(reply.parameters), reply.error, reply.continues, &printed);
        if (!varlink_reply_parse(text, printed - 1, &again, message) || again.continues != reply.continues ||
            !again.error != !reply.error)
                abort();
        varlink_reply_done(&again);
        free(text);
        varlink_reply_done(&reply);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        const char *at = (const char *)data;

        for (;;) {
                long length = varlink_frame_length(at, size);

                if (length < 0)
                        break;
                try_call(at, (size_t)length);
                try_reply(at, (size_t)length);
                at += length + 1;
                size -= (size_t)length + 1;
        }
        /* The rest without its NUL, so that a parser that runs on is seen. */
        try_call(at, size);
        try_reply(at, size);
        return 0;
}
