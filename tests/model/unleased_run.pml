/* SPDX-License-Identifier: MIT */
/*
 * A run without a lease, and the sweeps that must not drop its schemas.
 *
 * A plain test run that the ledger does not know. Its name is fresh; it is labelled, builds a schema in each of two
 * databases of two clusters, and holds a session in the first one only. Meanwhile sweeps follow each other, any answer
 * of any database may fail, the first server may restart (which empties pg_stat_activity while the run lives on), and
 * any database may be answered for by a hot standby (which shows the schemas, and none of the sessions).
 *
 *      asserted        no schema is dropped while the run lives
 *
 * Switches; tests/model/run says what each has to come to. Each turns one protection off:
 *
 *      CANDFIRST=0     sessions first, and candidates listed while sweeping            counterexample
 *      UNION=0         each database is judged by its own sessions alone               counterexample
 *      FAILCLOSED=0    a database that did not answer counts as "no sessions"          counterexample
 *      RESTARTGUARD=0  a server that has just started is believed                      counterexample
 *      STANDBYGUARD=0  a hot standby is believed                                       counterexample
 *      FRESHLOOK=0     the sessions are not looked at again in the drop's transaction  none: the name is fresh
 *
 * and what the run is like:
 *
 *      POOL=0          it connects only around its statements (NullPool)               counterexample
 *      POOL=0 TOKEN=1  and its namespace is a token of its own pid, on this host       none
 *      POOL=0 TOKEN=1 PIDCHECK=0       and nobody looks at that pid                    counterexample
 *
 * No order of questions saves a run that holds no session and whose name says nothing: for it there are leases, and
 * unleased_grace.
 *
 * Left out: time. The grace after a server's start is "no drop ever again", and unleased_grace is none.
 */
#ifndef CANDFIRST
#define CANDFIRST 1
#endif
#ifndef UNION
#define UNION 1
#endif
#ifndef FAILCLOSED
#define FAILCLOSED 1
#endif
#ifndef RESTARTGUARD
#define RESTARTGUARD 1
#endif
#ifndef STANDBYGUARD
#define STANDBYGUARD 1
#endif
#ifndef FRESHLOOK
#define FRESHLOOK 1
#endif
#ifndef PIDCHECK
#define PIDCHECK 1
#endif
#ifndef POOL
#define POOL 1
#endif
#ifndef TOKEN
#define TOKEN 0
#endif
#ifndef SWEEPS
#define SWEEPS 2
#endif

#define DBS 2

bool alive;
bool session;                   /* a labelled backend in database 0; in database 1 there never is one */
bool schema[DBS];
byte restarts;

/* somebody's plain pytest */
proctype Run()
{
        byte d;

        atomic { alive = 1; session = POOL }    /* the label appears before any schema */
        do
        :: d < DBS ->
                if :: POOL -> skip :: else -> session = 1 fi;
                schema[d] = 1;
                if :: POOL -> skip :: else -> session = 0 fi;
                d++
        :: else -> break
        od;
        do
        :: !session && POOL -> session = 1      /* connects again after a restart of the server */
        :: skip -> break
        od;
        atomic { alive = 0; session = 0 }       /* crashes: the schemas stay behind */
}

proctype Restart()
{
        if
        :: atomic { restarts < 1 -> restarts++; session = 0 }
        :: skip
        fi
}

/* service/census.c, unbelievable() and take_sessions(); live_set.c seals only what is whole */
inline look(d)
{
        if
        :: atomic { seen = (seen || (d == 0 && session));
                    if :: RESTARTGUARD && d == 0 && restarts > 0 -> incomplete = 1 :: else fi }
        :: incomplete = 1       /* no answer, or half of one */
        :: skip -> if :: STANDBYGUARD -> incomplete = 1 :: else fi /* a standby's: nobody is there */
        fi
}

/* service/sweep.c */
proctype Sweep()
{
        byte sweeps, d;
        bool candidate[DBS];
        bool seen, incomplete, came;

        do
        :: sweeps < SWEEPS ->
                sweeps++;
                atomic { candidate[0] = 0; candidate[1] = 0; seen = 0; incomplete = 0; d = 0 }

                /* census.c: LISTING in every database, then the barrier */
                if
                :: CANDFIRST ->
                        do
                        :: d < DBS -> if :: candidate[d] = schema[d] :: incomplete = 1 fi; d++
                        :: else -> break
                        od
                :: else
                fi;

                /* census.c: LOOKING in every database */
                d = 0;
                if
                :: UNION ->
                        do
                        :: d < DBS -> look(d); d++
                        :: else -> break
                        od
                :: else
                fi;

                /* decide.c, and drop*.c for each */
                d = 0;
                do
                :: d < DBS ->
                        if :: UNION -> skip :: else -> seen = 0; look(d) fi;
                        if :: CANDFIRST -> skip :: else -> candidate[d] = schema[d] fi;
                        if
                        :: candidate[d] && !seen && !(FAILCLOSED && incomplete) && !(TOKEN && PIDCHECK && alive) ->
                                /* drop_steps.c, take_sessions(): of its own cluster, once more */
                                if :: FRESHLOOK && d == 0 -> came = session :: else -> came = 0 fi;
                                if
                                :: !came && schema[d] -> atomic { assert(!alive); schema[d] = 0 }
                                :: else
                                fi
                        :: else
                        fi;
                        d++
                :: else -> break
                od
        :: else -> break
        od
}

init { atomic { run Run(); run Sweep(); run Restart() } }
