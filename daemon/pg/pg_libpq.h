/* SPDX-License-Identifier: MIT */
#pragma once

/* What the files that implement connection.h share. */

#include "pg/answer.h"
#include "pg/helper.h"
#include "seam/pg.h"

struct event;

struct pg_libpq {
        struct pg pg; /* first: the seam's handle is this */
        struct event_base *base;
        struct helper *helper;
        char *application_name;
        unsigned n_connections;
};

extern const struct pg_ops pg_libpq_ops; /* in connection.c */

enum connection_state { STARTING, CONNECTING, IDLE, ASKING, LOSING, LOST };

struct pg_connection {
        struct pg_libpq *libpq;
        char *conninfo;
        pg_answered_fn *answered;
        void *owner;

        enum connection_state state;
        enum pg_question question;   /* not IDLE, LOST: the one to be answered */
        struct helper_job *job;      /* STARTING, CONNECTING: on a thread */
        PGconn *conn;                /* CONNECTING unless on a thread, IDLE, ASKING */
        unsigned attempt, n_hosts;   /* STARTING, CONNECTING */
        uint64_t deadline_usec;      /* of the whole; monotonic */
        uint64_t armed_usec;         /* what the timer was given of it */
        int backend_pid;             /* once connected */
        struct answer_reader reader; /* ASKING */
        struct event *socket, *timer;
        size_t received;                  /* CONNECTING, ASKING: bytes so far */
        char reason[ANSWER_MESSAGE_SIZE]; /* STARTING, CONNECTING, LOSING: what went wrong so far */
};

/* connection.c */
uint64_t connection_left_usec(const struct pg_connection *c);
void connection_arm(struct pg_connection *c, uint64_t delay_usec);
void connection_wait_for(struct pg_connection *c, short what);
/* So that the server notices; says nothing to the owner. */
void connection_hang_up(struct pg_connection *c);
void connection_add_reason(struct pg_connection *c, const char *text);
/* The end. The owner is told by the loop. */
void connection_lose(struct pg_connection *c, const char *why);

/* connecting.c: the first host; the socket is ready; this host will not do. */
void connecting_start(struct pg_connection *c);
void connecting_step(struct pg_connection *c);
void connecting_failed(struct pg_connection *c, const char *why);
