/* SPDX-License-Identifier: MIT */
#pragma once

/* Words of the wire that daemon and clients share. The .varlink files beside this one are the source of
 * truth. */

#define BERTH_INTERFACE_LEASE   "io.berth.lease"
#define BERTH_INTERFACE_MANAGE  "io.berth.manage"
#define BERTH_INTERFACE_SERVICE "org.varlink.service"

#define BERTH_SOCKET_NAME     "berth/io.berth.lease" /* below $XDG_RUNTIME_DIR or /run */
#define BERTH_SYSTEM_SOCKET   "/run/berth/io.berth.lease"
#define BERTH_SYSTEM_CONFIG   "/etc/berth/berth.conf"
#define BERTH_SOCKET_PATH_MAX 107 /* sizeof sun_path - 1 */

/* Environment a run is given. */
#define BERTH_ENV_NAMESPACE  "BERTH_NAMESPACE"
#define BERTH_ENV_SECRET     "BERTH_LEASE"
#define BERTH_ENV_SOCKET     "BERTH_SOCKET"
#define BERTH_ENV_FORCE      "BERTH_NAMESPACE_FORCE"
#define BERTH_ENV_REPORT_DIR "BERTH_REPORT_DIR"
/* The berthd that is started where there is none; empty: none is started. */
#define BERTH_ENV_DAEMON "BERTH_DAEMON"

/* 128 bits as 32 lower-case hex digits. */
#define BERTH_SECRET_BYTES 16
#define BERTH_SECRET_SIZE  33

#define BERTH_LABEL_MAX   200 /* bytes of a label */
#define BERTH_REQUEST_MAX 64  /* bytes of a caller's name for its request */

#define BERTH_ERROR_BUSY                 "io.berth.lease.Busy"
#define BERTH_ERROR_LIMIT_REACHED        "io.berth.lease.LimitReached"
#define BERTH_ERROR_LEDGER_UNAVAILABLE   "io.berth.lease.LedgerUnavailable"
#define BERTH_ERROR_NAMESPACE_IN_USE     "io.berth.lease.NamespaceInUse"
#define BERTH_ERROR_BAD_NAME             "io.berth.lease.BadName"
#define BERTH_ERROR_NO_SUCH_LEASE        "io.berth.lease.NoSuchLease"
#define BERTH_ERROR_ALREADY_ATTACHED     "io.berth.lease.AlreadyAttached"
#define BERTH_ERROR_NOT_HELD             "io.berth.lease.NotHeld"
#define BERTH_ERROR_NO_SUCH_DATABASE     "io.berth.lease.NoSuchDatabase"
#define BERTH_ERROR_DATABASE_UNREACHABLE "io.berth.lease.DatabaseUnreachable"

#define BERTH_ERROR_MANAGE_NO_SUCH_LEASE        "io.berth.manage.NoSuchLease"
#define BERTH_ERROR_MANAGE_NO_SUCH_DATABASE     "io.berth.manage.NoSuchDatabase"
#define BERTH_ERROR_MANAGE_LEDGER_UNAVAILABLE   "io.berth.manage.LedgerUnavailable"
#define BERTH_ERROR_MANAGE_DATABASE_UNREACHABLE "io.berth.manage.DatabaseUnreachable"
#define BERTH_ERROR_SWEEP_RUNNING               "io.berth.manage.SweepRunning"

#define VARLINK_ERROR_INTERFACE_NOT_FOUND    "org.varlink.service.InterfaceNotFound"
#define VARLINK_ERROR_METHOD_NOT_FOUND       "org.varlink.service.MethodNotFound"
#define VARLINK_ERROR_METHOD_NOT_IMPLEMENTED "org.varlink.service.MethodNotImplemented"
#define VARLINK_ERROR_INVALID_PARAMETER      "org.varlink.service.InvalidParameter"
#define VARLINK_ERROR_PERMISSION_DENIED      "org.varlink.service.PermissionDenied"
#define VARLINK_ERROR_EXPECTED_MORE          "org.varlink.service.ExpectedMore"
