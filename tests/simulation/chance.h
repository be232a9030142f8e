/* SPDX-License-Identifier: MIT */
#pragma once

/* All chance of a schedule comes from one seed (xoshiro256**, seeded by splitmix64): same seed, same
 * schedule. */

#include <stdbool.h>
#include <stdint.h>

struct chance {
        uint64_t state[4];
};

static inline void chance_seed(struct chance *chance, uint64_t seed)
{
        for (unsigned i = 0; i < 4; i++) {
                uint64_t z = seed += 0x9e3779b97f4a7c15ULL;

                z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ULL;
                z = (z ^ z >> 27) * 0x94d049bb133111ebULL;
                chance->state[i] = z ^ z >> 31;
        }
}

static inline uint64_t chance_bits(struct chance *chance)
{
        uint64_t *s = chance->state, t = s[1] << 17, product = s[1] * 5;

        s[2] ^= s[0];
        s[3] ^= s[1];
        s[1] ^= s[2];
        s[0] ^= s[3];
        s[2] ^= t;
        s[3] = s[3] << 45 | s[3] >> 19;
        return (product << 7 | product >> 57) * 9;
}

static inline uint64_t chance_below(struct chance *chance, uint64_t n)
{
        return chance_bits(chance) % n;
}

/* Both ends included. */
static inline uint64_t chance_between(struct chance *chance, uint64_t low, uint64_t high)
{
        return low + chance_below(chance, high - low + 1);
}

static inline bool chance_one_in(struct chance *chance, unsigned n)
{
        return !chance_below(chance, n);
}

static inline bool chance_percent(struct chance *chance, unsigned percent)
{
        return chance_below(chance, 100) < percent;
}
