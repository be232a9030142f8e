/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Time, chance and processes of a test: nothing happens but what the test makes happen. It also knows whether
 * a callback is being made from the loop, so that a test sees one that is made from inside a call.
 */

#include "seam/env.h"

#define FAKE_BOOT_ID "00000000-0000-4000-8000-000000000001"

struct fake_env;

struct fake_env *fake_env_new(void);
struct fake_env *fake_env_free(struct fake_env *fake); /* complains of timers and watches left behind */
struct env *fake_env(struct fake_env *fake);

/* Everything that is due now, until nothing is. True if there was anything. */
bool fake_env_turn(struct fake_env *fake);
/* Time goes on, and everything that falls due meanwhile happens at its time. */
void fake_env_pass(struct fake_env *fake, uint64_t usec);
/* One timer that is due within usec, before its time, as libevent's may be. False: there is none. */
bool fake_env_fire_early(struct fake_env *fake, uint64_t usec);
void fake_env_stall(struct fake_env *fake, uint64_t usec); /* time goes on, and the loop does not turn */
void fake_env_suspend(struct fake_env *fake, uint64_t usec); /* as that, and CLOCK_MONOTONIC stands still */
void fake_env_tick(struct fake_env *fake, uint64_t usec); /* from now on time goes on by this at every look */
void fake_env_set_clock(struct fake_env *fake, uint64_t realtime_usec); /* the wall clock alone */
unsigned fake_env_n_timers_armed(const struct fake_env *fake);

struct process_id fake_env_spawn(struct fake_env *fake);
void fake_env_kill(struct fake_env *fake, const struct process_id *process);
/* A new process that has the pid of an old one. */
struct process_id fake_env_reuse_pid(struct fake_env *fake, const struct process_id *process);
/* Whether it is there cannot be told. */
void fake_env_hide(struct fake_env *fake, const struct process_id *process);
unsigned fake_env_n_watches(const struct fake_env *fake); /* ever made */
unsigned fake_env_n_watched(const struct fake_env *fake); /* now */

/* The next 32 bits that are asked for, in place of random ones. */
void fake_env_say_random(struct fake_env *fake, uint32_t bits);

/* From the loop: others that call back on its behalf say so too. */
void fake_env_enter(struct fake_env *fake);
void fake_env_leave(struct fake_env *fake);
bool fake_env_in_loop(const struct fake_env *fake);
