/* SPDX-License-Identifier: MIT */
#pragma once

/* The files of sql/, compiled in by embed_sql.cmake. */
extern const char sql_identify[];
extern const char sql_schemas[];
extern const char sql_sessions[];
extern const char sql_drop_begin[];
extern const char sql_drop_pin[];
extern const char sql_drop_dependents[];
extern const char sql_drop_untie[];
extern const char sql_drop_batch[];
extern const char sql_end_sweep[];
extern const char sql_lock_holders[];
extern const char sql_blockers[];
extern const char sql_holders[];
extern const char sql_holder_busy[];
extern const char sql_lock_counts[];
extern const char sql_public[];
extern const char sql_diagnose[];
