/* SPDX-License-Identifier: MIT */
#include "os/life.h"

#include "core/settings.h"
#include "util/alloc.h"
#include "util/cleanup.h"

#include <sys/stat.h>
#include <unistd.h>

/* FNV-1a. */
static uint32_t hash(const char *text)
{
        uint32_t sum = 2166136261U;

        for (; *text; text++)
                sum = (sum ^ (unsigned char)*text) * 16777619U;
        return sum;
}

/* Where the pid namespace cannot be told, nobody may conclude anything from our pid: a host of its own. */
static uint32_t host(struct env *env)
{
        struct stat namespace;
        _cleanup_free_ char *text = NULL;
        uint32_t chance;

        if (stat("/proc/self/ns/pid", &namespace) < 0) {
                env->ops->random(env, &chance, sizeof(chance));
                return chance;
        }
        text = alloc_printf("%s %llu", env->ops->boot_id(env), (unsigned long long)namespace.st_ino);
        return hash(text);
}

void life_token(struct env *env, char ret[NAMES_NAMESPACE_MAX + 1])
{
        const struct berth_token token = {.pid = (uint32_t)getpid(),
                                          .epoch_sec = env_realtime(env) / USEC_PER_SEC,
                                          .random = host(env)};

        names_make_token(&token, ret);
}
